"""Adaptive experiments at the running service: jobs, ends, people that are waited for, restarts."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import ExperimentCancelParams, ExperimentParams, ExperimentView, ExtendParams
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.messages import ExperimentStatus, SearchStatus
from bus.eventlog.errors import StorageError
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.steps import Steps
from learning_service.experiments.model import SearchState
from learning_service.planning import adaptive
from learning_service.search.policy import decide
from learning_service.search.situation import AHEAD, More, Situation
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, badly, well
from tests.support.helpers import deadline, wait_until
from tests.support.learning_services import SMALL, ScriptedRunner, Services, address_of, create, show, wait_for

PARAMS = ExperimentParams(experiment_id=EXPERIMENT)
PLAN = replace(
    SMALL,
    variable=Variable(name="cfg_scale", start=0, stop=12, step=0.5),
    jobs_per_variant=2,
    objective="score",
    mode="adaptive",
    budget=40,
)
FIRST = 10  # jobs


def around(best: float) -> Callable[[float, int], float]:
    """Return scores that fall on both sides of the best value, with a little noise."""
    return lambda value, repeat: 1 - abs(value - best) / 4 + 0.01 * ((7 * repeat + int(4 * value)) % 3)


def started(
    services: Services, plan: ExperimentDefinition = PLAN
) -> tuple[ScriptedRunner, ServiceThread[LearningService]]:
    """Start a service and a runner that has the jobs of the first round."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, plan)
    wait_until(lambda: len(runner.jobs) >= FIRST, what="the first round")
    return runner, learning


def work(runner: ScriptedRunner, done: set[str], score: Callable[[float, int], float]) -> None:
    """Finish what the runner has been sent and has not finished yet."""
    for name in sorted(runner.jobs.keys() - done):
        mark = runner.jobs[name].learning_context
        assert mark is not None
        assert isinstance(mark.variant_value, float)
        runner.finish(name, well(name, score=score(mark.variant_value, mark.repeat_index)))
        done.add(name)


def search_of(learning: ServiceThread[LearningService]) -> SearchStatus:
    """Ask how far the search is."""
    search = show(learning).search
    assert search is not None
    return search


def run(
    runner: ScriptedRunner,
    learning: ServiceThread[LearningService],
    done: set[str],
    score: Callable[[float, int], float],
) -> ExperimentView:
    """Work until the search has ended."""
    limit = deadline(30)
    while search_of(learning).state == "searching":
        assert not limit.passed, search_of(learning)
        work(runner, done, score)
    return show(learning)


def ask(learning: ServiceThread[LearningService], method: str, params: object = PARAMS) -> ExperimentView:
    """Ask for a change."""
    return request(address_of(learning), method, params, ExperimentView)


def test_an_adaptive_experiment_finds_the_best_value_by_itself(services: Services) -> None:
    """It plans job after job, is running all the time, and ends when it is sure."""
    runner, learning = started(services)

    ended = run(runner, learning, set(), around(4.5))

    assert ended.search is not None
    assert ended.search.state == "decided"
    assert ended.status == "completed"
    assert ended.search.spent == ended.totals.jobs == len(runner.jobs) <= 40 < 25 * 2
    assert ended.recommendation is not None
    assert ended.recommendation.value == 4.5
    told = [one for one in learning.logged("experiment.status.") if isinstance(one, ExperimentStatus)]
    assert [one.status for one in told[-2:]] == ["running", "completed"]
    assert all(one.status != "completed" for one in told[:-1]), "between two jobs it has not ended"
    revisions = [one.revision for one in told]
    assert revisions == sorted(set(revisions))


def test_the_budget_is_spent_and_not_more(services: Services) -> None:
    """Failed jobs count; what was tried is kept."""
    runner, learning = started(services, replace(PLAN, budget=13))

    ended = run(runner, learning, set(), around(4.5))

    assert ended.search == SearchStatus(
        state="exhausted", budget=13, spent=13, reason="all 13 jobs of the budget are spent"
    )
    assert (ended.status, len(runner.jobs)) == ("completed", 13)


def test_a_failed_job_that_is_retried_counts_in_the_budget(services: Services) -> None:
    """There is no room for it when all is spent."""
    runner, learning = started(services, replace(PLAN, budget=10))
    for name in sorted(runner.jobs):
        runner.finish(name, badly() if name == "exp-1.0.0.0" else well(name, score=0.5))
    wait_for(learning, "partial")

    with pytest.raises(ControlError, match="budget: 1 more jobs after 10 are more than 10"):
        ask(learning, "experiment.retry")


def test_where_every_job_fails_the_search_stops(services: Services) -> None:
    """It does not try one value after the other without end."""
    runner, learning = started(services)
    for name in sorted(runner.jobs):
        runner.finish(name, badly())

    ended = wait_for(learning, "failed")

    assert ended.search is not None
    assert (ended.search.state, ended.search.spent) == ("stopped", FIRST)
    assert "score" in ended.search.reason


def test_a_search_that_is_stopped_plans_no_more_and_what_is_planned_ends(services: Services) -> None:
    """A second stop is refused, and so is one of a plain experiment."""
    runner, learning = started(services)

    stopped = ask(learning, "experiment.stop")
    assert stopped.status != "completed"
    work(runner, set(), around(4.5))
    ended = wait_for(learning, "completed")

    assert ended.search == SearchStatus(state="stopped", budget=40, spent=FIRST, reason="a person stopped it")
    with pytest.raises(ControlError, match="its search has ended already: stopped"):
        ask(learning, "experiment.stop")
    create(learning, SMALL, "plain")
    with pytest.raises(ControlError, match="has no search to stop"):
        ask(learning, "experiment.stop", ExperimentParams(experiment_id="plain"))


def test_a_search_that_is_stopped_while_it_decides_plans_no_more(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where memory was needed for other experiments meanwhile."""
    runner, learning = started(services)

    def stop_and_decide(situation: Situation) -> More | SearchState | None:
        if situation.pending:
            return None
        learning.call(lambda: learning.service._store.drop(EXPERIMENT))
        ask(learning, "experiment.stop")
        return decide(situation)

    monkeypatch.setattr(adaptive, "load_decide", lambda: stop_and_decide)
    work(runner, set(), around(4.5))
    wait_until(lambda: search_of(learning).state != "searching", what="the stop")
    turns = learning.service._search._turns
    wait_until(lambda: turns._last is not None and turns._last.done(), what="what follows the decision")

    assert search_of(learning) == SearchStatus(state="stopped", budget=40, spent=FIRST, reason="a person stopped it")


def test_cancelling_ends_the_search_and_more_values_begin_it_again(services: Services) -> None:
    """As an experiment that was cancelled goes on when it is extended."""
    stars = replace(PLAN, objective="stars")
    runner, learning = started(services, stars)
    done: set[str] = set()
    work(runner, done, around(4.5))
    wait_until(lambda: "ratings" in search_of(learning).reason, what="that it waits")
    assert show(learning).status == "running"

    cancelled = ask(learning, "experiment.cancel", ExperimentCancelParams(experiment_id=EXPERIMENT))
    assert (cancelled.status, cancelled.search and cancelled.search.state) == ("completed", "stopped")
    wait_until(lambda: EXPERIMENT in runner.cancels, what="the cancel")
    wait_until(lambda: not learning.call(lambda: learning.service._store.cancelling(EXPERIMENT)))

    ask(learning, "experiment.extend", ExtendParams(experiment_id=EXPERIMENT, values={"cfg_scale": [20]}))
    wait_until(lambda: "ratings" in search_of(learning).reason, what="that it waits again")
    assert search_of(learning).state == "searching"


def test_stars_are_waited_for_and_a_few_pictures_are_made_ahead(services: Services) -> None:
    """As soon as few enough wait for a person, the next one is made, so that there is always one to rate."""
    runner, learning = started(services, replace(PLAN, objective="stars"))
    done: set[str] = set()

    def make() -> None:
        for name in sorted(runner.jobs.keys() - done):
            runner.finish(name, well(f"{len(done):064x}"))
            done.add(name)

    def rate(number: int) -> None:
        rating = RateParams(experiment_id=EXPERIMENT, image=f"{number:064x}", stars=1 + number % 5)
        request(address_of(learning), "image.rate", rating, RatedReply)

    def waits(left: int) -> None:
        wait_until(lambda: search_of(learning).reason == f"waits for ratings of {left} pictures", what="that it waits")

    make()
    for number in range(FIRST - AHEAD):
        waits(FIRST - number)
        rate(number)
    waits(AHEAD)
    assert len(runner.jobs) == FIRST

    rate(FIRST - AHEAD)
    wait_until(lambda: len(runner.jobs) == FIRST + 1, what="the next picture")
    assert search_of(learning).reason.startswith("tries cfg_scale ")
    make()
    waits(AHEAD)
    assert len(runner.jobs) == FIRST + 1


@pytest.mark.fault(item="F173")
def test_as_many_jobs_are_under_way_as_the_runners_run_at_once(services: Services) -> None:
    """The next one is planned when one of them ends, whichever it is; the slowest holds up none of the others."""
    runner = services.scripted()
    runner.rooms, runner.concurrency = {"embedded": 100}, 3
    learning = services.learning(runner.address)
    create(learning, PLAN)
    wait_until(lambda: len(runner.jobs) == FIRST, what="the first round")
    done = {min(runner.jobs)}  # the slow one
    limit = deadline(30)

    while len(runner.jobs) < FIRST + 8:
        assert not limit.passed, search_of(learning)
        assert len(runner.jobs.keys() - done) <= max(2, FIRST - len(done)), "beside the slow one"
        work(runner, done, around(4.5))


def test_a_search_goes_on_where_the_last_service_left_it(services: Services) -> None:
    """A job ends while no service runs; nothing is planned twice, and the budget holds."""
    runner, learning = started(services, replace(PLAN, budget=18))
    done: set[str] = set()
    while len(runner.jobs) == FIRST:
        work(runner, done, around(4.5))
    learning.stop()
    work(runner, done, around(4.5))

    again = services.learning(runner.address)
    ended = run(runner, again, done, around(4.5))

    assert ended.search is not None
    assert (ended.search.state, ended.search.spent, len(runner.jobs)) == ("exhausted", 18, 18)


def test_a_full_disk_stops_no_search(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next job is planned when there is room."""
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.1)
    runner, learning = started(services, replace(PLAN, budget=16, stop_p_best=0.999))
    revisions = learning.service._search._revisions
    plan_more, tries = revisions.plan_more, itertools.count()

    def full_at_first(*values: Any, **words: Any) -> Steps[None]:
        if next(tries) == 0:
            raise StorageError("database or disk is full")
        return plan_more(*values, **words)

    monkeypatch.setattr(revisions, "plan_more", full_at_first)

    ended = run(runner, learning, set(), around(4.5))

    assert ended.search is not None
    assert (ended.search.spent, len(runner.jobs)) == (16, 16)
    assert next(tries) == 7, "one of them failed"


def test_a_value_that_a_runner_does_not_take_any_more_ends_the_search(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the runner's own sentence."""
    runner, learning = started(services)

    def refuse(*_: object) -> None:
        raise InvalidInputError("config.cfg_scale: not today")

    monkeypatch.setattr(learning.service._dispatcher, "check", refuse)
    ended = run(runner, learning, set(), around(4.5))
    assert ended.search is not None
    assert (ended.search.state, ended.search.reason) == ("stopped", "config.cfg_scale: not today")


def test_without_the_statistics_an_adaptive_experiment_is_refused(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install; plain experiments are planned as ever."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, SMALL, "plain")
    monkeypatch.setitem(sys.modules, "learning_service.recommendation.recommend", None)

    with pytest.raises(ControlError, match=r"pip install .*\[learning\]'") as caught:
        ask(learning, "experiment.create", {"experiment_id": EXPERIMENT, "definition": PLAN})

    assert caught.value.code == "unavailable"


def test_a_budget_below_the_first_round_is_refused(services: Services) -> None:
    """Nothing is stored of it."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    with pytest.raises(ControlError, match="budget: 9 is less than the 10 jobs of the first round"):
        create(learning, replace(PLAN, budget=9))
    with pytest.raises(ControlError, match="was not found"):
        show(learning)
