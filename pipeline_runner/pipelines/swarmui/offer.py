"""What a SwarmUI offers: its parameters, with the names of its models, as the variables of an experiment.

A few parameters have the names here that they have with other servers, see `OUR_NAMES`; all others have the server's.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, convert

from bus.contracts.fields import INT64_MAX
from bus.contracts.pipeline_specs import Kind, StageSpec, VariableSpec
from pipeline_runner.pipelines.init_image import INIT_IMAGE
from pipeline_runner.pipelines.loras import LORA, LORA_STRENGTH, LORAS, table_spec
from pipeline_runner.pipelines.names import Names, names_of
from pipeline_runner.pipelines.time_limit import TIME_LIMIT

SUFFIX: Final = ".safetensors"
LORA_BOUNDS: Final = (-10, 10)
OUR_NAMES: Final[Mapping[str, str]] = {
    "negativeprompt": "negative_prompt",
    "cfgscale": "cfg_scale",
    "sampler": "sampler_name",
    "variationseed": "subseed",
    "variationseedstrength": "subseed_strength",
    "initimagecreativity": "denoising_strength",
    "fluxguidancescale": "distilled_cfg_scale",
}
TXT2IMG: Final = "txt2img"
IMG2IMG: Final = "img2img"
STAGES: Final[Mapping[str, tuple[str, ...]]] = {TXT2IMG: ("model",), IMG2IMG: ("init_image", "model")}
_KINDS: Final[Mapping[str, Kind]] = {
    "integer": "int",
    "decimal": "float",
    "boolean": "bool",
    "text": "str",
    "dropdown": "str",
    "model": "str",
}
# Where a result is kept, how many there are, and what is no picture; and what takes pictures that no job sends.
_GROUPS_LEFT_OUT: Final = ("swarminternal", "imageprompting", "video", "audio")
# The two sizes say all that these say; the others are for the server's page.
_LEFT_OUT: Final = frozenset({"images", "aspectratio", "sidelength", "comfyuicustomworkflow", "controlnetpreviewonly"})
_OF_THE_PAGE: Final = "placeholderparam"
# These depend on the model of the job, so no backend has them; SwarmUI itself does not ask a backend for them.
_OF_A_MODEL: Final = frozenset({"sd3", "flux-dev", "text2video", "cascade", "sdxl", "text2audio"})
_OF_INIT_IMAGE: Final = "initimage"
_MARKUP: Final = frozenset(",:<>")  # ends a name in a list, or in a mark of a prompt
_Name = Annotated[str, Meta(min_length=1)]


class _Param(Struct):
    id: _Name
    type: str
    subtype: str | None = None
    default: str | None = None
    min: float | None = None
    max: float | None = None
    values: list[str] | None = None
    feature_flag: str | None = None
    group: str | None = None
    view_type: str | None = None
    extra_hidden: bool = False
    depend_non_default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One variable.

    Attributes:
        kind: Its type.
        target: The parameter that it sets.
        default: What the server's page shows; it leaves some parameters out where they have it.
        minimum: The least that is allowed.
        maximum: The most that is allowed.
        names: What is offered, if not everything of the type.
        needs: A variable without which it has no effect.
        stages: Where it has an effect.
        slow: To change it costs the server seconds.
        is_model: Whether it names a file.
    """

    kind: Kind
    target: str
    default: str = ""
    minimum: float | None = None
    maximum: float | None = None
    names: Names | None = None
    needs: tuple[str, ...] = ()
    stages: tuple[str, ...] = tuple(STAGES)
    slow: bool = False
    is_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What was read from a server: its variables by name, and its LoRAs."""

    knobs: Mapping[str, Knob]
    loras: Names


def parse_offer(told: Any, features: Iterable[str]) -> Offer:
    """Read the answer of `ListT2IParams`; `features` are those of the server's backends.

    Raises:
        msgspec.ValidationError: it has another form than that of a SwarmUI.
    """
    body = convert(told, dict[str, Any])
    entries = convert(body.get("list"), list[Any])
    files = {kind: _files(some) for kind, some in convert(body.get("models"), dict[str, Any]).items()}
    models = {kind: _names(some) for kind, some in files.items()}
    loras = _names(name for name in files.get("LoRA", ()) if not _MARKUP & set(name))
    params = {one.id: one for one in _params(entries)}
    if "prompt" not in params:
        raise msgspec.ValidationError("it lists no parameter `prompt`")
    present = frozenset(features) | _OF_A_MODEL
    knobs = {OUR_NAMES.get(one.id, one.id): _knob(one, models) for one in params.values() if _is_offered(one, present)}
    knobs = {name: knob for name, knob in knobs.items() if _is_usable(knob, knobs)}
    if loras.choices:
        knobs |= _lora_knobs(loras)
    return Offer(knobs=knobs, loras=loras)


def stages_of(offer: Offer) -> dict[str, StageSpec]:
    """Return what each stage takes on a server."""
    return {name: _stage(name, required, offer) for name, required in STAGES.items()}


def unavailable(reason: str) -> dict[str, StageSpec]:
    """Return the stages of a server that has not been read, with the reason."""
    return {name: StageSpec(unavailable=reason) for name in STAGES}


def clean(file: str) -> str:
    """Return the name of a model as the server itself writes it: without the usual suffix."""
    return file.replace("\\", "/").removesuffix(SUFFIX)


def _stage(name: str, required: tuple[str, ...], offer: Offer) -> StageSpec:
    config = {**(INIT_IMAGE if name == IMG2IMG else {}), **TIME_LIMIT}
    knobs = {key: knob for key, knob in offer.knobs.items() if name in knob.stages}
    variables = {key: _variable(key, knob, offer.loras) for key, knob in knobs.items()}
    if LORA in variables:
        config[LORAS] = table_spec(LORA_BOUNDS, "loras", variables[LORA])
    return StageSpec(variables=variables, config=config, required=required, metrics=())


def _variable(name: str, knob: Knob, loras: Names) -> VariableSpec:
    names = knob.names
    marked = names or (loras if name == "prompt" else None)
    also = names.also if names else ()
    return VariableSpec(
        kind=knob.kind,
        minimum=knob.minimum,
        maximum=knob.maximum,
        choices=names.choices if names else (),
        also=(*also, "") if name == LORA else also,  # with and without it
        ambiguous=dict(marked.ambiguous) if marked else {},
        needs=knob.needs,
        target=knob.target,
        slow=knob.slow,
        loras=tuple(loras.spellings) if name == "prompt" else None,
    )


def _params(entries: list[Any]) -> list[_Param]:
    """Read the parameters; one in another form is left out, as an extension may have added it."""
    found = []
    for one in entries:
        with suppress(msgspec.ValidationError):
            found.append(convert(one, _Param))
    return found


def _is_offered(one: _Param, present: frozenset[str]) -> bool:
    """Return whether a parameter is a variable, and the server has what it needs."""
    group = one.group or ""
    left_out = one.id in _LEFT_OUT or one.id.startswith(_OF_THE_PAGE) or one.extra_hidden
    needed = [flag.strip() for flag in (one.feature_flag or "").split(",") if flag.strip()]
    return (
        one.type in _KINDS
        and not left_out
        and not any(part in group for part in _GROUPS_LEFT_OUT)
        and all(flag in present for flag in needed)
    )


def _is_usable(knob: Knob, knobs: Mapping[str, Knob]) -> bool:
    """Return whether there is something to choose, and what it depends on can be set."""
    return all(name in knobs for name in knob.needs) and not (knob.names and not knob.names.choices)


def _knob(one: _Param, models: Mapping[str, Names]) -> Knob:
    kind = _KINDS[one.type]
    minimum, maximum = _bounds(one) if kind in ("int", "float") else (None, None)
    needs = (OUR_NAMES.get(one.depend_non_default, one.depend_non_default),) if one.depend_non_default else ()
    if one.id == "variationseed":
        needs = (OUR_NAMES["variationseedstrength"],)
    names = None
    if one.type == "model":
        names = models.get(one.subtype or "Stable-Diffusion", _names(()))
        if one.values is not None:  # some of its words are of the page alone: a request with them is refused
            names = _names(value for value in one.values if value in names.spellings or value == one.default)
    elif one.type == "dropdown":
        names = Names(tuple(one.values or ()), {value: value for value in one.values or ()}, {})
    return Knob(
        kind=kind,
        target=one.id,
        default=one.default or "",
        minimum=minimum,
        maximum=maximum,
        names=names,
        needs=needs,
        stages=(IMG2IMG,) if one.group == _OF_INIT_IMAGE else tuple(STAGES),
        slow=one.type == "model",
        is_model=one.type == "model",
    )


def _bounds(one: _Param) -> tuple[float | None, float | None]:
    """Return least and most: no random seed (-1), and nothing that 64 bits cannot hold. Two zeros are no bounds."""
    if not one.min and not one.max:
        return (None, None)
    low, high = one.min, one.max
    if one.view_type == "seed":
        low = 0
    if one.type == "integer":
        low = None if low is None else int(max(low, -INT64_MAX - 1))
        high = None if high is None else min(int(high), INT64_MAX)
    return low, high


def _lora_knobs(loras: Names) -> dict[str, Knob]:
    """Return a LoRA and its strength, which the server takes as two lists."""
    return {
        LORA: Knob(kind="str", target="loras", names=loras, is_model=True),
        LORA_STRENGTH: Knob(
            kind="float", target="loraweights", minimum=LORA_BOUNDS[0], maximum=LORA_BOUNDS[1], needs=(LORA,)
        ),
    }


def _files(some: Any) -> list[str]:
    """Read the files of one kind: each with its class, or alone in older versions."""
    found = some if isinstance(some, list) else []
    names = [one[0] if isinstance(one, list) and one else one for one in found]
    return [name for name in names if isinstance(name, str) and name]


def _names(files: Iterable[str]) -> Names:
    """Return the names of files; a file without its folder is meant as well, where that is sure."""
    return names_of({clean(file): (file, clean(file).rpartition("/")[2]) for file in files})
