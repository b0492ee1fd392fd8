"""The values of variables of a definition: lists, exact ranges, all that a pipeline offers, grids of two."""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import INT64_MAX, SEED_MAX, Scalar, VariantValue
from bus.contracts.pipeline_specs import VariableSpec
from bus.contracts.values import cited, identity
from bus.protocol.validation import InvalidInputError

MAX_VARIANTS: Final = 1000
GRID: Final = 2  # variables
SMALLEST: Final = Decimal("1e-18")  # start, stop and step as decimals; anything smaller is a typing error


def plan_values(
    definition: ExperimentDefinition,
    max_variants: int = MAX_VARIANTS,
    offered: Mapping[str, VariableSpec | None] | None = None,
) -> list[VariantValue]:
    """Return the values of the variants, in order; of a grid all pairs, as maps, the first variable changing slowest.

    `offered` is what the pipeline takes, without which `values = "all"` stands for no value.

    Raises:
        InvalidInputError: neither or both of list and range are given, or they make no sense or too many values.
    """
    axes = [axis_values(where, knob, max_variants, offered) for where, knob in axes_of(definition)]
    if len(axes) < GRID:
        return list(axes[0])
    _check_count("variables", len(axes[0]) * len(axes[1]), max_variants)
    (first, second) = (knob.name for knob in definition.knobs)
    return [{first: one, second: other} for one in axes[0] for other in axes[1]]


def axes_of(definition: ExperimentDefinition) -> list[tuple[str, Variable]]:
    """Return the variables, each with the place where it stands in the definition.

    Raises:
        InvalidInputError: there is none, or they make no grid.
    """
    if definition.variable:
        if definition.variables:
            raise InvalidInputError("variables: there is variable already; two [[variables]] make a grid")
        return [("variable", definition.variable)]
    if not definition.variables:
        raise InvalidInputError("variable: missing; add it")
    if len(definition.variables) != GRID or definition.variables[0].name == definition.variables[1].name:
        raise InvalidInputError("variables: give two different ones for a grid, or one as variable")
    return [(f"variables #{number}", knob) for number, knob in enumerate(definition.variables, 1)]


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
    _check_count(where, len(values), max_variants)
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
    _check_count(where, count, max_variants)
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


def _check_count(where: str, count: int, max_variants: int) -> None:
    if count > max_variants:
        raise InvalidInputError(
            f"{where}.values: {count} variants are more than {max_variants}; "
            "take fewer, or raise --max-variants of the learning service"
        )
