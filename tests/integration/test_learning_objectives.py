"""Nothing is waited for in silence: objectives that never come, and what cannot be done now, at the running service."""

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentParams, ExperimentView, SetParams
from bus.contracts.feedback import PairReply, RatedReply, RateParams
from bus.contracts.messages import ExperimentStatus, RecommendationUpdated
from bus.protocol.control import ControlError, MetricsReply, NoParams
from bus.transport.client import request
from learning_service.recommendation import lazy
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, badly, well
from tests.support.helpers import wait_until
from tests.support.learning_services import SMALL, ScriptedRunner, Services, address_of, create, show, wait_for
from variantbus.reports.health import Readings, Thresholds, problems_of

TYPO = replace(SMALL, objective="los", goal="minimize", jobs_per_variant=2)
ADAPTIVE = replace(SMALL, objective="los", mode="adaptive", budget=6, jobs_per_variant=1)
THRESHOLDS = Thresholds(max_lag=10_000, min_free=0)
STATISTICS = "learning_service.recommendation.service.load_statistics"
PARAMS = ExperimentParams(experiment_id=EXPERIMENT)


def sha(name: str) -> str:
    """Return the hash of the picture of a job."""
    return (name.replace("exp-", "").replace(".", "") * 64)[:64]


def started(
    services: Services, definition: ExperimentDefinition, jobs: int
) -> tuple[ScriptedRunner, ServiceThread[LearningService]]:
    """Start a service and a runner that has the jobs."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, definition)
    wait_until(lambda: len(runner.jobs) >= jobs, what="the jobs")
    return runner, learning


def work(runner: ScriptedRunner) -> None:
    """Finish all jobs; the second value has less loss."""
    for name in sorted(runner.jobs):
        runner.finish(name, well(sha(name), loss=0.5 - 0.1 * int(name.split(".")[1])))


def recommend(learning: ServiceThread[LearningService]) -> RecommendationUpdated:
    """Ask for the recommendation."""
    return request(address_of(learning), "experiment.recommend", PARAMS, RecommendationUpdated)


def change(learning: ServiceThread[LearningService], **params: str) -> ExperimentView:
    """Set what decides the experiment."""
    wanted = SetParams(experiment_id=EXPERIMENT, **params)  # type: ignore[arg-type]
    return request(address_of(learning), "experiment.set", wanted, ExperimentView)


def told(learning: ServiceThread[LearningService]) -> str:
    """Return what `show` says instead of an answer, "" if there is no problem."""
    made = show(learning).recommendation
    return str(made.problem) if made and made.problem else ""


def problems(learning: ServiceThread[LearningService]) -> list[str]:
    """Return what `check` finds."""
    reply = request(address_of(learning), "metrics", NoParams(), MetricsReply)
    return [one.code for one in problems_of(Readings(reply.metrics), THRESHOLDS) if one.code == "experiment_stuck"]


@pytest.mark.fault(item="F94")
def test_after_the_first_job_the_missing_objective_is_told_and_can_be_set(services: Services) -> None:
    """In `show`, on request, and published; after the change the same results decide."""
    runner, learning = started(services, TYPO, 4)
    assert told(learning) == ""
    runner.finish("exp-1.0.0.0", well(sha("exp-1.0.0.0"), loss=0.5))

    wait_until(lambda: told(learning) != "", what="what is told")
    made = recommend(learning)
    assert made.problem == made.sentence
    assert made.sentence.startswith("no job has reported 'los'; did you mean 'loss'? `variantbus experiment set exp-1 ")
    assert (made.value, made.tier) == (None, "none")
    assert made in learning.logged("recommendation.updated.")

    for name in sorted(runner.jobs.keys() - {"exp-1.0.0.0"}):
        runner.finish(name, well(sha(name), loss=0.5 - 0.1 * int(name.split(".")[1])))
    wait_for(learning, "completed")
    view = change(learning, objective="loss", goal="minimize")

    assert (view.definition.objective, view.definition.goal) == ("loss", "minimize")
    assert view.revision > 1
    wait_until(lambda: (made := show(learning).recommendation) is not None and made.value == 4.0, what="the answer")
    assert told(learning) == ""
    assert recommend(learning).objective == "minimize loss"
    statuses = [one for one in learning.logged("experiment.status.") if isinstance(one, ExperimentStatus)]
    assert statuses[-1].definition.objective == "loss"
    learning.stop()
    again = services.learning(runner.address)
    assert show(again).definition.objective == "loss", "it is on disk"
    create(again, TYPO)  # a repeated request is still the same one


def test_an_objective_that_cannot_be_is_refused(services: Services) -> None:
    """Of a pipeline that declares nothing, any metric may come; less stars are never better."""
    _, learning = started(services, TYPO, 4)

    for params, sentence in (
        ({"objective": "stars", "goal": "minimize"}, "goal: more stars is always better"),
        ({}, "objective: missing"),
        ({"objective": ""}, "objective: must be text"),
        ({"goal": "most"}, "goal: must be maximize or minimize, not 'most'"),
        ({"score": {"command": ["x" * 20_000], "metrics": ["m"]}}, "score: 20[0-9]* bytes are more than 16384"),
    ):
        with pytest.raises(ControlError, match=sentence) as refused:
            request(address_of(learning), "experiment.set", {"experiment_id": EXPERIMENT, **params}, ExperimentView)
        assert refused.value.code == "invalid_request"
    assert show(learning).definition == TYPO
    with pytest.raises(ControlError, match="was not found"):
        request(address_of(learning), "experiment.set", SetParams(experiment_id="x", objective="a"), ExperimentView)


def test_some_jobs_without_the_metric_are_counted_in_the_sentence(services: Services) -> None:
    """The others decide."""
    runner, learning = started(services, replace(TYPO, objective="loss"), 4)
    runner.finish("exp-1.0.0.0", well(sha("exp-1.0.0.0")))
    for name in ("exp-1.0.1.0", "exp-1.1.0.0", "exp-1.1.1.0"):
        runner.finish(name, well(sha(name), loss=0.5))
    wait_for(learning, "completed")

    made = recommend(learning)
    assert made.sentence.endswith("; 1 of 4 completed job reports no 'loss'")
    assert not made.problem


@pytest.mark.fault(item="F95")
def test_judgements_that_do_not_decide_say_so(services: Services) -> None:
    """Until the objective is theirs."""
    runner, learning = started(services, replace(TYPO, objective="loss"), 4)
    work(runner)
    wait_for(learning, "completed")
    rating = RateParams(experiment_id=EXPERIMENT, image=sha("exp-1.1.0.0"), stars=5)

    rated = request(address_of(learning), "image.rate", rating, RatedReply)
    pair = request(address_of(learning), "comparison.next", PARAMS, PairReply)

    assert rated.hint.startswith("ratings do not decide this experiment, its objective is minimize loss;")
    assert "objective=preference" in pair.hint
    change(learning, objective="stars")
    assert request(address_of(learning), "image.rate", rating, RatedReply).hint == ""
    wait_until(
        lambda: (made := show(learning).recommendation) is not None and made.objective == "stars", what="another answer"
    )


@pytest.mark.fault(item="F94")
def test_a_search_without_a_score_says_why_and_goes_on_under_another_objective(services: Services) -> None:
    """Its budget is what it was."""
    runner, learning = started(services, ADAPTIVE, 2)
    work(runner)
    stopped = wait_for(learning, "completed").search
    assert stopped is not None
    assert stopped.state == "stopped"
    assert "did you mean 'loss'?" in stopped.reason

    change(learning, objective="loss", goal="minimize")

    wait_until(lambda: len(runner.jobs) > 2, what="the next round")
    search = show(learning).search
    assert search is not None
    assert (search.state, search.budget) == ("searching", 6)


@pytest.mark.fault(item="F96")
def test_a_recommendation_that_raises_is_told_and_tried_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `show` and `check`, until it is made; nobody has to rate again for that."""

    def broken() -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(STATISTICS, broken)
    runner, learning = started(services, replace(TYPO, objective="loss"), 4)
    work(runner)

    wait_until(lambda: "ZeroDivisionError: of ours" in told(learning), what="what is told")
    assert problems(learning) == ["experiment_stuck"]
    with pytest.raises(ControlError, match="ZeroDivisionError: of ours"):
        recommend(learning)
    monkeypatch.setattr(STATISTICS, lazy.load_statistics)

    wait_until(lambda: problems(learning) == [], what="the next try")
    made = show(learning).recommendation
    assert made is not None
    assert (made.value, bool(made.problem)) == (4.0, False)


@pytest.mark.fault(item="F96")
def test_a_search_that_cannot_go_on_is_told_and_tried_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure, or a server that is away just then, is no end."""
    errors: list[Exception] = [ControlError("unavailable", "the server is away"), ZeroDivisionError("of ours")]

    def decide(*_: object) -> None:
        raise errors[0]

    with monkeypatch.context() as broken:
        broken.setattr("learning_service.planning.adaptive.load_decide", lambda: decide)
        runner, learning = started(services, replace(ADAPTIVE, objective="loss"), 2)
        work(runner)
        for reason in ("the server is away", "ZeroDivisionError: of ours"):
            wait_until(lambda why=reason: why in str(show(learning).search), what=reason)  # type: ignore[misc]
            assert show(learning).status == "running"
            assert problems(learning) == ["experiment_stuck"]
            errors[:] = errors[-1:]

    wait_until(lambda: len(runner.jobs) > 2, what="the next round")
    assert problems(learning) == []


def test_where_all_jobs_fail_nothing_is_said_of_the_objective(services: Services) -> None:
    """Their errors are what counts."""
    runner, learning = started(services, TYPO, 4)
    for name in sorted(runner.jobs):
        runner.finish(name, badly())
    wait_for(learning, "failed")

    assert told(learning) == ""
    assert recommend(learning).sentence == "no results yet"
