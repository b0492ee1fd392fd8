"""The belief about values that comes from preferences: which of two pictures is better.

The Bradley-Terry model with ties after Davidson (On Extending the Bradley-Terry Model to Accommodate Ties in Paired
Comparison Experiments, JASA 65, 1970). With u the worth of a value, the outcomes "a", "b" and "tie" have chances in
proportion to exp(u_a), exp(u_b) and exp(c + (u_a + u_b) / 2). The worths are normal around 0, and alike where values
lie near each other, as scores are (`scores`); their standard deviation has a half-Cauchy prior, and all assumptions are
summed over a grid. c has a standard normal prior. The likelihood is log-concave, so Newton's method finds the one best
point of each assumption, and the curvature there gives the normal distribution that stands for the posterior, and its
weight (Laplace's approximation).

Under several blocks, such as prompts, the worth of a value is another one in each block, by a part that has its own
standard deviation: more answers about one prompt tell more and more of that prompt, and no more of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.belief import Array, Belief, Part, mixed, weigh
from learning_service.recommendation.layout import Basis, Layout, bases
from learning_service.recommendation.scores import ROUGH, STRUCTURE

DEVIATIONS: Final = np.geomspace(0.25, 4, 5)  # of the worths, in units in which 1 is odds of 2.7 to 1
CROSSED: Final = np.geomspace(0.25, 4, 3)  # of what a block adds to the worth of a value, in the same units
TIE_DEVIATION: Final = 1.0  # of c before any preference: around as many ties as wins of either
STEP_LIMIT: Final = 2.0  # of a Newton step, that far from the best point is still towards it
PRECISION: Final = 1e-6  # of a step; the next one would be about its square
ITERATIONS: Final = 100
MANY: Final = 150  # cells; of more, the time for all assumptions would be seconds, as it grows with their cube
AT_ONCE: Final = 1_000_000  # numbers in the matrices of the assumptions that are fitted together: 0.1 GB in all


@dataclass(frozen=True)
class _Assumption:
    """Worths are the columns times standard normal numbers, plus a part of each value, and of each cell, on its own."""

    columns: Array  # values x columns
    own: Array  # values: standard deviations
    crossed: float  # standard deviation of what a block adds to a value
    log_prior: float

    def covariance(self, places: NDArray[np.intp]) -> Array:
        """Return the prior covariance of cells of some values."""
        columns, own = self.columns[places], self.own[places] ** 2
        alone = np.where(places[:, None] == places, own, 0.0) + self.crossed**2 * np.eye(len(places))
        return np.asarray(columns @ columns.T + alone, np.float64)


@dataclass(frozen=True)
class Tally:
    """Answers added up. A cell is a value, or where there are several blocks a value in one of them."""

    values: NDArray[np.intp]  # the place of the value of each cell; each cell was compared
    wins: Array  # cells x cells: how often the one was preferred to the other
    ties: Array  # the same, symmetric
    has_blocks: bool = False

    def looks(self, count: int) -> Array:
        """Return how often each of so many values was compared."""
        met = (self.wins + self.wins.T + self.ties).sum(axis=1)
        return np.bincount(self.values, met, count).astype(np.float64)


def tally(preferences: Sequence[Preference], places: Mapping[int, int], blocks: int = 1) -> Tally:
    """Add up answers about the variants that have a place; repeat `r` is one of block `r % blocks`.

    If all are about one block, which says nothing of others, there are none.
    """
    known = [one for one in preferences if one.left.variant_index in places and one.right.variant_index in places]
    sides = [(one.left, one.right) for one in known]
    if len({side.repeat_index % max(1, blocks) for pair in sides for side in pair}) < 2:  # noqa: PLR2004 - see above
        blocks = 1
    pairs = [tuple((places[side.variant_index], side.repeat_index % blocks) for side in pair) for pair in sides]
    cells = {cell: at for at, cell in enumerate(sorted({cell for pair in pairs for cell in pair}))}
    wins, ties = np.zeros((2, len(cells), len(cells)))
    for one, (left, right) in zip(known, pairs, strict=True):
        winner, loser = (cells[right], cells[left]) if one.outcome == "right" else (cells[left], cells[right])
        if one.outcome in ("left", "right"):
            wins[winner, loser] += 1
        else:
            ties[winner, loser] += 1
            ties[loser, winner] += 1
    return Tally(np.array([place for place, _ in cells], np.intp), wins, ties, has_blocks=blocks > 1)


def believe_preferences(layout: Layout, seen: Tally) -> Belief:
    """Return the belief about all values of a layout from answers, of which there is at least one."""
    crossings = CROSSED if seen.has_blocks else np.zeros(1)
    assumptions = _assumptions(layout, crossings, every=1 if len(seen.values) <= MANY else 2)
    at_once = max(1, AT_ONCE // len(seen.values) ** 2)
    fits = [
        _fit(np.array([one.covariance(seen.values) for one in assumptions[at : at + at_once]]), seen.wins, seen.ties)
        for at in range(0, len(assumptions), at_once)
    ]
    points, log_weights = (np.concatenate(columns) for columns in zip(*fits, strict=True))
    log_weights += [one.log_prior for one in assumptions]
    kept, weights = weigh(log_weights)
    chosen = np.flatnonzero(kept)
    parts = [
        _explain(assumptions[at], seen, points[at], float(weight)) for at, weight in zip(chosen, weights, strict=True)
    ]
    tied = 1 / (1 + 2 * np.exp(-points[chosen, -1]))
    return mixed(parts, looked=2 / float(weights @ (1 - tied)), dof=np.inf)


def share_won(worth: Array) -> Array:
    """Return how often a value of this worth is preferred to one of mean worth, leaving ties out."""
    return np.asarray(expit(worth), np.float64)


def _assumptions(layout: Layout, crossings: Array, every: int) -> list[_Assumption]:
    """Return all assumptions: neighbours are alike, over one of some lengths, or each value is on its own.

    If `every` is 2, every second length, share and deviation is left out.
    """
    smooth, rough = bases(layout)[::every], ROUGH[::every]
    alone = Basis(np.zeros((len(layout), 0)), np.zeros(len(layout)))
    shares = [(basis, share, STRUCTURE / len(smooth) / len(rough)) for basis in smooth for share in rough]
    return [
        _Assumption(
            columns=deviation * np.sqrt(1 - share) * basis.columns,
            own=deviation * np.sqrt(share + (1 - share) * basis.rest),
            crossed=crossed,
            log_prior=float(np.log(chance * _half_cauchy(deviation) * (_half_cauchy(crossed) if crossed else 1.0))),
        )
        for basis, share, chance in [*shares, (alone, 1.0, 1 - STRUCTURE if smooth else 1.0)]
        for deviation in DEVIATIONS[::every]
        for crossed in crossings
    ]


def _half_cauchy(deviation: float) -> float:
    """Return the density of a half-Cauchy deviation for each step of its logarithm."""
    return deviation / (1 + deviation**2)


def _fit(priors: Array, wins: Array, ties: Array) -> tuple[Array, Array]:
    """Return the likeliest worths and c of each assumption, and the logarithm of its evidence."""
    precisions = np.zeros((len(priors), len(wins) + 1, len(wins) + 1))
    precisions[:, :-1, :-1] = np.linalg.inv(priors)
    precisions[:, -1, -1] = TIE_DEVIATION**-2
    points = np.zeros(precisions.shape[:2])
    for _ in range(ITERATIONS):
        gradient, curvature = _slopes(points, wins, ties)
        downhill = gradient - (precisions @ points[:, :, None])[:, :, 0]
        steps = np.linalg.solve(curvature + precisions, downhill[:, :, None])[:, :, 0]
        largest = np.abs(steps).max(axis=1, keepdims=True)
        points += steps * np.minimum(1.0, STEP_LIMIT / np.maximum(largest, PRECISION))
        if largest.max() < PRECISION:
            break
    precision = _slopes(points, wins, ties)[1] + precisions
    penalty = (points[:, None, :] @ precisions @ points[:, :, None])[:, 0, 0]
    evidence = (
        _log_likelihood(points, wins, ties) - (penalty + _log_determinants(priors) + _log_determinants(precision)) / 2
    )
    return points, evidence


def _log_determinants(matrices: Array) -> Array:
    """Return those of positive definite matrices; `slogdet` would keep all other threads waiting meanwhile."""
    factors = np.diagonal(np.linalg.cholesky(matrices), axis1=1, axis2=2)
    return np.asarray(2 * np.log(factors).sum(axis=1), np.float64)


def _explain(assumption: _Assumption, seen: Tally, point: Array, weight: float) -> Part:
    """Return what an assumption says of all values, around the mean of those that were compared.

    `point` are the likeliest worths of the cells, and c. The causes are the columns, and the own parts of values and
    cells that were compared; those of cells are no part of a value.
    """
    columns, own, compared = assumption.columns, assumption.own, np.unique(seen.values)
    curvature = _slopes(point[None], seen.wins, seen.ties)[1][0]
    start = columns.shape[1] + len(compared)
    causes = np.zeros((len(own), start + (len(seen.values) if assumption.crossed else 0)))
    causes[:, : columns.shape[1]] = columns
    causes[compared, columns.shape[1] + np.arange(len(compared))] = own[compared]
    of_cells = causes[seen.values]
    if assumption.crossed:
        of_cells[:, start:] = assumption.crossed * np.eye(len(seen.values))
    told = curvature[:-1, :-1] - np.outer(curvature[:-1, -1], curvature[:-1, -1]) / (
        curvature[-1, -1] + TIE_DEVIATION**-2
    )
    means = causes @ (of_cells.T @ np.linalg.solve(of_cells @ of_cells.T, point[:-1]))
    precision = np.eye(causes.shape[1]) + of_cells.T @ told @ of_cells
    factors = causes @ np.linalg.inv(np.linalg.cholesky(precision)).T
    left = own.copy()
    left[compared] = 0.0
    return Part(weight, means - means[compared].mean(), factors - factors[compared].mean(axis=0), left)


def _chances(points: Array) -> tuple[Array, Array]:
    """Return the chances of a win and of a tie, of each value against each."""
    gap = (points[:, :-1, None] - points[:, None, :-1]) / 2
    utilities = np.stack(np.broadcast_arrays(gap, -gap, points[:, -1, None, None]))
    utilities -= utilities.max(axis=0)
    odds = np.exp(utilities)
    odds /= odds.sum(axis=0)
    return odds[0], odds[2]


def _slopes(points: Array, wins: Array, ties: Array) -> tuple[Array, Array]:
    """Return gradient and negative second derivatives of the log likelihood, by worths and c."""
    win, tie = _chances(points)
    met = wins + wins.T + ties
    half = win + tie / 2
    lean = (ties - met * tie).sum(axis=(1, 2)) / 2
    gradient = np.concatenate([(wins + ties / 2 - met * half).sum(axis=2), lean[:, None]], axis=1)
    spread = met * (win + tie / 4 - half**2)
    joint = (met * tie * (0.5 - half)).sum(axis=2)
    size = points.shape[1]
    curvature = np.empty((len(points), size, size))
    curvature[:, :-1, :-1] = -spread
    inner = np.arange(size - 1)
    curvature[:, inner, inner] += spread.sum(axis=2)
    curvature[:, -1, :-1] = curvature[:, :-1, -1] = joint
    curvature[:, -1, -1] = (met * tie * (1 - tie)).sum(axis=(1, 2)) / 2
    return gradient, curvature


def _log_likelihood(points: Array, wins: Array, ties: Array) -> Array:
    win, tie = _chances(points)
    return np.asarray((wins * np.log(win)).sum(axis=(1, 2)) + (ties * np.log(tie)).sum(axis=(1, 2)) / 2, np.float64)
