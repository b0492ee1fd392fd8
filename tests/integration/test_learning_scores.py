"""Measures of jobs that had completed before: they become part of results, count once, and decide where they should."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentParams, ExperimentView, PlanParams, PlanReply, SetParams
from bus.contracts.messages import JobScored, RecommendationUpdated
from bus.contracts.scoring import ScoreSettings
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, well
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    SMALL,
    STAGES,
    ScriptedRunner,
    Services,
    address_of,
    create,
    rejections,
    show,
    statuses,
)

SCORED = replace(SMALL, jobs_per_variant=2, objective="sharpness", score=ScoreSettings(use=("sharpness",)))


@pytest.fixture
def runner(services: Services) -> ScriptedRunner:
    """Return a runner."""
    return services.scripted()


@pytest.fixture
def learning(services: Services, runner: ScriptedRunner) -> ServiceThread[LearningService]:
    """Return a service whose experiment has all jobs at the runner."""
    learning = services.learning(runner.address)
    create(learning, SCORED)
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    return learning


def scored(runner: ScriptedRunner, name: str, **metrics: float) -> JobScored:
    """Return the message about measures of a job."""
    context = runner.jobs[name].learning_context
    return JobScored(job_id=name, learning_context=context, metrics=metrics, scored_at=2_000_000_000.0)


def means(learning: ServiceThread[LearningService], index: int) -> dict[str, float]:
    """Return the metrics of a variant."""
    return show(learning).variants[index].metrics


def ask(learning: ServiceThread[LearningService], method: str, params: object, reply: type[Any]) -> Any:
    """Ask the service."""
    return request(address_of(learning), method, params, reply)


def test_the_runner_is_told_what_measures_the_pictures(runner: ScriptedRunner, learning: object) -> None:
    """And with which job's pictures they are compared."""
    del learning
    job = runner.jobs["exp-1.1.1.0"]

    assert job.score == SCORED.score
    assert (job.score_base, runner.jobs["exp-1.0.0.0"].score_base) == ("exp-1.0.1.", "exp-1.0.0.")
    assert job.learning_context is not None
    assert job.learning_context.metric == "sharpness"


def test_measures_become_part_of_results_once(runner: ScriptedRunner, learning: ServiceThread[LearningService]) -> None:
    """Before and after the end of a variant, twice the same, and once another number; each change is published."""
    for name in sorted(runner.jobs):
        runner.finish(name, well(name, loss=1.0))
    first = scored(runner, "exp-1.0.0.0", sharpness=4.0)
    runner.publish(first, first, scored(runner, "exp-1.0.1.0", sharpness=8.0))
    wait_until(lambda: means(learning, 0) == {"loss": 1.0, "sharpness": 6.0}, what="the mean")
    before = show(learning).variants[0]

    runner.publish(first, scored(runner, "exp-1.0.0.0", sharpness=2.0, loss=3.0))

    wait_until(lambda: means(learning, 0) == {"loss": 2.0, "sharpness": 5.0}, what="the new mean")
    after = show(learning).variants[0]
    assert (after.status, after.completed, after.revision) == ("completed", 2, before.revision + 1)
    assert after.updated_at == 2_000_000_000.0
    assert statuses(learning)[-1].metrics == after.metrics
    assert rejections(learning) == []


def test_measures_decide(runner: ScriptedRunner, learning: ServiceThread[LearningService]) -> None:
    """The recommendation is made anew."""
    for name in sorted(runner.jobs):
        runner.finish(name, well(name))
    runner.publish(*(scored(runner, name, sharpness=float(name.split(".")[1])) for name in runner.jobs))

    def recommended() -> RecommendationUpdated:
        made = ask(learning, "experiment.recommend", ExperimentParams(experiment_id=EXPERIMENT), RecommendationUpdated)
        assert isinstance(made, RecommendationUpdated)
        return made

    wait_until(lambda: sum(one.n for one in recommended().estimates) == 4, what="the scores")
    best = max(recommended().estimates, key=lambda one: one.mean or 0)
    assert best.value == show(learning).variants[-1].variant_value
    assert best.mean == pytest.approx(1.0, abs=1e-3)


def test_measures_in_the_batch_of_the_end_count(
    runner: ScriptedRunner, learning: ServiceThread[LearningService]
) -> None:
    """They build on the result, which is not written yet; before the end of a job they do not count."""
    early = scored(runner, "exp-1.0.1.0", sharpness=9.0)
    runner.publish(early, runner.end_of("exp-1.0.0.0", well("a")), scored(runner, "exp-1.0.0.0", sharpness=4.0))

    wait_until(lambda: means(learning, 0) == {"sharpness": 4.0}, what="the mean")
    assert rejections(learning) == []


def test_measures_of_nothing_that_is_known_are_refused(
    runner: ScriptedRunner, learning: ServiceThread[LearningService]
) -> None:
    """Of another experiment or value, or of a job that was not planned; a number that is none is not kept."""
    good = scored(runner, "exp-1.0.0.0", sharpness=4.0)
    assert good.learning_context is not None
    strange = replace(good.learning_context, experiment_id="exp-9")
    other = replace(good.learning_context, variant_value=99.0)
    runner.finish("exp-1.0.0.0", well("a"))
    runner.publish(
        replace(good, learning_context=strange),
        replace(good, learning_context=other),
        replace(good, job_id="exp-1.0.7.0"),
        replace(good, metrics={"sharpness": float("nan")}),
        replace(good, learning_context=None),
        replace(good, metrics={"contrast": 1.0}),
    )

    wait_until(lambda: means(learning, 0) == {"contrast": 1.0}, what="the mean")
    assert [one.reason for one in rejections(learning)] == ["unknown_experiment", "value_differs", "unplanned_job"]


def test_measures_survive_a_restart(
    services: Services, runner: ScriptedRunner, learning: ServiceThread[LearningService]
) -> None:
    """They are read as often as they come, and nothing is counted twice."""
    runner.finish("exp-1.0.0.0", well("a"))
    runner.publish(scored(runner, "exp-1.0.0.0", sharpness=4.0))
    wait_until(lambda: means(learning, 0) == {"sharpness": 4.0}, what="the mean")
    folder = learning.log.path.parent
    learning.stop()

    again = services.learning(runner.address, folder=folder)
    runner.publish(scored(runner, "exp-1.0.0.0", sharpness=4.0), scored(runner, "exp-1.0.0.0", noise=1.0))

    wait_until(lambda: means(again, 0) == {"sharpness": 4.0, "noise": 1.0}, what="the mean")


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (replace(SCORED, score=ScoreSettings()), "score: names nothing"),
        (replace(SCORED, score=ScoreSettings(use=("loss",))), "score.use: 'loss' is what the pipeline reports itself"),
        (
            replace(SCORED, objective="sharpnes"),
            "objective: embedded (txt2img) reports no metric 'sharpnes'; did you mean 'sharpness'?",
        ),
        (
            replace(SCORED, score=ScoreSettings(use=("sharpness",), options={"sharpness": {"x": "y" * 20_000}})),
            "score: 20041 bytes are more than 16384",
        ),
    ],
)
def test_a_plan_with_scores_that_do_not_fit_is_refused(
    services: Services, definition: ExperimentDefinition, told: str
) -> None:
    """Before anything is stored; an objective may be what a scorer reports."""
    runner = services.scripted()
    runner.offers = {"embedded": {"txt2img": replace(STAGES["txt2img"], metrics=("loss",))}}
    learning = services.learning(runner.address)

    with pytest.raises(ControlError) as refused:
        create(learning, definition)
    assert refused.value.message.startswith(told)
    assert ask(learning, "experiment.plan", PlanParams(definition=SCORED), PlanReply).jobs == 4


def test_scorers_are_added_to_an_experiment(runner: ScriptedRunner, learning: ServiceThread[LearningService]) -> None:
    """For the jobs that are still to come; with them another objective is possible."""
    del runner
    more = ScoreSettings(use=("noise",))
    params = SetParams(experiment_id=EXPERIMENT, score=more, objective="noise", goal="minimize")

    changed = ask(learning, "experiment.set", params, ExperimentView)

    assert changed.definition.score == ScoreSettings(use=("sharpness", "noise"))
    assert (changed.definition.objective, changed.definition.goal) == ("noise", "minimize")
    with pytest.raises(ControlError, match="score: names nothing"):
        ask(learning, "experiment.set", replace(params, score=ScoreSettings(use=())), ExperimentView)
