"""The fit of preferences among many values, of which few pairs were compared; `preferences` says what is fitted.

The unknowns are the worths, the weights of the columns, and c, so that the precision of the worths is as sparse as the
pairs that were compared, within a border of a few dozen columns. Only assumptions near the likeliest ones are looked
at: over the standard deviation of the worths the evidence has one peak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from learning_service.recommendation.belief import NEGLIGIBLE, Array, Part, weigh
from learning_service.recommendation.worths import TIE_DEVIATION, Assumption, Tally

STEP_LIMIT: Final = 2.0  # of a Newton step, that far from the best point is still towards it
PRECISION: Final = 0.01  # of the last step; the next one would be about its square
ITERATIONS: Final = 30
BLOCK: Final = 64  # of a triangular matrix that is inverted at once


@dataclass(frozen=True)
class Duels:
    """Pairs of places that were compared, each once, and how often with which outcome.

    The last places are the values that were compared. Where there are several blocks, the cells are before them, and
    each is linked to its value.
    """

    one: NDArray[np.intp]
    other: NDArray[np.intp]
    won: Array
    lost: Array
    tied: Array
    links: tuple[NDArray[np.intp], NDArray[np.intp]]
    size: int

    @classmethod
    def of(cls, seen: Tally) -> Self:
        """Return the pairs of a tally."""
        one, other = np.nonzero(np.triu(seen.wins + seen.wins.T + seen.ties))
        outcomes = seen.wins[one, other], seen.wins[other, one], seen.ties[one, other]
        cells = np.arange(len(seen.values) if seen.has_blocks else 0)
        values, place = np.unique(seen.values, return_inverse=True)
        return cls(one, other, *outcomes, (cells, len(cells) + place[cells]), len(cells) + len(values))

    @cached_property
    def met(self) -> Array:
        """How often each pair was compared."""
        return self.won + self.lost + self.tied

    def chances(self, worths: Array, level: float) -> Array:
        """Return the chances of a win, a loss and a tie of each pair; `level` is c."""
        gap = (worths[self.one] - worths[self.other]) / 2
        utilities = np.stack([gap, -gap, np.full(len(gap), level)])
        odds = np.exp(utilities - utilities.max(axis=0))
        return np.asarray(odds / odds.sum(axis=0), np.float64)

    def balance(self, numbers: Array) -> Array:
        """Return sums for each place, of numbers that count for the one and against the other."""
        return _balance(self.one, self.other, numbers, self.size)

    def laplacian(self, weights: Array, link: float, diagonal: Array) -> csc_array:
        """Return the matrix of the weighted squares of the differences, plus a diagonal."""
        one, other = (np.concatenate(ends) for ends in zip((self.one, self.other), self.links, strict=True))
        weights, inner = np.concatenate([weights, np.full(len(self.links[0]), link)]), np.arange(self.size)
        sums = np.bincount(one, weights, self.size) + np.bincount(other, weights, self.size)
        data = np.concatenate([-weights, -weights, sums + diagonal])
        rows, columns = np.concatenate([one, other, inner]), np.concatenate([other, one, inner])
        return csc_array((data, (rows, columns)), shape=(self.size, self.size))


class _Point:
    """A point of an assumption, the curvature there, and the step of Newton's method from there.

    What is told of the best point is right if the step is short.
    """

    def __init__(self, assumption: Assumption, duels: Duels, worths: Array, level: float) -> None:
        cells = duels.size - len(assumption.own)
        columns = np.pad(assumption.columns, ((cells, 0), (0, 0)))
        own, link = np.pad(assumption.own**-2, (cells, 0)), assumption.crossed**-2 if cells else 0.0
        win, lose, tie = duels.chances(worths, level)
        half, tied = win + tie / 2, duels.met * tie
        scaled = own[:, None] * columns
        smooth = np.eye(columns.shape[1]) + columns.T @ scaled
        weights = np.linalg.solve(smooth, scaled.T @ worths)
        self.inner = duels.laplacian(duels.met * (win + tie / 4 - half**2), link, own)
        self.border = np.column_stack([-scaled, duels.balance(tied * (0.5 - half))])
        self.corner = np.zeros((len(smooth) + 1,) * 2)
        self.corner[:-1, :-1] = smooth
        self.corner[-1, -1] = TIE_DEVIATION**-2 + float(tied @ (1 - tie))
        solver = splu(self.inner, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        behind = solver.solve(self.border)
        rest = self.corner - self.border.T @ behind
        left, crossed = worths - columns @ weights, worths[duels.links[0]] - worths[duels.links[1]]
        rise = duels.balance(duels.won + duels.tied / 2 - duels.met * half) - left * own
        rise -= _balance(*duels.links, link * crossed, duels.size)
        outer = np.append(np.zeros(len(weights)), (duels.tied - tied).sum() - level / TIE_DEVIATION**2)
        alone = solver.solve(rise)
        outer_step = np.linalg.solve(rest, outer - self.border.T @ alone)
        step = alone - behind @ outer_step
        self.longest = float(max(np.abs(step).max(), abs(outer_step[-1])))
        part = min(1.0, STEP_LIMIT / max(self.longest, PRECISION))
        self.worths, self.level = worths + part * step, level + part * float(outer_step[-1])
        self.weights = weights + part * outer_step[:-1]
        likelihood = duels.won @ np.log(win) + duels.lost @ np.log(lose) + duels.tied @ np.log(tie)
        penalty = left**2 @ own + link * crossed @ crossed + weights @ weights + (level / TIE_DEVIATION) ** 2
        spread = np.log(solver.U.diagonal()).sum() + 2 * np.log(np.diagonal(np.linalg.cholesky(rest))).sum()
        spread += 2 * (np.log(assumption.own).sum() + (cells * np.log(assumption.crossed) if cells else 0.0))
        gain = step @ rise + outer_step @ outer
        self.log_weight = float(likelihood - (penalty - gain + spread) / 2) + assumption.log_prior

    @property
    def tied(self) -> float:
        """The chance of a tie of two values that are alike."""
        return float(1 / (1 + 2 * np.exp(-self.level)))

    def explain(self, assumption: Assumption, compared: NDArray[np.intp], weight: float) -> Part:
        """Return what `assumption` says of all values; see `Part`."""
        size, columns = len(self.worths), assumption.columns
        sides = self.border[:, :-1]
        precision = np.block([[self.inner.toarray(), sides], [sides.T, self.corner[:-1, :-1]]])
        joint = self.border[:, -1]
        precision[:size, :size] -= np.outer(joint, joint) / self.corner[-1, -1]
        cells = size - len(compared)
        roots = _inverse(np.linalg.cholesky(precision)).T[cells:, cells:]  # what is left out is nought
        means, factors, left = columns @ self.weights, columns @ roots[len(compared) :], assumption.own.copy()
        means[compared], factors[compared], left[compared] = self.worths[cells:], roots[: len(compared)], 0.0
        return Part(weight, means - means[compared].mean(), factors - factors[compared].mean(axis=0), left)


def explain_many(families: Sequence[Sequence[Assumption]], seen: Tally) -> tuple[list[Part], Array]:
    """Return what is believed under each assumption that counts, and the chance of a tie of two values that are alike.

    The assumptions of a family are in the order of the standard deviation of the worths.
    """
    compared = np.unique(seen.values)
    found = _search(families, compared, Duels.of(seen))
    kept, weights = weigh(np.array([point.log_weight for _, point in found]))
    chosen = [one for one, is_kept in zip(found, kept, strict=True) if is_kept]
    parts = [point.explain(one, compared, float(weight)) for (one, point), weight in zip(chosen, weights, strict=True)]
    return parts, np.array([point.tied for _, point in chosen])


def _search(
    families: Sequence[Sequence[Assumption]], compared: NDArray[np.intp], duels: Duels
) -> list[tuple[Assumption, _Point]]:
    """Return the assumptions that may count, with their best points.

    In each family the search goes from the deviation that was best so far, up and then down, until it only falls.
    """
    found: list[tuple[Assumption, _Point]] = []
    best, start = -np.inf, len(families[0]) // 2
    for family in families:
        heights: dict[int, float] = {}
        for places in (range(start, len(family)), range(start - 1, -1, -1)):
            height = heights.get(start, np.inf)
            for place in places:
                if height < max(heights.values(), default=-np.inf) and height < best + np.log(NEGLIGIBLE):
                    break
                point = _climb(family[place].of(compared), duels, found[-1][1] if found else None)
                found.append((family[place], point))
                height = heights[place] = point.log_weight
                best = max(best, height)
        start = max(heights, key=heights.__getitem__) if best in heights.values() else start
    return found


def _climb(assumption: Assumption, duels: Duels, start: _Point | None) -> _Point:
    """Return the last point on the way to the best one of an assumption."""
    worths, level = (start.worths, start.level) if start else (np.zeros(duels.size), 0.0)
    point = _Point(assumption, duels, worths, level)
    for _ in range(ITERATIONS):
        if point.longest < PRECISION:
            break
        point = _Point(assumption, duels, point.worths, point.level)
    return point


def _inverse(lower: Array) -> Array:
    """Return the inverse of a lower triangular matrix, in parts: no step takes long."""
    size = len(lower)
    if size <= BLOCK:
        return np.asarray(np.linalg.inv(lower), np.float64)
    half = size // 2
    found = np.zeros_like(lower)
    found[:half, :half] = _inverse(lower[:half, :half])
    found[half:, half:] = _inverse(lower[half:, half:])
    found[half:, :half] = -(found[half:, half:] @ lower[half:, :half]) @ found[:half, :half]
    return found


def _balance(one: NDArray[np.intp], other: NDArray[np.intp], numbers: Array, size: int) -> Array:
    return np.asarray(np.bincount(one, numbers, size) - np.bincount(other, numbers, size), np.float64)
