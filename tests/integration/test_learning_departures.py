"""Runners that never come back, that come back after all, or are found at another address."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Variable
from bus.contracts.experiments import DeletedReply, ExperimentCancelParams, ExperimentView, ExtendParams
from bus.contracts.jobs import CancelParams, CancelReply
from bus.contracts.messages import JobResult
from bus.contracts.runners import RunnerForgetParams, RunnerForgetReply, RunnerListReply, RunnerView
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError, MetricsReply
from bus.transport.client import request
from bus.transport.pace import Pace
from bus.transport.steps import complete
from learning_service.dispatch import departures
from learning_service.experiments.model import Experiment
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.service import LearningService
from learning_service.storage.departures import Departures, HeldJobs
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, context
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    ScriptedRunner,
    Services,
    address_of,
    create,
    outcomes,
    query,
    rejections,
    show,
    statuses,
    wait_for,
)
from variantbus.reports.health import Readings, Thresholds, problems_of

Learning = ServiceThread[LearningService]
AGAIN = ["exp-1.0.0.1", "exp-1.1.0.1"]  # the same jobs for another runner


class ReturningRunner(ScriptedRunner):
    """Is back at its address, with its jobs, of which one has ended, and another cannot be cancelled at first."""

    def __init__(self, path: Path, place: ScriptedRunner) -> None:
        """Take over what it had."""
        self.dropped: list[str] = []  # jobs that were cancelled one by one
        super().__init__(path, place)
        self.jobs.update(place.jobs)

    def _cancel(self, params: CancelParams) -> CancelReply:
        self.dropped.append(params.job_id or "")
        if params.job_id == ALL[1] and self.dropped.count(ALL[1]) == 1:
            raise ControlError("unavailable", "not now")
        if params.job_id == ALL[0]:
            raise ControlError("conflict", f"{params.job_id} has ended already")
        return CancelReply(cancelled=1)


def listed(learning: Learning) -> dict[str, RunnerView]:
    """Return the runners that the service knows."""
    return {one.address: one for one in request(address_of(learning), "runner.list", {}, RunnerListReply).runners}


def forget(learning: Learning, address: str) -> RunnerForgetReply:
    """Forget a runner."""
    return request(address_of(learning), "runner.forget", RunnerForgetParams(runner=address), RunnerForgetReply)


def leave(learning: Learning, runner: ScriptedRunner) -> None:
    """Let a runner go away, and wait until that is noticed."""
    runner.stop()
    wait_until(lambda: listed(learning)[runner.address].away_since is not None, what="the notice that it is away")


def cancel(learning: Learning) -> None:
    """Cancel the experiment."""
    request(address_of(learning), "experiment.cancel", ExperimentCancelParams(experiment_id=EXPERIMENT), ExperimentView)


def extend(learning: Learning) -> ExperimentView:
    """Plan a second seed."""
    params = ExtendParams(experiment_id=EXPERIMENT, jobs_per_variant=2)
    return request(address_of(learning), "experiment.extend", params, ExperimentView)


def found_by_check(learning: Learning) -> dict[str, str]:
    """Return the problems that `check` names."""
    metrics = request(address_of(learning), "metrics", {}, MetricsReply).metrics
    return {one.code: one.detail for one in problems_of(Readings(metrics), Thresholds(max_lag=10_000, min_free=0))}


@pytest.fixture
def runners(services: Services) -> tuple[ScriptedRunner, ScriptedRunner]:
    """Return a runner that gets all jobs, and one that is busy."""
    idle, busy = services.scripted(), services.scripted()
    busy.queue = 1000
    return idle, busy


@pytest.fixture
def learning(services: Services, runners: tuple[ScriptedRunner, ScriptedRunner]) -> Learning:
    """Return a service that has given both jobs of an experiment to the first runner."""
    service = services.learning(*(one.address for one in runners))
    wait_until(lambda: all(one.answers for one in listed(service).values()), what="both runners")
    create(service)
    wait_until(lambda: sorted(runners[0].jobs) == ALL, what="the jobs at the first runner")
    return service


@pytest.mark.fault(item="F115")
@pytest.mark.parametrize("at_once", [1, 1000])
def test_jobs_of_a_forgotten_runner_go_to_another(
    runners: tuple[ScriptedRunner, ScriptedRunner],
    learning: Learning,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    """What had ended stays; the rest gets new ids, in small steps, and is not held against the budget."""
    monkeypatch.setattr(departures, "NUMBERS_AT_ONCE", at_once)
    lost, other = runners
    lost.publish(JobScript(context(1, 4.0)).started())
    lost.finish(ALL[0])
    wait_until(lambda: (show(learning).totals.completed, show(learning).totals.running) == (1, 1), what="one end")
    leave(learning, lost)
    view = listed(learning)[lost.address]
    assert (view.jobs, view.stranded, view.answers, view.followed) == (1, 0, False, True)

    assert forget(learning, lost.address) == RunnerForgetReply(handed_on=1, cancelled=0)
    wait_until(lambda: list(other.jobs) == AGAIN[1:], what="the job at the other runner")
    totals = show(learning).totals
    assert (totals.jobs, totals.completed, totals.running, totals.cancelled) == (2, 1, 0, 0)
    experiment = learning.call(lambda: learning.service._store.get(EXPERIMENT))
    assert experiment.spent == 2
    assert experiment.progress == {}
    other.finish(AGAIN[1])
    assert wait_for(learning, "completed").totals.completed == 2
    view = listed(learning)[lost.address]
    assert (view.jobs, view.pipelines, view.withdrawals, view.away_since) == (0, [], 1, view.away_since)
    assert forget(learning, lost.address) == RunnerForgetReply(handed_on=0, cancelled=0)


@pytest.mark.fault(item="F116")
@pytest.mark.parametrize("at_once", [1, 50])
def test_a_forgotten_runner_that_comes_back_drops_its_jobs_and_counts_nothing(
    services: Services,
    runners: tuple[ScriptedRunner, ScriptedRunner],
    learning: Learning,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    """Each of its jobs is cancelled there before it gets others, also one that has ended; its events are ignored."""
    monkeypatch.setattr(departures, "DROPPED_AT_ONCE", at_once)
    lost, other = runners
    leave(learning, lost)
    forget(learning, lost.address)
    wait_until(lambda: sorted(other.jobs) == AGAIN, what="the jobs at the other runner")
    other.finish(AGAIN[0])
    wait_until(lambda: show(learning).totals.completed == 1, what="the first end")

    back = services._kept(ReturningRunner(lost.service.log.path, lost))
    wait_until(lambda: not listed(learning)[lost.address].withdrawals, what="the withdrawals")
    assert back.dropped == [*ALL, ALL[1]]
    back.publish(JobScript(context(1, 4.0)).started())
    back.finish(ALL[0])
    back.finish(ALL[1])
    wait_until(lambda: outcomes(learning).get("ignored job_already_applied") == 3, what="its events")
    assert show(learning).totals.completed == 1
    other.finish(AGAIN[1])
    ended = wait_for(learning, "completed")
    assert (ended.totals.completed, ended.totals.jobs) == (2, 2)
    assert rejections(learning) == []
    create(learning, experiment_id="exp-2")
    wait_until(lambda: len(back.jobs) == 4, what="the jobs of another experiment")
    assert all(name.startswith("exp-2.") for name in back.jobs.keys() - set(ALL))
    request(address_of(learning), "experiment.delete", {"experiment_id": EXPERIMENT}, DeletedReply)
    wait_until(lambda: (back.removals, other.removals) == ([EXPERIMENT], [EXPERIMENT]), what="the end of its pictures")


@pytest.mark.fault(item="F115")
def test_a_cancel_to_a_forgotten_runner_ends(
    runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """Until then a refusal says what it waits for; afterwards the experiment can go on."""
    lost, other = runners
    leave(learning, lost)
    cancel(learning)
    with pytest.raises(ControlError, match=rf"being cancelled at {lost.address}.*`variantbus runner-forget") as refused:
        extend(learning)
    assert refused.value.code == "conflict"
    assert (listed(learning)[lost.address].cancels, listed(learning)[lost.address].stranded) == (1, 2)

    assert forget(learning, lost.address) == RunnerForgetReply(handed_on=0, cancelled=2)
    ended = wait_for(learning, "cancelled")
    reason = f"cancelled, as its runner {lost.address} was forgotten"
    assert [(one.cancelled, one.error) for one in ended.variants] == [(1, reason)] * 2
    assert [one.error for one in statuses(learning)[-2:]] == [reason] * 2
    assert extend(learning).totals.jobs == 4
    wait_until(lambda: sorted(other.jobs) == ["exp-1.0.1.0", "exp-1.1.1.0"], what="the second seeds")


@pytest.mark.fault(item="F115")
def test_a_runner_whose_jobs_have_ended_has_nothing_to_cancel(
    runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """A cancel does not wait for a runner that is away and has no job left."""
    lost, other = runners
    other.rooms = {"embedded": 0}
    for name in ALL:
        lost.finish(name)
    wait_for(learning, "completed")
    leave(learning, lost)
    extend(learning)
    cancel(learning)
    wait_for(learning, "partial")
    assert extend(learning).totals.jobs == 4


@pytest.mark.fault(item="F115")
def test_jobs_that_no_other_runner_offers_end_as_cancelled(services: Services) -> None:
    """The reason is told with each variant, and a search ends with it."""
    lost, other = services.scripted(), services.scripted(pipelines=("noop",))
    learning = services.learning(lost.address, other.address)
    values = Variable(name="cfg_scale", values=[1.0, 2.0, 3.0])
    plan = replace(SMALL, mode="adaptive", budget=8, objective="score", variable=values)
    create(learning, plan)
    wait_until(lambda: lost.jobs, what="the jobs of the first round")
    leave(learning, lost)
    jobs = listed(learning)[lost.address].jobs
    assert listed(learning)[lost.address].stranded == jobs

    assert forget(learning, lost.address) == RunnerForgetReply(handed_on=0, cancelled=jobs)
    ended = wait_for(learning, "cancelled")
    reason = f"cancelled, as its runner {lost.address} was forgotten and no other one offers embedded/txt2img"
    assert {one.error for one in ended.variants} == {reason}
    assert ended.search
    assert (ended.search.state, ended.search.reason) == ("stopped", reason)


def test_only_a_known_runner_that_does_not_answer_is_forgotten(
    runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """Each refusal is a sentence, and nothing changes."""
    with pytest.raises(ControlError, match="answers, so its jobs are not lost") as alive:
        forget(learning, runners[0].address)
    assert alive.value.code == "conflict"
    with pytest.raises(ControlError, match=r"'tcp://127.0.0.1:1' is unknown; see `variantbus runner-list`") as unknown:
        forget(learning, "tcp://127.0.0.1:1")
    assert unknown.value.code == "not_found"
    for wrong in ({}, {"runner": ""}, {"runner": 1}, {"runner": "x" * 301}, {"runner": "x", "more": 1}):
        with pytest.raises(ControlError, match=r"runner|more") as invalid:
            request(address_of(learning), "runner.forget", wrong, RunnerForgetReply)
        assert invalid.value.code == "invalid_request"
    assert listed(learning)[runners[0].address].jobs == 2


@pytest.mark.fault(item="F115")
def test_what_was_begun_goes_on_after_a_restart_and_a_full_disk(
    services: Services,
    runners: tuple[ScriptedRunner, ScriptedRunner],
    learning: Learning,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A runner is forgotten as a whole: the service goes on where it was killed, and waits for room."""
    lost, other = runners
    leave(learning, lost)
    since = listed(learning)[lost.address].away_since
    learning.stop()
    learning = services.learning(lost.address, other.address)
    assert listed(learning)[lost.address].away_since == since
    withdraw, full = Departures.withdraw, [StorageError("no room")]

    def fail_once(self: Departures, tx: Transaction, runner: str, jobs: Iterable[tuple[int, str]]) -> None:
        if full:
            raise full[0]
        withdraw(self, tx, runner, jobs)

    monkeypatch.setattr(Departures, "withdraw", fail_once)
    forget(learning, lost.address)
    learning.stop()
    assert other.jobs == {}
    full.clear()
    learning = services.learning(lost.address, other.address)
    wait_until(lambda: sorted(other.jobs) == AGAIN, what="the jobs at the other runner")
    assert query(learning, "SELECT count(*) FROM forgotten") == [(0,)]


@pytest.mark.fault(item="F115")
def test_check_names_a_runner_for_which_something_waits(
    runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it is away, how much waits, and both ways out; no longer once it is forgotten."""
    lost, other = runners
    monkeypatch.setattr("variantbus.reports.health.SILENCE_SECONDS", 0)
    assert "runner_away" not in found_by_check(learning)
    leave(learning, lost)
    cancel(learning)
    said = found_by_check(learning)["runner_away"]
    assert said.startswith(f"{lost.address} has not answered for ")
    assert said.endswith(
        f", and 2 jobs and 1 cancel wait for it; start it, or if it never comes back: "
        f"`variantbus runner-forget {lost.address}`"
    )
    leave(learning, other)  # for which nothing waits
    forget(learning, lost.address)
    wait_until(lambda: "runner_away" not in found_by_check(learning), what="the end of the alarm")


@pytest.mark.fault(item="F115")
def test_a_runner_that_is_not_followed_any_more_is_forgotten_too(
    services: Services, runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """The service was started again without it: `check` names it, until its jobs went to the other one."""
    lost, other = runners
    lost.stop()
    learning.stop()
    learning = services.learning(other.address)
    wait_until(lambda: listed(learning)[other.address].answers, what="the other runner")
    assert f"`variantbus runner-forget {lost.address}`" in found_by_check(learning)["runner_unfollowed"]
    view = listed(learning)[lost.address]
    assert (view.followed, view.answers, view.away_since, view.jobs) == (False, False, None, 2)

    forget(learning, lost.address)
    wait_until(lambda: sorted(other.jobs) == AGAIN, what="the jobs at the other runner")
    assert "runner_unfollowed" not in found_by_check(learning)


@pytest.mark.fault(item="F117")
def test_a_runner_at_another_address_keeps_its_jobs(
    services: Services, runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """It is known by its log: it gets its cancels, and its jobs are not sent to another one."""
    moved, other = runners
    leave(learning, moved)
    cancel(learning)
    learning.stop()
    again = services._kept(ScriptedRunner(moved.service.log.path))
    assert again.address != moved.address
    learning = services.learning(other.address, again.address)

    wait_until(lambda: EXPERIMENT in again.cancels, what="the cancel")
    assert moved.address not in listed(learning)
    assert listed(learning)[again.address].jobs == 2
    for name in ALL:
        again.publish(moved.end_of(name, JobResult(success=False, cancelled=True)))
    wait_for(learning, "cancelled")
    assert (again.jobs, other.jobs) == ({}, {})  # it has its jobs, and no other one got them


@pytest.mark.fault(item="F117")
def test_a_runner_at_another_address_that_has_lost_its_end_is_sent_its_jobs_again(
    services: Services, runners: tuple[ScriptedRunner, ScriptedRunner], learning: Learning
) -> None:
    """As after a power cut, or from a backup: it begins a new epoch, and its earlier ones tell which runner it was."""
    moved, other = runners
    leave(learning, moved)
    learning.stop()
    with closing(sqlite3.connect(moved.service.log.path)) as db, db:
        db.execute("DELETE FROM closing")
    again = services._kept(ScriptedRunner(moved.service.log.path))
    learning = services.learning(other.address, again.address)
    wait_until(lambda: sorted(again.jobs) == ALL, what="the jobs")
    assert other.jobs == {}


@pytest.mark.fault(item="F115")
def test_a_job_that_was_retried_does_not_wait(tmp_path: Path) -> None:
    """Of the rounds of a job only the newest one counts."""
    log = Log(tmp_path / "learning.db")
    store = LearningStore(log)
    experiment = Experiment(EXPERIMENT, SMALL, created_at=1.0)
    planned = [PlannedJob(index, 0, round_) for index in (0, 1) for round_ in (0, 1)]
    with log.transaction() as tx:
        store.insert(tx, experiment)
        store.add_jobs(tx, experiment, [(job_id(EXPERIMENT, job), job) for job in planned])
    with log.transaction() as tx:
        store.assign(tx, store.unassigned(["embedded/txt2img"], 10), "tcp://a:1")
    one, two = (
        HeldJobs("embedded/txt2img", cancelled=False, jobs=1),
        HeldJobs("embedded/txt2img", cancelled=False, jobs=2),
    )
    assert complete(store.departures.count_held(Pace(10))) == {"tcp://a:1": [two]}
    assert complete(store.departures.count_held(Pace(1))) == {"tcp://a:1": [one, one]}, "one at a time"
    log.close()
