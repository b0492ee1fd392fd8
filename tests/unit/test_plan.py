"""Planning: from the values of an experiment to jobs and configurations, and what no runner would take."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError, convert
from learning_service.experiments.axes import MAX_VARIANTS
from learning_service.experiments.plan import (
    CONFIG_BYTES,
    PlannedJob,
    check_plan,
    is_slow,
    job_id,
    job_request,
    parse_job_id,
    plan_space,
)
from learning_service.experiments.settings import job_config
from tests.support.factories import PROGRAM_STAGE, context, definition

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
    "command": {"run": PROGRAM_STAGE},
}


def commanded(*values: Scalar, command: list[Scalar], name: str = "strength") -> ExperimentDefinition:
    """Return an experiment that runs a program."""
    plan = definition(values, name=name, config={"command": command})
    return replace(plan, pipeline="command", stage="run")


def test_a_job_id_tells_experiment_variant_repeat_and_round() -> None:
    """It follows from what the job is, so submitting it again adds nothing."""
    assert job_id("exp-1", PlannedJob(3, 2)) == "exp-1.3.2.0"
    assert job_id("exp-1", PlannedJob(3, 2, round=1)) == "exp-1.3.2.1"


@pytest.mark.parametrize(("name", "slow"), [("model", True), ("steps", False)])
def test_the_pipeline_says_which_variable_is_slow(name: str, slow: bool) -> None:
    """As data, like everything else that a plan needs to know."""
    variables = {"model": VariableSpec(kind="str", slow=True), "steps": VariableSpec(kind="int")}
    pipelines = {"embedded": {"txt2img": StageSpec(variables=variables)}}

    assert is_slow(definition([1, 2], name=name), pipelines) is slow


@pytest.mark.parametrize("changes", [{"seeds": (1, 2)}, {"paired": False}])
def test_only_pictures_that_were_adopted_have_seeds_of_their_own(changes: dict[str, Any]) -> None:
    """A repeat has the seed of its place; a plan is refused with what to write instead."""
    told = replace(definition(jobs=2), seeds=(7, 3))
    assert [job_config(told, 2.0, repeat)["seed"] for repeat in range(3)] == [7, 3, told.seed + 2]

    with pytest.raises(InvalidInputError, match="seeds: those of pictures that were adopted"):
        check_plan(replace(definition(), **changes), PIPELINES)


def test_every_variant_gets_the_same_seeds() -> None:
    """The seed follows from the repeat alone."""
    plan = definition([1.0, 2.0], jobs=3)

    seeds = {value: [job_config(plan, value, repeat)["seed"] for repeat in range(3)] for value in (1.0, 2.0)}

    assert seeds == {1.0: [100, 101, 102], 2.0: [100, 101, 102]}


scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
keys = st.sampled_from(["prompt", "steps", "cfg_scale", "sampler_name", "note"])


@given(
    config=st.dictionaries(keys, scalars | st.none() | st.lists(scalars, max_size=2), max_size=4),
    name=keys,
    values=st.lists(scalars, min_size=2, max_size=2),
    seed=st.integers(0, 2**64 - 300),
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
            "variable.values #2: 151 is out of bounds; allowed: 1 to 150",
        ),
        (
            {"variable": Variable(name="steps", values=[1, 2.5]), "config": {}},
            "variable.values #2: must be a whole number, not 2.5",
        ),
        (
            {"variable": Variable(name="steps", values=[1, 2])},
            "config.steps: is the variable already; remove it from config",
        ),
        (
            {"variable": Variable(name="steps", values=["ten"]), "config": {}},
            "variable.values #1: must be a whole number, not 'ten'",
        ),
        (
            {"variable": Variable(name="sampler_name", values=["euler", "huen"])},
            "variable.values #2: 'huen' is not offered; did you mean 'heun'?",
        ),
        ({"config": {"seed": 7}}, "config.seed: write seed at the top level; every variant gets the same seeds"),
        (
            {"seed": 2**64 - 2, "jobs_per_variant": 3},
            "seed: the last one would be 18446744073709551616, and at most 18446744073709551615 is possible; take a",
        ),
        ({"config": {"step": 7}}, "config.step: unknown key; did you mean 'steps'?"),
        ({"config": {"sample": 7}}, "config.sample: is no setting; write it above the first table, such as [config]"),
        ({"config": {"prompts": []}}, "config.prompts: is no setting; write it above the first table"),
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
    with pytest.raises(InvalidInputError, match=r"^config: 98\d\d\d bytes are more than 98304; shorten "):
        check_plan(definition(config={"prompt": fits + "x" * 100}), PIPELINES)


def test_a_value_that_is_too_large_is_refused() -> None:
    """It travels with every job too, twice: in its configuration and in its context."""
    with pytest.raises(InvalidInputError, match=r"^variable\.values #2: "):
        check_plan(definition(["a star", "x" * CONFIG_BYTES], name="prompt", config={}), PIPELINES)


def test_values_that_are_too_large_together_are_refused() -> None:
    """The definition travels whole in every status of its experiment."""
    values = [f"{number} " + "x" * 1500 for number in range(MAX_VARIANTS)]

    with pytest.raises(InvalidInputError, match=r"^values: 1506893 bytes are more than 524288; "):
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


@given(st.integers(0, 999), st.integers(0, 255), st.integers(0, 9))
def test_a_job_id_is_read_as_it_is_written(variant: int, repeat: int, round_: int) -> None:
    """Whatever the id of the experiment is."""
    job = PlannedJob(variant, repeat, round_)

    assert parse_job_id(job_id("a-sweep-x9", job)) == job


def test_the_space_of_a_search_is_what_is_written_or_what_the_pipeline_lists() -> None:
    """A pipeline is only needed for `all`."""
    written = replace(definition(), variable=Variable(name="x", values=[1, 2]))
    sampler = replace(definition(config={}), variable=Variable(name="sampler_name", values="all"))

    space = plan_space(written, {})
    assert [space.value(point) for point in space.points()] == [1, 2]
    space = plan_space(sampler, PIPELINES)
    assert [space.value(point) for point in space.points()] == ["euler", "heun"]


@pytest.mark.parametrize("objective", ["stars", "preference"])
def test_what_people_like_is_never_minimized(objective: str) -> None:
    """Fewer stars are not a goal."""
    plan = replace(definition([1]), goal="minimize", objective=objective)

    with pytest.raises(InvalidInputError, match=f"^goal: more {objective} is always better; leave it out$"):
        check_plan(plan, PIPELINES)


@pytest.mark.fault(item="F93")
@pytest.mark.parametrize(
    ("metrics", "objective", "sentence"),
    [
        (("loss",), "los", "objective: embedded (txt2img) reports no metric 'los'; did you mean 'loss'?"),
        (
            ("loss",),
            "x",
            "objective: embedded (txt2img) reports no metric 'x'; known are: loss, preference, seconds, stars",
        ),
        ((), "star", "objective: embedded (txt2img) reports no metric 'star'; did you mean 'stars'?"),
    ],
)
def test_an_objective_that_no_job_reports_is_refused(metrics: tuple[str, ...], objective: str, sentence: str) -> None:
    """Where the pipeline declares its metrics, nobody waits for one that never comes."""
    stages = {"txt2img": replace(PIPELINES["embedded"]["txt2img"], metrics=metrics)}

    with pytest.raises(InvalidInputError) as refused:
        check_plan(replace(definition(), objective=objective), {"embedded": stages})

    assert str(refused.value) == sentence


@pytest.mark.parametrize("objective", ["stars", "preference", "seconds", "loss"])
@pytest.mark.parametrize("metrics", [("loss",), None])
def test_an_objective_that_jobs_or_people_report_is_taken(objective: str, metrics: tuple[str, ...] | None) -> None:
    """Of a pipeline that declares nothing only a job can tell."""
    stages = {"txt2img": replace(PIPELINES["embedded"]["txt2img"], metrics=metrics)}

    assert check_plan(replace(definition(), objective=objective), {"embedded": stages})


def test_a_search_may_be_over_more_combinations_than_a_plan_has() -> None:
    """It is checked by its first round, and its budget keeps it below the limit."""
    knobs = tuple(Variable(name=name, start=1, stop=60, step=1) for name in ("steps", "cfg_scale"))
    knobs = (replace(knobs[0], stop=100), replace(knobs[1], stop=30))
    plan = replace(
        definition(config={}), variable=None, variables=knobs, mode="adaptive", budget=50, jobs_per_variant=1
    )

    assert len(check_plan(plan, PIPELINES)) == 9
    assert len(check_plan(plan, PIPELINES, 3000)) == 3000
    assert len(check_plan(replace(plan, sample=20), PIPELINES)) == 20
    with pytest.raises(
        InvalidInputError, match=r"^budget: a search over 3000 combinations has at most 1000 jobs; take"
    ):
        check_plan(replace(plan, budget=1001), PIPELINES)
