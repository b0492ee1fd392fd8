"""The request for SD.Next from the configuration of a job."""

import base64
from typing import Any, Final

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import INIT_IMAGE, InitImage
from pipeline_runner.pipelines.loras import LORA, LORAS, check_closed, check_loras, with_marks
from pipeline_runner.pipelines.sdnext.offer import (
    DEFAULT_FACTOR,
    LORA_MARK,
    STAGES,
    Knob,
    Offer,
    knobs_of,
)
from pipeline_runner.pipelines.time_limit import TIME_LIMIT

GRID: Final = 8  # pixels: the server rounds sides to it
_LEAST_SIDE: Final = 64  # pixels
_RESIZED: Final = 1  # `resize_mode` in which width and height hold
# One picture a job, and no value that the server would choose by chance.
_DIFFUSION: Final = {
    "prompt": "",
    "seed": 0,
    "subseed": 0,
    "batch_size": 1,
    "n_iter": 1,
    "send_images": True,
    "save_images": False,
    "override_settings_restore_afterwards": True,
}


def check_request(stage: str, config: Config, offer: Offer) -> None:
    """Refuse what types and bounds cannot express and would make another picture than requested.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    known = {*knobs_of(stage, offer), *TIME_LIMIT, *(INIT_IMAGE if "init_image" in STAGES[stage] else ()), "seed"}
    known |= {LORAS} if LORA in known else set()
    for name in config:
        if name not in known:
            raise InvalidInputError(f"config.{name}: the server does not offer it now; see what it offers")
    for name in ("width", "height"):
        side = config.get(name)
        if isinstance(side, int) and side % GRID:
            low = side // GRID * GRID
            raise InvalidInputError(f"config.{name}: {side} is no multiple of {GRID}; take {low} or {low + GRID}")
    if LORA in known:
        check_closed(config)
        check_loras(config, offer.names["loras"].spellings)


def build(stage: str, config: Config, offer: Offer, init: InitImage | None) -> dict[str, Any]:
    """Return the request of a job, from what `gathered` makes of its configuration.

    Raises:
        InvalidInputError: the server has not got what the job asks for.
    """
    check_request(stage, config, offer)
    body: dict[str, Any] = {"upscaling_resize": DEFAULT_FACTOR} if stage == "upscale" else dict(_DIFFUSION)
    if init:
        body |= _with_image(stage, init)
    own: dict[str, Any] = {}
    for name, knob in knobs_of(stage, offer).items():
        if name in config and knob.target != LORA_MARK:
            *path, last = knob.target.split(".")
            (own if path else body)[last] = canonical(knob, config[name], offer)
    if own:
        body["override_settings"] = own
    if "prompt" in body:
        body["prompt"] = with_marks(body["prompt"], config, offer.names["loras"].spellings)
    return body


def canonical(knob: Knob, value: Any, offer: Offer) -> Any:
    """Return a value as the server writes it, which takes something else for a name that it does not know.

    Raises:
        InvalidInputError: it is not there any more.
    """
    if not knob.names:
        return value
    spellings = offer.names[knob.names].spellings
    if str(value) not in spellings:
        raise InvalidInputError(f"config: {value!r} is not among the {knob.names} of the server any more")
    return spellings[str(value)]


def _with_image(stage: str, init: InitImage) -> dict[str, Any]:
    encoded = base64.b64encode(init.data).decode()
    if stage == "upscale":
        return {"image": encoded}
    return {"init_images": [encoded], "resize_mode": _RESIZED, **sides_of(init)}


def sides_of(init: InitImage | None) -> dict[str, int]:
    """Return width and height that a picture gives to the one that is made from it."""
    if init is None:
        return {}
    sides = (("width", init.width), ("height", init.height))
    return {name: max(_LEAST_SIDE, side // GRID * GRID) for name, side in sides}
