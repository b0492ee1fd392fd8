"""The durable queue: priorities, faults of servers, pauses, retries, a full queue, cancelled experiments."""

import pytest
from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobError, JobResult
from pipeline_runner.queue.errors import QueueFullError, StillCancellingError
from pipeline_runner.queue.jobs import cancelled_result, failed_result
from pipeline_runner.queue.retries import MAX_FAULTS
from pipeline_runner.queue.service import JobService
from tests.support.factories import badly, context, request_for, well
from tests.support.job_queues import Open, claimed, record_in, states, told


def test_a_job_that_kills_the_runner_again_and_again_fails_at_last(reopen: Open) -> None:
    """It may not keep those behind it from running forever."""
    service, _ = reopen()
    service.submit([request_for("deadly"), request_for("next")])

    for _ in range(MAX_FAULTS):
        claimed(service)
        service, log = reopen()
        service.recover()

    record = record_in(service, "deadly")
    assert (record.state, record.attempt) == ("failed", MAX_FAULTS)
    assert record.result is not None
    assert record.result.error == JobError(kind="crashed", message="the runner died while this job ran")
    assert told(log)[-1] == ("job.completed.", "deadly", MAX_FAULTS)
    assert claimed(service).job_id == "next"


def test_what_is_stopped_only_because_the_runner_ends_is_no_fault(reopen: Open) -> None:
    """It runs again; one that a person had cancelled does not."""
    service, log = reopen()
    service.submit([request_for("one"), request_for("two")])
    service.claim({"embedded": 2})
    service.cancel(record_in(service, "two"))

    service.release(["one", "two"])

    assert states(service, "one", "two") == ["queued", "cancelled"]
    assert record_in(service, "one").faults == 0
    assert told(log)[-2:] == [("job.queued.", "one", 1), ("job.completed.", "two", 1)]
    assert service.recover() == 0


def test_higher_priorities_run_first_and_equal_ones_in_order(service: JobService) -> None:
    """Whenever they were submitted."""
    priorities = {"a": 0, "b": 5, "c": 0, "d": 5, "e": -1}
    service.submit([replace(request_for(name), priority=priority) for name, priority in priorities.items()])

    assert [claimed(service).job_id for _ in range(5)] == ["b", "d", "a", "c", "e"]


def test_each_pipeline_has_its_own_part_of_the_queue(service: JobService) -> None:
    """A pipeline without room keeps no other one waiting; all that start do so in one transaction."""
    service.submit([request_for(f"gpu-{number}", pipeline="webui") for number in range(3)])
    service.submit([request_for("cpu")])

    assert [job.job_id for job in service.claim({"webui": 1, "embedded": 2})] == ["gpu-0", "cpu"]
    assert service.claim({"embedded": 2}) == []
    assert service.claim({}) == []


@pytest.mark.parametrize("kind", ["busy", "unreachable"])
def test_a_fault_of_the_server_puts_the_job_back_into_its_place(reopen: Open, kind: str) -> None:
    """It is the next one, with one attempt more; after some faults it fails with the last of them."""
    service, log = reopen()
    service.submit([request_for("one"), request_for("two")])
    fault = failed_result(kind, "no answer")

    for number in range(1, MAX_FAULTS):
        job = claimed(service)
        (again,) = service.finish({job.job_id: fault})
        assert (again.job_id, again.state, again.faults) == ("one", "queued", number)
        assert record_in(service, "one").fault == fault.error
        assert told(log)[-1] == ("job.queued.", "one", number)
    (last,) = service.finish({claimed(service).job_id: fault})

    assert (last.job_id, last.state) == ("one", "failed")
    assert states(service, "one", "two") == ["failed", "queued"]
    assert record_in(service, "one").result == fault


def test_a_cancelled_job_that_meets_a_fault_is_cancelled(service: JobService) -> None:
    """It does not run again."""
    service.submit([request_for("one")])
    service.cancel(claimed(service))

    service.finish({"one": failed_result("unreachable", "gone")})
    assert states(service, "one") == ["cancelled"]


@pytest.mark.parametrize("result", [badly(), cancelled_result()])
def test_a_person_has_a_job_run_again(reopen: Open, result: JobResult) -> None:
    """A failed or cancelled one keeps its id; its next end is told with the next attempt."""
    service, log = reopen()
    service.submit([request_for("one")])
    service.finish({claimed(service).job_id: result})

    service.retry(record_in(service, "one"))

    assert states(service, "one") == ["queued"]
    service.finish({claimed(service).job_id: well()})
    assert [entry for entry in told(log) if entry[0] == "job.completed."] == [
        ("job.completed.", "one", 1),
        ("job.completed.", "one", 2),
    ]


def test_what_went_well_or_has_not_ended_cannot_be_retried(reopen: Open) -> None:
    """Neither state nor log changes."""
    service, log = reopen()
    service.submit([request_for("one"), request_for("two")])
    service.finish({claimed(service).job_id: well()})
    head = log.head

    for name in ("one", "two"):
        with pytest.raises(IllegalTransitionError):
            service.retry(record_in(service, name))

    assert (states(service, "one", "two"), log.head) == (["completed", "queued"], head)


def test_a_pause_outlives_the_runner(reopen: Open) -> None:
    """What was paused is paused after a restart, until somebody resumes it."""
    service, _ = reopen()
    service.pause("webui")
    service.pause()

    service, _ = reopen()
    assert (service.queues.paused, service.queues["webui"].paused, service.queues["embedded"].paused) == (True,) * 3
    service.resume()

    service, _ = reopen()
    assert (service.queues.paused, service.queues["webui"].paused) == (False, False)


def test_a_full_queue_refuses_new_jobs_and_knows_old_ones(reopen: Open) -> None:
    """All or none; a repeated submission needs no room."""
    service, log = reopen()
    service.queues["embedded"].limit = 3
    service.submit([request_for(name) for name in "abc"])
    head = log.head

    with pytest.raises(QueueFullError, match="embedded has room for 0 more jobs of 3") as full:
        service.submit([request_for("c"), request_for("d")])
    assert (full.value.pipeline, full.value.capacity_left) == ("embedded", 0)
    assert service.submit([request_for("other", pipeline="webui")]) == 1, "another pipeline has room of its own"
    assert service.submit([request_for(name) for name in "abc"]) == 0
    assert log.head == head + 1

    claimed(service)
    assert service.submit([request_for("d")]) == 1


def test_the_queues_count_how_many_jobs_wait_and_run(reopen: Open) -> None:
    """Through every change of state, and again after a restart."""
    service, _ = reopen()

    def counts() -> tuple[int, int]:
        return service.queues.queued, service.queues.running

    service.submit([request_for(name) for name in "abcd"])
    assert counts() == (4, 0)
    service.claim({"embedded": 2})
    assert counts() == (2, 2)
    service.finish({"a": failed_result("server_error", "no"), "b": badly()})
    assert counts() == (3, 0)
    service.cancel(record_in(service, "c"))
    service.retry(record_in(service, "b"))
    assert counts() == (3, 0)
    service.claim({"embedded": 1})
    service, _ = reopen()
    assert counts() == (2, 1)
    service.recover()
    assert counts() == (3, 0)


def test_a_large_experiment_is_cancelled_some_jobs_at_a_time(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens between, none of them starts any more; a restart goes on with it."""
    monkeypatch.setattr("pipeline_runner.queue.service.CANCELS_AT_ONCE", 2)
    service, log = reopen()
    service.submit([request_for(name, mark=context()) for name in "abcdef"])
    service.submit([request_for("other", mark=context(experiment="exp-10"))])
    claimed(service)

    assert service.cancel_experiment("exp-1") == (6, ["a"])
    assert service.cancel_some()
    assert states(service, *"abcdef") == ["running", "cancelled", "cancelled", "queued", "queued", "queued"]
    assert service.claim({"embedded": 1}) == []
    assert states(service, *"def") == ["cancelled", "queued", "queued"]
    with pytest.raises(StillCancellingError, match="exp-1 are still being cancelled"):
        service.submit([request_for("later", mark=context())])
    assert service.submit([request_for("another", mark=context(experiment="exp-10"))]) == 1

    service, log = reopen()
    service.recover()
    while service.cancel_some():
        pass
    assert states(service, *"abcdef") == ["cancelled"] * 6
    assert [job.job_id for job in service.claim({"embedded": 9})] == ["other", "another"]
    ended = [name for topic, name, _ in told(log) if topic.startswith("job.completed.")]
    assert sorted(ended) == list("abcdef")
    assert service.submit([request_for("later", mark=context())]) == 1
    assert claimed(service).job_id == "later", "the wish is fulfilled and forgotten"


@pytest.mark.fault(item="F154")
def test_a_job_that_is_timed_runs_alone(reopen: Open) -> None:
    """Nothing starts beside it, in any queue and after a restart; what waits is looked at again when something ends."""
    service, _ = reopen()
    timed = replace(request_for("timed"), exclusive=True)
    service.submit([request_for("one"), timed, request_for("two"), request_for("gpu", pipeline="webui")])
    room = {"embedded": 2, "webui": 1}

    assert [job.job_id for job in service.claim(room)] == ["one", "gpu"]
    assert service.queues.startable(0.0) == {}  # the loop has nothing to try again and again
    assert "job one and 1 more must end first" in service.end_awaited()
    service.finish({"gpu": JobResult(success=True)})
    assert service.claim(service.queues.startable(0.0)) == []
    service.finish({"one": JobResult(success=True)})
    assert [job.job_id for job in service.claim(room)] == ["timed"]
    assert service.claim(service.queues.startable(0.0)) == []
    assert service.end_awaited() == ""

    again, _ = reopen()
    again.recover()
    assert record_in(again, "timed").exclusive
    assert [job.job_id for job in again.claim(room)] == ["timed"]
    again.finish({"timed": JobResult(success=True)})
    assert [job.job_id for job in again.claim(room)] == ["two"]


@pytest.mark.fault(item="F154")
def test_a_timed_job_that_ends_at_once_lets_the_next_one_start(service: JobService) -> None:
    """As when its experiment is being cancelled."""
    timed = replace(request_for("timed", mark=context()), exclusive=True)
    service.submit([timed, request_for("other")])
    service.cancel_experiment("exp-1")

    assert service.claim({"embedded": 2}) == []
    assert service.queues.startable(0.0) == {"embedded": 1}
