"""The belief about values that comes from preferences: which of two pictures is better.

The Bradley-Terry model with ties after Davidson (On Extending the Bradley-Terry Model to Accommodate Ties in Paired
Comparison Experiments, JASA 65, 1970). With u the worth of a value, the outcomes "a", "b" and "tie" have chances in
proportion to exp(u_a), exp(u_b) and exp(c + (u_a + u_b) / 2). The worths are normal around 0, and alike where values
lie near each other, as scores are (`scores`); their standard deviation has a half-Cauchy prior, and all assumptions are
summed over a grid. c has a standard normal prior. The likelihood is log-concave, so Newton's method finds the one best
point of each assumption, and the curvature there gives the normal distribution that stands for the posterior, and its
weight (Laplace's approximation).
"""

from collections.abc import Sequence
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
TIE_DEVIATION: Final = 1.0  # of c before any preference: around as many ties as wins of either
STEP_LIMIT: Final = 2.0  # of a Newton step, that far from the best point is still towards it
PRECISION: Final = 1e-6  # of a step; the next one would be about its square
ITERATIONS: Final = 100
AT_ONCE: Final = 1_000_000  # numbers in the matrices of the assumptions that are fitted together: 0.1 GB in all


@dataclass(frozen=True)
class _Assumption:
    """Worths are the columns times standard normal numbers, plus a part of each value on its own."""

    columns: Array  # values x columns
    own: Array  # values: standard deviations
    log_prior: float

    def covariance(self, places: NDArray[np.intp]) -> Array:
        """Return the prior covariance of some values."""
        columns = self.columns[places]
        return np.asarray(columns @ columns.T + np.diag(self.own[places] ** 2), np.float64)


def tally(preferences: Sequence[Preference], variants: Sequence[int]) -> tuple[Array, Array]:
    """Return wins and ties of each variant against each other; comparisons with any other variant are left out."""
    places = {variant: place for place, variant in enumerate(variants)}
    wins, ties = np.zeros((2, len(variants), len(variants)))
    for one in preferences:
        left, right = places.get(one.left.variant_index), places.get(one.right.variant_index)
        if left is None or right is None:
            continue
        if one.outcome == "left":
            wins[left, right] += 1
        elif one.outcome == "right":
            wins[right, left] += 1
        else:
            ties[left, right] += 1
            ties[right, left] += 1
    return wins, ties


def believe_preferences(layout: Layout, wins: Array, ties: Array) -> Belief:
    """Return the belief about all values, of which `wins[a, b]` times a was preferred to b; `ties` is symmetric."""
    compared = np.flatnonzero((wins + wins.T + ties).any(axis=1))
    wins, ties = wins[np.ix_(compared, compared)], ties[np.ix_(compared, compared)]
    assumptions = _assumptions(layout)
    at_once = max(1, AT_ONCE // len(compared) ** 2)
    fits = [
        _fit(np.array([one.covariance(compared) for one in assumptions[start : start + at_once]]), wins, ties)
        for start in range(0, len(assumptions), at_once)
    ]
    points, log_weights = (np.concatenate(columns) for columns in zip(*fits, strict=True))
    log_weights += [one.log_prior for one in assumptions]
    kept, weights = weigh(log_weights)
    chosen = np.flatnonzero(kept)
    parts = [
        _explain(assumptions[place], compared, points[place, :-1], _curvature(points[place], wins, ties), float(weight))
        for place, weight in zip(chosen, weights, strict=True)
    ]
    tied = 1 / (1 + 2 * np.exp(-points[chosen, -1]))
    return mixed(parts, looked=2 / float(weights @ (1 - tied)), dof=np.inf)


def share_won(worth: Array) -> Array:
    """Return how often a value of this worth is preferred to one of mean worth, leaving ties out."""
    return np.asarray(expit(worth), np.float64)


def _assumptions(layout: Layout) -> list[_Assumption]:
    """Return all assumptions: neighbours are alike, over one of some lengths, or each value is on its own."""
    smooth = bases(layout)
    alone = Basis(np.zeros((len(layout), 0)), np.zeros(len(layout)))
    shares = [(basis, share, STRUCTURE / len(smooth) / len(ROUGH)) for basis in smooth for share in ROUGH]
    return [
        _Assumption(
            columns=deviation * np.sqrt(1 - share) * basis.columns,
            own=deviation * np.sqrt(share + (1 - share) * basis.rest),
            log_prior=float(np.log(chance * deviation) - np.log1p(deviation**2)),
        )
        for basis, share, chance in [*shares, (alone, 1.0, 1 - STRUCTURE if smooth else 1.0)]
        for deviation in DEVIATIONS
    ]


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
        _log_likelihood(points, wins, ties)
        - (penalty + np.linalg.slogdet(priors)[1] + np.linalg.slogdet(precision)[1]) / 2
    )
    return points, evidence


def _explain(
    assumption: _Assumption, compared: NDArray[np.intp], worths: Array, curvature: Array, weight: float
) -> Part:
    """Return what an assumption says of all values, around the mean of those that were compared.

    `curvature` is that of the likelihood. The causes are the columns and the own parts of what was compared.
    """
    columns, own = assumption.columns, assumption.own
    causes = np.zeros((len(own), columns.shape[1] + len(compared)))
    causes[:, : columns.shape[1]] = columns
    causes[compared, columns.shape[1] + np.arange(len(compared))] = own[compared]
    seen = causes[compared]
    told = curvature[:-1, :-1] - np.outer(curvature[:-1, -1], curvature[:-1, -1]) / (
        curvature[-1, -1] + TIE_DEVIATION**-2
    )
    means = causes @ (seen.T @ np.linalg.solve(seen @ seen.T, worths))
    precision = np.eye(causes.shape[1]) + seen.T @ told @ seen
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


def _curvature(point: Array, wins: Array, ties: Array) -> Array:
    """Return the negative second derivatives at the point of one assumption."""
    return np.asarray(_slopes(point[None], wins, ties)[1][0], np.float64)


def _log_likelihood(points: Array, wins: Array, ties: Array) -> Array:
    win, tie = _chances(points)
    return np.asarray((wins * np.log(win)).sum(axis=(1, 2)) + (ties * np.log(tie)).sum(axis=(1, 2)) / 2, np.float64)
