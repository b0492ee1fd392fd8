"""What a pipeline takes, as data: a runner announces it, and plans are checked against it before anything is queued."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Final, Literal, NamedTuple, get_args

from msgspec import Struct, field

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.paths import at, find, missing
from bus.contracts.values import cited
from bus.protocol.control import ControlError
from bus.protocol.doors import words
from bus.protocol.validation import InvalidInputError, near_miss

Kind = Literal["int", "float", "str", "bool", "list", "map", "strength", "any"]
# {{steps}} stands for the text {steps} itself, as a program's own braces may look like a placeholder
PLACEHOLDER: Final = re.compile(r"\{\{(?P<literal>[A-Za-z_][A-Za-z0-9_]*)\}\}|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
ANY: Final = "*"  # of the parts of a table: any other one
LORA_TAG: Final = re.compile(r"<lora:([^:<>]++)[^<>]*+>")  # as image servers read it in a prompt
_HALF: Final = re.compile("[\ud800-\udfff]")
SEED: Final = "seed"  # every pipeline takes it: an experiment gives the same seeds to every variant


class VariableSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A knob of a pipeline: its type, its bounds (both included) or its choices, and where it goes.

    Attributes:
        kind: The type; what is of one that this version does not know is left to the runner.
        minimum: The least that is allowed.
        maximum: The most that is allowed.
        choices: What is offered, if not everything of the type.
        also: What is accepted besides, though it is not listed: older names of the choices.
        ambiguous: What could mean several of the choices, and is refused, with those that it could mean.
        needs: Keys of the configuration without which this one would change nothing.
        unit: Of the number, for people.
        default: What it is where a job does not say it, for people; "" where only the server knows.
        target: Where the value goes in what the pipeline sends or runs, for people.
        slow: To change it costs the pipeline seconds, so jobs are ordered by it.
        loras: In a text, what `<lora:NAME:…>` may name; None if such a mark means nothing.
        inside: Of a table, what its values take by their keys, `*` for any other; each is a variable too, `NAME.KEY`.
            Its `choices`, `also` and `ambiguous` are then about the keys.
        open: Whether each single value that the configuration has anywhere in this table is a variable too, by its
            path: `NAME.KEY.0.KEY`.
    """

    kind: Annotated[str, words(*get_args(Kind))]
    minimum: int | float | None = None  # read as float alone, the bound of a seed would be rounded
    maximum: int | float | None = None
    choices: tuple[Scalar, ...] = ()
    also: tuple[Scalar, ...] = ()
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    unit: str = ""
    default: str = ""
    target: str = ""
    slow: bool = False
    loras: tuple[str, ...] | None = None
    inside: dict[str, "VariableSpec"] = field(default_factory=dict)
    open: bool = False


_ANY_SEED: Final = VariableSpec(kind="int", minimum=0)


class StageSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of a pipeline takes.

    `variables` are the knobs that an experiment may turn, `config` further keys of a job, `required` keys of either
    that must be there. Where `template` names a key, the `{placeholders}` in its list of texts are variables too,
    but for the `provided` ones, which the pipeline fills in itself; where `map` names a key, so are the keys of the
    map there. `metrics` are the names of those that its jobs report, nil if only a job can tell. `unavailable` says
    in one sentence why nothing can be planned now, "" if it can.
    """

    variables: dict[str, VariableSpec] = field(default_factory=dict)
    config: dict[str, VariableSpec] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    template: str = ""
    provided: tuple[str, ...] = ()
    map: str = ""
    metrics: tuple[str, ...] | None = None
    unavailable: str = ""


Pipelines = Mapping[str, Mapping[str, StageSpec]]


def find_stage(pipelines: Pipelines, pipeline: str, stage: str) -> StageSpec:
    """Return the spec of a stage.

    Raises:
        InvalidInputError: there is no such pipeline, or it has no such stage.
        ControlError: what it takes is not known now, as its server does not answer (code `unavailable`).
    """
    if pipeline not in pipelines:
        raise InvalidInputError(f"pipeline: {pipeline!r} is unknown; {near_miss(pipeline, list(pipelines))}")
    stages = pipelines[pipeline]
    if stage not in stages:
        raise InvalidInputError(f"stage: {pipeline} has no stage {stage!r}; {near_miss(stage, list(stages))}")
    if stages[stage].unavailable:
        raise ControlError("unavailable", stages[stage].unavailable)
    return stages[stage]


def variables_of(spec: StageSpec, config: Config, names: Collection[str] = ()) -> dict[str, VariableSpec | None]:
    """Return the variables of a stage under a configuration; a placeholder or key of the map takes any scalar (None).

    Of those that are parts of tables, which may be thousands, these `names` are among them.

    Raises:
        InvalidInputError: the stage has a template or a map, and the configuration has none or something else there.
    """
    return {**_parts(spec, config, names), **_variables(spec, config, _placeholders(spec, config))}


def no_variable(spec: StageSpec, config: Config, name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about a variable that there is not: what may be meant, or how to get it."""
    table, dot, rest = name.partition(".")
    told = spec.config.get(table) if dot else None
    if told is None or not (told.inside or told.open):
        return near_miss(name, list(known))
    if rest in told.ambiguous:
        return _no_choice(rest, told.choices, told.ambiguous)
    if told.inside:
        return near_miss(rest, [*map(str, told.choices), *(key for key in told.inside if key != ANY)])
    if table not in config:
        return f"write {table} into config, with the value that is to vary"
    return f"config.{table} holds no single value there; {missing(config[table], rest)}"


def part_of(spec: StageSpec, config: Config, name: str) -> VariableSpec | None:
    """Return what a part of a table takes, by its path such as `loras.detail`; None if there is none."""
    table, dot, rest = name.partition(".")
    told = spec.config.get(table) if dot else None
    if told is None:
        return None
    if told.inside:
        return told.inside.get(rest) or (told.inside.get(ANY) if _is_key(told, rest) else None)
    path = find(config.get(table), rest) if told.open else None
    return None if path is None else alike(at(config[table], path))


def alike(value: object) -> VariableSpec | None:
    """Return the spec of values like one that is there; None if it is no single value."""
    match value:
        case bool():
            return VariableSpec(kind="bool")
        case int() | float():
            return VariableSpec(kind="float")
        case str():
            return VariableSpec(kind="str")
        case _:
            return None


def _parts(spec: StageSpec, config: Config, names: Collection[str]) -> dict[str, VariableSpec | None]:
    found = {name: part_of(spec, config, name) for name in names if "." in name}
    return {name: part for name, part in found.items() if part is not None}


def _is_key(spec: VariableSpec, key: str) -> bool:
    """Return whether a table takes a key."""
    return bool(key) and (not spec.choices or key in (*spec.choices, *spec.also))


def _variables(spec: StageSpec, config: Config, placeholders: Collection[str]) -> dict[str, VariableSpec | None]:
    return {**dict.fromkeys(placeholders), **dict.fromkeys(_mapped(spec, config)), **spec.variables}


def _placeholders(spec: StageSpec, config: Config) -> Collection[str]:
    if not spec.template:
        return ()
    template = _named(spec, config, spec.template)
    texts = [text for text in template if isinstance(text, str)] if isinstance(template, list) else []
    found = {match["name"] for text in texts for match in PLACEHOLDER.finditer(text) if match["name"]}
    return found - set(spec.provided)


def _mapped(spec: StageSpec, config: Config) -> list[str]:
    found = _named(spec, config, spec.map)
    return list(found) if isinstance(found, dict) else []


def _named(spec: StageSpec, config: Config, key: str) -> ConfigValue:
    """Return the value of the key that makes variables, checked."""
    if not key:
        return None
    if key not in config:
        raise InvalidInputError(f"config.{key}: missing; add it")
    check_value(f"config.{key}", spec.config[key], config[key])
    return config[key]


def check_config(spec: StageSpec, config: Config, varied: Collection[str] = ()) -> None:
    """Check the whole configuration of a job; `varied` are the variables of its experiment.

    Raises:
        InvalidInputError: a key is unknown or missing, or a value has the wrong type or is out of bounds.
    """
    placeholders = _placeholders(spec, config)
    known = {**_variables(spec, config, placeholders), **spec.config}
    known[SEED] = known.get(SEED) or _ANY_SEED
    known |= _parts(spec, config, [name for name in config if name not in known])
    for name, value in config.items():
        if name not in known:
            raise InvalidInputError(f"config.{name}: unknown key; {no_variable(spec, config, name, known)}")
        check_value(f"config.{name}", known[name], value)
        _check_needs(name, known[name], config, varied)
    for name in spec.required:
        if name not in config:
            raise InvalidInputError(f"config.{name}: missing; add it")
    for name in sorted(placeholders):
        if name not in config:
            text = f"missing; add it, or write {{{{{name}}}}} in {spec.template} for the text {{{name}}} itself"
            raise InvalidInputError(f"config.{name}: {text}")


def _check_needs(name: str, spec: VariableSpec | None, config: Config, varied: Collection[str]) -> None:
    """Refuse what would change nothing: all variants would be the same.

    What is varied itself may be off in some of them: with and without it is what such an experiment asks.
    """
    for needed in spec.needs if spec else ():
        value = config.get(needed)
        if needed in varied and needed in config:
            continue
        if value is None or value is False or value == "":  # 0 is a value: sweeps begin with it
            raise InvalidInputError(f"config.{needed}: missing; {name} has no effect without it")


def check_value(where: str, spec: VariableSpec | None, value: ConfigValue) -> None:
    """Check one value; `where` begins the sentence if it is refused.

    Raises:
        InvalidInputError: wrong type, out of bounds, or none of the choices.
    """
    check_plain(where, value)
    if spec is None:
        if isinstance(value, list | dict) or value is None:
            raise InvalidInputError(f"{where}: must be a number, text, true or false")
        return
    if spec.kind in _KINDS and not _KINDS[spec.kind].holds(value):  # of a kind that is new to us, its runner decides
        raise InvalidInputError(f"{where}: must be {_KINDS[spec.kind].text}, not {cited(value)}")
    if isinstance(value, dict):
        _check_table(where, spec, value)
        return
    if spec.loras is not None and isinstance(value, str):
        _check_loras(where, spec.loras, spec.ambiguous, value)
    if spec.choices and value not in (*spec.choices, *spec.also):
        raise InvalidInputError(f"{where}: {_no_choice(value, spec.choices, spec.ambiguous)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = spec.minimum, spec.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidInputError(f"{where}: {value} is out of bounds; allowed: {bounds_text(low, high)}")


def _check_table(where: str, spec: VariableSpec, table: Mapping[str, ConfigValue]) -> None:
    for key, value in table.items():
        part = spec.inside.get(key) or spec.inside.get(ANY)
        if spec.choices and not _is_key(spec, key):
            raise InvalidInputError(f"{where}: {_no_choice(key, spec.choices, spec.ambiguous)}")
        if spec.inside and part is None:
            raise InvalidInputError(f"{where}.{key}: unknown key; {near_miss(key, list(spec.inside))}")
        if part:
            check_value(f"{where}.{key}", part, value)


def check_plain(where: str, value: ConfigValue) -> None:
    """Refuse what no program can be given and no message, picture or file can hold, however deep it is in a value.

    Raises:
        InvalidInputError: a number is not finite, a text is none, or nothing stands within a list or a table.
    """
    match value:
        case float() if not math.isfinite(value):
            raise InvalidInputError(f"{where}: {value} is not a finite number")
        case str():
            check_text(where, value)
        case list():
            for number, part in enumerate(value, 1):
                _check_part(f"{where} #{number}", part)
        case dict():
            for key, part in value.items():
                check_text(where, key)
                _check_part(f"{where}.{key}", part)


def _check_part(where: str, value: ConfigValue) -> None:
    if value is None:
        raise InvalidInputError(f"{where}: is nothing, which no file can hold there; leave it out")
    check_plain(where, value)


def check_text(where: str, text: str) -> None:
    """Refuse a text that no program can be given and no message or picture can hold.

    Raises:
        InvalidInputError: it has a NUL, or half of a character.
    """
    if "\0" in text:
        raise InvalidInputError(f"{where}: has a NUL character, which no program takes; remove it")
    if _HALF.search(text):
        raise InvalidInputError(f"{where}: has half of a surrogate pair, which is no character; remove it")


def _check_loras(where: str, offered: tuple[str, ...], ambiguous: Mapping[str, tuple[str, ...]], text: str) -> None:
    for name in LORA_TAG.findall(text):
        if name not in offered:
            raise InvalidInputError(f"{where}: LoRA {_no_choice(name, offered, ambiguous)}")


def _no_choice(value: ConfigValue, choices: tuple[Scalar, ...], ambiguous: Mapping[str, tuple[str, ...]]) -> str:
    """Say why a value is none of the choices, and what to write instead."""
    if found := ambiguous.get(str(value)):
        return f"{cited(value)} is ambiguous; write {' or '.join(repr(name) for name in found)}"
    return f"{cited(value)} is not offered; {near_miss(str(value), [str(choice) for choice in choices])}"


class _Check(NamedTuple):
    """What a kind of value is called, and whether a value is of it."""

    text: str
    holds: Callable[[ConfigValue], bool]


_KINDS: Final[dict[str, _Check]] = {
    "int": _Check("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": _Check("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "str": _Check("text", lambda value: isinstance(value, str)),
    "bool": _Check("true or false", lambda value: isinstance(value, bool)),
    "list": _Check(
        "a list of texts or numbers",
        lambda value: isinstance(value, list) and all(isinstance(part, bool | int | float | str) for part in value),
    ),
    "map": _Check("a table of names and values", lambda value: isinstance(value, dict)),
    "any": _Check("a value", lambda value: value is not None),
    "strength": _Check("a number, true or false", lambda value: isinstance(value, bool | int | float)),
}


def bounds_text(low: float | None, high: float | None) -> str:
    """Write bounds, of which at least one is there, as people say them."""
    least, most = ("" if bound is None else _digits(bound) for bound in (low, high))
    if not least:
        return f"at most {most}"
    return f"{least} to {most}" if most else f"at least {least}"


def _digits(bound: float) -> str:
    """Write a whole number with all its digits: a seed is copied, and nobody can count in 9.22e+18."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"
