"""The settings of programs that write JSON into their pictures: InvokeAI, NovelAI, SwarmUI, Fooocus."""

from typing import Any, Final

from pipeline_runner.metadata.values import Settings, renamed, scalar, sized, table

_INVOKEAI: Final = {
    "positive_prompt": "prompt",
    "scheduler": "sampler_name",
    "strength": "denoising_strength",
    "app_version": "",
    "generation_mode": "",
    "rand_device": "",
    "cfg_rescale_multiplier": "cfg_rescale",
    "board_id": "",
    "_canvas_objects": "",
}
_INVOKEAI_OLD: Final = {"sampler": "sampler_name", "type": "", "postprocessing": "", "prompt": ""}
_NOVELAI: Final = {
    "sampler": "sampler_name",
    "noise_schedule": "scheduler",
    "scale": "cfg_scale",
    "uc": "negative_prompt",
    "strength": "denoising_strength",
    "request_type": "",
    "signed_hash": "",
    "version": "",
    "n_samples": "",
}
_SWARMUI: Final = {
    "negativeprompt": "negative_prompt",
    "cfgscale": "cfg_scale",
    "sampler": "sampler_name",
    "comfyuisampler": "sampler_name",
    "autowebuisampler": "sampler_name",
    "comfyuischeduler": "scheduler",
    "vae": "sd_vae",
    "initimagecreativity": "denoising_strength",
    "images": "",
    "date": "",
    "generation_time": "",
    "prep_time": "",
    "swarm_version": "",
    "nopreviews": "",
    "imageformat": "",
    "wildcardseed": "",
    "personalnote": "",
    "aspectratio": "",
    "resolution": "",
}
_FOOOCUS: Final = {
    "guidance_scale": "cfg_scale",
    "base_model": "model",
    "sampler": "sampler_name",
    "vae": "sd_vae",
    "base_model_hash": "",
    "refiner_model_hash": "",
    "metadata_scheme": "",
    "version": "",
    "created_by": "",
    "resolution": "",
    "full_prompt": "",
    "full_negative_prompt": "",
}


def read_invokeai(found: Any) -> Settings | None:
    """Return the settings of `invokeai_metadata`, None if it has none."""
    data = table(found)
    settings = renamed(data, _INVOKEAI)
    model = data.get("model")
    if isinstance(model, dict):
        name = scalar(model.get("name") or model.get("model_name"))
        settings |= {} if name is None else {"model": name}
    for lora in _list(data, "loras"):
        _add_lora(settings, lora.get("model") or lora.get("lora"), lora.get("weight"))
    return settings if _is_generated(settings) else None


def read_invokeai_old(found: Any) -> Settings | None:
    """Return the settings of `sd-metadata`, which InvokeAI 2 wrote."""
    data = table(found)
    image = table(data.get("image"))
    settings = renamed(image, _INVOKEAI_OLD)
    prompt = image.get("prompt")
    if isinstance(prompt, list) and prompt:  # parts with weights
        prompt = table(prompt[0]).get("prompt")
    positive, _, rest = str(prompt or "").partition("[")  # what is in brackets is the negative prompt
    negative, _, behind = rest.partition("]")
    settings |= {"prompt": f"{positive.strip()} {behind.strip()}".strip(), "negative_prompt": negative.strip()}
    model = scalar(data.get("model_weights"))
    settings |= {} if model is None else {"model": model}
    return settings if _is_generated(settings) else None


def read_novelai(found: Any, model: str | None = None) -> Settings | None:
    """Return the settings of NovelAI's `Comment`; `model` is what its `Source` says."""
    data = table(found)
    settings = renamed(data, _NOVELAI)
    for name, key in (("prompt", "v4_prompt"), ("negative_prompt", "v4_negative_prompt")):
        base = scalar(table(table(data.get(key)).get("caption")).get("base_caption"))
        if isinstance(base, str) and not settings.get(name):
            settings[name] = base
    if model:
        settings.setdefault("model", model)
    return settings if _is_generated(settings) else None


def read_swarmui(found: Any) -> Settings | None:
    """Return the settings of SwarmUI's `sui_image_params`."""
    data = table(table(found).get("sui_image_params"))
    settings = renamed(data, _SWARMUI)
    loras, weights = _texts(data.get("loras")), _texts(data.get("loraweights"))
    for place, name in enumerate(loras):
        _add_lora(settings, name, _as_number(weights[place]) if place < len(weights) else 1)
    settings.pop("loras", None)
    settings.pop("loraweights", None)
    return settings if _is_generated(settings) else None


def read_fooocus(found: Any) -> Settings | None:
    """Return the settings of Fooocus' JSON."""
    data = table(found)
    settings = renamed(data, _FOOOCUS)
    for key, value in data.items():
        if key.startswith("lora_combined_") and isinstance(value, str):
            name, _, weight = value.rpartition(" : ")
            settings.pop(key, None)
            _add_lora(settings, name, _as_number(weight))
    settings = sized(settings, data.get("resolution"))
    return settings if _is_generated(settings) else None


def _is_generated(settings: Settings) -> bool:
    return "prompt" in settings and len(settings) >= 3  # noqa: PLR2004 - any JSON may have a prompt


def _list(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = data.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split(",")
    return [str(one) for one in value] if isinstance(value, list) else []


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _add_lora(settings: Settings, model: Any, weight: Any) -> None:
    """Add a LoRA with its strength; `model` is its name, or a table that has it."""
    name = scalar((model.get("name") or model.get("model_name")) if isinstance(model, dict) else model)
    strength = scalar(weight)
    if isinstance(name, str) and name and strength is not None:
        settings[f"lora {name}"] = strength
