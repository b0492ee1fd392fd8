"""The belief about values that comes from scores: stars of people, or metrics of the pipeline.

A Bayesian linear mixed model with two crossed effects (Gelman et al., Bayesian Data Analysis, 3rd edition, chapters 14
and 15; Box and Tiao, Bayesian Inference in Statistical Analysis, chapters 5 to 7):

    score = general mean + value + seed + noise

Values, seeds and noise are normal with variances v, w and s. The seed's part makes the comparison a paired one: an easy
seed does not favour the value that happened to be rated only there. The value's part pulls what has few ratings towards
the general mean. The general mean has a flat prior; s has a scaled inverse chi-squared one, so that all else is a
closed form of the multivariate t distribution. The square roots of v/s and w/s have half-Cauchy priors (Gelman 2006)
and are summed over a grid, so that doubt about them is in the answer: nothing is plugged in.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from learning_service.recommendation.posterior import Array, Posterior, spreads, weigh

VALUE_RATIOS: Final = np.geomspace(0.1, 30, 7)  # of the values' standard deviation to that of the noise
SEED_RATIOS: Final = np.geomspace(0.2, 5, 4)
FLOOR: Final = 1e-18  # of the noise's variance, relative to the square of the scores: below it is only rounding


@dataclass(frozen=True)
class Noise:
    """What is known of the noise beforehand: as if `count` scores had shown this standard deviation."""

    count: float
    deviation: float


# Stars of one person for like pictures differ by a little less than one star; four scores' worth of that prior keep
# two equal ratings from looking like certainty. A metric may have any unit, so nothing is known of its noise.
STARS_NOISE: Final = Noise(4, 0.8)
METRIC_NOISE: Final = Noise(0, 0)


@dataclass(frozen=True)
class _Table:
    """The scores, added up by value and seed, less their mean, in a unit in which the largest is 1."""

    counts: Array  # values x seeds
    sums: Array  # values x seeds
    squares: float
    known_squares: float  # that are there before any score
    dof: float
    centre: float
    unit: float


def fit_scores(values: NDArray[np.intp], seeds: NDArray[np.intp], scores: Array, prior: Noise) -> Posterior:
    """Return the belief about the values of these scores, of which there are at least two.

    `values` and `seeds` number what the scores belong to from 0 without holes.
    """
    table = _tabulate(values, seeds, scores, prior)
    parts = [_assume(table, seed_ratio) for seed_ratio in SEED_RATIOS]
    log_weights, means, variances, spread, noises = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept, weights = weigh(log_weights)
    return Posterior(
        weights=weights,
        means=means[kept],
        variances=variances[kept],
        spreads=spread[kept],
        dof=table.dof,
        noise=2 * float(weights @ noises[kept]),
        centre=table.centre,
        unit=table.unit,
    )


def _tabulate(values: NDArray[np.intp], seeds: NDArray[np.intp], scores: Array, prior: Noise) -> _Table:
    """Add up, in one order whatever the order of the scores, so that the last digit is the same too."""
    order = np.lexsort((scores, seeds, values))
    values, seeds, scores = values[order], seeds[order], scores[order]
    unit = float(np.abs(scores).max()) or 1.0  # squares of huge or tiny scores would not be finite, or nothing
    centre = float((scores / unit).mean())
    centred = scores / unit - centre
    shape = int(values.max()) + 1, int(seeds.max()) + 1
    cells = values * shape[1] + seeds
    return _Table(
        counts=np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64),
        sums=np.bincount(cells, centred, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64),
        squares=float(centred @ centred),
        known_squares=prior.count * (prior.deviation / unit) ** 2 + FLOOR * len(scores),
        dof=prior.count + len(scores) - 1,
        centre=centre,
        unit=unit,
    )


def _assume(table: _Table, seed_ratio: float) -> tuple[Array, Array, Array, Array, Array]:
    """Return log weights, means, variances, spreads and noise under one ratio of the seeds, by that of the values.

    The precision of the values is a + t * c, where a comes from the scores, c takes off the general mean and t is the
    inverse square of their ratio. One set of axes makes a + c and c diagonal at once, and so it for every t.
    """
    counts, sums = table.counts, table.sums
    values, seeds = counts.shape
    seed_counts, seed_sums = counts.sum(axis=0), sums.sum(axis=0)
    shares = seed_ratio**2 / (1 + seed_ratio**2 * seed_counts)  # how much of a seed's scores is the seed's own
    precision = np.diag(counts.sum(axis=1)) - (counts * shares) @ counts.T
    moment = sums.sum(axis=1) - counts @ (shares * seed_sums)
    centring = np.eye(values) - 1 / values
    lengths, axes = _common_axes(centring, precision + centring)
    inverse = VALUE_RATIOS[:, None] ** -2
    stretched = 1 + (inverse - 1) * np.clip(lengths, 0, 1)
    along = (axes.T @ moment) / stretched
    effects = along @ axes.T
    rests = np.maximum(table.squares - shares @ seed_sums**2 - effects @ moment, 0.0) + table.known_squares
    log_weights = (
        -np.log1p(seed_ratio**2 * seed_counts).sum() / 2
        + (values - 1) / 2 * np.log(inverse[:, 0])
        - np.log(stretched).sum(axis=1) / 2
        + np.linalg.slogdet(axes)[1]
        - table.dof / 2 * np.log(rests)
        + _log_half_cauchy(VALUE_RATIOS)
        + _log_half_cauchy(seed_ratio)
    )
    noises = rests / table.dof
    scale = noises[:, None]
    # A mean is a value's with the mean of these seeds: what others would give is no matter of this experiment.
    taken = (counts @ shares) / seeds
    means = effects + (shares @ seed_sums) / seeds - (effects @ taken)[:, None]
    shifted = axes - taken @ axes
    variances = scale * ((1 / stretched) @ (shifted**2).T + shares.sum() / seeds**2)
    own = scale * ((1 / stretched) @ (axes**2).T)
    rows = scale * ((axes.sum(axis=0) / stretched) @ axes.T)
    return log_weights, means, variances, spreads(own, rows), noises


def _common_axes(one: Array, other: Array) -> tuple[Array, Array]:
    """Return lengths and axes that make `other` the identity and `one` the diagonal matrix of the lengths.

    As `scipy.linalg.eigh(one, other)` does, which would keep the interpreter to itself for seconds.
    """
    inverse = np.linalg.inv(np.linalg.cholesky(other))
    lengths, turned = np.linalg.eigh(inverse @ one @ inverse.T)
    return lengths, np.asarray(inverse.T @ turned, np.float64)


def _log_half_cauchy(ratio: Array | float) -> Array:
    """Return the density of a half-Cauchy ratio for each step of its logarithm."""
    return np.asarray(np.log(ratio) - np.log1p(np.square(ratio)), np.float64)
