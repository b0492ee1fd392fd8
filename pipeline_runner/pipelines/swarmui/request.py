"""The request for SwarmUI from the configuration of a job."""

import base64
from typing import Any, Final

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import INIT_IMAGE, InitImage
from pipeline_runner.pipelines.loras import LORA, LORA_STRENGTH, LORAS, check_loras, stack_of
from pipeline_runner.pipelines.swarmui.offer import IMG2IMG, Knob, Offer
from pipeline_runner.pipelines.time_limit import TIME_LIMIT

GRID: Final = 8  # pixels: every model rounds its sides to at least this
_INIT_GRID: Final = 16  # of sides that are ours to choose
_LEAST_SIDE: Final = 64  # pixels
# One picture, kept by us alone, and no seed that the server would choose by chance.
_BASE: Final = {"images": 1, "donotsave": True, "prompt": "", "seed": 0}


def check_request(stage: str, config: Config, offer: Offer) -> None:
    """Refuse what types and bounds cannot express and would make another picture than requested.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    known = {*TIME_LIMIT, *(INIT_IMAGE if stage == IMG2IMG else ()), *((LORAS,) if LORA in offer.knobs else ())}
    for name in config:
        knob = offer.knobs.get(name)
        if name not in known and not (knob and stage in knob.stages):
            raise InvalidInputError(f"config.{name}: the server does not offer it now; see what it offers")
    for name in ("width", "height"):
        side = config.get(name)
        if isinstance(side, int) and side % GRID:
            low = side // GRID * GRID
            raise InvalidInputError(f"config.{name}: {side} is no multiple of {GRID}; take {low} or {low + GRID}")
    check_loras(config, offer.loras.spellings)


def build(stage: str, config: Config, offer: Offer, init: InitImage | None) -> dict[str, Any]:
    """Return the request of a job, from what `gathered` makes of its configuration, without its session.

    Raises:
        InvalidInputError: the server has not got what the job asks for.
    """
    check_request(stage, config, offer)
    body: dict[str, Any] = dict(_BASE)
    if init:
        body |= _with_image(init)
    for name, knob in offer.knobs.items():
        if name in config and name not in (LORA, LORA_STRENGTH):
            body[knob.target] = canonical(name, knob, config)
    if stack := stack_of(config, offer.loras.spellings):
        body["loras"] = [name for name, _ in stack]
        body["loraweights"] = [strength for _, strength in stack]
    if "subseed_strength" in config:
        body.setdefault("variationseed", 0)
    return body


def canonical(name: str, knob: Knob, config: Config) -> Any:
    """Return a value as the server writes it: of a part of a name it would take the shortest that has it.

    Raises:
        InvalidInputError: the server has not got it any more.
    """
    value = config[name]
    if knob.names is None:
        return value
    if str(value) not in knob.names.spellings:
        raise InvalidInputError(f"config.{name}: the server has no {value!r} any more")
    return knob.names.spellings[str(value)]


def _with_image(init: InitImage) -> dict[str, Any]:
    # the server's own default would be 512x512, whatever the picture is
    sides = {
        name: max(_LEAST_SIDE, side // _INIT_GRID * _INIT_GRID)
        for name, side in (("width", init.width), ("height", init.height))
    }
    return {"initimage": base64.b64encode(init.data).decode(), **sides}
