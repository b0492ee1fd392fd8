"""A part of a grid, spread evenly."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import qmc

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.grid import plan_values
from learning_service.experiments.sampling import sampled, sobol
from learning_service.experiments.skips import Point


def everything(_: Point) -> bool:
    """Skip nothing."""
    return True


@given(seed=st.integers(0, 2**64 - 1))
def test_forty_of_a_large_grid_have_each_value_about_equally_often(seed: int) -> None:
    """Alone, and where there is room for it in pairs: no quarter of a plane is left out."""
    sizes = (5, 5, 4, 8, 2, 3)
    points = sampled(sizes, 40, seed, everything)

    assert len(points) == len(set(points)) == 40
    assert points == sorted(points) == sampled(sizes, 40, seed, everything)
    for axis, size in enumerate(sizes):
        counts = Counter(point[axis] for point in points)
        assert set(counts) == set(range(size))
        assert max(counts.values()) - min(counts.values()) <= 5
    for one, other in combinations(range(6), 2):
        quarters = Counter((2 * point[one] // sizes[one], 2 * point[other] // sizes[other]) for point in points)
        assert len(quarters) == 4


def test_the_sequence_is_that_of_others() -> None:
    """Without a shift, point for point."""
    theirs = (qmc.Sobol(6, scramble=False, bits=32).random_base2(10) * 2**32).astype(np.int64)
    assert list(sobol(6, None, 1024)) == [tuple(row) for row in theirs.tolist()]


def test_a_plan_of_today_is_one_of_tomorrow() -> None:
    """Whatever is installed: a sample is planned again where damage has taken a part of it."""
    assert sampled((4, 5, 6), 5, 7, everything) == [(0, 4, 0), (1, 0, 4), (2, 2, 3), (3, 0, 0), (3, 3, 1)]


def test_another_seed_gives_another_sample() -> None:
    """And the same seed the same one."""
    assert sampled((9, 9, 9), 20, 1, everything) != sampled((9, 9, 9), 20, 2, everything)


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25])
def test_of_a_small_grid_as_many_are_found_as_there_are(count: int) -> None:
    """The last ones, too."""
    points = sampled((4, 6), count, 0, everything)
    assert len(set(points)) == min(count, 24)


def test_what_is_skipped_is_in_no_sample() -> None:
    """Of few points that are left, those that the sequence does not meet are added, spread evenly."""

    def diagonal(point: Point) -> bool:
        return point[0] == point[1]

    assert sampled((140, 140), 140, 0, diagonal) == [(place, place) for place in range(140)]
    points = sampled((140, 140), 139, 0, diagonal)
    assert len(set(points)) == 139
    assert all(map(diagonal, points))


def test_a_large_grid_with_too_little_left_is_refused() -> None:
    """It is not looked through."""
    with pytest.raises(InvalidInputError, match=r"^sample: only [0-9]+ combinations were found that skip leaves; take"):
        sampled((1000, 1000, 1000), 40, 0, lambda point: point[0] == 7 and point[1] < 3)


CFG, STEPS = Variable(name="cfg", values=[1, 2, 3, 4]), Variable(name="steps", start=1, stop=50, step=1)
PLAN = ExperimentDefinition(name="x", variables=(CFG, STEPS, Variable(name="tiling", values=[True, False])), sample=40)


def test_a_plan_takes_a_sample_of_any_grid() -> None:
    """The limit of variants is for the sample."""
    values = plan_values(PLAN, 50)
    assert len(values) == 40
    with pytest.raises(InvalidInputError, match=r"^sample: 40 variants are more than 39; take fewer"):
        plan_values(PLAN, 39)
    with pytest.raises(InvalidInputError, match=r"^variables: 400 combinations are more than 50; take fewer"):
        plan_values(replace(PLAN, sample=None), 50)


def test_what_is_added_to_a_sample_has_the_new_values() -> None:
    """What was planned is kept; each new value comes about as often as the old ones."""
    before = plan_values(PLAN)
    more = replace(PLAN, variables=(replace(CFG, values=[1, 2, 3, 4, 5, 6]), *PLAN.variables[1:]), sample=60)

    after = plan_values(more, kept=before)

    assert after[:40] == before
    assert len(after) == 60
    parts: list[Scalar] = [value["cfg"] for value in after[40:] if isinstance(value, dict)]
    assert [Counter(parts)[cfg] for cfg in (5, 6)] == pytest.approx([10, 10], abs=2)
    assert plan_values(PLAN, kept=before) == before


def test_a_sample_of_one_variable_are_some_of_its_values() -> None:
    """Plain ones."""
    values = plan_values(ExperimentDefinition(name="x", variable=STEPS, sample=10))
    assert len(values) == 10
    assert all(isinstance(value, int) for value in values)


def test_without_values_there_is_nothing_to_sample() -> None:
    """As where a client does not know what the pipeline offers."""
    assert sampled((0, 3), 5, 0, everything) == []
