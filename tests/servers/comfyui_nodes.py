"""The nodes of the fake ComfyUI server: what they take, what they give, and how a prompt is validated.

Some are ComfyUI's own, and those whose names begin with Vb are custom nodes.
"""

from typing import Any, Final

Graph = dict[str, dict[str, Any]]
SAMPLERS: Final = ["euler", "euler_ancestral", "dpmpp_2m", "heun"]
SCHEDULERS: Final = ["normal", "karras", "simple"]
MODELS: Final = ["v1-5-pruned-emaonly.safetensors", "SDXL/base.safetensors"]
LORAS: Final = ["add_detail.safetensors", "film.safetensors"]
_SIZE: Final = {"default": 512, "min": 16, "max": 16384, "step": 8}
_STRENGTH: Final = {"default": 1.0, "min": -100.0, "max": 100.0}
_SAMPLER: Final = {
    "model": ["MODEL"],
    "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
    "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
    "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1}],
    "sampler_name": [SAMPLERS, {"tooltip": "The form that older versions have."}],
    "scheduler": ["COMBO", {"options": SCHEDULERS}],
    "positive": ["CONDITIONING"],
    "negative": ["CONDITIONING"],
    "latent_image": ["LATENT"],
    "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}],
}
_AMOUNT: Final = {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}
_RESIZE: Final = [
    {"key": "scale by multiplier", "inputs": {"required": {"multiplier": ["FLOAT", _AMOUNT]}}},
    {"key": "scale width", "inputs": {"required": {"width": ["INT", {"default": 512, "min": 0, "max": 16384}]}}},
]
NODES: Final[dict[str, dict[str, Any]]] = {
    "CheckpointLoaderSimple": {"ckpt_name": [MODELS]},
    "LoraLoader": {
        "model": ["MODEL"],
        "clip": ["CLIP"],
        "lora_name": ["COMBO", {"options": LORAS}],
        "strength_model": ["FLOAT", _STRENGTH],
        "strength_clip": ["FLOAT", _STRENGTH],
    },
    "Power Lora Loader (rgthree)": {"model": ["MODEL"], "clip": ["CLIP"]},
    "CLIPTextEncode": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]},
    "EmptyLatentImage": {
        "width": ["INT", _SIZE],
        "height": ["INT", _SIZE],
        "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
    },
    "LoadImage": {"image": [["example.png"], {"image_upload": True}]},
    "VAEEncode": {"pixels": ["IMAGE"], "vae": ["VAE"]},
    "KSampler": _SAMPLER,
    "KSamplerAdvanced": {
        **{key: value for key, value in _SAMPLER.items() if key not in ("seed", "denoise")},
        "noise_seed": _SAMPLER["seed"],
        "add_noise": [["enable", "disable"]],
    },
    "VAEDecode": {"samples": ["LATENT"], "vae": ["VAE"]},
    "PrimitiveString": {"value": ["STRING", {}]},
    "PrimitiveBoolean": {"value": ["BOOLEAN", {}]},
    "SaveImage": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
    "PreviewImage": {"images": ["IMAGE"]},
    "EmptyImage": {
        "width": ["INT", {"default": 512, "min": 1, "max": 16384}],
        "height": ["INT", {"default": 512, "min": 1, "max": 16384}],
        "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
        "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF}],
    },
    "ImageBlur": {
        "image": ["IMAGE"],
        "blur_radius": ["INT", {"default": 1, "min": 1, "max": 31}],
        "sigma": ["FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0}],
    },
    "ImageQuantize": {
        "image": ["IMAGE"],
        "colors": ["INT", {"default": 256, "min": 1, "max": 256}],
        "dither": [["none", "floyd-steinberg"]],
    },
    "ResizeImageMaskNode": {
        "input": ["COMFY_MATCHTYPE_V3", {"template": {"template_id": "input_type", "allowed_types": "IMAGE,MASK"}}],
        "resize_type": ["COMFY_DYNAMICCOMBO_V3", {"options": _RESIZE}],
        "scale_method": ["COMBO", {"options": ["nearest-exact", "area"]}],
    },
    "BatchImagesNode": {
        "images": [
            "COMFY_AUTOGROW_V3",
            {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 2, "max": 50}},
        ]
    },
    "UpscaleModelLoader": {"model_name": ["COMBO", {"multiselect": False, "options": []}]},
    "CreateVideo": {"images": ["IMAGE"], "fps": ["FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0}]},
    "SaveVideo": {"video": ["VIDEO"], "filename_prefix": ["STRING", {}], "format": ["COMBO", {"options": ["auto"]}]},
    "SaveWEBM": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}], "fps": ["FLOAT", {"default": 24.0}]},
    "SaveAnimatedWEBP": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}], "fps": ["FLOAT", {"default": 6.0}]},
    "SaveAudio": {"audio": ["AUDIO"], "filename_prefix": ["STRING", {"default": "audio/ComfyUI"}]},
    "SaveGLB": {"mesh": ["MESH"], "filename_prefix": ["STRING", {"default": "mesh/ComfyUI"}]},
    "PreviewAny": {"source": ["*", {}]},
    "VHS_VideoCombine": {
        "images": ["IMAGE"],
        "frame_rate": ["FLOAT", {"default": 8, "min": 1, "step": 1}],
        "filename_prefix": ["STRING", {"default": "AnimateDiff"}],
        "format": [["image/gif", "image/webp", "video/h264-mp4"]],
        "save_output": ["BOOLEAN", {"default": True}],
    },
    "VbNothing": {"image": ["IMAGE"], "seed": ["INT", {"default": 0}]},
    "VbSlow": {
        "image": ["IMAGE"],
        "seconds": ["FLOAT", {"default": 5.0, "min": 0.0, "max": 600.0, "step": 0.1}],
        "seed": _SAMPLER["seed"],
        "mode": [["a", "b"]],
    },
    "VbFail": {
        "image": ["IMAGE"],
        "kind": [["none", "value", "runtime", "oom", "key", "mismatch", "custom", "nomsg"]],
        "n": ["INT", {"default": 0, "min": 0, "max": 100}],
    },
    "VbText": {"image": ["IMAGE"], "text": ["STRING", {"default": "x"}]},
    "VbNan": {"image": ["IMAGE"], "num": [[1, 2, 4]], "flag": [[True, False]], "multi": ["INT,FLOAT", {}]},
}
# classes that read more inputs than they tell, by how the names of these begin: nothing checks what is in them
FLEXIBLE: Final = {"Power Lora Loader (rgthree)": "lora_"}
OUTPUTS: Final = (
    "SaveImage", "PreviewImage", "SaveVideo", "SaveWEBM", "SaveAnimatedWEBP", "SaveAudio", "SaveGLB", "PreviewAny",
    "VHS_VideoCombine", "VbText", "VbNothing",
)  # fmt: skip
_EXTRAS: Final = {
    "SaveVideo": "video",
    "SaveWEBM": "video",
    "CreateVideo": "video",
    "SaveAnimatedWEBP": "images",
    "SaveAudio": "audio",
    "SaveGLB": "hunyuan3d",
    "PreviewAny": "preview_any",
    "ImageBlur": "post_processing",
    "ImageQuantize": "post_processing",
    "ResizeImageMaskNode": "post_processing",
    "BatchImagesNode": "post_processing",
}
_OOM_TIP: Final = (
    "\nThis error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
    "accidentally set the batch_size to a large number."
)
_PADDING: Final = "Argument #4: Padding size should be less than the corresponding input dimension"
_FAILURES: Final = {  # as a real server tells them
    "value": ("ValueError", "bad value of n\n"),
    "runtime": ("RuntimeError", "driver hiccup\n"),
    "oom": (
        "torch.OutOfMemoryError",
        f"Allocation on device 0 would exceed allowed memory. (out of memory){_OOM_TIP}",
    ),
    "key": ("KeyError", "'lora'\n"),
    "mismatch": ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)\n"),
    "custom": ("/srv/ComfyUI/custom_nodes/vbtest.VbFail.go.<locals>.ModelMissing", "no such thing as a model\n"),
    "nomsg": ("RuntimeError", "\n"),
}


def _module(name: str) -> str:
    if name.startswith("Vb"):
        return "custom_nodes.vbtest"
    if name.startswith("VHS"):
        return "custom_nodes.comfyui-videohelpersuite"
    if name in FLEXIBLE:
        return "custom_nodes.rgthree-comfy"
    return f"comfy_extras.nodes_{_EXTRAS[name]}" if name in _EXTRAS else "nodes"


OBJECT_INFO: Final = {
    name: {
        "input": {"required": inputs, "hidden": {"prompt": "PROMPT"}},
        "output_node": name in OUTPUTS,
        "name": name,
        "python_module": _module(name),
    }
    for name, inputs in NODES.items()
}


class NodeError(Exception):
    """A node raised an exception; name of its class and text, as the server tells them."""

    def __init__(self, kind: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.kind, self.message = kind, message


def value_of(kind: str, given: dict[str, Any]) -> Any:
    """Return what a node makes of what it is given: what decides the picture, and the size of the batch.

    Raises:
        NodeError: as the real one does with these values.
    """
    source = given.get("image") or given.get("images") or given.get("samples") or given.get("latent_image") or {}
    size = source.get("size", [24, 16]) if isinstance(source, dict) else [24, 16]
    batch = given.get("batch_size", source.get("batch", 1) if isinstance(source, dict) else 1)
    match kind:
        case "EmptyImage":
            size = [given["width"], given["height"]]
        case "ImageBlur" if given["blur_radius"] >= min(size):
            radius, shape = given["blur_radius"], f"[1, 3, {size[1]}, {size[0]}]"
            where = f"padding ({radius}, {radius}) at dimension 3 of input {shape}"
            raise NodeError("RuntimeError", f"{_PADDING}, but got: {where}\n")
        case "VbFail" if given["kind"] in _FAILURES:
            raise NodeError(*_FAILURES[given["kind"]])
        case "Power Lora Loader (rgthree)":  # one that is off or not there changes nothing, and nobody is told
            stack = [one for name, one in given.items() if name.startswith(FLEXIBLE[kind])]
            used = [one for one in stack if one["on"] and one["strength"] and one["lora"] in LORAS]
            return {"of": [kind, used, given["model"], given["clip"]], "size": size, "batch": batch}
        case "BatchImagesNode":
            batch = sum(one["batch"] for one in given.values())
    return {"of": [kind, given], "size": size, "batch": batch}


def before(graph: Graph, node_id: str) -> list[str]:
    """Return a node and all that lead to it, the node first and each before what feeds it alone."""
    found = [node_id]
    for value in graph[node_id]["inputs"].values():
        if isinstance(value, list):
            found = [one for one in found if one not in (fed := before(graph, value[0]))] + fed
    return found


def validate(graph: Graph) -> tuple[list[str], dict[str, Any] | None, dict[str, Any]]:
    """Return the outputs that can run, an error if there are none, and errors by node; values become their types."""
    for node_id, node in graph.items():
        if node.get("class_type") not in OBJECT_INFO:
            message = f"Node '{node.get('class_type')}' not found. The custom node may not be installed."
            return [], _error("missing_node_type", message, f"Node ID '#{node_id}'"), {}
    outputs = [node_id for node_id, node in graph.items() if node["class_type"] in OUTPUTS]
    if not outputs:
        return [], _error("prompt_no_outputs", "Prompt has no outputs", ""), {}
    good, node_errors = [], dict[str, Any]()
    for output in outputs:
        found = {node_id: errors for node_id in before(graph, output) if (errors := _check_node(graph[node_id]))}
        if not found:
            good.append(output)
        for node_id, errors in found.items():
            told = {"errors": errors, "dependent_outputs": [], "class_type": graph[node_id]["class_type"]}
            node_errors.setdefault(node_id, told)["dependent_outputs"].append(output)
    if good:
        return good, None, node_errors
    return [], _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", ""), node_errors


def _check_node(node: dict[str, Any]) -> list[dict[str, Any]]:
    specs = _expanded(NODES[node["class_type"]], node["inputs"])
    found = [_check_input(node, name, spec) for name, spec in specs.items()]
    return [error for error in found if error]


def _expanded(specs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what a node takes; an input within an input is there only if it is asked for."""
    found = dict[str, Any]()
    for name, spec in specs.items():
        options = spec[1] if len(spec) > 1 else {}
        if spec[0] == "COMFY_DYNAMICCOMBO_V3":
            chosen = [one for one in options["options"] if one["key"] == inputs.get(name)]
            within = chosen[0]["inputs"]["required"] if chosen else {}
            found |= {f"{name}.{inner}": described for inner, described in within.items()}
        elif spec[0] == "COMFY_AUTOGROW_V3":
            ((_, described),) = options["template"]["input"]["required"].items()
            found |= {key: described for key in inputs if key.startswith(f"{name}.")}
        else:
            found[name] = spec
    return found


def _check_input(node: dict[str, Any], name: str, spec: list[Any]) -> dict[str, Any] | None:
    inputs = node["inputs"]
    if name not in inputs:
        return _error("required_input_missing", "Required input is missing", name, name)
    value = inputs[name]
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if isinstance(value, list):
        if len(value) == len(("node", "slot")):
            return None
        return _error(
            "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", name, name
        )
    try:
        inputs[name] = _converted(kind, value)
    except ValueError as error:
        message = f"Failed to convert an input value to a {kind} value"
        return _error("invalid_input_type", message, f"{name}, {value}, {error}", name)
    if node["class_type"] == "LoadImage":
        known = value == "example.png" or str(value).startswith("variantbus/")
        details = f"{name} - Invalid image file: {value}"
        return None if known else _error("custom_validation_failed", "Custom validation failed for node", details, name)
    return _check_value(name, inputs[name], kind, options)


def _converted(kind: Any, value: Any) -> Any:
    """Do what the server does in silence: 7.5 becomes 7 where a whole number is wanted."""
    match kind:
        case "INT":
            return int(value)
        case "FLOAT":
            return float(value)
        case "STRING":
            return str(value)
        case "BOOLEAN":
            return bool(value)
        case _:
            return value


def _check_value(name: str, value: Any, kind: Any, options: dict[str, Any]) -> dict[str, Any] | None:
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return _error("value_smaller_than_min", message, name, name)
    if "max" in options and value > options["max"]:
        return _error("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name, name)
    choices = kind if isinstance(kind, list) else options.get("options", []) if kind == "COMBO" else None
    if choices is not None and value not in choices:
        return _error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {choices}", name)
    return None


def _error(kind: str, message: str, details: str, name: str | None = None) -> dict[str, Any]:
    extra = {} if name is None else {"input_name": name}
    return {"type": kind, "message": message, "details": details, "extra_info": extra}
