"""Which combinations of a grid are left out, by the conditions of `skip`. Each condition is about one axis alone."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import ConfigValue, Scalar
from bus.contracts.values import cited, identity, is_number, key_text
from bus.protocol.validation import InvalidInputError, near_miss

Point = tuple[int, ...]  # the place of a value on each axis
# On each axis, of each place the tables that it fulfils, one a bit: so a point costs the same, however many tables.
Skips = tuple[tuple[int, ...], ...]
LOOKED_AT: Final = 100_000  # points, one by one: a larger grid is sampled, which finds out by itself
_COMPARISON: Final = re.compile(r"\s*(?P<sign>>=|<=|!=|>|<)\s*(?P<operand>.*?)\s*", re.DOTALL)
_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def is_skipped(skips: Skips, point: Point) -> bool:
    """Return whether a point is left out: whether it fulfils all conditions of a table."""
    left = -1
    for place, tables in zip(point, skips, strict=True):
        left &= tables[place]
    return left != 0


def skips_of(definition: ExperimentDefinition, axes: Sequence[tuple[Variable, Sequence[Scalar]]]) -> Skips:
    """Return the places that each table of conditions leaves out; `axes` are the variables with their values.

    Raises:
        InvalidInputError: a condition is about nothing that the experiment varies, or compares what has no order.
    """
    if not definition.skip:
        return ()
    everywhere = [0 for _ in axes]  # the tables that say nothing of an axis
    fulfilled = [[0 for _ in values] for _, values in axes]
    for number, table in enumerate(definition.skip, 1):
        found = _table(f"skip #{number}", table, axes)
        for axis, tables in enumerate(fulfilled):
            if axis not in found:
                everywhere[axis] |= 1 << number
            for place in found.get(axis, ()):
                tables[place] |= 1 << number
    return tuple(tuple(one | always for one in tables) for tables, always in zip(fulfilled, everywhere, strict=True))


def check_skips(definition: ExperimentDefinition, axes: Sequence[tuple[Variable, Sequence[Scalar]]]) -> None:
    """Refuse conditions that no value fulfils, as a misspelt one does, and a `skip` that leaves nothing.

    Raises:
        InvalidInputError: naming the condition.
    """
    for number, table in enumerate(definition.skip, 1):
        for name, condition in table.items():
            if not _places(f"skip #{number}.{name}", name, condition, axes)[1]:
                raise InvalidInputError(f"skip #{number}.{name}: no value is {cited(condition)}; change or remove it")
    skips = skips_of(definition, axes)
    sizes = [len(values) for _, values in axes]
    if skips and prod(sizes) <= LOOKED_AT and all(is_skipped(skips, point) for point in product(*map(range, sizes))):
        raise InvalidInputError("skip: leaves no combination; remove a condition")


def _table(
    where: str, table: Mapping[str, Scalar | list[Scalar]], axes: Sequence[tuple[Variable, Sequence[Scalar]]]
) -> dict[int, frozenset[int]]:
    """Return on each axis that a table of conditions is about the places that fulfil it."""
    if not table:
        raise InvalidInputError(f"{where}: is empty; name a variable with the value to skip")
    found: dict[int, frozenset[int]] = {}
    for name, condition in table.items():
        axis, places = _places(f"{where}.{name}", name, condition, axes)
        found[axis] = found.get(axis, places) & places
    return found


def _places(
    where: str,
    name: str,
    condition: Scalar | list[Scalar],
    axes: Sequence[tuple[Variable, Sequence[Scalar]]],
) -> tuple[int, frozenset[int]]:
    """Return the axis that a condition is about, and its places that fulfil it."""
    for at, (knob, values) in enumerate(axes):
        if knob.name == name:
            parts: Sequence[ConfigValue] = values
        elif any(name in config for config in knob.settings.values()):
            parts = [knob.settings.get(key_text(value), {}).get(name) for value in values]
        else:
            continue
        wanted = condition if isinstance(condition, list) else [condition]
        tests = [_test(where, one, parts) for one in wanted]
        return at, frozenset(place for place, part in enumerate(parts) if any(test(part) for test in tests))
    known = {knob.name for knob, _ in axes} | {key for knob, _ in axes for one in knob.settings.values() for key in one}
    raise InvalidInputError(f"{where}: no variable of this experiment; {near_miss(name, sorted(known))}")


def _test(where: str, condition: Scalar, parts: Sequence[ConfigValue]) -> Callable[[ConfigValue], bool]:
    """Return whether a value fulfils a condition, as a function of the value."""
    found = _COMPARISON.fullmatch(condition) if isinstance(condition, str) else None
    if found is None:
        return lambda part: _is_same(part, condition)
    sign, operand = found["sign"], found["operand"]
    number = _number(operand)
    if sign == "!=":
        return lambda part: part is not None and part != operand and (number is None or not _is_same(part, number))
    if number is None:
        raise InvalidInputError(f'{where}: {cited(condition)} compares with no number; write for example ">2"')
    if parts and not any(map(is_number, parts)):
        raise InvalidInputError(f"{where}: {cited(condition)} compares numbers, and its values are none")
    return lambda part: is_number(part) and _ORDER[sign](part, number)


def _is_same(part: ConfigValue, wanted: Scalar) -> bool:
    return isinstance(part, bool | int | float | str) and identity(part) == identity(wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
