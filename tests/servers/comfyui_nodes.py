"""The nodes of the fake ComfyUI server: what they take, how a prompt is validated, and the pictures that they make."""

import hashlib
import io
import json
from typing import Any, Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
_REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "CheckpointLoaderSimple": {"ckpt_name": [MODELS]},
    "LoraLoader": {
        "model": ["MODEL"],
        "clip": ["CLIP"],
        "lora_name": ["COMBO", {"options": LORAS}],
        "strength_model": ["FLOAT", _STRENGTH],
        "strength_clip": ["FLOAT", _STRENGTH],
    },
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
}
OUTPUTS: Final = ("SaveImage", "PreviewImage")
OBJECT_INFO: Final = {
    name: {"input": {"required": inputs, "hidden": {"prompt": "PROMPT"}}, "output_node": name in OUTPUTS, "name": name}
    for name, inputs in _REQUIRED.items()
}


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
        found = {node_id: errors for node_id in _before(graph, output) if (errors := _check_node(graph[node_id]))}
        if not found:
            good.append(output)
        for node_id, errors in found.items():
            told = {"errors": errors, "dependent_outputs": [], "class_type": graph[node_id]["class_type"]}
            node_errors.setdefault(node_id, told)["dependent_outputs"].append(output)
    if good:
        return good, None, node_errors
    return [], _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", ""), node_errors


def picture(graph: Graph, number: int = 0) -> bytes:
    """Draw a picture that no other prompt has, with the chunk that the server writes."""
    text = json.dumps(graph)
    colour = hashlib.sha256(f"{number}{text}".encode()).digest()[:3]
    chunks = PngInfo()
    chunks.add_text("prompt", text)
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (colour[0], colour[1], colour[2])).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def _before(graph: Graph, node_id: str) -> list[str]:
    """Return a node and all that lead to it."""
    found = [node_id]
    for value in graph[node_id]["inputs"].values():
        if isinstance(value, list):
            found += [one for one in _before(graph, value[0]) if one not in found]
    return found


def _check_node(node: dict[str, Any]) -> list[dict[str, Any]]:
    specs = _REQUIRED[node["class_type"]]
    found = [_check_input(node["inputs"], name, spec) for name, spec in specs.items()]
    return [error for error in found if error]


def _check_input(inputs: dict[str, Any], name: str, spec: list[Any]) -> dict[str, Any] | None:
    if name not in inputs:
        return _error("required_input_missing", "Required input is missing", name, name)
    if isinstance(inputs[name], list):
        return None
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    try:
        inputs[name] = _converted(kind, inputs[name])
    except ValueError as error:
        message = f"Failed to convert an input value to a {kind} value"
        return _error("invalid_input_type", message, f"{name}, {inputs[name]}, {error}", name)
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
    choices = kind if isinstance(kind, list) else options.get("options")
    if choices and value not in choices and "image_upload" not in options:
        return _error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {choices}", name)
    return None


def _error(kind: str, message: str, details: str, name: str | None = None) -> dict[str, Any]:
    extra = {} if name is None else {"input_name": name}
    return {"type": kind, "message": message, "details": details, "extra_info": extra}
