"""What the fake web UI has beside its models: scripts, styles and ControlNet, with the traps of the originals.

A script whose values are wrong raises within the server, which writes that to its console and goes on: the answer is
200, and a picture that was made without it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from tests.servers.webui_settings import Refused

STYLES: Final = {  # name → prompt, negative prompt
    "film": ("{prompt}, film grain", "cartoon"),
    "ink": ("ink drawing", ""),
    "dot.ted": ("dotted", ""),
}
CONTROLNETS: Final = ("control_v11p_sd15_canny [d14c016b]", "control_v11f1p_sd15_depth [cfd03158]")
PREPROCESSORS: Final = {"none": "none", "canny": "canny", "depth_midas": "depth_midas", "seg_ofade20k": "seg_ofade"}
DETECTORS: Final = ("face_yolov8n.pt", "hand_yolov8n.pt")
# title in small letters → is it always on, and how many values it takes
MOST: Final = 2  # that a unit may weigh
SCRIPTS: Final = {
    "controlnet": (True, 3),
    "adetailer": (True, 4),
    "dynamic thresholding (cfg scale fix)": (True, 12),
    "x/y/z plot": (False, 8),
}
_DETECTOR: Final = {
    "ad_model": "model",
    "ad_confidence": "confidence",
    "ad_denoising_strength": "denoising strength",
    "ad_dilate_erode": "dilate erode",
    "ad_mask_blur": "mask blur",
    "ad_prompt": "prompt",
}
_UNIT: Final = {"module": "none", "model": "None", "weight": 1.0, "guidance_start": 0.0, "guidance_end": 1.0}


def info() -> list[dict[str, Any]]:
    """Return what `/script-info` tells, of both stages."""
    return [
        {
            "name": name,
            "is_alwayson": always,
            "is_img2img": img2img,
            "args": [{"label": f"value {at}", "value": None} for at in range(count)],
        }
        for img2img in (False, True)
        for name, (always, count) in SCRIPTS.items()
    ]


def passed(told: Mapping[str, Any], *, forge: bool) -> dict[str, list[Any]]:
    """Return the values of each script that reach it.

    Raises:
        Refused: there is no such script, or it is none that is always on.
    """
    found = {}
    for title, entry in told.items():
        if title.lower() not in SCRIPTS:
            raise _refusal(f"Script '{title}' not found", forge=forge)
        always, count = SCRIPTS[title.lower()]
        if not always:
            raise _refusal("Cannot have a selectable script in the always on scripts params", forge=forge)
        if "args" in entry:  # of a list, whether it has this word
            args = entry["args"]
            if isinstance(args, dict):
                raise Refused(500, {"error": "KeyError", "detail": "", "body": "", "errors": "0"})
            found[title.lower()] = args[:count]
    return found


def told_of(values: Mapping[str, list[Any]], *, forge: bool) -> dict[str, Any]:
    """Return what the text of a picture says of the scripts."""
    pairs: dict[str, Any] = {}
    pairs |= _controlnet(values.get("controlnet", []), forge=forge)
    pairs |= _adetailer(values.get("adetailer", []))
    thresholding = values.get("dynamic thresholding (cfg scale fix)", [])
    if thresholding[:1] == [True]:
        pairs |= {"Dynamic thresholding enabled": True, "Mimic scale": thresholding[1] if thresholding[1:] else 7.0}
    return pairs


def _controlnet(units: list[Any], *, forge: bool) -> dict[str, Any]:
    """Tell the units that are on; the original looks at all of them first, and Forge tells before it looks."""
    on = [one for one in units if isinstance(one, dict) and one.get("enabled", forge)]
    if not forge and not all(_is_valid(one) for one in on):
        return {}
    full = [{**_UNIT, **one} for one in on]
    texts = [", ".join(f"{key.replace('_', ' ').title()}: {one[key]}" for key in _UNIT) for one in full]
    return {f"ControlNet {at}": text for at, text in enumerate(texts)}


def _is_valid(unit: Mapping[str, Any]) -> bool:
    try:
        base64.b64decode(str(unit.get("image", "")), validate=True)
    except (binascii.Error, ValueError):
        return False
    model, weight = unit.get("model", "None"), unit.get("weight", 1.0)
    return unit.get("module", "none") in PREPROCESSORS and model in (*CONTROLNETS, "None") and 0 <= weight <= MOST


def _adetailer(args: list[Any]) -> dict[str, Any]:
    """Tell each detector; a key that it does not know, or a wrong value, and it does nothing at all."""
    tabs = [one for one in args if isinstance(one, dict)]
    if not tabs or args[0] is False or any(key not in _DETECTOR for one in tabs for key in one):
        return {}
    used = [one for one in tabs if one.get("ad_model") in DETECTORS]
    return {
        f"ADetailer {_DETECTOR[key]}{ordinal}": value
        for one, ordinal in zip(used, ("", " 2nd", " 3rd"), strict=False)
        for key, value in one.items()
    }


def styled(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return both prompts with the styles of a job; an unknown style is none."""
    prompts = [fields["prompt"], fields["negative_prompt"]]
    for name in fields["styles"] or ():
        for at, text in enumerate(STYLES.get(name, ("", ""))):
            prompts[at] = _merged(text, prompts[at])
    return prompts[0], prompts[1]


def _merged(style: str, prompt: str) -> str:
    return style.replace("{prompt}", prompt) if "{prompt}" in style else ", ".join(filter(None, (prompt, style)))


def _refusal(detail: str, *, forge: bool) -> Refused:
    body = {"detail": detail} if forge else {"error": "HTTPException", "detail": detail, "body": "", "errors": ""}
    return Refused(422, body)
