"""Scores added up by value and seed, and how far each of them is to be trusted.

One metric in many may be astray, because a job went wrong. Which one is, is told by what all others say of it: its
noise is the usual one or, with a small probability, several times as large or more (the contaminated normal
distribution of Tukey 1960). A score that is probably astray counts for as much as its expected precision.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from learning_service.recommendation.belief import Array
from learning_service.recommendation.evidence import STARS_MAX, STARS_MIN

FLOOR: Final = 1e-18  # of the noise's variance, relative to the square of the scores: below it is only rounding
LEAST_NOISE: Final = 1e-9  # of the variance of the scores: less is not told apart from none
ASTRAY: Final = 0.05  # of the scores beforehand,
ASTRAY_COUNT: Final = 20  # as if so many scores had shown that
FREEDOM: Final = 2.0  # of the t distribution of those that are: some are far out


@dataclass(frozen=True)
class Noise:
    """What is known of scores beforehand.

    The noise is as if `count` scores had shown this deviation; of a score that is astray it is `astray` times as large.
    No mean is beyond `least` and `most`.
    """

    count: float
    deviation: float
    astray: float = 1.0  # none is
    least: float = -np.inf
    most: float = np.inf


# Stars of one person for like pictures differ by a little less than one star; four scores' worth of that prior keep
# two equal ratings from looking like certainty. Each star counts: it is meant, and no rating can be far out. A metric
# may have any unit, so nothing is known of its noise.
STARS_NOISE: Final = Noise(4, 0.8, least=STARS_MIN, most=STARS_MAX)
METRIC_NOISE: Final = Noise(0, 0, astray=8)


@dataclass(frozen=True)
class Observed:
    """Scores in one order whatever theirs was, so that even the last digit of a sum is the same."""

    tried: NDArray[np.intp]  # the values that have any, in order
    rows: NDArray[np.intp]  # whose value each score is of, among `tried`
    columns: NDArray[np.intp]  # its seed
    numbers: Array  # the scores less their mean, in a unit in which the largest is 1
    centre: float
    unit: float


@dataclass(frozen=True)
class Table:
    """Scores added up, each times how far it is to be trusted."""

    tried: NDArray[np.intp]
    counts: Array  # tried values x seeds
    totals: Array  # by tried value
    by_seed: Array
    squares: float
    known_squares: float  # that are there before any score
    dof: float

    def spare(self, prior: Noise) -> float:
        """Return how many scores tell of the noise alone: more than there are values and seeds; at least 1."""
        values, seeds = self.counts.shape
        return float(max(1.0, prior.count + self.counts.sum() - (values + seeds - 1)))


def observed(values: NDArray[np.intp], seeds: NDArray[np.intp], scores: Array) -> Observed:
    """Put scores in order."""
    order = np.lexsort((scores, seeds, values))
    values, seeds, scores = values[order], seeds[order], scores[order]
    unit = float(np.abs(scores).max()) or 1.0  # squares of huge or tiny scores would not be finite, or nothing
    centre = float((scores / unit).mean())
    tried, rows = np.unique(values, return_inverse=True)
    columns = np.unique(seeds, return_inverse=True)[1]
    return Observed(tried, rows, columns, scores / unit - centre, centre, unit)


def tabulate(seen: Observed, prior: Noise, trust: Array) -> Table:
    """Add up scores, of which each counts for as much as it is trusted."""
    shape = len(seen.tried), int(seen.columns.max()) + 1
    cells = seen.rows * shape[1] + seen.columns
    trusted = trust * seen.numbers
    squares = float(trusted @ seen.numbers)
    return Table(
        tried=seen.tried,
        counts=np.bincount(cells, trust, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64),
        totals=np.bincount(seen.rows, trusted).astype(np.float64),
        by_seed=np.bincount(seen.columns, trusted).astype(np.float64),
        squares=squares,
        known_squares=(prior.count * (prior.deviation / seen.unit) ** 2 + FLOOR * len(trust) + LEAST_NOISE * squares),
        dof=max(1.0, prior.count + len(trust) - 1),
    )


def trusted(gaps: Array, variances: Array, trust: Array, prior: Noise, dof: float) -> Array:
    """Return how far each score is to be trusted: 1 if it is surely not astray.

    `gaps` are between the scores and what is believed of their cells from all scores, `variances` those of this belief;
    both in deviations and variances of the noise. The score itself is taken off first (leave one out), from the noise,
    too.
    """
    left = np.maximum(1 - trust * variances, LEAST_NOISE)
    others, usual = variances / left, 1 + variances / left
    wide = prior.astray**2 + others
    rest, fewer = dof - trust * gaps**2 / left, max(1.0, dof - 1)
    squares = (gaps / left) ** 2 / np.maximum(rest / fewer, LEAST_NOISE)
    share = (ASTRAY * ASTRAY_COUNT + (1 - trust).sum()) / (ASTRAY_COUNT + len(trust))
    odds = (
        np.log(share / (1 - share))
        + np.log(usual / wide) / 2
        + (fewer + 1) / 2 * np.log1p(squares / usual / fewer)
        - (FREEDOM + 1) / 2 * np.log1p(squares / wide / FREEDOM)
    )
    precision = (FREEDOM + 1) / (FREEDOM + squares / wide) / prior.astray**2
    return np.asarray(expit(-odds) + expit(odds) * np.minimum(precision, 1.0), np.float64)
