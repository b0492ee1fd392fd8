"""The effects of several axes, and the assumptions about them."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from bus.contracts.fields import VariantValue
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.anova import HIGHEST, MOST_COLUMNS, effects
from learning_service.recommendation.belief import Array, Belief
from learning_service.recommendation.drawing import draw
from learning_service.recommendation.layout import (
    Layout,
    arrange,
    bases,
    bases_of_effects,
    basis_of_effects,
    step_bases,
    without_likeness,
)
from learning_service.recommendation.preferences import believe_preferences, tally
from learning_service.recommendation.scores import believe_scores
from learning_service.recommendation.tables import METRIC_NOISE


def grid(*sizes: int, words: str = "") -> list[VariantValue]:
    """Return all values of axes a, b, c … of numbers; those that are named in `words` have words."""
    names = "abcdef"[: len(sizes)]
    return [
        {name: f"w{at}" if name in words else at for name, at in zip(names, point, strict=True)}
        for point in product(*map(range, sizes))
    ]


def explained(values: list[VariantValue]) -> Layout:
    """Return their layout, with its effects."""
    layout = arrange(values)
    return Layout(layout.axes, layout.count, layout.names, is_explained=True)


def believe(
    values: list[VariantValue], truth: Array, tried: NDArray[np.intp], seeds: int = 2, noise: float = 0.05
) -> Belief:
    """Return what scores of some of the values under some seeds tell."""
    random = np.random.default_rng(3)
    places, repeats = np.repeat(tried, seeds), np.tile(np.arange(seeds), len(tried))
    scores = truth[places] + 0.3 * repeats + noise * random.normal(size=len(places))
    return believe_scores(arrange(values), places, repeats, scores, METRIC_NOISE)


def test_columns_of_effects_are_orthogonal_and_as_large_as_one_another() -> None:
    """So the squares of their weights are shares of the variance; each is of an axis, or of two."""
    found = effects(arrange(grid(3, 4, 2, words="b")).axes)
    count = 3 * 4 * 2
    assert found.columns.T @ found.columns / count == pytest.approx(np.eye(2 + 3 + 1 + 6 + 2 + 3))
    assert [np.count_nonzero(found.of_axis(axis)) for axis in range(3)] == [2, 3, 1]
    assert [np.count_nonzero(found.of_pair(*pair)) for pair in ((0, 1), (0, 2), (1, 2))] == [6, 2, 3]


def test_the_variance_of_an_effect_is_as_large_as_its_axis_matters() -> None:
    """The length, and how much two axes depend on each other, only share it out."""
    found = effects(arrange(grid(3, 4, 2, words="b")).axes)
    strengths = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    variances = found.variances(strengths, np.array([0.5, 1.0]), np.array([0.1, 1.0]))
    assert [variances[0, found.of_axis(axis)].sum() for axis in range(3)] == pytest.approx([1, 4, 9])
    assert variances[0, found.of_pair(1, 2)].sum() == pytest.approx(0.25 * 6)
    assert variances[1, found.of_pair(1, 2)].sum() == pytest.approx(6)
    turns = variances[:, found.of_axis(0)]
    assert turns[0, 1] / turns[0, 0] > turns[1, 1] / turns[1, 0]  # short lengths bend more
    assert np.ptp(variances[0, found.of_axis(1)]) == 0  # words have no order


def test_columns_are_few_however_many_axes_and_values_there_are() -> None:
    """What is left out is no more one axis than another, nor one word than another."""
    points = [
        dict(zip("abcdef", row, strict=True)) for row in np.random.default_rng(1).integers(0, 40, (300, 6)).tolist()
    ]
    found = effects(arrange(points).axes)
    counts = {np.count_nonzero(found.of_axis(axis)) for axis in range(6)}
    assert len(counts) == 1
    assert counts.pop() <= HIGHEST
    assert len(found.one) <= MOST_COLUMNS
    words: list[VariantValue] = [
        {name: f"w{at}" for name, at in zip("abc", row, strict=True)} for row in product(range(9), repeat=3)
    ]
    assert (effects(arrange(words).axes).other < 0).all()  # all pairs of words are as likely, and are too many
    many: list[VariantValue] = [{"a": f"w{at}", "b": f"v{at}", "c": f"u{at}"} for at in range(300)]
    assert not len(effects(arrange(many).axes).one)


@pytest.mark.parametrize("words", ["", "b"])
def test_what_is_asked_for_besides_is_the_mean_and_the_weight_of_each_effect(words: str) -> None:
    """Whatever is assumed: it is what all points of the grid together show."""
    layout = explained(grid(4, 3, 2, words=words))
    columns = effects(layout.axes).columns
    every = [*bases(layout), *bases_of_effects(layout), *step_bases(layout), basis_of_effects(layout)]
    for basis in every:
        values, mean = basis.columns[:24], basis.columns[24]
        assert mean == pytest.approx(values.mean(axis=0), abs=1e-9)
        assert basis.columns[25:] - mean == pytest.approx(columns.T @ values / 24, abs=1e-9)
        assert basis.rest[24:].tolist() == [0.0] * (1 + columns.shape[1])
        assert basis.single.sum() == 24
    assert len(without_likeness(layout).rest) == 25 + columns.shape[1]


def test_what_is_asked_for_besides_changes_no_value() -> None:
    """The answer is the same with and without it."""
    values = grid(3, 3, 3)
    points = np.array(list(product(range(3), repeat=3)), np.float64)
    truth = points[:, 0] + points[:, 1] * points[:, 2] / 4
    random = np.random.default_rng(3)
    scores = truth + 0.1 * random.normal(size=27)
    one, other = (
        believe_scores(layout, np.arange(27), np.zeros(27, np.intp), scores, METRIC_NOISE)
        for layout in (arrange(values), explained(values))
    )
    assert one.means == pytest.approx(other.means)
    assert one.p_best == pytest.approx(other.p_best, abs=0.03)
    assert other.sample.shape[1] == 27


def test_a_third_of_a_grid_tells_of_the_rest_where_effects_add_up() -> None:
    """Of 81 values 27 are tried; the best one is told, as all follow from the effects."""
    values = grid(3, 3, 3, 3, words="d")
    points = np.array(list(product(range(3), repeat=4)), np.float64)
    truth = -((points[:, 0] - 1.4) ** 2) + 0.5 * points[:, 1] + 0.3 * (points[:, 0] == 2) * points[:, 2]
    tried = np.sort(np.random.default_rng(1).permutation(81)[:27])
    belief = believe(values, truth, tried)
    gaps = (belief.means - belief.means.mean()) - (truth - truth.mean())
    assert np.sqrt((gaps**2).mean()) < 0.25 * truth.std()
    assert truth.max() - truth[belief.leader()] < 0.2


def test_values_without_structure_are_not_taken_for_sums_of_effects() -> None:
    """What one value shows says nothing of others then, and what was never tried may be the best."""
    values = grid(4, 4, 4)
    truth = np.random.default_rng(5).uniform(size=64)
    tried = np.sort(np.random.default_rng(6).permutation(64)[:32])
    belief = believe(values, truth, tried, seeds=4)
    low, high = belief.interval()
    shown = truth + (belief.means[tried] - truth[tried]).mean()
    inside = (low <= shown) & (shown <= high)
    assert inside[np.setdiff1d(np.arange(64), tried)].mean() > 0.8


def test_comparisons_tell_of_values_that_share_an_effect() -> None:
    """Who prefers larger numbers of one axis three times is expected to do so again."""
    values = grid(3, 3, 3)
    pairs = [(0, 9), (9, 18), (4, 13), (13, 22), (8, 26), (2, 20)]
    seen = [
        Preference(
            left=Picture(variant_index=less, repeat_index=0, sha256=f"{less}"),
            right=Picture(variant_index=more, repeat_index=0, sha256=f"{more}"),
            outcome="right",
        )
        for less, more in pairs
    ]
    means = believe_preferences(arrange(values), tally(seen, {at: at for at in range(27)})).means
    assert means[[21, 23, 25]].min() > means[[3, 5, 7]].max()


def test_draws_go_where_the_observations_are_explained_and_count_for_the_prior() -> None:
    """The mean of what is drawn is that of the posterior: here of normal numbers, of which it is known."""
    centre, width = np.array([1.5, -1.0, 0.0, 0.5]), np.array([0.2, 0.3, 1.0, 0.5])
    draws, counting = draw(lambda some: -((((some - centre) / width) ** 2).sum(axis=1)) / 2, 4)
    log_weights = counting - ((((draws - centre) / width) ** 2).sum(axis=1)) / 2
    weights = np.exp(log_weights - log_weights.max())
    assert (weights / weights.sum()) @ draws == pytest.approx(centre / (1 + width**2), abs=0.25)
    assert weights.sum() ** 2 / (weights**2).sum() > 20
    evidence = np.prod(width / np.sqrt(1 + width**2)) * np.exp(-(centre**2 / (1 + width**2)).sum() / 2)
    assert np.exp(counting - ((((draws - centre) / width) ** 2).sum(axis=1)) / 2).sum() == pytest.approx(
        evidence, rel=0.3
    )


@pytest.mark.parametrize("count", [90, 300])
def test_a_search_over_very_many_words_goes_on_without_their_effects(count: int) -> None:
    """There are too many of them to be told; it ended with an error, or took gigabytes."""
    random = np.random.default_rng(1)
    points = np.array([(at, (7 * at) % count, (11 * at) % count) for at in range(count)])
    values: list[VariantValue] = [{name: f"w{at}" for name, at in zip("abc", row, strict=True)} for row in points]
    layout = arrange(values)
    assert bases_of_effects(layout) == []
    belief = believe_scores(layout, np.arange(count), np.zeros(count, np.intp), random.normal(size=count), METRIC_NOISE)
    assert belief.p_best.sum() == pytest.approx(1)


def test_pairs_of_words_that_have_no_room_are_not_listed() -> None:
    """There may be millions of them; those of a few words with numbers are kept."""
    values: list[VariantValue] = [{"a": f"w{at}", "b": f"v{at}", "c": at % 3} for at in range(200)]
    found = effects(arrange(values).axes)
    assert not found.of_pair(0, 1).any()
    assert not found.of_pair(0, 2).any()
    few: list[VariantValue] = [{"a": f"w{at % 5}", "b": f"v{at % 40}", "c": at % 3} for at in range(120)]
    found = effects(arrange(few).axes)
    assert found.of_pair(0, 2).sum() == 8
    assert not found.of_pair(0, 1).any()
