"""Builds the request for the web UI from the configuration of a job, by the entries of the registry."""

import base64
import copy
from typing import Any, Final, NamedTuple

from bus.contracts.fields import Config, ConfigValue
from bus.protocol.validation import InvalidInputError, near_miss
from pipeline_runner.pipelines.init_image import InitImage, read_init_image, read_mask
from pipeline_runner.pipelines.loras import check_closed, check_loras, with_marks
from pipeline_runner.pipelines.webui.asked import MODULES, OVERRIDES, overrides_of
from pipeline_runner.pipelines.webui.knobs import LORA_MARK, STYLES, Knob
from pipeline_runner.pipelines.webui.knobs import MODULES as MODULES_TARGET
from pipeline_runner.pipelines.webui.lists import Lists, canonical
from pipeline_runner.pipelines.webui.registry import MARKED, STAGES, config_of, knobs_of
from pipeline_runner.pipelines.webui.scripts import check_scripts, encoded

GRID: Final = 8  # pixels: sides are multiples of it, or the server would round them


class Pictures(NamedTuple):
    """What a job starts from: a picture, and the mask of what is made anew in it."""

    init: InitImage | None = None
    mask: InitImage | None = None


def read_pictures(config: Config) -> Pictures:
    """Read the files that a job starts from.

    Raises:
        InvalidInputError: one is not there, no picture, or of another size than the other.
    """
    init = read_init_image(config)
    return Pictures(init, read_mask(config, init))


def check_request(stage: str, config: Config, lists: Lists) -> None:
    """Refuse what types and bounds cannot express and would make another picture than requested.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    knobs, further = knobs_of(stage, lists), config_of(stage, lists)
    for name in config:
        if name not in knobs and name not in further and name != "seed":
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
    _check_modules(config, lists)
    _check_refiner(config, lists)
    check_closed(config, MARKED)
    check_loras(config, lists.loras, MARKED)
    check_scripts(stage, config, lists)
    _styles(config, lists)


def _check_modules(config: Config, lists: Lists) -> None:
    """Refuse a module that Forge does not find, as it would leave it out without a word."""
    for name in overrides_of(config).get(MODULES, ()):
        if name not in lists.names["vaes"].choices:
            where = f"config.{OVERRIDES}.{MODULES}"
            raise InvalidInputError(
                f"{where}: {name!r} is not offered; {near_miss(str(name), list(lists.names['vaes'].choices))}"
            )


def _check_refiner(config: Config, lists: Lists) -> None:
    """Refuse a refiner that is the model itself: the server would go on with it, and say nothing."""
    spellings = lists.names["models"].spellings
    titles = [spellings.get(str(config.get(name) or "")) for name in ("model", "refiner_checkpoint")]
    if titles[0] and titles[0] == titles[1]:
        raise InvalidInputError(
            "config.refiner_checkpoint: is the model itself, and would change nothing; take another"
        )


def _styles(config: Config, lists: Lists) -> list[str]:
    """Return the styles of a job, of which the server leaves out unknown ones without a word."""
    listed = config.get("styles")
    asked = [*(listed if isinstance(listed, list) else ()), config.get("style", "")]
    styles = [str(name) for name in asked if name != ""]
    if unknown := next((name for name in styles if name not in lists.names["styles"].choices), None):
        hint = near_miss(unknown, list(lists.names["styles"].choices))
        raise InvalidInputError(f"config.styles: {unknown!r} is not offered; {hint}")
    return styles


def build(stage: str, config: Config, lists: Lists, pictures: Pictures, task_id: str) -> dict[str, Any]:
    """Return the request of a job, from what `asked_for` makes of its configuration.

    Raises:
        InvalidInputError: the server has not got what the job asks for.
    """
    check_request(stage, config, lists)
    payload: dict[str, Any] = copy.deepcopy(dict(STAGES[stage].base))
    if pictures.init:
        payload |= _with_image(stage, pictures.init)
    for name, knob in knobs_of(stage, lists).items():
        is_none = knob.none and config.get(name) == ""
        if name in config and not is_none and knob.target not in (LORA_MARK, STYLES):
            _put(payload, knob.target, _value(knob, config[name], lists))
    if stage != "upscale":
        payload |= {"force_task_id": task_id, **_diffusion(stage, config, lists, pictures.mask)}
        payload[OVERRIDES] |= overrides_of(config)
    if config.get("sampler_name") in lists.combined:
        payload["scheduler"] = lists.combined[str(config["sampler_name"])]
    if lists.forge and config.get("enable_hr"):
        payload["hr_additional_modules"] = ["Use same choices"]  # it fails where there is no list
    return payload


def _diffusion(stage: str, config: Config, lists: Lists, mask: InitImage | None) -> dict[str, Any]:
    """Return what is made of several settings, or of files."""
    prompt = with_marks(str(config.get("prompt", "")), config, lists.loras)
    found: dict[str, Any] = {"prompt": prompt} if prompt or "prompt" in config else {}
    if config.get("hr_prompt"):  # the second pass reads its own marks alone
        found["hr_prompt"] = with_marks(str(config["hr_prompt"]), config, lists.loras)
    if styles := _styles(config, lists):
        found["styles"] = styles
    if scripts := encoded(stage, config, lists):
        found["alwayson_scripts"] = scripts
    if mask:
        found["mask"] = base64.b64encode(mask.data).decode()
    return found


def _with_image(stage: str, init: InitImage) -> dict[str, Any]:
    encoded = base64.b64encode(init.data).decode()
    if stage == "upscale":
        return {"image": encoded}
    # the server's own default would be 512x512, whatever the picture is
    sides = {name: max(GRID, side // GRID * GRID) for name, side in (("width", init.width), ("height", init.height))}
    return {"init_images": [encoded], **sides}


def _value(knob: Knob, value: ConfigValue, lists: Lists) -> Any:
    found = canonical(knob.names, value, lists) if knob.names else value
    return [found] if knob.target == MODULES_TARGET else found


def _put(payload: dict[str, Any], target: str, value: Any) -> None:
    """Set a value at a path such as `override_settings.sd_vae`."""
    *path, last = target.split(".")
    place = payload
    for key in path:
        place = place[key]
    place[last] = value
