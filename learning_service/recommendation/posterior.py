"""The joint posterior of all values, and the probabilities that follow from it.

A belief is a mixture: one multivariate t distribution (normal where `dof` is infinite) for each assumption about how
much values and seeds differ, weighted by how well the assumption explains the observations.

Only differences between values decide which is best. Within an assumption the values are taken as independent, with
variances ("spreads") whose sums fit the variances of all differences. With the same seeds under every value that is
exact; else `tests/unit/test_recommendation_posterior.py` holds it within 0.02 of random draws. So a
probability is a sum over one axis: no draws, equal evidence gives equal probabilities, and a hair of evidence moves
them by a hair.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, stdtrit

Array: TypeAlias = NDArray[np.float64]

INTERVAL: Final = 0.9  # how probably a mean lies between `low` and `high`
STEPS: Final = 48  # along the axis on which values are compared
REACH: Final = 6.0  # standard deviations that the axis covers beyond the means
SCALES: Final = (np.arange(4) + 0.5) / 4  # the quantiles that stand for the unknown size of the noise
LEAST: Final = 1e-3  # of the mean variance of a difference, that a fitted spread keeps
AT_ONCE: Final = 4_000_000  # numbers that are held in memory together
NEGLIGIBLE: Final = 0.01  # of the weight of the likeliest assumption
LARGEST: Final = float(np.finfo(np.float64).max)
TINY: Final = 1e-300


@dataclass(frozen=True)
class Posterior:
    """The belief about `k` values under `h` assumptions; `noise` is the variance of one more look at a difference.

    A number plus `centre`, times `unit`, is a score.
    """

    weights: Array  # h, adding up to 1
    means: Array  # h, k
    variances: Array  # h, k: of each mean by itself, for the interval
    spreads: Array  # h, k: of differences, as sums of two
    dof: float
    noise: float
    centre: float = 0.0
    unit: float = 1.0

    @property
    def mean(self) -> Array:
        """The expected mean score of each value."""
        return self._scores(self.weights @ self.means)

    def interval(self) -> tuple[Array, Array]:
        """Return `low` and `high` of each mean score."""
        mean = self.weights @ self.means
        spread = np.sqrt(self.weights @ (self.variances + (self.means - mean) ** 2))
        reach = float(stdtrit(self.dof, (1 + INTERVAL) / 2)) * spread
        return self._scores(mean - reach), self._scores(mean + reach)

    def good(self, margin: float) -> Array:
        """Return for each value the probability that no other is better by more than `margin`."""
        scales = self._scales()
        means, variances = self.means[:, None], self.spreads[:, None] * scales[:, None]
        pieces = -(-means.size * len(scales) * STEPS // AT_ONCE)
        rows = [
            _good(some_means, some_variances, margin).mean(axis=1)
            for some_means, some_variances in zip(
                np.array_split(means, pieces), np.array_split(variances, pieces), strict=True
            )
        ]
        found: Array = self.weights @ np.concatenate(rows)
        return found

    def best(self) -> Array:
        """Return for each value the probability that it is the best; they add up to 1."""
        found = self.good(0.0)
        return np.asarray(found / found.sum(), np.float64)

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """Return mean and variance of by how much `one` is better than `other`."""
        gaps = self.means[:, one] - self.means[:, other]
        gap = float(self.weights @ gaps)
        spread = self.spreads[:, one] + self.spreads[:, other]
        return gap, float(self.weights @ (spread + (gaps - gap) ** 2))

    def _scores(self, numbers: Array) -> Array:
        with np.errstate(over="ignore"):  # an interval around scores near the largest number reaches beyond it
            return np.asarray(np.clip((numbers + self.centre) * self.unit, -LARGEST, LARGEST), np.float64)

    def _scales(self) -> Array:
        """Return factors on the variances that together make a t distribution out of normal ones."""
        if np.isinf(self.dof):
            return np.ones(1)
        half = self.dof / 2
        return half / np.asarray(gammaincinv(half, SCALES), np.float64)


def weigh(log_weights: Array) -> tuple[NDArray[np.bool_], Array]:
    """Return which assumptions are kept, and their weights; what is far less likely than the best one is left out."""
    weights = np.exp(log_weights - log_weights.max())
    kept = weights >= NEGLIGIBLE
    return kept, weights[kept] / weights[kept].sum()


def spreads(own: Array, rows: Array) -> Array:
    """Return variances whose sums fit those of all differences best, by least squares.

    `own` are the variances of the values, `rows` the sums of the rows of their covariance matrix, on the last axis.
    """
    values = own.shape[-1]
    differences = values * own + own.sum(axis=-1, keepdims=True) - 2 * rows  # of one value and all others, added up
    total = differences.sum(axis=-1, keepdims=True)
    if values <= 2:  # noqa: PLR2004 - one difference does not tell two spreads apart, and need not
        return np.broadcast_to(total / 4, own.shape)
    fitted = (differences - total / (2 * (values - 1))) / (values - 2)
    least = LEAST * total / (values * (values - 1))
    return np.asarray(np.maximum(fitted, least), np.float64)


def _good(means: Array, variances: Array, margin: float) -> Array:
    """Return the probability that each of independent normal values is at most `margin` below every other."""
    deviations = np.sqrt(np.maximum(variances, TINY))
    low = (means - REACH * deviations).max(axis=-1, keepdims=True) - margin
    high = (means + REACH * deviations).max(axis=-1, keepdims=True)
    edges = low[..., None] + (high - low)[..., None] * np.linspace(0, 1, STEPS + 1)
    at_edges = (edges - means[..., None]) / deviations[..., None]
    chances = ndtr(at_edges)
    mass = np.diff(chances, axis=-1)
    if margin:
        chances = ndtr(at_edges + margin / deviations[..., None])
    below = np.log((chances[..., 1:] + chances[..., :-1]) / 2 + TINY)
    return np.asarray((mass * np.exp(below.sum(axis=-2, keepdims=True) - below)).sum(axis=-1), np.float64)
