"""The belief about all values of a plan, tried or not, and the probabilities that follow from it.

A belief is a mixture of assumptions, each with a multivariate t distribution (normal where `dof` is infinite), weighted
by how well it explains the observations. It is carried by a sample of thousands of its members, drawn by the same
random numbers each time: the same observations give the same digits, and values of which the same is believed get the
same probabilities. Another order of the values draws others: a probability of one half moves by up to 0.02 then, one of
90 % by 0.01.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

INTERVAL: Final = 0.9  # how probably a mean lies between `low` and `high`
PROBABLY: Final = 0.5
MEMBERS: Final = 8192  # of the sample
LEAST_MEMBERS: Final = 512
KEPT_COLUMNS: Final = 64  # of random numbers that are not drawn anew for each belief
AT_ONCE: Final = 4_000_000  # numbers that a sample may have, with the random ones that it is made of
NEGLIGIBLE: Final = 0.01  # of the weight of the likeliest assumption
ALIKE: Final = 1e-7  # relative difference of two beliefs that is only rounding
TINY: Final = 1e-300
LARGEST: Final = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Belief:
    """What is believed of each value; a number plus `centre`, times `unit`, is a score (or a worth).

    Arrays and probabilities are over all values of the layout, in its order.
    """

    centred: Array  # expected mean of each value
    variances: Array
    sample: Array  # members x values
    besides: Array  # members x what else was asked for (`layout.Basis`)
    looked: float  # the variance of one more look at a value
    spare: float = np.inf  # observations that tell of the noise alone: more than there are values and seeds
    centre: float = 0.0
    unit: float = 1.0
    fits: NDArray[np.bool_] | None = None  # members x values: which may be the best at all; None: all

    @property
    def means(self) -> Array:
        """The expected mean score of each value."""
        return self._scores(self.centred)

    @property
    def noise(self) -> float:
        """The standard deviation of one score around the mean of its value and seed."""
        return float(np.sqrt(self.looked) * self.unit)

    @property
    def looks(self) -> Array:
        """How many looks at a value alone would tell as much of it as is believed."""
        return np.asarray(self.looked / np.maximum(self.variances, TINY), np.float64)

    @cached_property
    def p_best(self) -> Array:
        """The probability of each value that it is the best of all; they add up to 1."""
        top = self._counting >= self._counting.max(axis=1, keepdims=True)
        return self._levelled((1 / top.sum(axis=1)) @ top / len(top))

    def good(self, margin: float) -> Array:
        """Return for each value the probability that no other is better by more than `margin`, in scores."""
        least = self._counting.max(axis=1, keepdims=True) - margin / self.unit
        return self._levelled((self._counting >= least).mean(axis=0))

    @cached_property
    def fitting(self) -> Array:
        """The probability of each value that it may be the best at all."""
        return np.ones(len(self.centred)) if self.fits is None else np.asarray(self.fits.mean(axis=0), np.float64)

    @cached_property
    def _counting(self) -> Array:
        return self.sample if self.fits is None else np.asarray(np.where(self.fits, self.sample, -np.inf), np.float64)

    def better(self, leader: int, margin: float) -> Array:
        """Return for each value the probability that it is the best, and better than `leader` by more than `margin`."""
        counting = self._counting
        doubtful = counting.max(axis=1) > counting[:, leader] + margin / self.unit
        best = np.bincount(counting[doubtful].argmax(axis=1), minlength=len(self.centred))
        return np.asarray(best / len(self.sample), np.float64)

    def leader(self, among: Iterable[int] | None = None) -> int:
        """Return the value (of `among`) with the highest expected score: the least loss is expected of it.

        It is one that probably may be the best, if there is any.
        """
        places = np.arange(len(self.centred)) if among is None else np.array(sorted(among), np.intp)
        places = places[self.fitting[places] >= min(PROBABLY, self.fitting[places].max())]
        return int(places[np.argmax(self.centred[places])])

    def interval(self) -> tuple[Array, Array]:
        """Return `low` and `high` of each mean score."""
        ends = [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]
        low, high = (self._levelled(end) for end in np.quantile(self.sample, ends, axis=0))
        return self._scores(np.minimum(low, self.centred)), self._scores(np.maximum(high, self.centred))

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """Return mean and variance of by how much `one` is better than `other`, less the unit."""
        gaps = self.sample[:, one] - self.sample[:, other]
        return float(self.centred[one] - self.centred[other]), float(gaps.var())

    def _scores(self, numbers: Array) -> Array:
        with np.errstate(over="ignore"):  # an interval around scores near the largest number reaches beyond it
            return np.asarray(np.clip((numbers + self.centre) * self.unit, -LARGEST, LARGEST), np.float64)

    def _levelled(self, numbers: Array) -> Array:
        """Give the same number to values of which the same is believed: only luck in the sample differs."""
        size = np.abs(self.centred).max() + np.sqrt(self.variances.max())
        marks = np.stack([self.centred / size, np.sqrt(self.variances) / size, self.fitting])
        steps = np.round(marks / ALIKE).astype(np.int64)
        _, group = np.unique(steps, axis=1, return_inverse=True)
        group = group.ravel()
        return np.asarray((np.bincount(group, numbers) / np.bincount(group))[group], np.float64)


@dataclass(frozen=True)
class Part:
    """One assumption: values are `means` + `factors` x normal numbers + `own` x normal numbers, times t's scale."""

    weight: float
    means: Array  # values
    factors: Array  # values x causes
    own: Array  # values: standard deviations


@dataclass(frozen=True)
class Scale:
    """What the numbers of a belief mean; see `Belief`. No mean is beyond `least` and `most`."""

    centre: float = 0.0
    unit: float = 1.0
    least: float = -np.inf
    most: float = np.inf


AS_IT_IS: Final = Scale()


def mixed(
    parts: list[Part], count: int, *, looked: float, dof: float, spare: float = np.inf, scale: Scale = AS_IT_IS
) -> Belief:
    """Return the belief about so many values that these assumptions make together; their weights add up to 1.

    What else they are about comes behind the values.
    """
    weights = np.array([part.weight for part in parts])
    means = np.array([part.means[:count] for part in parts])
    variances = np.array([((part.factors**2).sum(axis=1) + part.own**2)[:count] for part in parts])
    centred = weights @ means
    bounds = (np.array([scale.least, scale.most]) / scale.unit) - scale.centre
    members = _sample(parts, weights, dof)
    return Belief(
        centred=centred,
        variances=weights @ (variances + (means - centred) ** 2),
        sample=np.clip(members[:, :count], *bounds),
        besides=members[:, count:],
        looked=looked,
        spare=spare,
        centre=scale.centre,
        unit=scale.unit,
    )


def weigh(log_weights: Array) -> tuple[NDArray[np.bool_], Array]:
    """Return which assumptions are kept, and their weights; what is far less likely than the best one is left out."""
    weights = np.exp(log_weights - log_weights.max())
    kept = weights >= NEGLIGIBLE
    return kept, weights[kept] / weights[kept].sum()


def log_half_cauchy(ratio: Array) -> Array:
    """Return the logarithm of the half-Cauchy density of deviations, for each step of their logarithm (Gelman 2006)."""
    return np.asarray(np.log(ratio) - np.log1p(np.square(ratio)), np.float64)


def _sample(parts: list[Part], weights: Array, dof: float) -> Array:
    """Draw members, of each assumption as many as is its share; like beliefs have like samples."""
    values, most = len(parts[0].means), max(part.factors.shape[1] for part in parts)
    count = min(MEMBERS, max(LEAST_MEMBERS, AT_ONCE // (values + most)))
    ends = np.round(np.cumsum(weights) * count).astype(np.intp)
    stretch = (
        np.sqrt(dof / np.random.default_rng(0).chisquare(dof, (count, 1))) if np.isfinite(dof) else np.ones((count, 1))
    )
    causes = _normals(count, most, 1)
    own = _normals(count, values, 2) if any(part.own.any() for part in parts) else np.zeros((count, 1))
    rows = []
    for part, end, start in zip(parts, ends, [0, *ends], strict=False):
        members = causes[start:end, : part.factors.shape[1]] @ part.factors.T + own[start:end] * part.own
        rows.append(members * stretch[start:end] + part.means)
    return np.concatenate(rows)


def _normals(count: int, columns: int, seed: int) -> Array:
    """Return standard normal numbers, the same each time."""
    if count == MEMBERS and columns <= KEPT_COLUMNS:
        return _kept_normals(seed)[:, :columns]
    return np.random.default_rng(seed).standard_normal((count, columns))


@lru_cache
def _kept_normals(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((MEMBERS, KEPT_COLUMNS))
