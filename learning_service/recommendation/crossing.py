"""What several blocks, such as prompts, say together, and where one of them says something else.

    score = value + block + value x block + seed + noise

A block is one look at the values, however many seeds it has: more seeds of one prompt tell more and more of that
prompt, and no more of others. So the answer comes from the mean of each value in each block, compared within blocks;
what value x block adds to them is part of how much they scatter (Gelman et al., Bayesian Data Analysis, 3rd edition,
chapter 15). In one block itself a value may be better than the answer. What the block shows is weighed against what
all others show, by how much values differ from block to block at all. That, in standard deviations of the noise, has a
half-Cauchy prior, and is summed over a grid: the squares between means and those within blocks tell the two apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from learning_service.recommendation.belief import Array, log_half_cauchy

Places = NDArray[np.intp]

RATIOS: Final = np.geomspace(0.05, 10, 12)  # of the standard deviation of value x block to that of the noise
SWEEPS: Final = 30  # of a least-squares fit; where every value has every seed the first one is exact
TINY: Final = 1e-300


@dataclass(frozen=True)
class Apart:
    """A value in a block: it is better there than the answer, by more than the margin, with this probability."""

    block: int
    value: int
    probability: float


@dataclass(frozen=True)
class Crossing:
    """The scores by value and block, in a unit in which the largest is 1, and assumptions about value x block."""

    means: Array  # values x blocks, less the effects of seeds; nan where there are no scores
    looks: Array  # scores, values x blocks
    crossed: Array  # variance of value x block, by assumption
    noises: Array  # variance of a score
    weights: Array
    dof: float
    unit: float

    @property
    def seeds(self) -> float:
        """How many scores a value has in a block, on average."""
        return float(self.looks[self.looks > 0].mean())

    def cells(self) -> tuple[Places, Places, Array]:
        """Return value, block and mean of each that has scores."""
        values, blocks = np.nonzero(self.looks)
        return values, blocks, self.means[values, blocks] * self.unit

    def best(self, answer: int, margin: float, sure: float, counts: NDArray[np.bool_] | None = None) -> list[Apart]:
        """Return for each block in which the answer has scores the value that is expected to be the best there.

        It is one that is surely better than the answer, if there is any. `counts` says which values may be named at
        all, besides the answer; all without it.
        """
        gaps = self.means - self.means[answer]  # nan where either has no scores
        known = ~np.isnan(gaps)
        if counts is not None:
            known &= (counts[: len(gaps)] | (np.arange(len(gaps)) == answer))[:, None]
        spread = np.where(known, 1 / np.maximum(self.looks, 1) + 1 / np.maximum(self.looks[answer], 1), 0.0)
        chances = np.zeros(gaps.shape)
        expected = np.zeros(gaps.shape)
        for crossed, noise, weight in zip(self.crossed, self.noises, self.weights, strict=True):
            means, variances = _in_blocks(np.where(known, gaps, 0.0), known, spread * noise, 2 * crossed)
            expected += weight * means
            reach = (means - margin / self.unit) / np.sqrt(np.maximum(variances, TINY))
            chances += weight * np.asarray(stdtr(self.dof, reach), np.float64)
        chances[answer] = 0.0
        chances[~known] = 0.0
        surely = known & (chances >= sure)
        found = np.where(np.where(surely.any(axis=0), surely, known), expected, -np.inf).argmax(axis=0)
        return [
            Apart(block, int(value), float(chances[value, block]))
            for block, value in enumerate(found)
            if known[answer, block]
        ]


def cross(values: Places, repeats: Places, scores: Array, blocks: int) -> Crossing:
    """Return the scores of values, by their places, as those of blocks: repeat `r` is one of block `r % blocks`."""
    order = np.lexsort((scores, repeats, values))  # the last digit is the same whatever the order of the scores
    values, repeats, scores = values[order], repeats[order], scores[order]
    count, of_block = int(values.max()) + 1, repeats % blocks
    cells, seeds = values * blocks + of_block, np.unique(repeats, return_inverse=True)[1]
    size = max(float(np.abs(scores).max()), TINY)  # squares of huge or tiny scores would not be finite, or nothing
    scaled = scores / size
    means, within = _fitted(cells, seeds, scaled, count * blocks)
    looks = np.bincount(cells, minlength=count * blocks).reshape(count, blocks).astype(np.float64)
    shown = looks > 0
    rows, columns = np.nonzero(shown)
    weights = looks[shown]
    _, between = _fitted(rows, columns, means.reshape(looks.shape)[shown], count, weights)
    free = max(0, len(scores) - len(weights) - (seeds.max() + 1) + len(np.unique(of_block)))
    free_between = max(0, len(weights) - len(np.unique(rows)) - len(np.unique(columns)) + 1)
    a_cell = 1 / float((1 / weights).mean())
    stretch = 1 + a_cell * RATIOS**2
    squares = between / stretch + within + np.finfo(np.float64).eps * len(scores)
    dof = max(1, free + free_between)
    log_weights = log_half_cauchy(RATIOS) - free_between / 2 * np.log(stretch) - dof / 2 * np.log(squares)
    chances = np.exp(log_weights - log_weights.max())
    noises = squares / dof
    return Crossing(
        means=np.where(shown, means.reshape(looks.shape), np.nan),
        looks=looks,
        crossed=noises * RATIOS**2,
        noises=noises,
        weights=chances / chances.sum(),
        dof=float(dof),
        unit=size,
    )


def _fitted(
    rows: Places, columns: Places, scores: Array, count: int, weights: Array | None = None
) -> tuple[Array, float]:
    """Fit scores = row + column by least squares; return the effects of rows, and the squares that are left.

    Columns add up to 0 over the scores of all rows, so the effect of a row is a mean over them.
    """
    heavy = np.ones(len(scores)) if weights is None else weights
    of_rows = np.maximum(np.bincount(rows, heavy, count), TINY)
    of_columns = np.maximum(np.bincount(columns, heavy), TINY)
    effect, shift = np.zeros(count), np.zeros(len(of_columns))
    for _ in range(SWEEPS):
        effect = np.bincount(rows, heavy * (scores - shift[columns]), count) / of_rows
        shift = np.bincount(columns, heavy * (scores - effect[rows])) / of_columns
    rest = scores - effect[rows] - shift[columns]
    return effect, float((heavy * rest**2).sum())


def _in_blocks(gaps: Array, known: NDArray[np.bool_], noises: Array, crossed: float) -> tuple[Array, Array]:
    """Return mean and variance of each gap in each block: what it shows there, weighed against all other blocks."""
    others = np.maximum(known.sum(axis=1, keepdims=True) - known, 0)
    several = np.maximum(others, 1)
    means = (gaps.sum(axis=1, keepdims=True) - gaps) / several
    variances = (noises.sum(axis=1, keepdims=True) - noises) / several**2 + crossed / several + crossed
    precision = np.where(others > 0, 1 / np.maximum(variances, TINY), 0.0)  # of one block alone nothing else is known
    shown = np.where(known, 1 / np.maximum(noises, TINY), 0.0)
    total = np.maximum(precision + shown, TINY)
    return (precision * means + shown * gaps) / total, 1 / total
