"""Combinations that are left out of a grid."""

import time
from typing import Any

import pytest

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.grid import grid_of, plan_values
from learning_service.experiments.skips import check_skips

SAMPLER = Variable(name="sampler", values=["lcm", "euler", "3"])
CFG = Variable(name="cfg", values=[1, 2, 3.0, 7])
SIZE = Variable(
    name="size", values=["small", "wide"], settings={"small": {"width": 512}, "wide": {"width": 768, "tiling": True}}
)


def definition(*variables: Variable, skip: list[dict[str, Any]]) -> ExperimentDefinition:
    """Return a grid without some combinations."""
    return ExperimentDefinition(name="x", variables=variables, skip=tuple(skip))


@pytest.mark.parametrize(
    ("skip", "left"),
    [
        ([{"sampler": "lcm", "cfg": ">2"}], {"lcm": [1, 2], "euler": [1, 2, 3, 7], "3": [1, 2, 3, 7]}),
        ([{"sampler": "lcm", "cfg": ">= 2"}], {"lcm": [1], "euler": [1, 2, 3, 7], "3": [1, 2, 3, 7]}),
        ([{"sampler": "!=lcm", "cfg": "<3"}], {"lcm": [1, 2, 3, 7], "euler": [3, 7], "3": [3, 7]}),
        ([{"cfg": "<= 3"}], {"lcm": [7], "euler": [7], "3": [7]}),
        ([{"sampler": ["lcm", "3"]}, {"cfg": 3}], {"euler": [1, 2, 7]}),
        ([{"cfg": [1, ">2"], "sampler": "!= 3"}], {"lcm": [2], "euler": [2], "3": [1, 2, 3, 7]}),
        ([{"cfg": "!=3", "sampler": "euler"}], {"lcm": [1, 2, 3, 7], "euler": [3], "3": [1, 2, 3, 7]}),
    ],
)
def test_what_fulfils_all_conditions_of_a_table_is_left_out(skip: list[dict[str, Any]], left: dict[str, Any]) -> None:
    """Numbers are compared as numbers, and a text that looks like one is none."""
    found: dict[str, list[Any]] = {}
    for value in plan_values(definition(SAMPLER, CFG, skip=skip)):
        assert isinstance(value, dict)
        found.setdefault(str(value["sampler"]), []).append(value["cfg"])

    assert found == left


def test_a_condition_may_be_about_what_a_named_value_sets() -> None:
    """A value that leaves the setting alone fulfils none."""
    plan = definition(SIZE, CFG, skip=[{"width": ">600", "cfg": 7}, {"tiling": "!=false", "cfg": 1}])

    assert plan_values(plan) == [
        *({"size": "small", "cfg": cfg} for cfg in (1, 2, 3.0, 7)),
        *({"size": "wide", "cfg": cfg} for cfg in (2, 3.0)),
    ]


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ([{"samplr": "lcm"}], "skip #1.samplr: no variable of this experiment; did you mean 'sampler'?"),
        ([{"widt": 1}], "skip #1.widt: no variable of this experiment; did you mean 'width'?"),
        ([{}], "skip #1: is empty; name a variable with the value to skip"),
        ([{"cfg": 1}, {"sampler": "lmc"}], "skip #2.sampler: no value is 'lmc'; change or remove it"),
        ([{"cfg": ">many"}], "skip #1.cfg: '>many' compares with no number; write for example \">2\""),
        ([{"sampler": ">2"}], "skip #1.sampler: '>2' compares numbers, and its values are none"),
        ([{"cfg": "<5"}, {"cfg": 7}], "skip: leaves no combination; remove a condition"),
    ],
)
def test_a_skip_that_makes_no_sense_is_refused(skip: list[dict[str, Any]], message: str) -> None:
    """A misspelt one would silently skip nothing."""
    plan = definition(SAMPLER, CFG, SIZE, skip=skip)
    with pytest.raises(InvalidInputError) as refused:
        check_skips(plan, grid_of(plan).axes)
    assert str(refused.value) == message


def test_a_large_grid_is_not_looked_through() -> None:
    """Its combinations are refused by their number, before any is made."""
    large = [Variable(name=name, start=1, stop=50, step=1) for name in "abcd"]
    plan = definition(*large, skip=[{"a": 1}])
    check_skips(plan, grid_of(plan).axes)
    with pytest.raises(InvalidInputError, match=r"^variables: 6250000 combinations are more than 100000; take fewer"):
        plan_values(plan)
    some = definition(*large[:2], skip=[{"a": "<26"}])
    with pytest.raises(InvalidInputError, match=r"^variables: 1250 combinations are more than 1000; take fewer"):
        plan_values(some)


def test_many_tables_cost_a_point_no_more_than_one() -> None:
    """A grid is planned in the loop of the service: a thousand tables, two on each of most axes, are looked at once."""
    five = [Variable(name=name, values=list(range(10))) for name in "abcde"]
    tables: list[dict[str, Any]] = [{"a": "<9"}, *({"b": at % 10, "c": [at % 7, at % 5], "e": 11} for at in range(999))]
    plan = definition(*five, skip=tables)
    began = time.process_time()

    found = plan_values(plan, 10_000)

    assert len(found) == 10_000
    assert all(isinstance(value, dict) and value["a"] == 9 for value in found)
    assert time.process_time() - began < 2
