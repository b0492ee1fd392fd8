"""The parameters of the fake SwarmUI, in the form of its `ListT2IParams`, and how it reads the values of a request."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

LONG_MAX: Final = 9.223372036854776e18  # as C# writes the largest long, which is one less, in a double
MODELS: Final = {
    "Stable-Diffusion": ["real.safetensors", "sd/base.safetensors", "sd/XL base 1.0.safetensors", "old/base.ckpt"],
    "VAE": ["kl-f8.safetensors", "sdxl_vae.safetensors"],
    "LoRA": ["detail.safetensors", "style/Ink.safetensors", "a,b.safetensors"],
    "ControlNet": [],
}
SAMPLERS: Final = ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "uni_pc"]
FEATURES: Final = ("comfyui", "refiners", "variation_seed", "seamless")
# of each parameter: what is taken for not given, which the list does not tell
IGNORED: Final = {
    "negativeprompt": "",
    "images": "1",
    "seamlesstileable": "false",
    "vae": "None",
    "refinermodel": "(Use Base)",
    "refinerupscale": "1",
    "variationseedstrength": "0",
    "loras": "",
    "maskblur": "0",
}
INTENTIONALLY_UNUSED: Final = frozenset({"width", "height"})
QUERIED: Final = frozenset(
    {"prompt", "negativeprompt", "model", "seed", "steps", "cfgscale", "sampler", "scheduler", "donotsave"}
    | {"loras", "loraweights", "initimage", "initimagecreativity", "vae", "seamlesstileable", "refinerupscale"}
    | {"variationseed", "variationseedstrength", "images"}
)


class Refusal(Exception):  # noqa: N818 - it becomes the error of an answer
    """What the server says."""


def param(name: str, kind: str, default: str | None, **more: Any) -> dict[str, Any]:
    """Return one parameter as it is listed."""
    usual: dict[str, Any] = {
        "name": name,
        "id": "".join(char for char in name.lower() if char.isascii() and char.isalpha()),
        "description": f"What {name} does.",
        "type": kind,
        "subtype": None,
        "default": default,
        "min": 0.0,
        "max": 0.0,
        "view_min": 0.0,
        "view_max": 0.0,
        "step": 1.0,
        "values": None,
        "value_names": None,
        "examples": None,
        "visible": True,
        "advanced": False,
        "feature_flag": None,
        "toggleable": False,
        "priority": 10.0,
        "group": None,
        "view_type": "small",
        "extra_hidden": False,
        "depend_non_default": None,
    }
    return usual | more


PARAMS: Final = (
    param("Prompt", "text", "", visible=False, view_type="prompt"),
    param("Negative Prompt", "text", "", visible=False, view_type="prompt"),
    param("Images", "integer", "1", min=1.0, max=10000.0, group="coreparameters"),
    param("Seed", "integer", "-1", min=-1.0, max=LONG_MAX, view_type="seed", group="coreparameters"),
    param("Steps", "integer", "20", min=0.0, max=500.0, group="coreparameters"),
    param("CFG Scale", "decimal", "7", min=0.0, max=100.0, group="coreparameters"),
    param("Text2Video Frames", "integer", "25", min=1.0, max=1000.0, group="texttovideo"),
    param(
        "Variation Seed",
        "integer",
        "-1",
        min=-1.0,
        max=4294967295.0,
        view_type="seed",
        group="variationseed",
        feature_flag="variation_seed",
    ),
    param(
        "Variation Seed Strength",
        "decimal",
        "0",
        min=0.0,
        max=1.0,
        group="variationseed",
        feature_flag="variation_seed",
    ),
    param("Aspect Ratio", "dropdown", "1:1", values=["1:1", "4:3", "Custom"], group="resolution"),
    param("Width", "integer", "512", min=64.0, max=16384.0, group="resolution"),
    param("Height", "integer", "512", min=64.0, max=16384.0, group="resolution"),
    param("Flux Guidance Scale", "decimal", "3.5", min=0.0, max=100.0, group="sampling", feature_flag="flux-dev"),
    param(
        "Seamless Tileable",
        "dropdown",
        "false",
        values=["false", "true", "X-Only", "Y-Only"],
        group="sampling",
        feature_flag="seamless",
    ),
    param("Init Image", "image", None, group="initimage"),
    param("Init Image Creativity", "decimal", "0.6", min=0.0, max=1.0, group="initimage"),
    param("Mask Image", "image", None, group="initimage"),
    param("Mask Blur", "integer", "4", min=0.0, max=64.0, group="initimage", depend_non_default="maskimage"),
    param("Refiner Upscale", "decimal", "1", min=0.25, max=8.0, group="refineupscale", feature_flag="refiners"),
    param(
        "Refiner Model",
        "model",
        "(Use Base)",
        subtype="Stable-Diffusion",
        values=["(Use Base)", "-----", "real", "sd/base"],
        group="refinerparamoverrides",
        feature_flag="refiners",
    ),
    param("ControlNet Model", "model", "(None)", subtype="ControlNet", group="controlnet", feature_flag="controlnet"),
    param("Model", "model", "", subtype="Stable-Diffusion", visible=False),
    param(
        "VAE",
        "model",
        "None",
        subtype="VAE",
        values=["Automatic", "None", "kl-f8", "sdxl_vae"],
        group="advancedmodeladdons",
    ),
    param("LoRAs", "list", "", subtype="LoRA", values=["detail", "style/Ink"], visible=False),
    param("LoRA Weights", "list", "", min=-10.0, max=10.0, visible=False),
    param("Batch Size", "integer", "1", min=1.0, max=100.0, group="swarminternal"),
    param("Do Not Save", "boolean", "false", group="swarminternal"),
    param("VAE Tile Size", "integer", "256", min=128.0, max=4096.0, group="advancedsampling"),
    param(
        "VAE Tile Overlap",
        "integer",
        "64",
        min=0.0,
        max=4096.0,
        group="advancedsampling",
        depend_non_default="vaetilesize",
    ),
    param("Remove Background", "boolean", "false", group="advancedsampling"),
    param("Sampler", "dropdown", "euler", values=SAMPLERS, group="sampling", feature_flag="comfyui"),
    param(
        "Scheduler",
        "dropdown",
        "normal",
        values=["normal", "karras", "simple"],
        group="sampling",
        feature_flag="comfyui",
    ),
    param("YOLO Model Internal", "dropdown", "", values=["face.pt"], extra_hidden=True, feature_flag="comfyui"),
    param("Placeholder Param - Group Starred", "boolean", "false", group="starred"),
)


def params() -> list[dict[str, Any]]:
    """Return all parameters, for one server that may change them."""
    return copy.deepcopy(list(PARAMS))


def listed(models: Mapping[str, Iterable[str]]) -> dict[str, list[Any]]:
    """Return models with their classes, which are unknown for some."""
    return {
        kind: [[name, "sdxl" if "xl" in name.lower() else None] for name in names] for kind, names in models.items()
    }


def read(known: list[dict[str, Any]], models: Mapping[str, list[str]], body: Mapping[str, Any]) -> dict[str, Any]:
    """Read a request as the server does: what it does not know is skipped, and near names are taken.

    Raises:
        Refusal: a value is invalid.
    """
    by_id = {one["id"]: one for one in known}
    found: dict[str, Any] = {}
    for name, told in body.items():
        if name in ("session_id", "presets", "extra_metadata") or name not in by_id:
            continue
        text = "\n|||\n".join(str(one) for one in told) if isinstance(told, list) else str(told)
        if text == IGNORED.get(name):
            continue
        try:
            found[name] = _value(by_id[name], text, models)
        except Refusal as error:
            raise Refusal(f"Invalid value for parameter {by_id[name]['name']}: {error}") from None
    return found


def _value(one: Mapping[str, Any], text: str, models: Mapping[str, list[str]]) -> Any:
    name, kind = one["name"], one["type"]
    if kind in ("integer", "decimal"):
        return _number(one, text)
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise Refusal(f"Invalid boolean value for param {name} - '{text}' - must be exactly 'true' or 'false'")
        return text.lower() == "true"
    if kind == "dropdown":
        best = best_in(text, one["values"])
        if best is None:
            raise Refusal(f"Invalid value for param {name} - '{text}' - must be one of: `{'`, `'.join(one['values'])}`")
        return best
    if kind == "model":
        best = best_in(text, ["(None)", *models[one["subtype"]]])
        if best is None:
            raise Refusal(f"Invalid model value for param {name} - '{text}' - are you sure that model name is correct?")
        return best.removesuffix(".safetensors")
    if kind == "list":
        return [part.strip() for part in text.split("\n|||\n" if "\n|||\n" in text else ",") if part.strip()]
    return text


def _number(one: Mapping[str, Any], text: str) -> int | float:
    whole = one["type"] == "integer"
    word = "integer" if whole else "decimal"
    try:
        number: int | float = int(text) if whole else float(text)
    except ValueError:
        raise Refusal(f"Invalid {word} value for param {one['name']} - '{text}' - must be a valid {word}") from None
    if (one["min"] or one["max"]) and not one["min"] <= number <= one["max"]:
        bounds = f"must be between {one['min']:g} and {one['max']:g}"
        raise Refusal(f"Invalid {word} value for param {one['name']} - '{text}' - {bounds}")
    return number


def best_in(text: str, names: Iterable[str]) -> str | None:
    """Return what the server takes for a name: the same in any spelling, or else the shortest that has it in it."""
    wanted, backup = _plain(text), None
    for name in names:
        if _plain(name) == wanted:
            return name
        if wanted in _plain(name) and (backup is None or len(name) < len(backup)):
            backup = name
    return backup


def _plain(name: str) -> str:
    return name.lower().removesuffix(".safetensors").replace(" ", "").replace("[", "").replace("]", "")
