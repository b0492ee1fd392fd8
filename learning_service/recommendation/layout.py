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
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np

from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.values import identity
from learning_service.recommendation.belief import LARGEST, Array

LENGTHS: Final = (0.1, 0.2, 0.4, 0.8)  # over which values are alike, in shares of an axis
LENGTHS_OF_GRID: Final = (0.15, 0.35, 0.8)  # of each of two axes
SHARED: Final = 0.5  # of the effect of one axis, between two words of another
EVEN: Final = 1e-6  # of an axis, by which equal steps may differ
KNOTS: Final = 48  # places of an axis that carry its curve; others are interpolated
NEGLIGIBLE: Final = 1e-4  # of the largest part of a basis
MOST_COLUMNS: Final = 96
KEPT: Final = 4  # layouts whose columns are not made anew: of 2,000 values on a grid these are 14 MB
STEP: Final = 0.64  # of the variance of values whose curve breaks off
STEP_LENGTH: Final = 0.5
MOST_STEPS: Final = 24  # on all axes together
LEAST_VALUES: Final = 4  # of an axis on which a step is told from a curve


@dataclass(frozen=True)
class Layout:
    """The places of the values on each axis, 0..1; for words these are numbers that only tell them apart."""

    axes: tuple[tuple[bool, bytes], ...]  # is it in order?; one float for each value
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def has_neighbours(self) -> bool:
        """Return whether some values are nearer than others, as all are but those on a lone axis of words."""
        return len(self.axes) > 1 or any(ordered for ordered, _ in self.axes)


@dataclass(frozen=True)
class Basis:
    """One assumption about how much values are alike."""

    columns: Array  # values x columns
    rest: Array  # of the variance of each value, that the columns leave out


def arrange(values: Sequence[VariantValue]) -> Layout:
    """Return the layout of some values of a plan; none is there twice.

    Values of several variables have an axis for each; if they are not all of the same variables, they have no order.
    """
    first = values[0]
    if (
        isinstance(first, dict)
        and first
        and all(isinstance(one, dict) and one.keys() == first.keys() for one in values)
    ):
        rows = [[one[name] for one in values if isinstance(one, dict)] for name in first]
    elif any(isinstance(one, dict) for one in values):
        return without_order(len(values))
    else:
        rows = [[one for one in values if not isinstance(one, dict)]]
    varied = [row for row in rows if len({identity(one) for one in row}) > 1]
    return Layout(tuple(_axis(row) for row in varied), len(values))


def without_order(count: int) -> Layout:
    """Return the layout of so many values of which none is nearer than another."""
    return Layout(((False, np.arange(count, dtype=np.float64).tobytes()),), count)


def bases(layout: Layout) -> list[Basis]:
    """Return a basis for each assumption about how near values are alike; none if nothing is known to be near."""
    return list(_bases(layout)) if layout.has_neighbours else []


def step_bases(layout: Layout) -> list[Basis]:
    """Return a basis for each place at which the curve may break off along an axis of numbers; none of words."""
    return list(_step_bases(layout))


def _axis(row: list[Scalar]) -> tuple[bool, bytes]:
    numbers = [float(one) for one in row if _is_number(one)]
    if len(numbers) == len(row):
        return True, np.array(numbers).tobytes()
    known: dict[object, int] = {}
    return False, np.array([known.setdefault(identity(one), len(known)) for one in row], np.float64).tobytes()


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


@lru_cache(maxsize=KEPT)
def _bases(layout: Layout) -> tuple[Basis, ...]:
    is_grid = len(layout.axes) > 1
    choices = [
        _numbers(np.frombuffer(places), is_grid=is_grid) if ordered else [_words(np.frombuffer(places))]
        for ordered, places in layout.axes
    ]
    return tuple(_crossed(parts) for parts in product(*choices))


@lru_cache(maxsize=KEPT)
def _step_bases(layout: Layout) -> tuple[Basis, ...]:
    rows = [(ordered, *np.unique(np.frombuffer(places), return_inverse=True)) for ordered, places in layout.axes]
    sides = []
    for ordered, sizes, place in rows:
        if ordered and len(sizes) >= LEAST_VALUES:
            steps = np.linspace(1, len(sizes) - 1, MOST_STEPS // len(rows)).round().astype(np.intp)
            sides += [np.where(place < step, -1.0, 1.0) for step in np.unique(steps)]
    if not sides:
        return ()
    parts = [
        _curve(np.linspace(0, 1, len(sizes)), STEP_LENGTH)[place] if ordered else _words(place.astype(np.float64))
        for ordered, sizes, place in rows
    ]
    curve = np.sqrt(1 - STEP) * _crossed(parts).columns
    return tuple(_crossed([np.column_stack([curve, np.sqrt(STEP) * side])]) for side in sides)


def _numbers(row: Array, *, is_grid: bool) -> list[Array]:
    """Return the columns of an axis of numbers, for each length over which they may be alike."""
    sizes, place = np.unique(row, return_inverse=True)
    even = np.linspace(0, 1, len(sizes))
    scaled = sizes / np.abs(sizes).max()  # the difference of huge numbers would not be finite
    by_size = (scaled - scaled[0]) / (scaled[-1] - scaled[0])
    scales = [even] if is_grid or np.abs(by_size - even).max() < EVEN else [even, by_size]
    lengths = LENGTHS_OF_GRID if is_grid else LENGTHS
    return [_curve(scale, length)[place] for scale in scales for length in lengths]


def _curve(scale: Array, length: float) -> Array:
    """Return the columns of Matern's covariance, carried by some of the places where there are many."""
    knots = scale[np.unique(np.linspace(0, len(scale) - 1, KNOTS).round().astype(np.intp))]
    return _columns(_matern(knots, knots, length), _matern(scale, knots, length))


def _words(row: Array) -> Array:
    """Return the columns of an axis of words: a part is shared by all, and a part is each word's own."""
    place = np.unique(row, return_inverse=True)[1]
    alike = SHARED + (1 - SHARED) * np.eye(int(place.max()) + 1)
    return _columns(alike, alike)[place]


def _matern(one: Array, other: Array, length: float) -> Array:
    far = np.sqrt(5) / length * np.abs(one[:, None] - other)
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far), np.float64)


def _columns(knots: Array, across: Array) -> Array:
    """Return the columns of a covariance from that of some places, and that of all places with these."""
    sizes, axes = np.linalg.eigh(knots)
    kept = sizes > NEGLIGIBLE * sizes[-1]
    return np.asarray((across @ axes[:, kept] / np.sqrt(sizes[kept]))[:, ::-1], np.float64)


def _crossed(parts: Sequence[Array]) -> Basis:
    """Return the products of the columns of all axes, without those that hardly matter."""
    columns = parts[0]
    for part in parts[1:]:
        columns = (columns[:, :, None] * part[:, None, :]).reshape(len(columns), -1)
    sizes = (columns**2).sum(axis=0)
    largest = np.argsort(-sizes, kind="stable")[:MOST_COLUMNS]
    columns = columns[:, largest[sizes[largest] > NEGLIGIBLE * sizes.max()]]
    return Basis(columns, np.clip(1 - (columns**2).sum(axis=1), 0, 1))
