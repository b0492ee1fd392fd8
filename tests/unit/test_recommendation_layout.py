"""Where values lie, and how much they are expected to be alike."""

import numpy as np
import pytest

from bus.contracts.fields import VariantValue
from learning_service.recommendation.belief import Array
from learning_service.recommendation.layout import (
    KNOTS,
    LENGTHS,
    LENGTHS_OF_GRID,
    MOST_STEPS,
    STEP,
    Basis,
    arrange,
    bases,
    explained,
    step_bases,
    without_order,
)
from learning_service.recommendation.scores import believe_scores
from learning_service.recommendation.tables import METRIC_NOISE


def likeness(basis: Basis) -> Array:
    """Return the covariance that a basis stands for."""
    return np.asarray(basis.columns @ basis.columns.T + np.diag(basis.rest), np.float64)


def matern(gap: float, length: float) -> float:
    """Return Matern's covariance of two values."""
    far = np.sqrt(5) * gap / length
    return float((1 + far + far**2 / 3) * np.exp(-far))


@pytest.mark.parametrize("count", [5, KNOTS + 60])
def test_numbers_with_equal_steps_are_alike_by_their_distance(count: int) -> None:
    """The columns stand for Matern's covariance, whatever the order and the unit; many are carried by some of them."""
    values: list[VariantValue] = [10.0 + 3 * at for at in reversed(range(count))]
    found = bases(arrange(values))
    assert len(found) == len(LENGTHS)
    for basis, length in zip(found, LENGTHS, strict=True):
        wanted = [matern(at / (count - 1), length) for at in range(count)]
        assert likeness(basis)[0] == pytest.approx(wanted, abs=0.02)
        assert np.diagonal(likeness(basis)) == pytest.approx(1)


def test_numbers_with_other_steps_are_alike_by_their_places_or_by_their_sizes() -> None:
    """Which of both is left to the scores."""
    places, sizes = np.split(np.array([likeness(one) for one in bases(arrange([1, 2, 4, 8, 16]))]), 2)
    assert places[0][0, 1] == pytest.approx(places[0][3, 4])
    assert sizes[0][0, 1] > sizes[0][3, 4] + 0.5


@pytest.mark.parametrize("count", [5, 90])
def test_a_curve_may_break_off_between_any_two_numbers(count: int) -> None:
    """There is one assumption for each place of the step, and only what is on the same side of it is much alike."""
    found = step_bases(arrange(list(range(count))))
    assert len(found) == min(count - 1, MOST_STEPS)
    for basis in found:
        assert np.diagonal(likeness(basis)) == pytest.approx(1, abs=0.01)
    assert likeness(found[0])[0, 1] < 1 - 2 * STEP + 0.01
    assert likeness(found[0])[1, 2] > STEP


def test_doublings_need_no_word_that_they_are() -> None:
    """Of 1, 2, 4 … 4096 as much is found as where it is known that their places are even."""
    lost: list[list[float]] = []
    for number in range(12):
        random = np.random.default_rng(number)
        even = np.linspace(0, 1, 13)
        truth = np.exp(-(((even - random.uniform()) / random.uniform(0.1, 0.4)) ** 2) / 2)
        places = np.concatenate([np.linspace(0, 12, 6).round().astype(np.intp), random.integers(0, 13, 6)])
        scores = truth[places] + 0.05 * random.normal(size=12)
        layouts = [arrange([2**step for step in range(13)]), arrange(list(range(13)))]
        beliefs = [believe_scores(one, places, np.zeros(12, np.intp), scores, METRIC_NOISE) for one in layouts]
        lost.append([float(truth.max() - truth[one.leader()]) for one in beliefs])
    unknown, known = np.mean(lost, axis=0)
    assert unknown < known + 0.01


def test_a_step_is_told_from_a_curve_only_on_an_axis_of_some_numbers() -> None:
    """Three numbers and words have none."""
    grid: list[VariantValue] = [{"x": x, "y": y} for x in range(3) for y in "abcde"]
    cases: list[list[VariantValue]] = [[1, 2, 3], ["a", "b", "c", "d", "e"], grid, [1]]
    assert [step_bases(arrange(values)) for values in cases] == [[], [], [], []]


def test_on_a_grid_the_curve_may_break_off_along_each_axis_of_numbers() -> None:
    """Whatever the other variable is, what is on the same side is more alike than what is not."""
    grid: list[VariantValue] = [{"x": x, "y": y} for x in range(5) for y in range(6)]
    found = step_bases(arrange(grid))
    assert len(found) == 4 + 5
    assert np.diagonal(likeness(found[0])) == pytest.approx(1, abs=0.01)
    assert likeness(found[0])[0, 6] < 1 - 2 * STEP + 0.01
    assert likeness(found[0])[6, 29] > STEP
    words: list[VariantValue] = [{"x": x, "y": y} for x in range(5) for y in "ab"]
    assert len(step_bases(arrange(words))) == 4


def test_words_have_no_order() -> None:
    """Nothing is known to be near; truth values, mixed types and values of different variables are words, too."""
    cases: list[list[VariantValue]] = [["a", "b"], [True, False], [1, "b"], [{"x": 1}, {"y": 2}], [{"x": 1}, 2], ["a"]]
    for values in cases:
        assert bases(arrange(values)) == []
    assert bases(without_order(3)) == []
    assert len(without_order(3)) == 3


def test_huge_numbers_are_numbers_and_what_no_float_holds_is_a_word() -> None:
    """Nothing overflows."""
    for basis in bases(arrange([-1.7e308, 0.0, 1.7e308])):
        assert np.isfinite(basis.columns).all()
    assert bases(arrange([10**400, 1, 2])) == []


def test_on_a_grid_the_likeness_is_the_product_of_both_axes() -> None:
    """A value is alike to those near it on both."""
    grid: list[VariantValue] = [{"x": x, "y": y} for x in (1, 2, 3) for y in (10, 20, 30, 40)]
    found = bases(arrange(grid))
    assert len(found) == len(LENGTHS_OF_GRID) ** 2
    first, second = LENGTHS_OF_GRID[0], LENGTHS_OF_GRID[1]
    assert likeness(found[1])[0, 5] == pytest.approx(matern(1 / 2, first) * matern(1 / 3, second), abs=0.01)


def test_words_on_one_axis_share_a_part_of_the_curve_on_the_other() -> None:
    """Of the same steps, two samplers are alike by half; an axis with one word is none."""
    grid: list[VariantValue] = [{"steps": steps, "sampler": name} for steps in (1, 2, 3) for name in ("a", "b")]
    for basis in bases(arrange(grid)):
        assert likeness(basis)[0, 1] == pytest.approx(0.5, abs=0.01)
    alone: list[VariantValue] = [{"steps": steps, "sampler": "a"} for steps in (1, 2, 3)]
    assert [basis.columns.tolist() for basis in bases(arrange(alone))] == [
        basis.columns.tolist() for basis in bases(arrange([1, 2, 3]))
    ]


def test_large_seeds_are_told_apart() -> None:
    """Those of 64 bits are more than a float holds; they lie in their order then."""
    seeds = [2**60 + at for at in (2, 0, 1)]
    (ordered, places), *_ = arrange([*seeds]).axes
    assert ordered
    assert np.frombuffer(places).tolist() == [2, 0, 1]
    grid: list[VariantValue] = [{"seed": seed, "word": word} for seed in seeds for word in "xy"]
    assert explained(arrange(grid)).rows == 6
    assert likeness(bases(arrange([*seeds]))[0])[1, 2] == pytest.approx(matern(0.5, LENGTHS[0]), abs=0.02)
