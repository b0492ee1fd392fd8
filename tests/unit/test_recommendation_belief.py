"""Probabilities from a belief: a fixed sample, held against what is known exactly."""

import numpy as np
import pytest
from scipy.special import ndtr, stdtr

from learning_service.recommendation.belief import Array, Belief, Part, Scale, mixed


def belief(means: list[float], covariance: Array, dof: float = np.inf, scale: Scale | None = None) -> Belief:
    """Return the belief of one multivariate t distribution."""
    part = Part(1.0, np.array(means), np.linalg.cholesky(covariance).astype(np.float64), np.zeros(len(means)))
    return mixed([part], len(part.means), looked=1.0, dof=dof, scale=scale or Scale())


def test_of_two_values_the_probability_is_that_of_their_difference() -> None:
    """One difference has one normal distribution."""
    best = belief([0.3, 0.0], np.array([[2.0, 0.5], [0.5, 1.0]])).p_best
    assert best == pytest.approx([ndtr(0.3 / np.sqrt(2)), ndtr(-0.3 / np.sqrt(2))], abs=0.02)
    assert best.sum() == pytest.approx(1)


def test_unknown_noise_makes_it_less_sure() -> None:
    """With few degrees of freedom a difference is a t distribution, not a normal one."""
    found = belief([2.0, 0.0], np.eye(2), dof=3).p_best[0]
    assert found == pytest.approx(stdtr(3, 2 / np.sqrt(2)), abs=0.02)
    assert found < belief([2.0, 0.0], np.eye(2)).p_best[0]


def test_equal_values_have_equal_probabilities() -> None:
    """Luck in the sample is levelled out."""
    assert belief([0.0] * 5, np.eye(5) + 3).p_best == pytest.approx(np.full(5, 0.2), abs=1e-12)
    assert belief([1.0, 0.0, 0.0], np.eye(3)).good(0.5)[1] == belief([1.0, 0.0, 0.0], np.eye(3)).good(0.5)[2]
    assert belief([0.5] * 4, 1e-30 * np.eye(4)).p_best == pytest.approx(np.full(4, 0.25), abs=1e-12)


def test_what_all_share_does_not_matter() -> None:
    """Doubt about the general level is no doubt about which is best."""
    shared = belief([8.0, 7.5, 7.0], np.eye(3) + 100)
    assert shared.p_best == pytest.approx(belief([1.0, 0.5, 0.0], np.eye(3)).p_best, abs=0.03)


def test_what_is_good_may_be_worse_by_the_margin() -> None:
    """A wider margin makes more values good."""
    known = belief([0.0, 1.0, 3.0], np.eye(3))
    assert known.good(0.0) == pytest.approx(known.p_best)
    assert (known.good(1.0) > known.good(0.0)).all()


def test_what_may_be_noticeably_better_is_told_value_by_value() -> None:
    """Together that is what is missing to a good one."""
    known = belief([0.0, 1.0, 3.0], np.eye(3))
    better = known.better(1, 0.5)
    assert better.sum() == pytest.approx(1 - known.good(0.5)[1])
    assert better[1] == 0
    assert better[2] > better[0] > 0


def test_a_belief_speaks_in_scores() -> None:
    """Means, noise and intervals have the unit and the centre of the scores."""
    known = belief([1.0, 0.0], 4 * np.eye(2), scale=Scale(centre=1.0, unit=10.0))
    assert known.means == pytest.approx([20, 10])
    assert known.noise == 10
    low, high = known.interval()
    assert (low[0], high[0]) == pytest.approx((20 - 1.645 * 20, 20 + 1.645 * 20), abs=1.5)
    gap, variance = known.difference(0, 1)
    assert (gap, variance) == pytest.approx((1.0, 8.0), rel=0.06)


def test_the_leader_is_the_one_with_the_highest_mean_of_those_asked_for() -> None:
    """All values, or some."""
    known = belief([0.0, 2.0, 1.0], np.eye(3))
    assert (known.leader(), known.leader([2, 0])) == (1, 2)


def test_no_mean_is_beyond_the_bounds() -> None:
    """Whatever is at the most is equally good there."""
    known = belief([9.0, 9.0, 2.0], np.eye(3), scale=Scale(least=1, most=5))
    assert (known.sample.min(), known.sample.max()) == (1, 5)
    assert known.p_best == pytest.approx([0.5, 0.5, 0], abs=0.01)


def test_assumptions_are_mixed_by_weight() -> None:
    """The probability under two assumptions is the weighted mean of both."""
    parts = [Part(0.75, np.array([1.0, 0.0]), np.zeros((2, 1)), np.full(2, np.sqrt(0.5)))]
    parts.append(Part(0.25, np.array([0.0, 1.0]), np.sqrt(0.5) * np.eye(2), np.zeros(2)))
    both = mixed(parts, len(parts[0].means), looked=1.0, dof=np.inf)
    assert both.p_best[0] == pytest.approx(0.75 * ndtr(1) + 0.25 * ndtr(-1), abs=0.02)
    assert both.means == pytest.approx([0.75, 0.25])
    gap, variance = both.difference(0, 1)
    assert (gap, variance) == pytest.approx((0.5, 1 + 0.75), rel=0.06)


def test_the_sample_of_many_values_is_bounded() -> None:
    """Memory is no matter of how many values there are."""
    many = mixed([Part(1.0, np.zeros(20_000), np.zeros((20_000, 1)), np.ones(20_000))], 20_000, looked=1.0, dof=np.inf)
    assert many.sample.size < 2 * 8_000_000
