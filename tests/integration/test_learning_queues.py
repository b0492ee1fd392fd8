"""Sending jobs to runners that are full, whose server is away, or that refuse some of them; and what is cancelled."""

import itertools
import time

import pytest
from msgspec.structs import replace

from bus.contracts.experiments import CreateParams, ExperimentCancelParams, ExperimentParams, ExperimentView
from bus.contracts.pipeline_specs import StageSpec
from bus.protocol.control import ControlError, ErrorCode
from bus.transport.client import request
from learning_service.dispatch.links import TRIES
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, context
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    LossyMethodServer,
    ScriptedRunner,
    Services,
    address_of,
    create,
    name_job,
    query,
    show,
    statuses,
    wait_for,
)

AWAY = {"embedded": {"txt2img": StageSpec(unavailable="embedded: nobody answers")}}


def alive(learning: ServiceThread[LearningService]) -> bool:
    """Return whether all runners have answered."""
    return learning.call(lambda: all(link.alive for link in learning.service._dispatcher._links))


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_runners_the_one_without_the_server_gets_nothing(services: Services, order: int) -> None:
    """Its jobs would wait forever; the order in which the runners are named makes no difference."""
    without, within = services.scripted(), services.scripted()
    without.offers = AWAY
    within.queue = 1000  # it is the longer queue
    learning = services.learning(*[without.address, within.address][::order])
    wait_until(lambda: alive(learning), what="both runners")

    create(learning, replace(SMALL, jobs_per_variant=5))

    wait_until(lambda: len(within.jobs) == 10, what="all jobs")
    assert without.jobs == {}


def test_jobs_that_no_runner_can_take_now_are_assigned_when_one_can(services: Services) -> None:
    """Until then they wait without a runner, as nobody knows which server answers first."""
    first, second = services.scripted(), services.scripted()
    learning = services.learning(first.address, second.address)
    wait_until(lambda: alive(learning), what="both runners")
    first.rooms = {"embedded": 0}
    second.rooms = {"embedded": -3}  # what makes no sense is no room either
    wait_until(lambda: held(learning) == [{"embedded/txt2img"}] * 2, what="that there is no room")
    create(learning)
    first.offers = second.offers = AWAY
    first.rooms = second.rooms = {}
    wait_until(lambda: available(learning) == [set(), set()], what="that no server is known")
    assert query(learning, "SELECT DISTINCT runner FROM jobs") == [(None,)]

    second.offers = {}

    wait_until(lambda: sorted(second.jobs) == ALL, what="the jobs")
    assert first.jobs == {}


def available(learning: ServiceThread[LearningService]) -> list[set[str]]:
    """Return the kinds of jobs of which each runner knows what they take."""
    return learning.call(lambda: [set(link.available) for link in learning.service._dispatcher._links])


def held(learning: ServiceThread[LearningService]) -> list[set[str]]:
    """Return the kinds of jobs that each runner offers, but cannot take now."""
    return learning.call(lambda: [link.blocked for link in learning.service._dispatcher._links])


def test_an_urgent_experiment_overtakes_one_that_waits_for_room(services: Services) -> None:
    """The jobs carry its priority, and those that are planned before it and not yet sent come after it."""
    runner = services.scripted()
    runner.rooms = {"embedded": 3}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=4))
    wait_until(lambda: len(runner.jobs) == 3, what="the jobs that there is room for")
    create(learning, replace(SMALL, priority=100), experiment_id="urgent")

    runner.rooms = {"embedded": 3}
    wait_until(lambda: len(runner.jobs) == 6, what="three more jobs")
    runner.rooms = {}
    wait_until(lambda: len(runner.jobs) == 10, what="all jobs")

    sent = list(runner.jobs)
    assert sent[3:5] == ["urgent.0.0.0", "urgent.1.0.0"]
    assert [runner.jobs[name].priority for name in sent] == [0] * 3 + [100] * 2 + [0] * 5
    assert sent[:3] + sent[5:] == [f"exp-1.{variant}.{repeat}.0" for repeat in range(4) for variant in range(2)]


def test_a_full_pipeline_keeps_no_other_one_waiting(services: Services) -> None:
    """Each has its own part of the queue."""
    runner = services.scripted(pipelines=("embedded", "webui"))
    runner.rooms = {"embedded": 100, "webui": 1}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, pipeline="webui", priority=100), "served")

    create(learning)

    wait_until(lambda: set(ALL) <= set(runner.jobs), what="the jobs of the other pipeline")
    assert sorted(runner.jobs) == [*ALL, "served.0.0.0"]
    runner.rooms = {}
    wait_until(lambda: "served.1.0.0" in runner.jobs, what="the job that waited")


def test_a_runner_that_tells_of_room_and_has_none_is_given_the_other_jobs(services: Services) -> None:
    """What makes no sense keeps only the jobs of that pipeline waiting."""
    runner = services.scripted(pipelines=("embedded", "webui"))
    runner.refused, runner.refuses_with = {"served.0.0.0", "served.1.0.0"}, "unavailable"
    runner.details = lambda _number, job: {"pipeline": job.pipeline, "room": "5"}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, pipeline="webui", priority=100), "served")

    create(learning)

    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs of the other pipeline")
    assert show(learning, "served").totals.failed == 0


@pytest.mark.parametrize("code", ["invalid_request", "too_large", "internal"])
@pytest.mark.parametrize("named", [True, False])
def test_a_job_that_is_not_taken_fails_without_its_neighbours(
    services: Services, code: ErrorCode, *, named: bool
) -> None:
    """A request is taken whole or not at all: the error names the job, or smaller requests find it."""
    runner = services.scripted()
    runner.refused, runner.refuses_with = {"exp-1.1.20.0"}, code
    if named:
        runner.details = name_job
    learning = services.learning(runner.address)

    create(learning, replace(SMALL, jobs_per_variant=50))

    wait_until(lambda: show(learning).totals.failed == 1, what="the failure of the refused job")
    wait_until(lambda: len(runner.jobs) == 99, what="the other jobs")
    assert show(learning).variants[1].error == "exp-1.1.20.0: config.cfg_scale: not today"
    assert show(learning).totals.failed == 1
    assert runner.requests < 40


def test_a_passing_fault_of_a_runner_fails_no_job(services: Services) -> None:
    """It is tried a few times, each time a while later, however much is going on at another runner."""
    runner, other = services.scripted(), services.scripted(pipelines=("other",))
    runner.refused, runner.refuses_with, runner.details = set(ALL), "internal", name_job
    times: list[float] = []

    def recover() -> None:
        times.append(time.monotonic())
        if len(times) == TRIES:
            runner.refused = set()

    runner.before_submit = recover
    learning = services.learning(runner.address, other.address)
    wait_until(lambda: alive(learning), what="both runners")
    create(learning)

    def taken() -> bool:
        learning.call(learning.service._dispatcher.pump)  # as whenever the other one takes something
        return sorted(runner.jobs) == ALL

    wait_until(taken, what="the jobs")
    assert show(learning).totals.failed == 0
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.05


def test_a_full_queue_gets_what_it_has_room_for_and_is_not_pressed(services: Services) -> None:
    """The rest waits here until jobs have run there; nothing is refused, and nothing is asked in vain."""
    runner = services.scripted()
    runner.rooms = {"embedded": 3}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=4))

    wait_until(lambda: len(runner.jobs) == 3, what="the jobs that there is room for")
    asked = runner.requests
    wait_until(lambda: ticks_of(runner) > 3, what="some more questions about its room")
    assert (runner.requests, len(runner.jobs)) == (asked, 3)

    runner.rooms = {"embedded": 2}
    wait_until(lambda: len(runner.jobs) == 5, what="two more jobs")
    runner.rooms = {"embedded": 100}
    wait_until(lambda: len(runner.jobs) == 8, what="all jobs")
    assert show(learning).totals.failed == 0


def ticks_of(runner: ScriptedRunner) -> float:
    """Count how often a runner was asked what it offers."""
    return runner.service.call(lambda: runner.service.publisher.methods._answered["pipelines", "ok"])


def test_somebody_else_who_fills_the_queue_is_no_failure(services: Services) -> None:
    """What was refused for want of room is sent again when there is some."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, experiment_id="earlier")
    wait_until(lambda: runner.jobs, what="the first jobs")

    def fill() -> None:
        runner.rooms = {"embedded": 0}

    runner.before_submit = fill
    create(learning)
    wait_until(lambda: runner.requests > 1, what="a refused submission")
    runner.service.call(lambda: setattr(runner, "before_submit", lambda: None))  # in no submission
    runner.rooms = {"embedded": 100}

    wait_until(lambda: set(ALL) <= set(runner.jobs), what="the jobs")
    assert show(learning).totals.failed == 0


def test_a_server_that_was_never_heard_of_keeps_only_its_own_jobs_waiting(services: Services) -> None:
    """A runner that was started again cannot check them yet; jobs of other pipelines overtake them."""
    runner = services.scripted(pipelines=("embedded", "webui"))
    learning = services.learning(runner.address)
    create(learning, experiment_id="earlier")
    wait_until(lambda: runner.jobs, what="that the runner is known")
    runner.rooms = {"webui": 0}
    wait_until(lambda: held(learning) == [{"webui/txt2img"}], what="that there is no room")
    create(learning, replace(SMALL, pipeline="webui"), "served")
    runner.offers = {"webui": {"txt2img": StageSpec(unavailable="webui: nobody answers")}}
    wait_until(lambda: available(learning) == [{"embedded/txt2img"}], what="that the server is not known")
    runner.rooms = {}
    wait_until(lambda: held(learning) == [{"webui/txt2img"}], what="that only the server is missing")

    create(learning)
    wait_until(lambda: set(ALL) <= set(runner.jobs), what="the jobs of the other pipeline")
    assert not any(name.startswith("served.") for name in runner.jobs)
    params = CreateParams(experiment_id="new", definition=replace(SMALL, pipeline="webui"))
    with pytest.raises(ControlError) as refused:
        request(address_of(learning), "experiment.create", params, ExperimentView)
    assert (refused.value.code, refused.value.message) == ("unavailable", "webui: nobody answers")

    runner.offers = {}
    wait_until(lambda: {"served.0.0.0", "served.1.0.0"} <= set(runner.jobs), what="the jobs that waited")


def test_jobs_that_wait_for_room_are_cancelled_without_their_runner(services: Services) -> None:
    """Nothing of them is sent any more, and the experiment has ended."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, experiment_id="earlier")
    wait_until(lambda: runner.jobs, what="that the runner is known")
    runner.rooms = {"embedded": 0}
    create(learning)

    params = ExperimentCancelParams(experiment_id=EXPERIMENT, finish_running=True)
    request(address_of(learning), "experiment.cancel", params, ExperimentView)

    assert wait_for(learning, "cancelled").totals.cancelled == len(ALL)
    runner.rooms = {"embedded": 100}
    wait_until(lambda: ticks_of(runner) > 5, what="time in which they might be sent")
    assert not set(ALL) & set(runner.jobs)


def lose_replies(runner: ScriptedRunner) -> None:
    """Make a runner accept jobs without publishing any event."""
    runner.service.publisher.methods = LossyMethodServer(runner.service.publisher.methods, b"job.submit", 1_000_000)


@pytest.mark.parametrize("heard", [True, False])
def test_a_cancel_reaches_a_full_runner_whose_reply_was_lost(services: Services, *, heard: bool) -> None:
    """Its jobs are not sent again, as it is full: what is not known to be there is cancelled here as well."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    wait_until(lambda: alive(learning), what="the runner")
    runner.rooms = {"embedded": len(ALL)}
    lose_replies(runner)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    wait_until(lambda: held(learning) == [{"embedded/txt2img"}], what="that there is no room")
    if heard:
        runner.publish(JobScript(context()).queued(), JobScript(context(1, 4.0)).started())
        wait_until(lambda: show(learning).totals.running == 1, what="the events")
    assert query(learning, "SELECT count(*) FROM jobs WHERE NOT acknowledged") == [(2,)]

    request(address_of(learning), "experiment.cancel", ExperimentParams(experiment_id=EXPERIMENT), ExperimentView)

    wait_until(lambda: EXPERIMENT in runner.cancels, what="the cancel")
    assert show(learning).totals.cancelled == (0 if heard else 2)
    assert query(learning, "SELECT count(*) FROM jobs WHERE NOT acknowledged") == [(0,)]


def test_many_jobs_are_cancelled_in_steps_that_a_crash_may_interrupt(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between them the service answers, and nothing of the experiment is sent; a new start goes on."""
    monkeypatch.setattr("learning_service.dispatch.dispatcher.CANCELS_AT_ONCE", 7)
    runner = services.scripted()
    runner.rooms = {"embedded": 0}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=50))
    wait_until(lambda: query(learning, "SELECT count(*) FROM jobs") == [(100,)], what="the rows of all jobs")
    learning.call(lambda: _cancel_and_die(learning))
    learning.stop()
    runner.rooms = {}
    learning = services.learning(runner.address)

    assert wait_for(learning, "cancelled").totals.cancelled == 100
    assert query(learning, "SELECT * FROM jobs") == []
    wait_until(lambda: query(learning, "SELECT * FROM cancels WHERE NOT done") == [], what="the note of it")
    assert runner.jobs == {}
    assert len(statuses(learning)) < 25  # variant by variant: each is told of a few times, not at every step


def _cancel_and_die(learning: ServiceThread[LearningService]) -> None:
    view = learning.service._cancellation._cancel(ExperimentCancelParams(experiment_id=EXPERIMENT))
    assert view.totals.cancelled == 7
    learning.loop.stop()
