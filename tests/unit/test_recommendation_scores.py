"""The mixed model, held against the same model written down in full matrices."""

import numpy as np
import pytest

from learning_service.recommendation.posterior import Array
from learning_service.recommendation.scores import (
    METRIC_NOISE,
    SEED_RATIOS,
    STARS_NOISE,
    VALUE_RATIOS,
    Noise,
    _assume,
    _tabulate,
    fit_scores,
)

RANDOM = np.random.default_rng(5)
VALUES = np.repeat(np.arange(4), 5)
SEEDS = np.tile(np.arange(5), 4)
KEPT = np.array([place not in (0, 3, 7, 11, 12) for place in range(20)])
SCORES = np.round(3 + RANDOM.normal(size=20), 2)


def in_full(scores: Array, value_ratio: float, seed_ratio: float, prior: Noise) -> tuple[float, Array, Array]:
    """Return log weight, means and covariance of the values' means by generalised least squares on all observations."""
    values, seeds = np.eye(4)[VALUES[KEPT]], np.eye(5)[SEEDS[KEPT]]
    ones = np.ones((len(scores), 1))
    cover = np.eye(len(scores)) + value_ratio**2 * values @ values.T + seed_ratio**2 * seeds @ seeds.T
    inverse = np.linalg.inv(cover)
    level_variance = 1 / float((ones.T @ inverse @ ones).item())
    level = level_variance * float((ones.T @ inverse @ scores).item())
    rest = scores - level
    squares = prior.count * prior.deviation**2 + float(rest @ inverse @ rest)
    dof = prior.count + len(scores) - 1
    log_weight = -np.linalg.slogdet(cover)[1] / 2 + np.log(level_variance) / 2 - dof / 2 * np.log(squares)
    # the mean of a value is level + its effect + the mean effect of the seeds
    loading = np.hstack([np.ones((4, 1)), np.eye(4), np.full((4, 5), 0.2)])
    effects = np.hstack([ones, values, seeds])
    precision = effects.T @ effects + np.diag([0.0] + [value_ratio**-2] * 4 + [seed_ratio**-2] * 5)
    covariance = np.linalg.inv(precision)
    means = loading @ covariance @ effects.T @ scores
    return float(log_weight), means, squares / dof * loading @ covariance @ loading.T


def test_closed_forms_are_those_of_the_full_model() -> None:
    """Means, variances and the weights of the assumptions come out the same as with one row for each score."""
    scores = SCORES[KEPT]
    table = _tabulate(VALUES[KEPT], SEEDS[KEPT], scores, STARS_NOISE)
    differences = []
    for seed_ratio in SEED_RATIOS:
        log_weights, means, variances, _spread, _noise = _assume(table, float(seed_ratio))
        log_prior = np.log(seed_ratio / (1 + seed_ratio**2)) + np.log(VALUE_RATIOS / (1 + VALUE_RATIOS**2))
        for place, value_ratio in enumerate(VALUE_RATIOS):
            log_weight, wanted, covariance = in_full(scores, float(value_ratio), float(seed_ratio), STARS_NOISE)
            assert table.unit * (table.centre + means[place]) == pytest.approx(wanted, abs=1e-8)
            assert table.unit**2 * variances[place] == pytest.approx(np.diagonal(covariance), rel=1e-6)
            differences.append(log_weights[place] - log_prior[place] - log_weight)
    assert differences == pytest.approx([differences[0]] * len(differences), abs=1e-6)


def test_an_easy_seed_does_not_favour_who_was_rated_there() -> None:
    """Value 1 has the higher plain mean, but only because it was not rated under the hard seeds."""
    cells = [(0, 0, 5), (0, 1, 3), (0, 2, 2), (1, 0, 4), (1, 3, 5), (2, 0, 4), (2, 1, 2), (2, 2, 1), (2, 3, 4)]
    values, seeds, scores = (np.array(column) for column in zip(*cells, strict=True))
    posterior = fit_scores(values, seeds, scores.astype(float), STARS_NOISE)
    assert posterior.mean[0] > posterior.mean[1]


def test_few_scores_are_pulled_towards_the_general_mean() -> None:
    """A single top score among values that hardly differ counts for less than it says."""
    values = np.array([0] + [value for value in range(1, 7) for _ in range(12)])
    seeds = np.array([0] + list(range(12)) * 6)
    scores = np.array([5.0] + [2.0 + (value + seed // 3 + seed) % 3 for value in range(6) for seed in range(12)])
    mean = fit_scores(values, seeds, scores, STARS_NOISE).mean
    assert mean[0] < 3.5
    assert mean[1] == pytest.approx(3, abs=0.1)


def test_a_metric_may_have_any_unit() -> None:
    """Huge, tiny and constant scores give finite numbers."""
    values, seeds = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    for scores in ([1.7e308, -1.7e308, 1e308, 1e307], [1e-308, 0, 3e-308, 2e-308], [0.5] * 4, [0.0] * 4):
        posterior = fit_scores(values, seeds, np.array(scores), METRIC_NOISE)
        assert np.isfinite([posterior.mean, *posterior.interval()]).all()
        assert posterior.best().sum() == pytest.approx(1)


def test_the_same_scores_in_another_order_are_the_same() -> None:
    """Even the last digit, as sums are taken in one order."""
    scores = RANDOM.normal(size=20)
    one = fit_scores(VALUES, SEEDS, scores, METRIC_NOISE)
    order = RANDOM.permutation(20)
    other = fit_scores(VALUES[order], SEEDS[order], scores[order], METRIC_NOISE)
    assert (one.means == other.means).all()
    assert (one.spreads == other.spreads).all()
