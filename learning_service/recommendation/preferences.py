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
from typing import Final

import numpy as np
from scipy.special import expit

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.belief import Array, Belief, Part, mixed, weigh
from learning_service.recommendation.layout import Layout
from learning_service.recommendation.sparse import explain_many
from learning_service.recommendation.worths import TIE_DEVIATION, Assumption, Tally, assumptions

STEP_LIMIT: Final = 2.0  # of a Newton step, that far from the best point is still towards it
PRECISION: Final = 1e-6  # of a step; the next one would be about its square
ITERATIONS: Final = 100
MANY: Final = 40  # cells; of more, the fit goes another way to about the same numbers, which takes less time


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
    families = assumptions(layout, has_blocks=seen.has_blocks)
    parts, tied = (_explain_few if len(seen.values) <= MANY else explain_many)(families, seen)
    weights = np.array([part.weight for part in parts])
    return mixed(parts, len(layout), looked=2 / float(weights @ (1 - tied)), dof=np.inf)


def share_won(worth: Array) -> Array:
    """Return how often a value of this worth is preferred to one of mean worth, leaving ties out."""
    return np.asarray(expit(worth), np.float64)


def _explain_few(families: Sequence[Sequence[Assumption]], seen: Tally) -> tuple[list[Part], Array]:
    """Return the same as `explain_many`, of all assumptions at once."""
    known = [one for family in families for one in family]
    points, log_weights = _fit(np.array([one.covariance(seen.values) for one in known]), seen.wins, seen.ties)
    log_weights += [one.log_prior for one in known]
    kept, weights = weigh(log_weights)
    chosen = np.flatnonzero(kept)
    parts = [_explain(known[at], seen, points[at], float(weight)) for at, weight in zip(chosen, weights, strict=True)]
    return parts, 1 / (1 + 2 * np.exp(-points[chosen, -1]))


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


def _explain(assumption: Assumption, seen: Tally, point: Array, weight: float) -> Part:
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
