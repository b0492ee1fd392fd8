"""Planning: from what a person wrote to values, jobs and configurations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.messages import ExperimentDefinition, Scalar, Variable
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError, convert
from learning_service.experiments.axes import MAX_VARIANTS, axis_values
from learning_service.experiments.plan import (
    CONFIG_BYTES,
    PlannedJob,
    check_plan,
    is_slow,
    job_config,
    job_id,
    job_request,
    plan_jobs,
)
from tests.support.factories import context, definition

PIPELINES = {
    "embedded": {
        "txt2img": StageSpec(
            variables={
                "prompt": VariableSpec(kind="str"),
                "steps": VariableSpec(kind="int", minimum=1, maximum=150),
                "cfg_scale": VariableSpec(kind="float", minimum=0, maximum=30),
                "sampler_name": VariableSpec(kind="str", choices=("euler", "heun")),
                "tiling": VariableSpec(kind="bool"),
                "width": VariableSpec(kind="int"),
                "height": VariableSpec(kind="int"),
                "seed": VariableSpec(kind="int", minimum=0),
            }
        )
    },
    "command": {
        "run": StageSpec(
            config={"command": VariableSpec(kind="list")},
            required=("command",),
            template="command",
            provided=("output_dir",),
        )
    },
}


def listed(*values: Scalar) -> Variable:
    """Give a variable with a list of values."""
    return Variable(name="x", values=list(values))


def ranged(start: Any = None, stop: Any = None, step: Any = None) -> Variable:
    """Give a variable with a range."""
    return Variable(name="x", start=start, stop=stop, step=step)


def commanded(*values: Scalar, command: list[Scalar], name: str = "strength") -> ExperimentDefinition:
    """Give an experiment that runs a program."""
    plan = definition(values, name=name, config={"command": command})
    return replace(plan, pipeline="command", stage="run")


# values


def test_a_list_of_values_is_taken_as_it_is() -> None:
    """Order and types stay."""
    values: list[Scalar] = [8, 1, 2.5, "euler", True]

    assert axis_values("variable", listed(*values)) == values
    assert [type(value) for value in axis_values("variable", listed(*values))] == [int, int, float, str, bool]


@pytest.mark.parametrize(
    ("variable", "count", "last"),
    [
        (ranged(0.5, 0.9, 0.05), 9, 0.9),
        (ranged(0, 1, 0.05), 21, 1.0),
        (ranged(0, 0.3, 0.1), 4, 0.3),
        (ranged("0", "0.3", "0.1"), 4, 0.3),
        (ranged(0.1, 0.7, 0.2), 4, 0.7),
        (ranged(1, 10, 4), 3, 9),
        (ranged(3, 3, 1), 1, 3),
        (ranged(3, 3, -1), 1, 3),
        (ranged(1e-7, 3e-7, 1e-7), 3, 3e-7),
    ],
)
def test_a_range_is_exact_in_decimal(variable: Variable, count: int, last: float) -> None:
    """Both ends are included, and the last value is what a person would write, not 0.8999999999999999."""
    values = axis_values("variable", variable)

    assert len(values) == count
    assert values[-1] == last


def test_the_values_of_a_range_are_what_a_person_would_write() -> None:
    """No value in the middle carries the error of binary addition either."""
    assert axis_values("variable", ranged(0, 1, 0.1)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_whole_numbers_stay_whole() -> None:
    """A range of steps gives integers, as a list would."""
    values = axis_values("variable", ranged(10, 30, 10))

    assert values == [10, 20, 30]
    assert all(type(value) is int for value in values)


def test_a_range_with_one_fraction_has_only_fractions() -> None:
    """All values of a range have one type."""
    assert [type(value) for value in axis_values("variable", ranged(0, 1, 0.5))] == [float, float, float]


def test_a_negative_step_goes_down() -> None:
    """From a large start to a small stop."""
    assert axis_values("variable", ranged(1, 0, "-0.25")) == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (ranged(0, 1, 0), "variable.step: 0 never gets"),
        (ranged(0, 1, -0.1), "variable.step: -0.1 leads away from stop"),
        (ranged(1, 0, 0.1), "variable.step: 0.1 leads away from stop"),
        (listed(), "variable.values: empty"),
        (listed(1, 1.0), r"variable.values\[1\]: 1.0 is there twice"),
        (listed("a", "b", "a"), r"variable.values\[2\]: 'a' is there twice"),
        (listed(float("nan")), r"variable.values\[0\]: nan is no usable value"),
        (listed(1.0, float("inf")), r"variable.values\[1\]: inf is no usable value"),
        (listed(""), r"variable.values\[0\]: '' is no usable value"),
        (Variable(name="x", values=[1], start=0), "variable.start: give either values or"),
        (Variable(name="x", values=[1], step=1), "variable.step: give either values or"),
        (ranged(), "variable.start: missing"),
        (ranged(0, None, 1), "variable.stop: missing"),
        (ranged(0, 1), "variable.step: missing"),
        (ranged("zero", 1, 1), "variable.start: 'zero' is no number"),
        (ranged("", 1, 1), "variable.start: '' is no number"),
        (ranged(0, "inf", 1), "variable.stop: 'inf' is no usable number"),
        (ranged(0, 1, float("nan")), "variable.step: nan is no usable number"),
        (ranged(0, 1, True), "variable.step: True is no number"),
        (ranged(0, 1, "1e-19"), "variable.step: '1e-19' is no usable number"),
        (ranged(0, 2**70, 2**69), "variable.stop: .* is no usable number"),
    ],
)
def test_values_that_make_no_sense_are_refused(variable: Variable, message: str) -> None:
    """Each refusal names the field."""
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        axis_values("variable", variable)


@pytest.mark.parametrize("values", [[1, True], [0, False], [1.0, True], ["1", 1]])
def test_values_of_other_types_are_other_values(values: list[Scalar]) -> None:
    """True and 1 are two variants, as they are two settings."""
    assert axis_values("variable", listed(*values)) == values


@pytest.mark.parametrize(
    "variable",
    [
        ranged(0, 10**9, 1),
        ranged(0, 1, "1e-9"),
        ranged(0, 10**18, "0.001"),
        ranged(0, 1, "1e-900000"),
        ranged(0, 1, "1e-999999999"),
    ],
    ids=str,
)
def test_far_too_many_variants_are_refused_at_once(variable: Variable) -> None:
    """The count is known without expanding the range, whatever the step; expanding these would not return."""
    with pytest.raises(InvalidInputError, match=r"^variable\."):
        axis_values("variable", variable)


def test_the_number_of_variants_is_capped() -> None:
    """One more than the cap is refused, whether listed or ranged, with the number and the option that raises it."""
    assert len(axis_values("variable", ranged(1, MAX_VARIANTS, 1))) == MAX_VARIANTS
    for variable in (ranged(0, MAX_VARIANTS, 1), listed(*range(MAX_VARIANTS + 1))):
        with pytest.raises(InvalidInputError, match=r"1001 variants are more than 1000; .*--max-variants"):
            axis_values("variable", variable)


def test_the_cap_is_configurable() -> None:
    """A service can allow fewer or more."""
    assert len(axis_values("variable", ranged(0, 1000, 1), max_variants=1001)) == 1001
    with pytest.raises(InvalidInputError, match="3 variants are more than 2"):
        axis_values("variable", listed(1, 2, 3), max_variants=2)


def test_the_largest_cap_is_checked_in_reasonable_time() -> None:
    """Looking for duplicates among 100,000 values does not compare each with each."""
    values = axis_values("variable", listed(*range(100_000)), max_variants=100_000)

    assert len(values) == 100_000


# jobs


def test_a_job_id_tells_experiment_variant_repeat_and_round() -> None:
    """It follows from what the job is, so submitting it again adds nothing."""
    assert job_id("exp-1", PlannedJob(3, 2)) == "exp-1.3.2.0"
    assert job_id("exp-1", PlannedJob(3, 2, round=1)) == "exp-1.3.2.1"


def test_jobs_come_repeat_by_repeat() -> None:
    """Every variant shows something before any has its second job."""
    assert plan_jobs(definition(jobs=2), variants=3) == [
        (0, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
        (0, 1, 0),
        (1, 1, 0),
        (2, 1, 0),
    ]


def test_jobs_come_variant_by_variant_where_another_value_takes_long() -> None:
    """A model is loaded once for all seeds."""
    plan = definition([2.0, 4.0], jobs=2)

    assert plan_jobs(plan, 2, slow=True) == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]


@pytest.mark.parametrize(("name", "slow"), [("model", True), ("steps", False)])
def test_the_pipeline_says_which_variable_is_slow(name: str, slow: bool) -> None:
    """As data, like everything else that a plan needs to know."""
    variables = {"model": VariableSpec(kind="str", slow=True), "steps": VariableSpec(kind="int")}
    pipelines = {"embedded": {"txt2img": StageSpec(variables=variables)}}

    assert is_slow(definition([1, 2], name=name), pipelines) is slow


def test_every_variant_gets_the_same_seeds() -> None:
    """The seed follows from the repeat alone."""
    plan = definition([1.0, 2.0], jobs=3)

    seeds = {
        job.variant_index: [
            job_config(plan, 1.0 + job.variant_index, other.repeat_index)["seed"]
            for other in plan_jobs(plan, 2)
            if other.variant_index == job.variant_index
        ]
        for job in plan_jobs(plan, 2)
    }

    assert seeds == {0: [100, 101, 102], 1: [100, 101, 102]}


scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
keys = st.sampled_from(["prompt", "steps", "cfg_scale", "sampler_name", "note"])


@given(
    config=st.dictionaries(keys, scalars | st.none() | st.lists(scalars, max_size=2), max_size=4),
    name=keys,
    values=st.lists(scalars, min_size=2, max_size=2),
    seed=st.integers(0, 2**32 - 1),
    repeat=st.integers(0, 255),
)
def test_only_the_variable_differs_between_two_variants(
    config: dict[str, Any], name: str, values: list[Scalar], seed: int, repeat: int
) -> None:
    """Whatever else is configured, also the variable's own key, is the same in both."""
    plan = replace(definition(values, name=name, config=config), seed=seed)

    one, other = (job_config(plan, value, repeat) for value in values)

    assert (one.pop(name), other.pop(name)) == (values[0], values[1])
    assert one == other
    assert one == {**{key: value for key, value in config.items() if key != name}, "seed": seed + repeat}


def test_where_the_seed_is_the_variable_its_value_counts() -> None:
    """The values of the variable are the seeds."""
    assert job_config(definition([7, 8], name="seed"), 8, 0)["seed"] == 8


def test_a_request_carries_the_context_of_its_job() -> None:
    """What a runner is sent says where the job belongs and what it is to do."""
    plan = definition([2.0, 4.0], jobs=2)

    request = job_request("exp-1", plan, 4.0, PlannedJob(1, 1))

    assert request.job_id == "exp-1.1.1.0"
    assert (request.pipeline, request.stage) == ("embedded", "txt2img")
    assert request.config == {**plan.config, "seed": 101, "cfg_scale": 4.0}
    assert request.learning_context == context(1, 4.0, repeat=1)


# checks against what runners offer


def test_a_good_plan_gives_its_values() -> None:
    """Nothing is refused that a runner would take."""
    assert check_plan(definition([1, 2.5]), PIPELINES) == [1, 2.5]
    assert check_plan(definition(["euler", "heun"], name="sampler_name"), PIPELINES) == ["euler", "heun"]
    assert check_plan(definition([True, False], name="tiling"), PIPELINES) == [True, False]
    assert check_plan(definition([7, 8], name="seed"), PIPELINES) == [7, 8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": "embeded"}, "pipeline: 'embeded' is unknown; did you mean 'embedded'?"),
        ({"stage": "txt2im"}, "stage: embedded has no stage 'txt2im'; did you mean 'txt2img'?"),
        (
            {"variable": Variable(name="cfg_scal", values=[1])},
            "variable.name: embedded (txt2img) has no variable 'cfg_scal'; did you mean 'cfg_scale'?",
        ),
        (
            {"variable": Variable(name="steps", values=[1, 151]), "config": {}},
            "variable.values[1]: 151 is out of bounds; allowed: 1 to 150",
        ),
        (
            {"variable": Variable(name="steps", values=[1, 2.5]), "config": {}},
            "variable.values[1]: expected a whole number, got 2.5",
        ),
        (
            {"variable": Variable(name="steps", values=[1, 2])},
            "config.steps: is the variable already; remove it from config",
        ),
        (
            {"variable": Variable(name="steps", values=["ten"]), "config": {}},
            "variable.values[0]: expected a whole number, got 'ten'",
        ),
        (
            {"variable": Variable(name="sampler_name", values=["euler", "huen"])},
            "variable.values[1]: 'huen' is not offered; did you mean 'heun'?",
        ),
        ({"config": {"seed": 7}}, "config.seed: write seed at the top level; every variant gets the same seeds"),
        ({"config": {"step": 7}}, "config.step: unknown key; did you mean 'steps'?"),
        ({"config": {"steps": 0}}, "config.steps: 0 is out of bounds; allowed: 1 to 150"),
        (
            {"variable": Variable(name="seed", values=[1, 2]), "jobs_per_variant": 2},
            "jobs_per_variant: must be 1 where the seed itself is the variable",
        ),
        (
            {"variable": Variable(name="cfg_scale", start=0, stop=1, step="0.001"), "jobs_per_variant": 256},
            "variable.values: 1001 variants are more than 1000;",
        ),
        (
            {"variable": Variable(name="cfg_scale", start=0, stop=0.999, step="0.001"), "jobs_per_variant": 101},
            "jobs_per_variant: 1000 variants x 101 jobs are more than 100000",
        ),
    ],
)
def test_a_plan_that_no_runner_would_take_is_refused(changes: dict[str, Any], message: str) -> None:
    """The sentence names the field, and what was perhaps meant."""
    with pytest.raises(InvalidInputError) as refused:
        check_plan(replace(definition(), **changes), PIPELINES)

    assert str(refused.value).startswith(message)


def test_a_config_that_is_too_large_is_refused() -> None:
    """It would travel with every job."""
    fits = "x" * (CONFIG_BYTES - 100)

    assert check_plan(definition(config={"prompt": fits}), PIPELINES)
    with pytest.raises(InvalidInputError, match=r"^config: 32\d\d\d bytes are more than 32768; put "):
        check_plan(definition(config={"prompt": fits + "x" * 100}), PIPELINES)


def test_a_value_that_is_too_large_is_refused() -> None:
    """It travels with every job too, twice: in its configuration and in its context."""
    with pytest.raises(InvalidInputError, match=r"^variable\.values\[1\]: "):
        check_plan(definition(["a star", "x" * CONFIG_BYTES], name="prompt", config={}), PIPELINES)


def test_values_that_are_too_large_together_are_refused() -> None:
    """The definition travels whole in every status of its experiment."""
    values = [f"{number} " + "x" * 1500 for number in range(MAX_VARIANTS)]

    with pytest.raises(InvalidInputError, match=r"^variable\.values: "):
        check_plan(definition(values, name="prompt", config={}), PIPELINES)


def test_the_placeholders_of_a_command_are_its_variables() -> None:
    """What the command does not mention cannot be varied; the near miss is among its own placeholders."""
    plan = commanded(1, 2, command=["tool", "--strength={strength}", "--out={output_dir}"])

    assert check_plan(plan, PIPELINES) == [1, 2]
    with pytest.raises(InvalidInputError, match=r"command \(run\) has no variable 'strenght'; did you mean 'strength'"):
        check_plan(replace(plan, variable=Variable(name="strenght", values=[1])), PIPELINES)
    with pytest.raises(InvalidInputError, match=r"has no variable 'output_dir'"):
        check_plan(replace(plan, variable=Variable(name="output_dir", values=["/"])), PIPELINES)


def test_a_placeholder_without_a_value_is_refused_before_anything_runs() -> None:
    """Every placeholder but the variable needs a value in the configuration."""
    plan = commanded(1, command=["tool", "{strength}", "{other}"])

    with pytest.raises(InvalidInputError, match=r"config\.other: missing; add it"):
        check_plan(plan, PIPELINES)


def test_a_definition_is_read_as_a_person_writes_it() -> None:
    """Plain data of a file becomes a definition that can be planned."""
    plain = {
        "name": "CFG sweep",
        "variable": {"name": "cfg_scale", "start": 1, "stop": "2", "step": 0.5},
        "config": {"prompt": "a star", "steps": 12},
    }

    assert check_plan(convert(plain, ExperimentDefinition), PIPELINES) == [1.0, 1.5, 2.0]
