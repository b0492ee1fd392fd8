"""The effects of several axes: of each one by itself, and of each two together.

Along an axis an effect is a sum of cosines over the places of its values (the discrete cosine transform), each with a
mean of 0 and a mean square of 1; the effect of two axes together is a sum of their products. Over the whole grid all
these columns are orthogonal, so the squares of their weights are shares of the variance: the decomposition of ANOVA,
whichever points of the grid are there. How large each cosine is expected to be follows from the spectral density of
Matern's covariance (Solin and Särkkä, Hilbert space methods for reduced-rank Gaussian process regression, 2020). So the
length over which values are alike, how much each axis matters, and how much they depend on each other change the
variances of the columns and nothing else. Words have no order: all cosines of their axis are expected to be as large.
They are there together or not at all: of very many words all is left to the rough part.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning_service.recommendation.belief import Array

LENGTH: Final = 0.4  # of an axis, over which values are alike in the middle of all assumptions
TOGETHER: Final = 0.5  # deviation of what two axes do together, to that of what each does
HIGHEST: Final = 24  # cosine of an axis of numbers; what is beyond is left to the rough part
MOST_COLUMNS: Final = 128  # with those of pairs,
MOST_ALONE: Final = 256  # and without
SMALLEST: Final = 1e-4  # of the largest column
DIGITS: Final = 9  # to which columns of the same size are the same

Places = NDArray[np.intp]


class Axis(NamedTuple):
    """The places of the values on an axis, as whole numbers from 0 on."""

    ordered: bool
    places: Places
    size: int


@dataclass(frozen=True)
class Effects:
    """The columns of the effects, and of which axis or axes each is: `other` is -1 where it is of one."""

    columns: Array  # values x columns
    axes: tuple[Axis, ...]
    one: Places
    other: Places
    frequency: Places  # from 1 on, along `one`
    frequency_of_other: Places

    def variances(self, strengths: Array, together: Array, lengths: Array) -> Array:
        """Return the variance of each column, by assumption.

        `strengths` are the deviations of the effects of each axis, assumptions x axes; `together` is the deviation of
        what two axes do together, to the mean (the geometric one) of theirs; `lengths` are in shares of an axis.
        """
        spectra = [_spectrum(axis, lengths) for axis in self.axes]
        every = np.arange(len(lengths))
        found = np.empty((len(lengths), len(self.one)))
        for at, (one, other) in enumerate(zip(self.one, self.other, strict=True)):
            share = spectra[one][every, self.frequency[at] - 1]
            if other < 0:
                found[:, at] = strengths[:, one] ** 2 * share
            else:
                share = share * spectra[other][every, self.frequency_of_other[at] - 1]
                found[:, at] = together**2 * strengths[:, one] * strengths[:, other] * share
        return found

    def averages(self, axis: int) -> Array:
        """Return how the values of an axis count in the mean of the grid, and in the weight of each column."""
        table, size = cosines(self.axes[axis]), self.axes[axis].size
        found = np.ones((1 + len(self.one), size)) / size
        for column in np.flatnonzero((self.one == axis) | (self.other == axis)):
            turn = self.frequency[column] if self.one[column] == axis else self.frequency_of_other[column]
            found[1 + column] *= table[:, turn - 1]
        return found

    def of_axis(self, axis: int) -> NDArray[np.bool_]:
        """Return which columns are of an axis alone."""
        return np.asarray((self.one == axis) & (self.other < 0))

    def of_pair(self, one: int, other: int) -> NDArray[np.bool_]:
        """Return which columns are of these two axes together; `one` comes first."""
        return np.asarray((self.one == one) & (self.other == other))


def cosines(axis: Axis) -> Array:
    """Return the columns of an axis by its places, without those that are left to the rough part."""
    turns = np.arange(axis.size)[:, None] + 0.5
    found = np.sqrt(2) * np.cos(np.pi / axis.size * turns * np.arange(1, _highest(axis) + 1))
    return np.asarray(found, np.float64)


@lru_cache(maxsize=4)
def effects(axes: tuple[tuple[bool, bytes], ...]) -> Effects:
    """Return the effects of the axes of a layout, of which there are several.

    Columns of one size are there together or not at all, so that no axis and no word is preferred to others.
    """
    arranged = tuple(_arranged(ordered, places) for ordered, places in axes)
    usual = [_spectrum(axis, np.array([LENGTH]))[0] for axis in arranged]
    alone = [(axis, -1, turn + 1, 0, share) for axis, row in enumerate(usual) for turn, share in enumerate(row)]
    equal = [1 if axis.ordered else len(row) for axis, row in zip(arranged, usual, strict=True)]
    pairs = [
        (one, other, turn + 1, turn_of_other + 1, TOGETHER**2 * share * share_of_other)
        for one, other in combinations(range(len(arranged)), 2)
        if equal[one] * equal[other] <= MOST_COLUMNS  # else there is no room for them, and there may be millions
        for turn, share in enumerate(usual[one])
        for turn_of_other, share_of_other in enumerate(usual[other])
    ]
    kept = _largest(alone, MOST_ALONE)
    kept += _largest(pairs, MOST_COLUMNS - len(kept))
    rows = [cosines(axis)[axis.places] for axis in arranged]
    columns = [
        rows[one][:, turn - 1] * (rows[other][:, turn_of_other - 1] if other >= 0 else 1.0)
        for one, other, turn, turn_of_other, _ in kept
    ]
    one, other, turn, turn_of_other = (np.array([part[at] for part in kept], np.intp) for at in range(4))
    count = len(arranged[0].places)
    return Effects(
        columns=np.column_stack(columns) if columns else np.zeros((count, 0)),
        axes=arranged,
        one=one,
        other=other,
        frequency=turn,
        frequency_of_other=turn_of_other,
    )


def _arranged(ordered: bool, places: bytes) -> Axis:
    sizes, place = np.unique(np.frombuffer(places), return_inverse=True)
    return Axis(ordered, place, len(sizes))


def _highest(axis: Axis) -> int:
    if axis.ordered:
        return min(axis.size - 1, HIGHEST)
    return axis.size - 1 if axis.size <= MOST_ALONE else 0


def _spectrum(axis: Axis, lengths: Array) -> Array:
    """Return the share of each cosine of an axis in the variance of its effect, assumptions x cosines."""
    turns = np.pi * np.arange(1, _highest(axis) + 1)
    if not axis.ordered:
        return np.full((len(lengths), len(turns)), 1 / max(1, len(turns)))
    density = (5 / lengths[:, None] ** 2 + turns**2) ** -3.0
    return np.asarray(density / density.sum(axis=1, keepdims=True), np.float64)


def _largest(columns: list[tuple[int, int, int, int, float]], most: int) -> list[tuple[int, int, int, int, float]]:
    """Return the largest of some columns, and all of the same size with each."""
    if not columns:
        return []
    sizes = np.array([round(column[-1], DIGITS) for column in columns])
    known = np.unique(sizes[sizes >= SMALLEST * sizes.max()])
    least = [size for size in known if np.count_nonzero(sizes >= size) <= most]
    return [column for column, size in zip(columns, sizes, strict=True) if size >= least[0]] if least else []
