"""What a person puts first in the queue: at once, for what comes later, and after a crash in the middle of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.contracts.jobs import SubmitParams, SubmitReply
from bus.contracts.queues import PrioritizeReply, QueueListReply
from bus.eventlog.log import Log
from pipeline_runner.queue.jobs import new_record
from pipeline_runner.queue.service import JobService
from tests.support.factories import context, request_for
from tests.support.held_pipelines import Local, Start, ask, refusal, show, submit, wait_for
from tests.support.helpers import wait_until
from tests.support.job_queues import Open, record_in
from tests.support.log_files import tamper

COMMON = {"pipeline": "local", "stage": "run"}


def jobs_of(experiment: str, *names: str) -> SubmitParams:
    """Return jobs of an experiment, as they are submitted."""
    mark = context(experiment=experiment)
    return SubmitParams(jobs=[request_for(name, **COMMON, config={}, mark=mark) for name in names])


def test_an_experiment_is_put_first_with_the_jobs_that_come_later(start_runner: Start, local: Local) -> None:
    """Not before what runs; the list shows the order in which all will run."""
    runner = start_runner()
    submit(runner, "running", "alone")
    wait_for(runner, "running", "running")
    ask(runner, "job.submit", jobs_of("a", "a1", "a2"), SubmitReply)
    ask(runner, "job.submit", jobs_of("b", "b1"), SubmitReply)

    assert ask(runner, "job.prioritize", {"experiment_id": "b", "priority": 5}, PrioritizeReply).waiting == 1
    assert ask(runner, "job.prioritize", {"job_id": "alone", "priority": -1}, PrioritizeReply).waiting == 1
    ask(runner, "job.submit", jobs_of("b", "b2"), SubmitReply)

    wait_until(lambda: show(runner, "running").eta_seconds is not None, what="progress")
    found = ask(runner, "queue.list", {}, QueueListReply)
    assert [(one.job_id, one.fraction) for one in found.running] == [("running", 0.5)]
    assert [(one.experiment_id, one.job_id, one.priority, one.jobs) for one in found.waiting] == [
        ("b", "b1", 5, 2),
        ("a", "a1", 0, 2),
        (None, "alone", -1, 1),
    ]
    assert found.left == 0
    short = ask(runner, "queue.list", {"limit": 1}, QueueListReply)
    assert ([one.experiment_id for one in short.waiting], short.left) == (["b"], 3)
    local.released.set()
    wait_for(runner, "alone", "completed")
    assert local.ran == ["running", "b1", "b2", "a1", "a2", "alone"]


def test_what_does_not_wait_has_no_place(start_runner: Start, local: Local) -> None:
    """And a request has to name one thing, and a priority that there is."""
    runner = start_runner()
    submit(runner, "one")
    wait_for(runner, "one", "running")

    assert refusal(runner, "job.prioritize", {"job_id": "one", "priority": 1}) == (
        "conflict",
        "one is running; only a job that waits has a place",
    )
    assert refusal(runner, "job.prioritize", {"job_id": "two", "priority": 1})[0] == "not_found"
    assert refusal(runner, "job.prioritize", {"priority": 1}) == (
        "invalid_request",
        "job_id: give either job_id or experiment_id",
    )
    assert refusal(runner, "job.prioritize", {"job_id": "one", "priority": 101})[0] == "invalid_request"
    assert refusal(runner, "queue.list", {"limit": 0})[0] == "invalid_request"
    local.released.set()


def test_a_running_job_that_is_put_back_has_its_new_place(reopen: Open) -> None:
    """And it stays so after a restart."""
    service, _ = reopen()
    service.submit(jobs_of("a", "a1").jobs)
    service.claim({"local": 1})
    service.priorities.prioritize_experiment("a", 7)

    service, _ = reopen()
    assert service.recover() == 1
    assert record_in(service, "a1").priority == 7
    assert service.queues["local"].waiting[7] == 1


@pytest.mark.fault(item="F190")
def test_an_order_goes_on_after_the_death_of_the_runner(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of moving many jobs: the next start moves the others, and what is submitted has it too."""
    monkeypatch.setattr("pipeline_runner.queue.priorities.MOVED_AT_ONCE", 10)
    service, _ = reopen()
    service.submit(jobs_of("a", *(f"a{number:02}" for number in range(25))).jobs)
    assert service.priorities.prioritize_experiment("a", 3) == 25
    assert service.priorities.move_some()
    assert service.queues["local"].waiting == {0: 15, 3: 10}

    service, _ = reopen()
    while service.priorities.move_some():
        pass
    service.submit(jobs_of("a", "later").jobs)
    assert +service.queues["local"].waiting == {3: 26}
    record = record_in(service, "a24")
    assert service.store.behind(service.store.number_of("a24"), record) == 1
    service.priorities.prioritize_job(record, 9)

    service, _ = reopen()
    assert not service.priorities.move_some(), "it was done, so one that was moved by itself keeps its place"
    assert [job.job_id for job in service.claim({"local": 1})] == ["a24"]


def test_the_oldest_orders_are_forgotten(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be kept for ever."""
    monkeypatch.setattr("pipeline_runner.queue.priorities.KEPT", 2)
    service, _ = reopen()
    for name in ("a", "b", "c"):
        service.priorities.prioritize_experiment(name, 1)
    again, _ = reopen()
    for kept in (service.priorities, again.priorities):
        new = [new_record(jobs_of(name, "one").jobs[0], 0.0) for name in ("a", "b", "c")]
        assert [kept.applied(record).priority for record in new] == [0, 1, 1]


@pytest.mark.fault(item="F190")
def test_a_damaged_order_is_lost_and_told(
    open_log: Callable[[Path], Log], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs keep the places that they have."""
    path = tmp_path / "runner.db"
    log = open_log(path)
    service = JobService(log)
    service.submit(jobs_of("a", "a1").jobs)
    service.priorities.prioritize_experiment("a", 3)
    service.priorities.move_some()
    log.close()
    tamper(path, "UPDATE priorities SET priority = 9")

    log = open_log(path)
    service = JobService(log)
    service.submit(jobs_of("a", "a2").jobs)
    assert "damaged and lost: the priorities of 1 experiments" in caplog.text
    assert (record_in(service, "a1").priority, record_in(service, "a2").priority) == (3, 0)
    assert log.damaged_rows() == []
