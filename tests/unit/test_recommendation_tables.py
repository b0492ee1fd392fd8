"""Scores that are astray: one in many is not what it says, and which one is told by all others."""

import numpy as np
import pytest

from learning_service.recommendation.belief import Array
from learning_service.recommendation.layout import Layout, arrange, without_order
from learning_service.recommendation.scores import believe_scores
from learning_service.recommendation.tables import METRIC_NOISE, STARS_NOISE, observed, tabulate, trusted

VALUES, SEEDS = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)


def scores(*wild: tuple[int, float]) -> Array:
    """Return a peak over six values with a little noise, and some scores that are something else."""
    found = -0.1 * (VALUES - 2.0) ** 2 + 0.3 * SEEDS + 0.05 * np.random.default_rng(1).normal(size=24)
    for place, score in wild:
        found[place] = score
    return found


@pytest.mark.parametrize("layout", [arrange([1, 2, 3, 4, 5, 6]), without_order(6)])
def test_one_wild_score_changes_little(layout: Layout) -> None:
    """Neither the best value, nor what is believed of the noise, if a bad value has one score of a hundred."""
    plain, wild = (
        believe_scores(layout, VALUES, SEEDS, found, METRIC_NOISE) for found in (scores(), scores((21, 100.0)))
    )
    assert plain.leader() == wild.leader() == 2
    assert wild.p_best[2] > 0.5 * plain.p_best[2]
    assert wild.noise < 3


def test_more_seeds_than_values_tell_too() -> None:
    """The other way round, a seed has a wild score."""
    belief = believe_scores(without_order(4), SEEDS, VALUES, scores((2, -50.0)), METRIC_NOISE)
    assert belief.leader() == 3
    assert belief.p_best[3] > 0.9


def test_what_all_scores_of_a_value_say_is_not_astray() -> None:
    """A value that is far better than all others is believed."""
    found = scores()
    found[VALUES == 5] += 40
    assert believe_scores(arrange([1, 2, 3, 4, 5, 6]), VALUES, SEEDS, found, METRIC_NOISE).p_best[5] > 0.99


def test_a_gap_beyond_the_noise_is_suspect_and_within_it_is_not() -> None:
    """The wider the gap, the surer; and what is hardly known of a cell leaves room for it."""
    gaps = np.array([0.0, 2.0, 8.0, 80.0, 2.0])
    trust = trusted(gaps, np.array([0.1, 0.1, 0.1, 0.1, 0.9]), np.ones(5), METRIC_NOISE, 50)
    assert trust[0] > trust[1] > 0.7
    assert 0.1 > trust[2] > trust[3]


def test_each_star_counts() -> None:
    """A person means it: five ratings of five stars and one of one star are six ratings, in whatever company."""
    values, seeds = np.repeat([0, 1], 12), np.tile(np.arange(12), 2)
    stars = np.where(values == 0, 5.0, 3.0)
    stars[0] = 1.0
    mean = believe_scores(without_order(2), values, seeds, stars, STARS_NOISE).means[0]
    assert mean == pytest.approx(stars[values == 0].mean(), abs=0.1)


def test_scores_count_for_as_much_as_they_are_trusted() -> None:
    """Sums and counts take the weights."""
    seen = observed(np.array([0, 0, 3]), np.array([7, 9, 7]), np.array([1.0, 2.0, 3.0]))
    table = tabulate(seen, METRIC_NOISE, np.array([1.0, 0.5, 0.25]))
    assert table.tried.tolist() == [0, 3]
    assert table.counts.tolist() == [[1, 0.5], [0.25, 0]]
    assert table.totals == pytest.approx([(1 / 3 - 2 / 3), 0.25 * (1 - 2 / 3)])


def test_what_tells_of_the_noise_alone_is_more_than_values_and_seeds() -> None:
    """Six scores of three values under two seeds have two to spare; a score that is astray is none; 1 is the least."""
    seen = observed(np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3), np.arange(6.0))
    whole = tabulate(seen, METRIC_NOISE, np.ones(6))
    assert whole.spare(METRIC_NOISE) == 2
    assert whole.spare(STARS_NOISE) == 2 + STARS_NOISE.count
    assert tabulate(seen, STARS_NOISE, np.array([1.0, 1, 1, 1, 1, 0])).spare(STARS_NOISE) == 1 + STARS_NOISE.count
    assert tabulate(seen, METRIC_NOISE, np.full(6, 0.5)).spare(METRIC_NOISE) == 1
