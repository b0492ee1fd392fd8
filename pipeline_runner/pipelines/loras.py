"""LoRAs of a job: a table `loras` of names with strengths, whose parts are variables, and the one variable `lora`.

Servers read them as marks in the prompt, or as lists; what is said twice would add up, so it is refused.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import ANY, LORA_TAG, VariableSpec
from bus.protocol.validation import InvalidInputError

LORA: Final = "lora"
LORA_STRENGTH: Final = "lora_strength"
LORAS: Final = "loras"
PART: Final = f"{LORAS}."
_TABLE: Final = VariableSpec(kind="map")


@dataclass(frozen=True, slots=True)
class Lora:
    """One LoRA of a job: as it was written, with its strength as a plain decimal, "" for one that is off."""

    name: str
    strength: str


def table_spec(bounds: tuple[float, float], target: str, listed: VariableSpec) -> VariableSpec:
    """Return what the table takes: the names that `listed` has, each with a strength within bounds, or on and off."""
    strength = VariableSpec(kind="strength", minimum=bounds[0], maximum=bounds[1])
    return replace(
        _TABLE,
        inside={ANY: strength},
        target=target,
        choices=listed.choices,
        also=tuple(name for name in listed.also if name),
        ambiguous=listed.ambiguous,
    )


def gathered(config: Config) -> Config:
    """Return a configuration with the parts that stand beside the table, as `loras.detail`, put into it."""
    table = config.get(LORAS)
    found: dict[str, Any] = dict(table) if isinstance(table, dict) else {}
    for name, value in config.items():
        if name.startswith(PART):
            key = name.removeprefix(PART)
            found[key] = strength_of(value, found.get(key, 1))
    found = {name: strength_of(value, 1) for name, value in found.items()}
    rest = {name: value for name, value in config.items() if name != LORAS and not name.startswith(PART)}
    return {**rest, LORAS: found} if found else rest


def strength_of(value: Any, usual: Any) -> Any:
    """Return a strength: `true` is the usual one, 1 where that is none or 0; `false` is 0."""
    if not isinstance(value, bool):
        return value
    is_number = isinstance(usual, int | float) and not isinstance(usual, bool)
    return (usual if is_number and usual else 1) if value else 0


def loras_in(config: Config) -> Iterator[Lora]:
    """Yield the LoRAs of the table and that of the variable, also those that are off."""
    table = config.get(LORAS)
    for name, strength in table.items() if isinstance(table, dict) else ():
        yield Lora(name, _decimal(strength) if strength else "")
    if config.get(LORA):
        yield Lora(str(config[LORA]), _decimal(config.get(LORA_STRENGTH, 1)))


def loras_of(config: Config) -> list[str]:
    """Return the LoRAs that a job uses, in its prompt, in its table and as a variable."""
    return [
        *LORA_TAG.findall(str(config.get("prompt", ""))),
        *(one.name for one in loras_in(config) if one.strength),
    ]


def stack_of(config: Config, spellings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the LoRAs that are on, under the server's names, with their strengths.

    Raises:
        InvalidInputError: the server has no such LoRA any more.
    """
    return [(_canonical(one.name, spellings), one.strength) for one in loras_in(config) if one.strength]


def with_marks(prompt: str, config: Config, spellings: Mapping[str, str]) -> str:
    """Return a prompt with the marks of the LoRAs that are on behind it; it raises as `stack_of` does."""
    marks = [f"<lora:{name}:{strength}>" for name, strength in stack_of(config, spellings)]
    return " ".join(filter(None, (prompt, *marks)))


def check_loras(config: Config, spellings: Mapping[str, str], prompts: Collection[str] = ("prompt",)) -> None:
    """Check that each LoRA is there, and said only once: in the table, as the variable, or in one of the prompts.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    owners = _owners(config, spellings)
    for field in prompts if owners else ():
        for name in LORA_TAG.findall(str(config.get(field, ""))):
            if owner := owners.get(spellings.get(name, name)):
                raise InvalidInputError(
                    f"config.{field}: <lora:{name}:…> is the variable {owner} already; remove it there"
                )


def check_closed(config: Config, prompts: Collection[str] = ("prompt",)) -> None:
    """Check that marks which are put behind a prompt are read as such.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    for field in prompts if any(loras_in(config)) else ():
        text = str(config.get(field, ""))
        if text.rfind("<") > text.rfind(">"):
            raise InvalidInputError(
                f"config.{field}: a '<' is not closed, which would swallow the LoRA; close it with '>'"
            )


def _owners(config: Config, spellings: Mapping[str, str]) -> dict[str, str]:
    """Return the server's names of all LoRAs, also of those that are off, and where each is named."""
    table = config.get(LORAS)
    named = [(name, f"{PART}{name}") for name in (table if isinstance(table, dict) else ())]
    named += [(str(config[LORA]), LORA)] if config.get(LORA) else []
    owners: dict[str, str] = {}
    for name, where in named:
        found = _canonical(name, spellings)
        if found in owners:
            raise InvalidInputError(f"config.{where}: {owners[found]} is the same LoRA; remove one of them")
        owners[found] = where
    return owners


def _canonical(name: str, spellings: Mapping[str, str]) -> str:
    if name not in spellings:
        raise InvalidInputError(f"config: {name!r} is not among the loras of the server any more")
    return spellings[name]


def _decimal(strength: object) -> str:
    """Write a strength as a plain decimal, whatever its size: an exponent would not be read."""
    return format(Decimal(str(strength)), "f")
