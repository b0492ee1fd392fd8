"""Grids, and all that a pipeline lists, from what a person wrote."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.contracts.values import identity
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import axis_values
from learning_service.experiments.grid import plan_values
from learning_service.experiments.plan import check_plan, is_slow
from tests.support.factories import definition

STEPS = Variable(name="steps", values=[0, 10])
MODEL = Variable(name="model", values="all")
SPEC = StageSpec(
    variables={
        "steps": VariableSpec(kind="int", minimum=0),
        "model": VariableSpec(kind="str", choices=("b", "a"), slow=True),
        "prompt": VariableSpec(kind="str"),
    }
)
PIPELINES = {"embedded": {"txt2img": SPEC}}


def grid(*variables: Variable, **changes: Any) -> ExperimentDefinition:
    """Return a definition with these variables."""
    return replace(definition(config={}), **{"variable": None, "variables": variables, **changes})


def test_a_grid_is_every_pair_with_the_first_variable_slowest() -> None:
    """Zero is a value like others."""
    assert plan_values(grid(STEPS, Variable(name="model", values=["a", "b"]))) == [
        {"steps": 0, "model": "a"},
        {"steps": 0, "model": "b"},
        {"steps": 10, "model": "a"},
        {"steps": 10, "model": "b"},
    ]


def test_there_may_be_one_variable_or_six() -> None:
    """A lone one has plain values; of more, a value is a map."""
    letters = [Variable(name=name, values=[1, 2]) for name in "abcdef"]
    assert plan_values(grid(letters[0])) == [1, 2]
    values = plan_values(grid(*letters))
    assert len(values) == 64
    assert values[1] == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 2}


def test_all_is_what_the_pipeline_lists_in_its_order() -> None:
    """In a plan of one variable, and in a grid."""
    one = replace(definition(config={}), variable=MODEL)

    assert check_plan(one, PIPELINES) == ["b", "a"]
    assert check_plan(grid(MODEL, STEPS), PIPELINES)[0] == {"model": "b", "steps": 0}
    assert is_slow(grid(STEPS, MODEL), PIPELINES)


@pytest.mark.parametrize(
    ("variables", "changes", "message"),
    [
        ((), {}, "variable: missing; add it"),
        ((STEPS, STEPS), {}, "variables #2.name: steps is there twice; give each another name"),
        (
            tuple(Variable(name=f"x{number}", values=[1]) for number in range(7)),
            {},
            "variables: 7 are more than 6; take fewer",
        ),
        ((STEPS, MODEL), {"variable": STEPS}, "variables: there is variable already"),
        ((STEPS, Variable(name="model", values=["c"])), {}, "variables #2.values #1: 'c' is not offered"),
        ((STEPS, Variable(name="prompt", values="all")), {}, "variables #2.values: there is no list of all prompt"),
        ((Variable(name="step", values=[1]), MODEL), {}, "variables #1.name: embedded (txt2img) has no variable"),
        (
            (Variable(name="steps", start=0, stop=999, step=1), MODEL),
            {},
            "variables: 2000 combinations are more than 1000; take fewer values, plan a part of them with sample, or",
        ),
        ((STEPS, MODEL), {"config": {"model": "a"}}, "config.model: is the variable already; remove it from config"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(
    variables: tuple[Variable, ...], changes: dict[str, Any], message: str
) -> None:
    """The sentence names the variable by its place."""
    with pytest.raises(InvalidInputError) as refused:
        check_plan(grid(*variables, **changes), PIPELINES)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        ({"a": 1, "b": 0}, {"b": 0, "a": 1.0}, True),
        ({"a": 1, "b": 0}, {"a": 1, "b": False}, False),
        ("1", 1, False),
    ],
)
def test_identity_tells_values_apart(one: Scalar | dict[str, Scalar], other: Scalar, same: bool) -> None:
    """As people do: 1 and 1.0 are the same setting, 1 and true are two."""
    assert (identity(one) == identity(other)) == same


def test_all_values_are_none_yet_where_nobody_has_said_what_there_is() -> None:
    """The command line reads a file before it has asked a runner."""
    assert axis_values("variable", MODEL) == []
