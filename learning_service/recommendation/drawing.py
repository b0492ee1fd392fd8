"""Assumptions of many dimensions, drawn where they matter.

With several axes there are too many assumptions for a grid. Some are drawn from the prior, then more around those that
explain the observations, and so on. In the end each counts for its prior over the density of all draws together, so
that the prior alone decides what an assumption is worth, and not how often it was drawn (adaptive multiple importance
sampling: Cornuet, Marin, Mira and Robert, Scandinavian Journal of Statistics 39, 2012). The draws are the same each
time.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import logsumexp

from learning_service.recommendation.belief import Array

FIRST: Final = 96  # draws, from the prior
ROUNDS: Final = 4
EACH: Final = 48  # draws in each
ENOUGH: Final = 12.0  # draws that count; of fewer the weights are made more even before the next ones
EVENER: Final = 0.7
WIDER: Final = 1.3  # than what is known of the assumptions so far
NARROWEST: Final = 0.15


def draw(explains: Callable[[Array], Array], dimensions: int) -> tuple[Array, Array]:
    """Return draws of assumptions, standard normal beforehand in all dimensions, and logarithms of what each counts.

    `explains` tells of draws the logarithm of how well each explains the observations.
    """
    random = np.random.default_rng(0)
    centres, widths = [np.zeros(dimensions)], [np.ones(dimensions)]
    counts = [FIRST]
    draws = random.standard_normal((FIRST, dimensions))
    explained = explains(draws)
    for _ in range(ROUNDS):
        weights = _even(explained + _counting(draws, centres, widths, counts))
        centre = weights @ draws
        width = np.sqrt(weights @ (draws - centre) ** 2)
        centres.append(centre)
        widths.append(np.clip(WIDER * width, NARROWEST, None))
        counts.append(EACH)
        more = centres[-1] + widths[-1] * random.standard_normal((EACH, dimensions))
        draws = np.concatenate([draws, more])
        explained = np.concatenate([explained, explains(more)])
    return draws, _counting(draws, centres, widths, counts)


def _even(log_weights: Array) -> Array:
    """Return weights of which enough count; a part of the way to the right ones, where too few would."""
    power = 1.0
    while True:
        weights = np.exp(power * (log_weights - log_weights.max()))
        weights /= weights.sum()
        if 1 / float(weights @ weights) >= ENOUGH:
            return np.asarray(weights, np.float64)
        power *= EVENER


def _counting(draws: Array, centres: list[Array], widths: list[Array], counts: list[int]) -> Array:
    """Return the logarithm of the prior of each draw over how many were drawn there."""
    densities = [
        _log_density((draws - centre) / width) - np.log(width).sum() + np.log(count)
        for centre, width, count in zip(centres, widths, counts, strict=True)
    ]
    return np.asarray(_log_density(draws) - logsumexp(densities, axis=0), np.float64)


def _log_density(numbers: Array) -> Array:
    return np.asarray(-(numbers**2).sum(axis=1) / 2, np.float64)
