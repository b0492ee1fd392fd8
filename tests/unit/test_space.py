"""What an adaptive experiment chooses from, as points on axes."""

import time

import pytest

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.pipeline_specs import VariableSpec
from learning_service.experiments.space import Axis, Space, first_round, space_of

TEXTS = Variable(name="sampler", values=["euler", "heun", "ddim", "dpm", "lms", "pndm"])
RANGE = Variable(name="cfg_scale", start=1, stop=2, step=0.1)
STEPS = Variable(name="steps", values=[16, 4, 8, 12])


def space(*variables: Variable) -> Space:
    """Return the space of one variable, or of a grid of two."""
    if len(variables) == 1:
        return space_of(ExperimentDefinition(name="x", variable=variables[0]))
    return space_of(ExperimentDefinition(name="x", variables=variables))


@pytest.mark.parametrize(
    ("variable", "first"),
    [
        (RANGE, [1.0, 1.2, 1.5, 1.8, 2.0]),
        (Variable(name="steps", values=[8, 1, 4]), [1, 4, 8]),
        (TEXTS, ["euler", "heun", "ddim", "lms", "pndm"]),
        (Variable(name="steps", values=[3]), [3]),
    ],
)
def test_the_first_round_of_a_variable_is_spread_evenly_with_both_ends(
    variable: Variable, first: list[float | str]
) -> None:
    """Five values at most; of a range they are the exact decimals of its grid."""
    assert first_round(space(variable)) == first


def test_the_first_round_of_a_grid_is_three_by_three() -> None:
    """Of each variable the ends and the middle."""
    first = first_round(space(RANGE, STEPS))
    assert len(first) == 9
    assert first[0] == {"cfg_scale": 1.0, "steps": 4}
    assert first[-1] == {"cfg_scale": 2.0, "steps": 16}


def test_numbers_are_apart_by_their_places_and_texts_all_equally() -> None:
    """Added up over the axes."""
    assert space(STEPS).distance((0,), (2,)) > space(STEPS).distance((0,), (1,))
    both = space(STEPS, TEXTS)
    assert both.distance((0, 0), (0, 1)) == both.distance((0, 0), (0, 5)) == 1
    assert both.distance((0, 1), (0, 1)) == 0


def test_the_point_of_a_value_is_found_and_a_stranger_has_none() -> None:
    """1 and 1.0 are the same value; true is another one."""
    grid, mixed = space(RANGE, STEPS), space(Variable(name="x", values=[1, True, "a"]))
    assert all(grid.finder()(grid.value(point)) == point for point in grid.points())
    assert grid.finder()({"cfg_scale": 1, "steps": 8}) == (0, 1)
    assert grid.finder()({"steps": 8, "cfg_scale": 1}) == (0, 1)
    assert grid.finder()({"cfg_scale": 1, "steps": 9}) is None
    assert grid.finder()({"cfg_scale": 1}) is None
    assert grid.finder()(1) is None
    assert [mixed.finder()(value) for value in (1, True, "a", False)] == [(0,), (1,), (2,), None]


def test_all_that_a_pipeline_offers_is_a_space_too() -> None:
    """`values = "all"` stands for the choices of the variable."""
    definition = ExperimentDefinition(name="x", variable=Variable(name="sampler", values="all"))
    found = space_of(definition, {"sampler": VariableSpec(kind="str", choices=("euler", "heun"))})
    assert [axis.values for axis in found.axes] == [("euler", "heun")]


def test_of_a_grid_of_many_axes_what_is_near_and_an_even_spread_is_considered() -> None:
    """A million points are never listed; what is skipped is no choice, and the same question has the same answer."""
    names = "abcdef"
    knobs = [Variable(name=name, values=[*range(10)]) for name in names[:5]]
    knobs.append(Variable(name="f", values=[f"w{at}" for at in range(10)]))
    wide = space_of(ExperimentDefinition(name="x", variables=tuple(knobs), skip=({"a": 0, "b": ">4"},)))
    tried = {(5, 5, 5, 5, 5, 5), (9, 9, 9, 9, 9, 9)}
    found = wide.considered(tried)
    assert 1990 < len(found) == len(set(found)) <= 2000
    assert found == wide.considered(tried)
    assert tried < set(found)
    assert {(4, 5, 5, 5, 5, 5), (6, 5, 5, 5, 5, 5), (5, 5, 5, 5, 6, 5), (5, 5, 5, 5, 5, 0), (9, 9, 9, 9, 8, 9)} < set(
        found
    )
    assert all(map(wide.has, found))
    for axis in range(6):
        counts = [sum(point[axis] == place for point in found) for place in range(1, 10)]
        assert max(counts) < 1.6 * min(counts)


def test_the_first_round_of_many_variables_is_spread_over_all_of_them() -> None:
    """Of each as many values as there is room for; or as many points as a person wants."""
    many = space(RANGE, STEPS, TEXTS)
    first = first_round(many)
    assert len(set(map(str, first))) == len(first) == 12
    for name, least in (("cfg_scale", 8), ("steps", 4), ("sampler", 5)):
        assert len({value[name] for value in first if isinstance(value, dict)}) >= least
    assert first_round(many) == first != first_round(many, seed=1)
    assert len(first_round(many, 30)) == 30
    assert len(first_round(space(RANGE), 7)) == 7


def test_a_first_round_that_meets_skipped_points_takes_others() -> None:
    """As many as there would be; none of them is skipped, though corners are."""
    definition = ExperimentDefinition(
        name="x", variables=(RANGE, STEPS), skip=({"steps": 16, "cfg_scale": "<1.5"}, {"cfg_scale": 2})
    )
    points = space_of(definition)
    first = first_round(points)

    assert points.size == 44
    assert len(list(points.points())) == 35
    assert len(first) == 9
    find = points.finder()
    assert all((point := find(value)) is not None and points.has(point) for value in first)


def test_where_skip_leaves_little_of_a_large_grid_no_more_is_considered() -> None:
    """The spread ends some time, and nothing that is skipped takes the place of what is not there."""
    knobs = (Variable(name="a", start=1, stop=3000, step=1), Variable(name="b", values=["x", "y"]))
    left = space_of(ExperimentDefinition(name="x", variables=knobs, skip=({"a": ">9"},)))
    assert left.considered({(0, 0)}) == [(at, other) for at in range(9) for other in (0, 1)]


def test_what_is_beside_a_place_is_found_without_a_walk_along_its_axis() -> None:
    """A search asks for it while the service waits; of 300 values on axes of a million it took half a minute."""
    numbers = tuple(range(1_000_000))
    wide = Space(axes=tuple(Axis(name=name, values=numbers, ordered=True) for name in "ab"))
    assert [list(wide.axes[0].beside(place)) for place in (0, 7, 999_999)] == [[1], [6, 8], [999_998]]
    assert list(Axis(name="c", values=("x", "y", "z"), ordered=False).beside(1)) == [0, 2]
    tried = {(at * 3000, 999_999 - at * 3000) for at in range(300)}
    begun = time.process_time()
    found = wide.considered(tried)
    assert time.process_time() - begun < 1
    assert len(found) == 2000
