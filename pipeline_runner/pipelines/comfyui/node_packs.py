"""Which pack of custom nodes a missing class may come from, told by how the packs name their classes."""

import re
from typing import Final

# an export names no pack, but most put a mark of their own into the names of their classes
_PACKS: Final = tuple(
    (re.compile(pattern), pack)
    for pattern, pack in (
        (r"\(rgthree\)$", "rgthree-comfy"),
        (r"\|pysssss$", "ComfyUI-Custom-Scripts"),
        (r"//Inspire$", "ComfyUI-Inspire-Pack"),
        (r"\(Efficient\)$|^Efficient Loader|^Eff\. Loader", "efficiency-nodes-comfyui"),
        (r"^VHS_", "ComfyUI-VideoHelperSuite"),
        (r"^ADE_", "ComfyUI-AnimateDiff-Evolved"),
        (r"^easy ", "ComfyUI-Easy-Use"),
        (r"^CR ", "ComfyUI_Comfyroll_CustomNodes"),
        (r"^Layer(Mask|Utility|Style|Color|Filter): ", "ComfyUI_LayerStyle"),
        (r"^mx[A-Z]", "ComfyUI-mxToolkit"),
        (r"^IPAdapter", "ComfyUI_IPAdapter_plus"),
        (r"^UltimateSDUpscale", "ComfyUI_UltimateSDUpscale"),
        (r"^WanVideo", "ComfyUI-WanVideoWrapper"),
        (r"^Impact|^(FaceDetailer|SAMLoader|UltralyticsDetectorProvider|DetailerForEach)", "ComfyUI-Impact-Pack"),
        (r"Preprocessor$", "comfyui_controlnet_aux"),
        (r"GGUF", "ComfyUI-GGUF"),
        (r"KJ(v\d+)?$", "ComfyUI-KJNodes"),
        (r"^[A-Z]\w+\+$", "ComfyUI_essentials"),
    )
)


def pack_of(class_type: str) -> str:
    """Return the name of the pack that a class may come from, "" if its name tells nothing."""
    return next((pack for pattern, pack in _PACKS if pattern.search(class_type)), "")
