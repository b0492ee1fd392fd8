"""What an adaptive experiment chooses from: all values of its definition as points on axes, and the first round."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod
from typing import Final

from msgspec import Struct

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.pipeline_specs import VariableSpec
from bus.contracts.values import identity, is_number
from learning_service.experiments.grid import grid_of
from learning_service.experiments.sampling import sampled
from learning_service.experiments.skips import Point, Skips, is_skipped, skips_of

FIRST_EACH: Final = (5, 3)  # values of each axis in the first round: of a lone one, and of each of two
MAX_VALUES: Final = 100_000  # of an axis; the plan was checked against the limit of the service when it was made
MOST_CONSIDERED: Final = 2000  # points that one belief is about: its time grows with their square
SPREAD: Final = 10 * MOST_CONSIDERED  # points that are looked at, where many are skipped or there already
GOLDEN: Final = 60  # steps to the last digit of a ratio
FIRST_OF_MANY: Final = 4  # points for each of three axes or more


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

    def beside(self, place: int) -> Iterator[int]:
        """Return the places next to a place; without an order all others are."""
        near = (place - 1, place + 1) if self.ordered else range(len(self.values))
        return (one for one in near if one != place and 0 <= one < len(self.values))


class Space(Struct, frozen=True, kw_only=True, gc=False):
    """All values that may be tried, on an axis for each variable, but for what is skipped."""

    axes: tuple[Axis, ...]
    skips: Skips = ()

    @property
    def size(self) -> int:
        """The number of points, with those that are skipped."""
        return prod(len(axis.values) for axis in self.axes)

    def has(self, point: Point) -> bool:
        """Return whether a point is not skipped."""
        return not (self.skips and is_skipped(self.skips, point))

    def points(self) -> Iterator[Point]:
        """Return all points, the last axis changing fastest."""
        return filter(self.has, product(*(range(len(axis.values)) for axis in self.axes)))

    def considered(self, tried: Collection[Point]) -> list[Point]:
        """Return all points; of very many, those that were tried, what is next to these, and an even spread."""
        if self.size <= MOST_CONSIDERED:
            return list(self.points())
        found = {*sorted(tried)[:MOST_CONSIDERED]}
        if len(self.axes) == 1:
            row = spread(self.size, MOST_CONSIDERED - min(len(found), MOST_CONSIDERED // 2))
            return sorted(found | {(place,) for place in row})
        beside = (point for one in sorted(found) for point in self._beside(one))
        found.update(islice(filter(self.has, beside), MOST_CONSIDERED // 2))
        found.update(islice(filter(self.has, self._spread()), max(0, MOST_CONSIDERED - len(found))))
        return sorted(found)

    def _beside(self, point: Point) -> Iterator[Point]:
        """Return the points that are one step away along one axis; of an axis without an order, all others on it."""
        for at, axis in enumerate(self.axes):
            for place in axis.beside(point[at]):
                yield (*point[:at], place, *point[at + 1 :])

    def _spread(self) -> Iterator[Point]:
        """Return points that are spread evenly: a Kronecker sequence, whose steps are powers of a golden ratio."""
        ratio = 2.0
        for _ in range(GOLDEN):
            ratio = (1 + ratio) ** (1 / (len(self.axes) + 1))
        steps = [ratio**-power for power in range(1, len(self.axes) + 1)]
        for number in range(SPREAD):
            yield tuple(
                int((0.5 + number * step) % 1 * len(axis.values)) for step, axis in zip(steps, self.axes, strict=True)
            )

    def value(self, point: Point) -> VariantValue:
        """Return the value of a point, as a plan has it."""
        parts = {axis.name: axis.values[place] for axis, place in zip(self.axes, point, strict=True)}
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def finder(self) -> Callable[[VariantValue], Point | None]:
        """Return the function that finds the point of a value; None for what is not in this space."""
        places = {axis.name: {identity(one): at for at, one in enumerate(axis.values)} for axis in self.axes}

        def find(value: VariantValue) -> Point | None:
            parts = value if isinstance(value, dict) else {self.axes[0].name: value}
            found = [of.get(identity(parts[name])) if name in parts else None for name, of in places.items()]
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
    axes = [(knob, _arranged(values)) for knob, values in grid_of(definition, MAX_VALUES, offered).axes]
    return Space(
        axes=tuple(_axis(knob.name, values) for knob, values in axes),
        skips=skips_of(definition, [(knob, values) for knob, values in axes]),
    )


def first_round(space: Space, sample: int | None = None, seed: int = 0) -> list[VariantValue]:
    """Return the points of the first round: some values of each axis, spread evenly, with both ends.

    Of three axes or more, and where so many are wanted, they are a `sample` of the grid.
    """
    sizes = [len(axis.values) for axis in space.axes]
    if sample is None and len(sizes) <= len(FIRST_EACH):
        places = [spread(size, FIRST_EACH[len(sizes) - 1]) for size in sizes]
        points = [point for point in product(*places) if space.has(point)]
        if len(points) == prod(map(len, places)):
            return [space.value(point) for point in points]
        sample = prod(map(len, places))
    points = sampled(sizes, sample or FIRST_OF_MANY * len(sizes), seed, space.has)
    return [space.value(point) for point in points]


def _axis(name: str, values: Sequence[Scalar]) -> Axis:
    return Axis(name=name, values=tuple(values), ordered=all(map(is_number, values)))


def _arranged(values: list[Scalar]) -> list[Scalar]:
    """Return numbers by size, and all else as a person wrote it."""
    numbers = [value for value in values if is_number(value)]
    return [*sorted(numbers)] if len(numbers) == len(values) else values


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of a row of places, spread evenly."""
    if count <= most:
        return list(range(count))
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]
