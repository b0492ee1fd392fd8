"""The combinations of a grid that are planned: all but those that are skipped, or a sample of them."""

from collections.abc import Mapping, Sequence
from itertools import islice, product
from math import prod
from typing import Final, NamedTuple

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.pipeline_specs import VariableSpec
from bus.contracts.values import identity
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import MAX_VARIANTS, axes_of, axis_values, check_count
from learning_service.experiments.sampling import sampled
from learning_service.experiments.skips import Point, Skips, is_skipped, skips_of

MOST_COMBINATIONS: Final = 100_000  # that are looked at one by one, for those that `skip` leaves

MOST_OF_AXIS: Final = 10_000  # values that a sample takes some of


class Grid(NamedTuple):
    """All combinations of a definition: its variables, each with its values in order, and what is skipped."""

    axes: list[tuple[Variable, list[Scalar]]]
    skips: Skips

    @property
    def sizes(self) -> list[int]:
        """The number of values of each axis."""
        return [len(values) for _, values in self.axes]

    def has(self, point: Point) -> bool:
        """Return whether a point is not skipped."""
        return not (self.skips and is_skipped(self.skips, point))

    def value(self, point: Point) -> VariantValue:
        """Return the value of a point: a map, or where there is but one variable its value itself."""
        parts = {knob.name: values[place] for (knob, values), place in zip(self.axes, point, strict=True)}
        return parts if len(parts) > 1 else next(iter(parts.values()))


def grid_of(
    definition: ExperimentDefinition,
    max_variants: int = MAX_VARIANTS,
    offered: Mapping[str, VariableSpec | None] | None = None,
) -> Grid:
    """Return the combinations of a definition.

    `offered` is what the pipeline takes, without which `values = "all"` stands for no value.

    Raises:
        InvalidInputError: neither or both of list and range are given, or they make no sense or too many values.
    """
    most = MOST_OF_AXIS if definition.sample else max_variants
    axes = [(knob, axis_values(where, knob, most, offered)) for where, knob in axes_of(definition)]
    return Grid(axes, skips_of(definition, axes))


def plan_values(
    definition: ExperimentDefinition,
    max_variants: int = MAX_VARIANTS,
    offered: Mapping[str, VariableSpec | None] | None = None,
    kept: Sequence[VariantValue] = (),
) -> list[VariantValue]:
    """Return the values of the variants, in order; of a grid as maps, the first variable changing slowest.

    A sample begins with the values that are `kept`; what is added to it has values that none of them has.

    Raises:
        InvalidInputError: as `grid_of`, or there are too many values.
    """
    grid = grid_of(definition, max_variants, offered)
    if definition.sample is None:
        return _all_values(grid, max_variants)
    check_count("sample", definition.sample, max_variants)
    return [*kept, *_sampled_values(grid, definition, kept)]


def _all_values(grid: Grid, max_variants: int) -> list[VariantValue]:
    count = prod(grid.sizes)
    if not grid.skips or count > MOST_COMBINATIONS:
        _check_combinations(count, MOST_COMBINATIONS if grid.skips else max_variants)
    points = (point for point in product(*map(range, grid.sizes)) if grid.has(point))
    found = list(islice(points, max_variants))
    left = sum(1 for _ in points)
    _check_combinations(len(found) + left, max_variants)
    return [grid.value(point) for point in found]


def _sampled_values(grid: Grid, definition: ExperimentDefinition, kept: Sequence[VariantValue]) -> list[VariantValue]:
    missing = (definition.sample or 0) - len(kept)
    if missing <= 0:
        return []
    known = [{identity(_part(value, knob.name)) for value in kept} for knob, _ in grid.axes]
    fresh = [
        frozenset(place for place, value in enumerate(values) if identity(value) not in one)
        for (_, values), one in zip(grid.axes, known, strict=True)
    ]

    def has(point: Point) -> bool:
        return grid.has(point) and any(place in some for place, some in zip(point, fresh, strict=True))

    points = sampled(grid.sizes, missing, definition.seed, has)
    return [grid.value(point) for point in points]


def _part(value: VariantValue, name: str) -> Scalar:
    return value[name] if isinstance(value, dict) else value


def _check_combinations(count: int, most: int) -> None:
    if count > most:
        raise InvalidInputError(
            f"variables: {count} combinations are more than {most}; take fewer values, plan a part of them with "
            "sample, or raise --max-variants of the learning service"
        )
