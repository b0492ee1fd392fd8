"""Where the values of a plan lie, and how much those that lie near are expected to be alike.

A number lies on an axis in two ways: by its size, and by its place among the values of the plan, since who tries 1, 2,
4, 8 and 16 thinks in doublings. With equal steps both are the same. On a grid of several axes the place alone counts.
All else is words, which have no order: each two are equally far.

How alike two values are is the product over the axes: for numbers of Matern's covariance with two derivatives
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 4), for words of 1 if they are the same
and a half if not. A `Basis` writes that as columns: the effect of the values is the columns times independent standard
normal numbers, plus a rest of each value on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.values import identity, is_number
from learning_service.recommendation.anova import LENGTH, TOGETHER, effects
from learning_service.recommendation.belief import LARGEST, Array

LENGTHS: Final = (0.1, 0.2, 0.4, 0.8)  # over which values are alike, in shares of an axis
LENGTHS_OF_GRID: Final = (0.15, 0.35, 0.8)  # of each of two axes
SEVERAL: Final = 3  # axes, from which on their effects add up
LENGTHS_OF_EFFECTS: Final = (0.2, 0.8)  # of each of several axes
LESS: Final = 0.3  # of the deviation of the effect that matters most
SHARED: Final = 0.5  # of the effect of one axis, between two words of another
EVEN: Final = 1e-6  # of an axis, by which equal steps may differ
KNOTS: Final = 48  # places of an axis that carry its curve; others are interpolated
NEGLIGIBLE: Final = 1e-4  # of the largest part of a basis
MOST_COMPLETED: Final = 1000  # points of a grid
MOST_COLUMNS: Final = 96
KEPT: Final = 4  # layouts whose columns are not made anew: of 2,000 values on a grid these are 14 MB
STEP: Final = 0.64  # of the variance of values whose curve breaks off
STEP_LENGTH: Final = 0.5
MOST_STEPS: Final = 24  # on all axes together
LEAST_VALUES: Final = 4  # of an axis on which a step is told from a curve


@dataclass(frozen=True)
class Layout:
    """The places of the values on each axis, 0..1; for words these are numbers that only tell them apart."""

    axes: tuple[tuple[bool, bytes], ...]  # is it in order?; one float for each value, then for each other point
    count: int  # of the values; behind them may be points of the grid that are none
    names: tuple[str, ...] = ()  # of the axes, where there are several
    is_explained: bool = False  # the effects of the axes are asked for, too

    def __len__(self) -> int:
        return self.count

    @property
    def rows(self) -> int:
        """How many points there are, with those that are no values."""
        return len(self.axes[0][1]) // np.dtype(np.float64).itemsize if self.axes else self.count

    @property
    def has_neighbours(self) -> bool:
        """Return whether some values are nearer than others, as all are but those on a lone axis of words."""
        return len(self.axes) > 1 or any(ordered for ordered, _ in self.axes)

    @property
    def has_effects(self) -> bool:
        """Return whether its values are alike by the effects of several axes; those of very many words are not told."""
        return len(self.axes) >= SEVERAL and effects(self.axes).columns.size > 0


@dataclass(frozen=True)
class Basis:
    """One assumption about how much values are alike.

    Behind the rows of the values may be rows of what is asked for besides: the mean of the whole grid, and it plus the
    weight of each column of the effects. These have nothing of their own.
    """

    columns: Array  # rows x columns
    rest: Array  # of the variance of each row, that the columns leave out
    single: Array  # by row: 1 of a value, 0 of what is asked for besides


def arrange(values: Sequence[VariantValue]) -> Layout:
    """Return the layout of some values of a plan; none is there twice.

    Values of several variables have an axis for each; if they are not all of the same variables, they have no order.
    """
    first = values[0]
    names: tuple[str, ...] = ("",)
    if (
        isinstance(first, dict)
        and first
        and all(isinstance(one, dict) and one.keys() == first.keys() for one in values)
    ):
        names = tuple(first)
        rows = [[one[name] for one in values if isinstance(one, dict)] for name in names]
    elif any(isinstance(one, dict) for one in values):
        return without_order(len(values))
    else:
        rows = [[one for one in values if not isinstance(one, dict)]]
    varied = [(name, row) for name, row in zip(names, rows, strict=True) if len({identity(one) for one in row}) > 1]
    return Layout(tuple(_axis(row) for _, row in varied), len(values), tuple(name for name, _ in varied))


def explained(layout: Layout) -> Layout:
    """Return the layout of a grid with what tells the effects of its axes, where its own points do not.

    These are the missing points, or where there are too many the rows of the effects.
    """
    levels = [np.unique(np.frombuffer(places)) for _, places in layout.axes]
    size = prod(map(len, levels))
    if len(levels) < 2 or len(layout) == size:  # noqa: PLR2004 - a grid
        return layout
    if size > MOST_COMPLETED:
        return replace(layout, is_explained=True)
    known = np.array([np.frombuffer(places) for _, places in layout.axes]).T
    there = set(map(tuple, known.tolist()))
    missing = [point for point in product(*(row.tolist() for row in levels)) if point not in there]
    every = np.concatenate([known, missing])
    rows = [
        (ordered, np.ascontiguousarray(row).tobytes()) for (ordered, _), row in zip(layout.axes, every.T, strict=True)
    ]
    return replace(layout, axes=tuple(rows))


def without_order(count: int) -> Layout:
    """Return the layout of so many values of which none is nearer than another."""
    return Layout(((False, np.arange(count, dtype=np.float64).tobytes()),), count)


def bases(layout: Layout) -> list[Basis]:
    """Return a basis for each assumption about how near values are alike; none if nothing is known to be near."""
    return list(_bases(layout)) if layout.has_neighbours else []


def basis_of_effects(layout: Layout, scales: Array | None = None) -> Basis:
    """Return the columns of the effects of several axes, each as large as its scale says."""
    columns = effects(layout.axes).columns
    besides = [np.zeros((1, columns.shape[1])), np.eye(columns.shape[1])] if layout.is_explained else []
    rows = np.concatenate([columns, *besides]) * (1.0 if scales is None else scales)
    return Basis(rows, np.zeros(len(rows)), _single(layout))


def bases_of_effects(layout: Layout) -> list[Basis]:
    """Return some assumptions about the effects of several axes; none where there are fewer.

    All axes matter as much, over two lengths, or one of them more than others.
    """
    if not layout.has_effects:
        return []
    found, count = effects(layout.axes), len(layout.axes)
    strengths = np.concatenate([np.ones((2, count)), np.where(np.eye(count, dtype=bool), 1.0, LESS)])
    lengths = np.array([*LENGTHS_OF_EFFECTS, *[LENGTH] * count])
    variances = found.variances(strengths, np.full(len(lengths), TOGETHER), lengths)
    variances /= variances.sum(axis=1, keepdims=True)
    return [basis_of_effects(layout, np.sqrt(row)) for row in variances]


def without_likeness(layout: Layout) -> Basis:
    """Return the basis of the assumption that no value tells of any other."""
    single = _single(layout)
    return Basis(np.zeros((len(single), 0)), np.zeros(len(single)), single)


def step_bases(layout: Layout) -> list[Basis]:
    """Return a basis for each place at which the curve may break off along an axis of numbers; none of words."""
    return list(_step_bases(layout))


def _single(layout: Layout) -> Array:
    besides = 1 + effects(layout.axes).columns.shape[1] if layout.is_explained else 0
    return np.concatenate([np.ones(layout.rows), np.zeros(besides)])


def _axis(row: list[Scalar]) -> tuple[bool, bytes]:
    numbers = [one for one in row if is_number(one) and abs(one) <= LARGEST]
    if len(numbers) == len(row):
        places = np.array(numbers, np.float64)
        different = set(numbers)
        if len(np.unique(places)) < len(different):  # seeds of 64 bits, which are more than such numbers tell apart
            rank = {one: at for at, one in enumerate(sorted(different))}
            places = np.array([rank[one] for one in numbers], np.float64)
        return True, places.tobytes()
    known: dict[object, int] = {}
    return False, np.array([known.setdefault(identity(one), len(known)) for one in row], np.float64).tobytes()


@lru_cache(maxsize=KEPT)
def _bases(layout: Layout) -> tuple[Basis, ...]:
    is_grid = len(layout.axes) > 1
    choices = [
        _numbers(np.frombuffer(places), is_grid=is_grid) if ordered else [_words(np.frombuffer(places))]
        for ordered, places in layout.axes
    ]
    if len(layout.axes) < SEVERAL:
        return tuple(_crossed(layout, parts) for parts in product(*choices))
    most = max(len(parts) for parts in choices)  # the length is the same along all axes: else there are too many
    return tuple(_crossed(layout, [parts[at % len(parts)] for parts in choices]) for at in range(most))


@lru_cache(maxsize=KEPT)
def _step_bases(layout: Layout) -> tuple[Basis, ...]:
    rows = [(ordered, len(np.unique(np.frombuffer(places)))) for ordered, places in layout.axes]
    plain = [np.ones((size, 1)) for _, size in rows]
    sides = []
    for axis, (ordered, size) in enumerate(rows):
        if ordered and size >= LEAST_VALUES:
            steps = np.linspace(1, size - 1, MOST_STEPS // len(rows)).round().astype(np.intp)
            for step in np.unique(steps):
                side = np.where(np.arange(size) < step, -1.0, 1.0)[:, None]
                sides.append([*plain[:axis], np.sqrt(STEP) * side, *plain[axis + 1 :]])
    if not sides:
        return ()
    parts = [
        _curve(np.linspace(0, 1, size), STEP_LENGTH) if ordered else _words(np.arange(size, dtype=np.float64))
        for ordered, size in rows
    ]
    curve = np.sqrt(1 - STEP) * _rows(layout, parts)
    return tuple(_basis(layout, np.column_stack([curve, _rows(layout, side)])) for side in sides)


def _numbers(row: Array, *, is_grid: bool) -> list[Array]:
    """Return the columns of the values of an axis of numbers, for each length over which they may be alike."""
    sizes = np.unique(row)
    even = np.linspace(0, 1, len(sizes))
    scaled = sizes / np.abs(sizes).max()  # the difference of huge numbers would not be finite
    by_size = (scaled - scaled[0]) / (scaled[-1] - scaled[0])
    scales = [even] if is_grid or np.abs(by_size - even).max() < EVEN else [even, by_size]
    lengths = LENGTHS_OF_GRID if is_grid else LENGTHS
    return [_curve(scale, length) for scale in scales for length in lengths]


def _curve(scale: Array, length: float) -> Array:
    """Return the columns of Matern's covariance, carried by some of the places where there are many."""
    knots = scale[np.unique(np.linspace(0, len(scale) - 1, KNOTS).round().astype(np.intp))]
    return _columns(_matern(knots, knots, length), _matern(scale, knots, length))


def _words(row: Array) -> Array:
    """Return the columns of the values of an axis of words: a part is shared by all, and a part is each word's own."""
    alike = SHARED + (1 - SHARED) * np.eye(len(np.unique(row)))
    return _columns(alike, alike)


def _matern(one: Array, other: Array, length: float) -> Array:
    far = np.sqrt(5) / length * np.abs(one[:, None] - other)
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far), np.float64)


def _columns(knots: Array, across: Array) -> Array:
    """Return the columns of a covariance from that of some places, and that of all places with these."""
    sizes, axes = np.linalg.eigh(knots)
    kept = sizes > NEGLIGIBLE * sizes[-1]
    return np.asarray((across @ axes[:, kept] / np.sqrt(sizes[kept]))[:, ::-1], np.float64)


def _crossed(layout: Layout, parts: Sequence[Array]) -> Basis:
    """Return the products of the columns of all axes, without those that hardly matter."""
    return _basis(layout, _rows(layout, parts))


def _rows(layout: Layout, parts: Sequence[Array]) -> Array:
    """Return the products of the columns of the values of all axes, values x columns."""
    count = layout.rows
    columns = np.ones((len(_single(layout)), 1))
    for axis, ((_, places), part) in enumerate(zip(layout.axes, parts, strict=True)):
        place = np.unique(np.frombuffer(places), return_inverse=True)[1]
        besides = [effects(layout.axes).averages(axis) @ part] if layout.is_explained else []
        columns = _products(columns, np.concatenate([part[place], *besides]), count)
    return columns


def _basis(layout: Layout, columns: Array) -> Basis:
    count = layout.rows
    columns = columns[:, _largest((columns[:count] ** 2).sum(axis=0))]
    columns[count + 1 :] += columns[count : count + 1]
    rest = np.zeros(len(columns))
    rest[:count] = np.clip(1 - (columns[:count] ** 2).sum(axis=1), 0, 1)
    return Basis(columns, rest, _single(layout))


def _products(some: Array, others: Array, count: int) -> Array:
    """Return the products of columns that matter; of words there may be too many to have them all at once."""
    sizes = np.array([((one * others[:count]) ** 2).sum(axis=0) for one in some.T[:, :count, None]])
    one, other = np.divmod(_largest(sizes.ravel()), others.shape[1])
    return np.asarray(some[:, one] * others[:, other], np.float64)


def _largest(sizes: Array) -> NDArray[np.intp]:
    """Return which columns matter, by their sizes: the sums of their squares over all values."""
    largest = np.argsort(-sizes, kind="stable")[:MOST_COLUMNS]
    return np.asarray(largest[sizes[largest] > NEGLIGIBLE * sizes.max()], np.intp)
