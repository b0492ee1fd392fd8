"""What an adaptive experiment chooses from: all values of its definition as points on axes, and the first round."""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import product
from typing import Final

from msgspec import Struct

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.pipeline_specs import VariableSpec
from bus.contracts.values import identity
from learning_service.experiments.axes import axes_of, axis_values

FIRST: Final = 5  # values of a lone variable in the first round
FIRST_OF_GRID: Final = 3  # values of each of two
MAX_VALUES: Final = 100_000  # of an axis; the plan was checked against the limit of the service when it was made
MOST_CONSIDERED: Final = 2000  # points that one belief is about: its time grows with their square
Point = tuple[int, ...]  # the place of a value on each axis


class Axis(Struct, frozen=True, kw_only=True, gc=False):
    """A variable with its values; numbers are in order, however a person wrote them."""

    name: str
    values: tuple[Scalar, ...]
    ordered: bool

    def distance(self, one: int, other: int) -> float:
        """Return the distance of two places, 0..1; without an order it is always 1 between different ones."""
        if self.ordered:
            return abs(one - other) / max(1, len(self.values) - 1)
        return float(one != other)


class Space(Struct, frozen=True, kw_only=True, gc=False):
    """All values that may be tried, one or two variables wide."""

    axes: tuple[Axis, ...]

    def points(self) -> Iterable[Point]:
        """Return all points, the last axis changing fastest."""
        return product(*(range(len(axis.values)) for axis in self.axes))

    def considered(self, tried: Collection[Point]) -> list[Point]:
        """Return all points; of very many, those that were tried and an even spread of the others."""
        points = list(self.points())
        if len(points) <= MOST_CONSIDERED:
            return points
        every = -(-len(points) // (MOST_CONSIDERED - min(len(tried), MOST_CONSIDERED // 2)))
        return [point for number, point in enumerate(points) if point in tried or number % every == 0]

    def value(self, point: Point) -> VariantValue:
        """Return the value of a point, as a plan has it."""
        parts = {axis.name: axis.values[place] for axis, place in zip(self.axes, point, strict=True)}
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def finder(self) -> Callable[[VariantValue], Point | None]:
        """Return the function that finds the point of a value; None for what is not in this space."""
        places = {axis.name: {identity(one): at for at, one in enumerate(axis.values)} for axis in self.axes}

        def find(value: VariantValue) -> Point | None:
            parts = value if isinstance(value, dict) else {self.axes[0].name: value}
            found = [places[name].get(identity(part)) for name, part in parts.items() if name in places]
            point = tuple(place for place in found if place is not None)
            return point if len(point) == len(self.axes) else None

        return find

    def distance(self, one: Point, other: Point) -> float:
        """Return the distance of two points, added up over the axes."""
        return sum(axis.distance(at, there) for axis, at, there in zip(self.axes, one, other, strict=True))


def space_of(definition: ExperimentDefinition, offered: Mapping[str, VariableSpec | None] | None = None) -> Space:
    """Arrange the values of a definition on axes; `offered` is what the pipeline takes, for `values = "all"`.

    Raises:
        InvalidInputError: the values make no sense.
    """
    return Space(
        axes=tuple(
            _axis(knob.name, axis_values(where, knob, MAX_VALUES, offered)) for where, knob in axes_of(definition)
        )
    )


def first_round(space: Space) -> list[VariantValue]:
    """Return the points of the first round: some values of each axis, spread evenly, with both ends."""
    most = FIRST if len(space.axes) == 1 else FIRST_OF_GRID
    return [space.value(point) for point in product(*(spread(len(axis.values), most) for axis in space.axes))]


def _axis(name: str, values: list[Scalar]) -> Axis:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    ordered = len(numbers) == len(values)
    return Axis(name=name, values=tuple(sorted(numbers)) if ordered else tuple(values), ordered=ordered)


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of a row of places, spread evenly."""
    if count <= most:
        return list(range(count))
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]
