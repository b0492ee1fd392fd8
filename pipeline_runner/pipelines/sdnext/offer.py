"""What an SD.Next offers, and the variables of each stage, from which requests are built."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct, convert

from bus.contracts.fields import SEED_MAX
from bus.contracts.pipeline_specs import Kind, StageSpec, VariableSpec
from pipeline_runner.pipelines.init_image import INIT_IMAGE
from pipeline_runner.pipelines.loras import LORA, LORA_STRENGTH, LORAS, table_spec
from pipeline_runner.pipelines.names import Names, names_of
from pipeline_runner.pipelines.time_limit import TIME_LIMIT

AUTOMATIC: Final = "Automatic"
DEFAULT: Final = "Default"  # the VAE that the model itself has
LORA_BOUNDS: Final = (-5, 5)
LORA_MARK: Final = "prompt: <lora:NAME:STRENGTH>"
OVERRIDE: Final = "override_settings."
DEFAULT_FACTOR: Final = 2.0
_MARKUP: Final = frozenset(":<>,")  # would end a mark too early, or a name in the report
_NONE: Final = "None"
T = TypeVar("T")
_Name = Annotated[str, Meta(min_length=1)]


class _Named(Struct):
    name: _Name


class _Model(Struct):
    title: _Name
    model_name: _Name
    filename: str | None = None
    hash: str | None = None
    sha256: str | None = None


class _Vae(Struct):
    model_name: _Name


class _Lora(Struct):
    name: _Name
    alias: str | None = None


class Checkpoint(NamedTuple):
    """A model: its name as pictures tell it, and its short hash, "" before it was loaded once."""

    name: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What was read from a server: its lists of names, and its models by their titles."""

    names: Mapping[str, Names]
    checkpoints: Mapping[str, Checkpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One variable of some stages.

    Attributes:
        kind: Its type.
        target: Where its value goes in the request: a path of keys, or `LORA_MARK`.
        stages: Where it has an effect.
        minimum: The least that is allowed.
        maximum: The most that is allowed.
        names: The list of the server that the values come from; it is offered only where the server has some.
        needs: Variables without which it has no effect.
        slow: To change it costs the server seconds.
    """

    kind: Kind
    target: str
    stages: tuple[str, ...]
    minimum: float | None = None
    maximum: float | None = None
    names: str = ""
    needs: tuple[str, ...] = ()
    slow: bool = False


_BOTH: Final = ("txt2img", "img2img")
_TWO: Final = ("img2img",)
_THREE: Final = ("upscale",)
STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "txt2img": (),
    "img2img": ("init_image",),
    "upscale": ("init_image", "upscaler"),
}


def _whole(target: str, low: int, high: int, *needs: str) -> Knob:
    return Knob(kind="int", target=target, stages=_BOTH, minimum=low, maximum=high, needs=needs)


def _number(target: str, low: float, high: float, *needs: str) -> Knob:
    return Knob(kind="float", target=target, stages=_BOTH, minimum=low, maximum=high, needs=needs)


KNOBS: Final[Mapping[str, Knob]] = {
    "prompt": Knob(kind="str", target="prompt", stages=_BOTH),
    "negative_prompt": Knob(kind="str", target="negative_prompt", stages=_BOTH),
    "steps": _whole("steps", 1, 150),
    "cfg_scale": _number("cfg_scale", 0, 30),
    "cfg_end": _number("cfg_end", 0, 1),
    "sampler_name": Knob(kind="str", target="sampler_name", stages=_BOTH, names="samplers"),
    "seed": _whole("seed", 0, SEED_MAX),
    "subseed": _whole("subseed", 0, SEED_MAX, "subseed_strength"),
    "subseed_strength": _number("subseed_strength", 0, 1),
    "width": _whole("width", 64, 8192),
    "height": _whole("height", 64, 8192),
    "model": Knob(kind="str", target=f"{OVERRIDE}sd_model_checkpoint", stages=_BOTH, names="models", slow=True),
    "vae": Knob(kind="str", target=f"{OVERRIDE}sd_vae", stages=_BOTH, names="vaes", slow=True),
    "clip_skip": _whole("clip_skip", 1, 12),
    LORA: Knob(kind="str", target=LORA_MARK, stages=_BOTH, names="loras"),
    LORA_STRENGTH: Knob(
        kind="float",
        target=LORA_MARK,
        stages=_BOTH,
        minimum=LORA_BOUNDS[0],
        maximum=LORA_BOUNDS[1],
        names="loras",
        needs=(LORA,),
    ),
    "eta": _number("eta", 0, 1),
    "tiling": Knob(kind="bool", target="tiling", stages=_BOTH),
    "hidiffusion": Knob(kind="bool", target="hidiffusion", stages=_BOTH),
    "detailer_enabled": Knob(kind="bool", target="detailer_enabled", stages=_BOTH),
    "detailer_steps": _whole("detailer_steps", 1, 99, "detailer_enabled"),
    "detailer_strength": _number("detailer_strength", 0, 1, "detailer_enabled"),
    "denoising_strength": Knob(kind="float", target="denoising_strength", stages=_TWO, minimum=0, maximum=1),
    "upscaler": Knob(kind="str", target="upscaler_1", stages=_THREE, names="upscalers"),
    "upscaling_factor": Knob(kind="float", target="upscaling_resize", stages=_THREE, minimum=1, maximum=8),
}


def parse_offer(answers: Mapping[str, Any]) -> Offer:
    """Read the lists from the answers, by the last part of their path; None where the server has no such path.

    Raises:
        msgspec.ValidationError: they have another form than those of an SD.Next.
    """
    models = _entries(answers, "sd-models", _Model)
    upscalers = [one.name for one in _entries(answers, "upscalers", _Named) if one.name != _NONE]
    loras = [one for one in _entries(answers, "loras", _Lora) if not _MARKUP & set(one.name)]
    vaes = dict.fromkeys((AUTOMATIC, DEFAULT, *(one.model_name for one in _entries(answers, "sd-vae", _Vae))), ())
    return Offer(
        names={
            "samplers": names_of(dict.fromkeys((one.name for one in _entries(answers, "samplers", _Named)), ())),
            "models": names_of({one.title: _spellings(one) for one in models}),
            "vaes": names_of(vaes),
            "loras": names_of({one.name: (one.alias,) for one in loras}),
            "upscalers": names_of(dict.fromkeys(upscalers, ())),
        },
        checkpoints={one.title: Checkpoint(one.model_name, one.hash or (one.sha256 or "")[:10]) for one in models},
    )


def knobs_of(stage: str, offer: Offer) -> dict[str, Knob]:
    """Return the variables of a stage that a server supports."""
    return {
        name: knob
        for name, knob in KNOBS.items()
        if stage in knob.stages and not (knob.names and not offer.names[knob.names].choices)
    }


def stages_of(offer: Offer) -> dict[str, StageSpec]:
    """Return what each stage takes on a server."""
    return {name: _stage(name, required, offer) for name, required in STAGES.items()}


def unavailable(reason: str) -> dict[str, StageSpec]:
    """Return the stages of a server that has not been read, with the reason."""
    return {name: StageSpec(unavailable=reason) for name in STAGES}


def _stage(name: str, required: tuple[str, ...], offer: Offer) -> StageSpec:
    config = {**(INIT_IMAGE if "init_image" in required else {}), **TIME_LIMIT}
    variables = {key: _variable(key, knob, offer) for key, knob in knobs_of(name, offer).items()}
    if LORA in variables:
        config[LORAS] = table_spec(LORA_BOUNDS, LORA_MARK, variables[LORA])
    return StageSpec(variables=variables, config=config, required=required, metrics=())


def _variable(name: str, knob: Knob, offer: Offer) -> VariableSpec:
    names = offer.names[knob.names] if knob.names and knob.kind == "str" else None
    loras = offer.names["loras"] if name == "prompt" else None
    marked = names or loras
    return VariableSpec(
        kind=knob.kind,
        minimum=knob.minimum,
        maximum=knob.maximum,
        choices=names.choices if names else (),
        also=(*names.also, "") if names and name == LORA else names.also if names else (),
        ambiguous=dict(marked.ambiguous) if marked else {},
        needs=knob.needs,
        target=knob.target,
        slow=knob.slow,
        loras=tuple(loras.spellings) if loras else None,
    )


def _entries(answers: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    """Read one list; an entry in another form is left out, as an extension may have added it."""
    told = answers.get(name)
    if told is None:
        return []
    found = []
    for one in convert(told, list[Any]):
        with suppress(msgspec.ValidationError):
            found.append(convert(one, kind))
    if told and not found:
        raise msgspec.ValidationError(f"nothing of {name} can be read")
    return found


def _spellings(one: _Model) -> tuple[str | None, ...]:
    path = PurePosixPath((one.filename or one.title).replace("\\", "/"))
    return (one.model_name, path.name, path.stem, one.hash, one.sha256)
