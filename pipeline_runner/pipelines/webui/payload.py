"""Builds the request for the web UI from the configuration of a job, by the entries of the registry."""

import base64
import copy
from decimal import Decimal
from typing import Any, Final

from bus.contracts.fields import Config, ConfigValue
from bus.contracts.pipeline_specs import LORA_TAG
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.webui.lists import Lists
from pipeline_runner.pipelines.webui.registry import LORA_MARK, MODULES, STAGES, Knob, knobs_of

GRID: Final = 8  # pixels: sides are multiples of it, or the server would round them


def check_request(stage: str, config: Config, lists: Lists) -> None:
    """Refuse what types and bounds cannot express and would make another picture than requested.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    knobs = knobs_of(stage, lists)
    for name in config:
        if name not in knobs and name not in STAGES[stage].config and name != "seed":
            raise InvalidInputError(f"config.{name}: the server does not offer it now; see what it offers, or start it")
    for name in ("width", "height"):
        side = config.get(name)
        if isinstance(side, int) and side % GRID:
            low = side // GRID * GRID
            raise InvalidInputError(f"config.{name}: {side} is no multiple of {GRID}; take {low} or {low + GRID}")
    sampler = config.get("sampler_name")
    if sampler in lists.combined and "scheduler" in config:
        plain = lists.names["samplers"].spellings[str(sampler)]
        raise InvalidInputError(f"config.scheduler: sampler_name {sampler!r} names one already; write {plain!r} there")
    _check_lora(config, lists)


def _check_lora(config: Config, lists: Lists) -> None:
    """Check that the LoRA which is appended to the prompt is read as one, and only once."""
    if not config.get("lora"):
        return
    prompt, spellings = str(config.get("prompt", "")), lists.names["loras"].spellings
    if prompt.rfind("<") > prompt.rfind(">"):
        raise InvalidInputError("config.prompt: a '<' is not closed, which would swallow the LoRA; close it with '>'")
    ours = spellings.get(str(config["lora"]))
    for name in LORA_TAG.findall(prompt):
        if spellings.get(name) == ours:
            raise InvalidInputError(f"config.prompt: <lora:{name}:…> is the variable lora already; remove it there")


def build(stage: str, config: Config, lists: Lists, init: InitImage | None, task_id: str) -> dict[str, Any]:
    """Return the request of a job.

    Raises:
        InvalidInputError: the server has not got what the job asks for.
    """
    check_request(stage, config, lists)
    payload: dict[str, Any] = copy.deepcopy(dict(STAGES[stage].base))
    if stage != "upscale":
        payload["force_task_id"] = task_id
    if init:
        payload |= _with_image(stage, init)
    for name, knob in knobs_of(stage, lists).items():
        if name in config and knob.target != LORA_MARK:
            _put(payload, knob.target, _value(knob, config[name], lists))
    if config.get("lora"):
        payload["prompt"] = _with_lora(config, lists)
    if config.get("sampler_name") in lists.combined:
        payload["scheduler"] = lists.combined[str(config["sampler_name"])]
    if lists.forge and config.get("enable_hr"):
        payload["hr_additional_modules"] = ["Use same choices"]  # it fails where there is no list
    return payload


def lora_strength(config: Config) -> str:
    """Write the strength as a plain decimal, whatever its size: an exponent would not be read."""
    return format(Decimal(str(config.get("lora_strength", 1))), "f")


def _with_image(stage: str, init: InitImage) -> dict[str, Any]:
    encoded = base64.b64encode(init.data).decode()
    if stage == "upscale":
        return {"image": encoded}
    # the server's own default would be 512x512, whatever the picture is
    sides = {name: max(GRID, side // GRID * GRID) for name, side in (("width", init.width), ("height", init.height))}
    return {"init_images": [encoded], **sides}


def _with_lora(config: Config, lists: Lists) -> str:
    name = _canonical("loras", config["lora"], lists)
    mark, prompt = f"<lora:{name}:{lora_strength(config)}>", config.get("prompt")
    return f"{prompt} {mark}" if prompt else mark


def _value(knob: Knob, value: ConfigValue, lists: Lists) -> Any:
    found = _canonical(knob.names, value, lists) if knob.names else value
    return [found] if knob.target == MODULES else found


def _canonical(kind: str, value: ConfigValue, lists: Lists) -> str:
    """Return the server's own name: it would replace an alias, which it does not know, by something else."""
    spellings = lists.names[kind].spellings
    if str(value) not in spellings:
        raise InvalidInputError(f"config: {value!r} is not among the {kind} of the server any more")
    return spellings[str(value)]


def _put(payload: dict[str, Any], target: str, value: Any) -> None:
    """Set a value at a path such as `override_settings.sd_vae`."""
    *path, last = target.split(".")
    place = payload
    for key in path:
        place = place[key]
    place[last] = value
