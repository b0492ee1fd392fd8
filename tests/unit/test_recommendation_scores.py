"""The mixed model, held against the same model written down in full matrices."""

import numpy as np
import pytest
from numpy.typing import NDArray

from learning_service.recommendation.belief import Array
from learning_service.recommendation.layout import arrange, bases, without_order
from learning_service.recommendation.scores import (
    ROUGH,
    _explain,
    _Family,
    _family,
    _system,
    _weigh,
    believe_scores,
)
from learning_service.recommendation.tables import METRIC_NOISE, STARS_NOISE, Observed, Table, observed, tabulate

VALUES = np.repeat(np.arange(4), 5)
SEEDS = np.tile(np.arange(5), 4)
KEPT = np.array([place not in (0, 3, 7, 11, 12) for place in range(20)])
SCORES = np.round(3 + np.random.default_rng(5).normal(size=20), 2)
PLAN = arrange([1, 2, 3, 4, 5, 7])  # the last two were never tried
NO_ORDER = without_order(4)


def in_full(
    family: _Family, at: int, kept: NDArray[np.bool_], table: Table, seen: Observed
) -> tuple[float, Array, Array]:
    """Return log weight, means and covariance of all values by generalised least squares on all observations."""
    values, seeds = np.eye(6)[VALUES[kept]], np.eye(5)[SEEDS[kept]]
    scores, known, dof = SCORES[kept] / seen.unit - seen.centre, table.known_squares, table.dof
    there = seeds.any(axis=0).sum()
    columns, rest = family.basis.columns, family.basis.rest
    likeness = family.smooth[at] * (columns @ columns.T + np.diag(rest)) + family.rough[at] * np.eye(6)
    inverse = np.linalg.inv(np.eye(len(scores)) + values @ likeness @ values.T + family.seed[at] * seeds @ seeds.T)
    weighed = inverse.sum(axis=1)
    level_variance = 1 / weighed.sum()
    level = level_variance * weighed @ scores
    squares = known + (scores - level) @ inverse @ (scores - level)
    log_weight = (np.linalg.slogdet(inverse)[1] + np.log(level_variance) - dof * np.log(squares)) / 2
    reach = values @ likeness + family.seed[at] / there
    means = level + reach.T @ inverse @ (scores - level)
    left = 1 - reach.T @ weighed
    covariance = likeness + family.seed[at] / there - reach.T @ inverse @ reach + level_variance * np.outer(left, left)
    return float(log_weight), means, squares / dof * covariance


@pytest.mark.parametrize("number", [0, 2, 7])
@pytest.mark.parametrize("kept", [KEPT, KEPT & (SEEDS < 2)], ids=["more seeds", "more values"])
def test_closed_forms_are_those_of_the_full_model(number: int, kept: NDArray[np.bool_]) -> None:
    """Means, covariances and the weights of the assumptions come out the same as with one row for each score."""
    seen = observed(VALUES[kept], SEEDS[kept], SCORES[kept])
    table = tabulate(seen, STARS_NOISE, np.ones(kept.sum()))
    family = _family(bases(PLAN)[number], ROUGH[number % 2], 1.0)
    log_weights, noises = _weigh(_system(table, family.basis), table, family)
    parts = _explain(table, family, np.ones(len(noises)), noises)
    differences = []
    for at, part in enumerate(parts):
        log_weight, means, covariance = in_full(family, at, kept, table, seen)
        assert part.means == pytest.approx(means, abs=1e-6)
        assert part.factors @ part.factors.T + np.diag(part.own**2) == pytest.approx(
            covariance, rel=1e-6, abs=1e-6 * covariance.max()
        )
        differences.append(log_weights[at] - family.log_prior[at] - log_weight)
    assert differences == pytest.approx([differences[0]] * len(differences), abs=1e-6)


def test_an_easy_seed_does_not_favour_who_was_rated_there() -> None:
    """Value 1 has the higher plain mean, but only because it was not rated under the hard seeds."""
    cells = [(0, 0, 5), (0, 1, 3), (0, 2, 2), (1, 0, 4), (1, 3, 5), (2, 0, 4), (2, 1, 2), (2, 2, 1), (2, 3, 4)]
    values, seeds, scores = (np.array(column) for column in zip(*cells, strict=True))
    mean = believe_scores(without_order(3), values, seeds, scores.astype(float), STARS_NOISE).means
    assert mean[0] > mean[1]


def test_few_scores_are_pulled_towards_the_general_mean() -> None:
    """A single top score among values that hardly differ counts for less than it says."""
    values = np.array([0] + [value for value in range(1, 7) for _ in range(12)])
    seeds = np.array([0] + list(range(12)) * 6)
    scores = np.array([5.0] + [2.0 + (value + seed // 3 + seed) % 3 for value in range(6) for seed in range(12)])
    mean = believe_scores(without_order(7), values, seeds, scores, STARS_NOISE).means
    assert mean[0] < 3.5
    assert mean[1] == pytest.approx(3, abs=0.1)


def test_a_metric_may_have_any_unit() -> None:
    """Huge, tiny and constant scores give finite numbers."""
    values, seeds = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    for scores in ([1.7e308, -1.7e308, 1e308, 1e307], [1e-308, 0, 3e-308, 2e-308], [0.5] * 4, [0.0] * 4):
        belief = believe_scores(without_order(2), values, seeds, np.array(scores), METRIC_NOISE)
        assert np.isfinite([belief.means, *belief.interval()]).all()
        assert belief.p_best.sum() == pytest.approx(1)


def test_the_same_scores_in_another_order_are_the_same() -> None:
    """Even the last digit, as sums are taken in one order."""
    random = np.random.default_rng(6)
    scores = random.normal(size=20)
    one = believe_scores(PLAN, VALUES, SEEDS, scores, METRIC_NOISE)
    order = random.permutation(20)
    other = believe_scores(PLAN, VALUES[order], SEEDS[order], scores[order], METRIC_NOISE)
    assert (one.means == other.means).all()
    assert (one.p_best == other.p_best).all()


def test_a_value_that_was_never_tried_is_what_its_neighbours_are() -> None:
    """Between two good ones it is expected to be good, and less is known of it; among words it is like the rest."""
    values, seeds = np.repeat([0, 1, 3, 4], 4), np.tile(np.arange(4), 4)
    scores = np.array([0.0, 2.0, 2.0, 0.0])[values - (values > 2)] + 0.1 * np.random.default_rng(1).normal(size=16)
    near = believe_scores(arrange([1, 2, 3, 4, 5]), values, seeds, scores, METRIC_NOISE)
    assert near.means[2] > 1.1
    assert near.variances[2] > near.variances[1]
    assert near.p_best[2] > 0.2
    words = believe_scores(without_order(5), values, seeds, scores, METRIC_NOISE)
    assert words.means[2] == pytest.approx(1, abs=0.1)


def test_the_edge_of_a_cliff_is_the_best_value() -> None:
    """What is behind the edge does not pull it down, nor does it make a value look good that was never tried there."""
    truth = np.where(np.arange(12) < 7, np.arange(12) / 10, 0.0)
    tried = np.array([0, 2, 4, 5, 6, 7, 9, 11])
    values, seeds = np.repeat(tried, 2), np.tile(np.arange(2), len(tried))
    noise = 0.02 * np.random.default_rng(4).normal(size=len(values))
    belief = believe_scores(arrange(list(range(12))), values, seeds, truth[values] + noise, METRIC_NOISE)
    assert belief.p_best[6] > 0.88
    assert belief.means[3] == pytest.approx(truth[3], abs=0.03)
    assert belief.means[8] < 0.1


def test_without_structure_neighbours_tell_little() -> None:
    """Scores that jump from place to place make the rough part believed."""
    random = np.random.default_rng(2)
    truth = np.where(np.arange(12) % 2, 1.0, 0.0)
    values, seeds = np.repeat(np.arange(11), 3), np.tile(np.arange(3), 11)
    belief = believe_scores(
        arrange(list(range(12))), values, seeds, truth[values] + 0.1 * random.normal(size=33), METRIC_NOISE
    )
    assert 0.3 < belief.means[11] < 0.8
    low, high = belief.interval()
    assert high[11] - low[11] > 1.3
