"""Probabilities from a belief: one axis instead of random draws, held against random draws."""

import numpy as np
import pytest
from scipy.special import ndtr, stdtr

from learning_service.recommendation.posterior import Array, Posterior, spreads


def belief(means: Array, covariance: Array, dof: float = np.inf) -> Posterior:
    """Return the belief of one multivariate t distribution."""
    own = np.diagonal(covariance)
    return Posterior(
        weights=np.ones(1),
        means=means[None],
        variances=own[None],
        spreads=spreads(own, covariance.sum(axis=1))[None],
        dof=dof,
        noise=1.0,
    )


def crossed(random: np.random.Generator, values: int, seeds: int, share: float) -> tuple[Array, Array]:
    """Return means and covariance, as from ratings of a random part of the pictures, with hard and easy seeds."""
    counts = (random.random((values, seeds)) < share).astype(float)
    shares = 2.0 / (1 + 2.0 * counts.sum(axis=0))
    precision = np.diag(counts.sum(axis=1)) - (counts * shares) @ counts.T + np.eye(values) - 1 / values
    covariance = np.linalg.inv(precision + 1e-3 * np.eye(values))
    return random.multivariate_normal(np.zeros(values), covariance), covariance


@pytest.mark.parametrize(("values", "seeds", "share"), [(3, 4, 0.6), (8, 4, 0.5), (8, 16, 0.3), (20, 8, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_probabilities_are_those_of_random_draws(values: int, seeds: int, share: float, margin: float) -> None:
    """Where ratings are missing the values are not independent; the probabilities are still within 0.02."""
    random = np.random.default_rng([values, seeds])
    for _ in range(5):
        means, covariance = crossed(random, values, seeds, share)
        draws = random.multivariate_normal(means, covariance, size=40_000)
        drawn = (draws >= draws.max(axis=1, keepdims=True) - margin).mean(axis=0)
        assert np.abs(belief(means, covariance).good(margin) - drawn).max() < 0.02


def test_of_two_values_the_probability_is_exact() -> None:
    """One difference has one normal distribution."""
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    best = belief(np.array([0.3, 0.0]), covariance).best()
    assert best == pytest.approx([ndtr(0.3 / np.sqrt(2)), ndtr(-0.3 / np.sqrt(2))], abs=2e-3)


def test_unknown_noise_makes_it_less_sure() -> None:
    """With few degrees of freedom a difference is a t distribution, not a normal one."""
    found = belief(np.array([2.0, 0.0]), np.eye(2), dof=3).best()[0]
    assert found == pytest.approx(stdtr(3, 2 / np.sqrt(2)), abs=0.02)
    assert found < belief(np.array([2.0, 0.0]), np.eye(2)).best()[0]


def test_equal_values_have_equal_probabilities() -> None:
    """Nothing is drawn, so nothing differs by chance; and they add up to 1."""
    best = belief(np.zeros(5), np.eye(5) + 3).best()
    assert best == pytest.approx(np.full(5, 0.2), abs=1e-9)


def test_what_all_share_does_not_matter() -> None:
    """Doubt about the general level is no doubt about which is best."""
    means = np.array([1.0, 0.5, 0.0])
    assert belief(means, np.eye(3) + 100).best() == pytest.approx(belief(means + 7, np.eye(3)).best(), abs=1e-6)


def test_a_clear_case_stays_finite() -> None:
    """Differences of thousands of deviations give 0 and 1."""
    assert belief(np.array([1e6, 0.0, -1e6]), np.eye(3)).best() == pytest.approx([1, 0, 0], abs=1e-9)
    assert belief(np.array([1.0, 0.0]), 1e-20 * np.eye(2)).best() == pytest.approx([1, 0], abs=1e-9)


def test_the_interval_covers_what_it_says() -> None:
    """Nine tenths of a normal distribution lie within 1.645 deviations."""
    low, high = belief(np.array([1.0, 0.0]), 4 * np.eye(2)).interval()
    assert (low[0], high[0]) == pytest.approx((1 - 1.645 * 2, 1 + 1.645 * 2), abs=1e-2)


def test_assumptions_are_mixed_by_weight() -> None:
    """The probability under two assumptions is the weighted mean of both."""
    means, spread = np.array([[1.0, 0.0], [0.0, 1.0]]), np.full((2, 2), 0.5)
    mixed = Posterior(np.array([0.75, 0.25]), means, spread, spread, np.inf, 1.0)
    assert mixed.best()[0] == pytest.approx(0.75 * ndtr(1) + 0.25 * ndtr(-1), abs=2e-3)
    gap, variance = mixed.difference(0, 1)
    assert (gap, variance) == pytest.approx((0.5, 1 + 0.75))


def test_many_values_are_taken_in_pieces() -> None:
    """Memory is bounded, and the pieces make no difference."""
    random = np.random.default_rng(1)
    means, spread = random.normal(size=(40, 2000)), np.ones((40, 2000))
    many = Posterior(np.full(40, 1 / 40), means, spread, spread, np.inf, 1.0).best()
    one = Posterior(np.ones(1), means[:1], spread[:1], spread[:1], np.inf, 1.0)
    assert many.sum() == pytest.approx(1)
    assert one.best().argmax() == means[0].argmax()
