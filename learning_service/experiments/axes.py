"""The variables of a definition and the values of each: lists, exact ranges, all that a pipeline offers."""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import INT64_MAX, SEED_MAX, Scalar
from bus.contracts.pipeline_specs import VariableSpec
from bus.contracts.values import cited, identity
from bus.protocol.validation import InvalidInputError

MAX_VARIANTS: Final = 1000
MAX_AXES: Final = 6  # variables of a grid
SMALLEST: Final = Decimal("1e-18")  # start, stop and step as decimals; anything smaller is a typing error


def axes_of(definition: ExperimentDefinition) -> list[tuple[str, Variable]]:
    """Return the variables, each with the place where it stands in the definition.

    Raises:
        InvalidInputError: there is none, or they make no grid.
    """
    if definition.variable:
        if definition.variables:
            raise InvalidInputError("variables: there is variable already; write each as [[variables]] for a grid")
        return [("variable", definition.variable)]
    if not definition.variables:
        raise InvalidInputError("variable: missing; add it")
    if len(definition.variables) > MAX_AXES:
        raise InvalidInputError(f"variables: {len(definition.variables)} are more than {MAX_AXES}; take fewer")
    seen: set[str] = set()
    for number, knob in enumerate(definition.variables, 1):
        if knob.name in seen:
            raise InvalidInputError(f"variables #{number}.name: {knob.name} is there twice; give each another name")
        seen.add(knob.name)
    return [(f"variables #{number}", knob) for number, knob in enumerate(definition.variables, 1)]


def settings_set(knob: Variable) -> frozenset[str]:
    """Return the settings that values of a variable set as a whole."""
    if knob.settings:
        return frozenset(name for config in knob.settings.values() for name in config)
    return frozenset({knob.name}) if knob.is_plain else frozenset()


def axis_values(
    where: str,
    variable: Variable,
    max_variants: int = MAX_VARIANTS,
    offered: Mapping[str, VariableSpec | None] | None = None,
) -> list[Scalar]:
    """Return the values of one variable, in order."""
    in_range = [name for name in ("start", "stop", "step") if getattr(variable, name) is not None]
    if variable.values is None:
        values = _range(where, variable, max_variants)
    elif in_range:
        raise InvalidInputError(f"{where}.{in_range[0]}: give either values or start, stop and step")
    elif variable.values == "all":
        if offered is None:
            return []
        spec = offered.get(variable.name)
        values = list(spec.choices) if spec else []
        if not values:
            raise InvalidInputError(f"{where}.values: there is no list of all {variable.name}; give the values")
    else:
        values = list(variable.values)
    if not values:
        raise InvalidInputError(f"{where}.values: empty; give at least one value")
    check_count(f"{where}.values", len(values), max_variants)
    seen: set[object] = set()
    for number, value in enumerate(values, 1):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInputError(f"{where}.values #{number}: {value!r} is no usable value")
        if identity(value) in seen:
            raise InvalidInputError(f"{where}.values #{number}: {cited(value)} is there twice; remove one")
        seen.add(identity(value))
    return values


def _range(where: str, variable: Variable, max_variants: int) -> list[Scalar]:
    """Expand start/stop/step in decimal arithmetic: 0.5 to 0.9 by 0.05 has 9 values, and the last one is 0.9."""
    start, stop, step = (_decimal(where, variable, name) for name in ("start", "stop", "step"))
    if step == 0:
        raise InvalidInputError(f"{where}.step: 0 never gets from start to stop")
    if (stop - start) * step < 0:
        raise InvalidInputError(f"{where}.step: {step} leads away from stop; change its sign")
    count = int((stop - start) / step) + 1
    check_count(f"{where}.values", count, max_variants)
    numbers = [start + step * index for index in range(count)]
    whole = all(number == number.to_integral_value() for number in (start, step))
    return [int(number) if whole else float(number) for number in numbers]


def _decimal(where: str, variable: Variable, name: str) -> Decimal:
    value = getattr(variable, name)
    if value is None:
        raise InvalidInputError(f"{where}.{name}: missing; give values, or start, stop and step")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise InvalidInputError(f"{where}.{name}: {value!r} is no number") from None
    if not number.is_finite() or (number and not (abs(number) >= SMALLEST and -INT64_MAX <= number <= SEED_MAX)):
        raise InvalidInputError(f"{where}.{name}: {value!r} is no usable number")
    return number


def check_count(where: str, count: int, max_variants: int) -> None:
    """Refuse more variants than the service takes.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    if count > max_variants:
        raise InvalidInputError(
            f"{where}: {count} variants are more than {max_variants}; "
            "take fewer, or raise --max-variants of the learning service"
        )
