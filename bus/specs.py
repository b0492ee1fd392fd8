"""What a pipeline takes, as data: a runner announces it, and plans are checked against it before anything is queued."""

import math
import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field

from bus.messages import Config, ConfigValue, Scalar
from bus.validate import InvalidInputError, near_miss

Kind = Literal["int", "float", "str", "bool", "list"]
PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
SEED: Final = "seed"  # every pipeline takes it: an experiment gives the same seeds to every variant


class VariableSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A knob of a pipeline: its type, its bounds (both included) or its choices."""

    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    unit: str = ""


class StageSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of a pipeline takes.

    `variables` are the knobs that an experiment may turn, `config` further keys of a job, `required` keys of either
    that must be there. Where `template` names a key, the `{placeholders}` in its list of texts are variables too,
    but for the `provided` ones, which the pipeline fills in itself.
    """

    variables: dict[str, VariableSpec] = field(default_factory=dict)
    config: dict[str, VariableSpec] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    template: str = ""
    provided: tuple[str, ...] = ()


Pipelines = Mapping[str, Mapping[str, StageSpec]]


def find_stage(pipelines: Pipelines, pipeline: str, stage: str) -> StageSpec:
    """Give the spec of a stage.

    Raises:
        InvalidInputError: there is no such pipeline, or it has no such stage.
    """
    if pipeline not in pipelines:
        raise InvalidInputError(f"pipeline: {pipeline!r} is unknown; {near_miss(pipeline, list(pipelines))}")
    stages = pipelines[pipeline]
    if stage not in stages:
        raise InvalidInputError(f"stage: {pipeline} has no stage {stage!r}; {near_miss(stage, list(stages))}")
    return stages[stage]


def variables_of(spec: StageSpec, config: Config) -> dict[str, VariableSpec | None]:
    """Give the variables of a stage under a configuration; a placeholder takes any scalar (None).

    Raises:
        InvalidInputError: the stage has a template, and the configuration has none or something else there.
    """
    if not spec.template:
        return dict(spec.variables)
    if spec.template not in config:
        raise InvalidInputError(f"config.{spec.template}: missing; add it")
    template = config[spec.template]
    check_value(f"config.{spec.template}", spec.config[spec.template], template)
    texts = [text for text in template if isinstance(text, str)] if isinstance(template, list) else []
    placeholders = {name for text in texts for name in PLACEHOLDER.findall(text)} - set(spec.provided)
    return {**dict.fromkeys(placeholders), **spec.variables}


def check_config(spec: StageSpec, config: Config) -> None:
    """Check the whole configuration of a job.

    Raises:
        InvalidInputError: a key is unknown or missing, or a value has the wrong type or is out of bounds.
    """
    known = {**variables_of(spec, config), **spec.config, SEED: VariableSpec(kind="int", minimum=0)}
    for name, value in config.items():
        if name not in known:
            raise InvalidInputError(f"config.{name}: unknown key; {near_miss(name, list(known))}")
        check_value(f"config.{name}", known[name], value)
    placeholders = [name for name, variable in known.items() if variable is None]
    for name in (*spec.required, *placeholders):
        if name not in config:
            raise InvalidInputError(f"config.{name}: missing; add it")


def check_value(where: str, spec: VariableSpec | None, value: ConfigValue) -> None:
    """Check one value; `where` begins the sentence if it is refused.

    Raises:
        InvalidInputError: wrong type, out of bounds, or none of the choices.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"{where}: {value} is not a finite number")
    if spec is None:
        if isinstance(value, list | dict) or value is None:
            raise InvalidInputError(f"{where}: expected a text, a number or true/false")
        return
    if not _is_a(spec.kind, value):
        raise InvalidInputError(f"{where}: expected {_KINDS[spec.kind]}, got {value!r}")
    if spec.choices and value not in spec.choices:
        hint = near_miss(str(value), [str(choice) for choice in spec.choices])
        raise InvalidInputError(f"{where}: {value!r} is not offered; {hint}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = spec.minimum, spec.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidInputError(f"{where}: {value} is out of bounds; allowed: {_bounds(low, high)}")


_KINDS: Final[dict[Kind, str]] = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "list": "a list of texts or numbers",
}


def _is_a(kind: Kind, value: ConfigValue) -> bool:
    match kind:
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
