"""The belief about values that comes from preferences: which of two pictures is better.

The Bradley-Terry model with ties after Davidson (On Extending the Bradley-Terry Model to Accommodate Ties in Paired
Comparison Experiments, JASA 65, 1970). With u the worth of a value, the outcomes "a", "b" and "tie" have chances in
proportion to exp(u_a), exp(u_b) and exp(c + (u_a + u_b) / 2). The worths are normal around 0; their standard deviation
has a half-Cauchy prior and is summed over a grid. c has a standard normal prior. The likelihood is log-concave, so
Newton's method finds the one best point of each assumption, and the curvature there gives the normal distribution that
stands for the posterior, and its weight (Laplace's approximation).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import expit

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.posterior import Array, Posterior, spreads, weigh

DEVIATIONS: Final = np.geomspace(0.25, 4, 5)  # of the worths, in units in which 1 is odds of 2.7 to 1
TIE_DEVIATION: Final = 1.0  # of c before any preference: around as many ties as wins of either
STEP_LIMIT: Final = 2.0  # of a Newton step, that far from the best point is still towards it
PRECISION: Final = 1e-6  # of a step; the next one would be about its square
ITERATIONS: Final = 100


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


def fit_preferences(wins: Array, ties: Array) -> Posterior:
    """Return the belief about values, of which `wins[a, b]` times a was preferred to b; `ties` is symmetric."""
    parts = [_assume(wins, ties, deviation) for deviation in DEVIATIONS]
    log_weights, means, own, spread, ease = (np.array(part) for part in zip(*parts, strict=True))
    kept, weights = weigh(log_weights)
    return Posterior(
        weights=weights,
        means=means[kept],
        variances=own[kept],
        spreads=spread[kept],
        dof=np.inf,
        noise=1 / float(weights @ ease[kept]),
    )


def share_won(worth: Array) -> Array:
    """Return how often a value of this worth is preferred to one of mean worth, leaving ties out."""
    return np.asarray(expit(worth), np.float64)


def _assume(wins: Array, ties: Array, deviation: float) -> tuple[float, Array, Array, Array, float]:
    """Return log weight, means, their variances, spreads, and what one more preference tells of two like values."""
    values = len(wins)
    prior = np.diag(np.append(np.full(values, deviation**-2.0), TIE_DEVIATION**-2.0))
    point = np.zeros(values + 1)
    for _ in range(ITERATIONS):
        gradient, curvature = _slopes(point, wins, ties)
        step = np.linalg.solve(curvature + prior, gradient - prior @ point)
        step *= min(1.0, STEP_LIMIT / max(float(np.abs(step).max()), PRECISION))
        point += step
        if np.abs(step).max() < PRECISION:
            break
    curvature = _slopes(point, wins, ties)[1] + prior
    covariance = np.linalg.inv(curvature)[:values, :values]
    log_weight = (
        _log_likelihood(point, wins, ties)
        - point @ prior @ point / 2
        - values * np.log(deviation)
        - np.linalg.slogdet(curvature)[1] / 2
        + np.log(deviation)
        - np.log1p(deviation**2)
    )
    centring = np.eye(values) - 1 / values
    worths = point[:values]
    own = np.diagonal(centring @ covariance @ centring)
    tie = 1 / (1 + 2 * np.exp(-point[-1]))
    ease = (1 - tie) / 4
    fitted = spreads(np.diagonal(covariance), covariance.sum(axis=1))
    return float(log_weight), worths - worths.mean(), own, fitted, float(ease)


def _chances(point: Array) -> tuple[Array, Array]:
    """Return the chances of a win and of a tie, of each value against each."""
    gap = (point[:-1, None] - point[None, :-1]) / 2
    utilities = np.stack(np.broadcast_arrays(gap, -gap, point[-1]))
    utilities -= utilities.max(axis=0)
    odds = np.exp(utilities)
    odds /= odds.sum(axis=0)
    return odds[0], odds[2]


def _slopes(point: Array, wins: Array, ties: Array) -> tuple[Array, Array]:
    """Return gradient and negative second derivatives of the log likelihood, by worths and c."""
    win, tie = _chances(point)
    met = wins + wins.T + ties
    half = win + tie / 2
    gradient = np.append((wins + ties / 2 - met * half).sum(axis=1), (ties - met * tie).sum() / 2)
    spread = met * (win + tie / 4 - half**2)
    joint = (met * tie * (0.5 - half)).sum(axis=1)
    curvature = np.empty((len(point), len(point)))
    curvature[:-1, :-1] = np.diag(spread.sum(axis=1)) - spread
    curvature[-1, :-1] = curvature[:-1, -1] = joint
    curvature[-1, -1] = (met * tie * (1 - tie)).sum() / 2
    return gradient, curvature


def _log_likelihood(point: Array, wins: Array, ties: Array) -> float:
    win, tie = _chances(point)
    return float((wins * np.log(win)).sum() + (ties * np.log(tie)).sum() / 2)
