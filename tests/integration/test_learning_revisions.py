"""What becomes of an experiment after it was planned: extended, retried, renamed; and grids from plan to end."""

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import ExperimentParams, ExperimentView, ExtendParams, RenameParams, RetryParams
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.checker import grow
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, badly, definition, well
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    ScriptedRunner,
    Services,
    address_of,
    create,
    query,
    show,
    statuses,
    wait_for,
)

PARAMS = ExperimentParams(experiment_id=EXPERIMENT)
GRID = replace(
    SMALL,
    variable=None,
    variables=(Variable(name="cfg_scale", values=[0, 2.5]), Variable(name="prompt", values=["a", "b"])),
    config={},
)


def change(learning: ServiceThread[LearningService], method: str, params: object = PARAMS) -> ExperimentView:
    """Ask for a change of the plan."""
    return request(address_of(learning), method, params, ExperimentView)


def extend(
    learning: ServiceThread[LearningService], seeds: int | None = None, **values: list[float | str]
) -> ExperimentView:
    """Plan more values, or more seeds."""
    params = ExtendParams(experiment_id=EXPERIMENT, values=dict(values), jobs_per_variant=seeds)
    return change(learning, "experiment.extend", params)


def started(
    services: Services, plan: ExperimentDefinition = SMALL, jobs: list[str] = ALL
) -> tuple[ScriptedRunner, ServiceThread[LearningService]]:
    """Start a service and a runner that has the jobs of the plan."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, plan)
    wait_until(lambda: set(jobs) <= set(runner.jobs), what="the jobs")
    return runner, learning


def test_a_grid_has_a_variant_for_each_pair_and_its_jobs_set_both(services: Services) -> None:
    """The first variable changes slowest; an event of a job finds its variant by the map of its values."""
    jobs = [f"exp-1.{index}.0.0" for index in range(4)]
    runner, learning = started(services, GRID, jobs)

    configs = [{name: runner.jobs[job].config[name] for name in ("cfg_scale", "prompt")} for job in jobs]
    for job in jobs:
        runner.finish(job)
    ended = wait_for(learning, "completed")

    assert configs == [
        {"cfg_scale": 0, "prompt": "a"},
        {"cfg_scale": 0, "prompt": "b"},
        {"cfg_scale": 2.5, "prompt": "a"},
        {"cfg_scale": 2.5, "prompt": "b"},
    ]
    assert [one.variant_value for one in ended.variants] == configs
    assert {one.variable_under_test for one in ended.variants} == {"cfg_scale x prompt"}


def test_more_values_of_a_grid_come_behind_those_that_are_there(services: Services) -> None:
    """An index says the same coordinates forever."""
    _, learning = started(services, GRID, [])
    before = [one.variant_value for one in show(learning).variants]

    after = extend(learning, prompt=["c"])

    assert [one.variant_value for one in after.variants] == [
        *before,
        {"cfg_scale": 0, "prompt": "c"},
        {"cfg_scale": 2.5, "prompt": "c"},
    ]


def test_an_ended_experiment_goes_on_with_more_values_and_seeds(services: Services) -> None:
    """What is there stays as it is, and only what is missing is planned; again adds nothing."""
    runner, learning = started(services)
    for job in ALL:
        runner.finish(job, well(job))
    wait_for(learning, "completed")

    extended = extend(learning, seeds=2, cfg_scale=[4.0, 6.0])
    new = ["exp-1.0.1.0", "exp-1.1.1.0", "exp-1.2.0.0", "exp-1.2.1.0"]
    wait_until(lambda: set(new) <= set(runner.jobs), what="the new jobs")

    assert (extended.status, extended.totals.jobs, extended.totals.completed) == ("running", 6, 2)
    assert [one.variant_value for one in extended.variants] == [2.0, 4.0, 6.0]
    assert sorted(runner.jobs) == sorted([*ALL, *new])
    assert runner.jobs["exp-1.0.1.0"].config["seed"] == 101
    assert extended.definition.jobs_per_variant == 2
    for job in new:
        runner.finish(job, well(job))
    ended = wait_for(learning, "completed")
    assert [len(one.images) for one in ended.variants] == [2, 2, 2]

    assert extend(learning, seeds=2, cfg_scale=[6.0]).totals == ended.totals
    assert query(learning, "SELECT count(*) FROM jobs") == [(6,)]


@pytest.mark.parametrize(
    ("seeds", "values", "message"),
    [
        (None, {"cfg_scal": [1.0]}, "did you mean 'cfg_scale'"),
        (None, {"cfg_scale": ["seven"]}, r"values #3: must be a number, not 'seven'"),
        (1, {}, "jobs_per_variant: 2 are planned already; give more"),
        (None, {"cfg_scale": [float(number) for number in range(1100)]}, "variants are more than 1000"),
    ],
)
def test_an_extension_that_makes_no_sense_changes_nothing(
    services: Services, seeds: int | None, values: dict[str, list[float | str]], message: str
) -> None:
    """It is checked as a new plan is, before anything is stored."""
    _, learning = started(services, replace(SMALL, jobs_per_variant=2), [])
    before = show(learning)

    with pytest.raises(ControlError, match=message):
        extend(learning, seeds, **values)

    assert show(learning) == before


def test_only_failed_jobs_are_retried_under_new_ids(services: Services) -> None:
    """The failure is gone from the counts, and an event of the replaced job that comes late changes nothing."""
    runner, learning = started(services)
    runner.finish(ALL[0], well("a"))
    runner.finish(ALL[1], badly("out of memory"))
    wait_for(learning, "partial")

    retried = change(learning, "experiment.retry")
    wait_until(lambda: "exp-1.1.0.1" in runner.jobs, what="the new job")
    mark = runner.jobs["exp-1.1.0.1"].learning_context
    runner.publish(JobScript(mark).completed(badly()))

    assert (retried.status, retried.totals.failed, retried.totals.jobs) == ("running", 0, 2)
    assert retried.variants[1].error is None
    assert sorted(runner.jobs) == sorted([*ALL, "exp-1.1.0.1"])
    runner.publish(JobScript(mark, "exp-1.1.0.1").completed(well("b")))
    ended = wait_for(learning, "completed")
    assert (ended.totals.completed, ended.totals.jobs) == (2, 2)
    with pytest.raises(ControlError, match="no job of exp-1 has failed"):
        change(learning, "experiment.retry")
    revisions = [one.revision for one in statuses(learning, "variant.status.exp-1.1.")]
    assert grow(revisions)


def test_failed_jobs_are_retried_of_some_variants_and_repeats(services: Services) -> None:
    """The others stay as they are; without a failed one among those that are named nothing is done."""
    runner, learning = started(services)
    for name in ALL:
        runner.finish(name, badly())
    wait_for(learning, "failed")

    for named in ({"variants": (7,)}, {"repeats": (1,)}, {"variants": (1,), "repeats": (1,)}):
        with pytest.raises(ControlError, match="none of these jobs of exp-1 has failed; there is nothing to retry"):
            change(learning, "experiment.retry", {"experiment_id": EXPERIMENT, **named})
    retried = change(learning, "experiment.retry", RetryParams(experiment_id=EXPERIMENT, variants=(1,), repeats=(0,)))

    assert [(one.planned, one.failed) for one in retried.variants] == [(1, 1), (1, 0)]
    wait_until(lambda: "exp-1.1.0.1" in runner.jobs, what="the new job")
    assert "exp-1.0.0.1" not in runner.jobs


def test_a_retry_survives_the_end_of_the_service(services: Services) -> None:
    """Plan and counts are one transaction."""
    runner, learning = started(services)
    runner.finish(ALL[0], badly())
    runner.finish(ALL[1], badly())
    wait_for(learning, "failed")
    retried = change(learning, "experiment.retry")
    learning.stop()

    again = services.learning(runner.address)

    assert [(one.planned, one.failed) for one in show(again).variants] == [(1, 0), (1, 0)]
    assert show(again).totals == retried.totals
    for index in (0, 1):
        name = f"exp-1.{index}.0.1"
        wait_until(lambda name=name: name in runner.jobs, what=name)  # type: ignore[misc]  # a default argument
        runner.publish(JobScript(runner.jobs[name].learning_context, name).completed())
    assert wait_for(again, "completed").totals.completed == 2


def test_a_cancelled_experiment_can_be_extended(services: Services) -> None:
    """The cancel was of the jobs that were planned then."""
    runner, learning = started(services)
    change(learning, "experiment.cancel")
    wait_until(lambda: runner.cancels, what="the cancel")
    wait_until(lambda: not query(learning, "SELECT * FROM cancels WHERE done = 0"), what="its end")

    extend(learning, cfg_scale=[9.0])

    wait_until(lambda: "exp-1.2.0.0" in runner.jobs, what="the new job")
    assert runner.cancels == [EXPERIMENT]


def test_a_renamed_experiment_keeps_its_id_and_its_jobs(services: Services) -> None:
    """Jobs under way carry the old name, and are counted all the same; to create it again is no conflict."""
    runner, learning = started(services)

    renamed = change(learning, "experiment.rename", RenameParams(experiment_id=EXPERIMENT, name="<b>CFG</b> ünd more"))
    runner.finish(ALL[0])
    wait_until(lambda: show(learning).totals.completed == 1, what="the end of a job")

    assert renamed.experiment_name == "<b>CFG</b> ünd more"
    assert {one.experiment_name for one in show(learning).variants} == {"<b>CFG</b> ünd more"}
    assert create(learning).experiment_name == "<b>CFG</b> ünd more"
    assert statuses(learning)[-1].experiment_name == "<b>CFG</b> ünd more"
    with pytest.raises(ControlError) as refused:
        create(learning, definition([1.0]))
    assert refused.value.code == "conflict"
    with pytest.raises(ControlError, match="name: has a NUL character"):
        change(learning, "experiment.rename", RenameParams(experiment_id=EXPERIMENT, name="a\0b"))


def test_another_name_takes_no_cancel_back(services: Services) -> None:
    """A runner that is away hears of the cancel all the same, when it is back."""
    runner, learning = started(services)
    runner.stop()
    change(learning, "experiment.cancel")

    change(learning, "experiment.rename", RenameParams(experiment_id=EXPERIMENT, name="other"))

    with pytest.raises(ControlError, match="is still being cancelled"):
        extend(learning, cfg_scale=[9.0])
    back = services.scripted(runner, again=True)
    wait_until(lambda: EXPERIMENT in back.cancels, what="the cancel")


def test_what_this_service_did_not_plan_cannot_be_extended(services: Services) -> None:
    """Nobody knows its plan."""
    runner = services.scripted()
    learning = services.learning(runner.address, discover=True)
    create(learning, experiment_id="other")
    wait_until(lambda: "other.0.0.0" in runner.jobs, what="a job")
    mark = runner.jobs["other.0.0.0"].learning_context
    assert mark is not None
    runner.publish(JobScript(replace(mark, experiment_id=EXPERIMENT)).completed(badly()))
    wait_for(learning, "failed")

    for method in ("experiment.retry", "experiment.extend"):
        with pytest.raises(ControlError, match="was not planned by this service"):
            change(learning, method)
