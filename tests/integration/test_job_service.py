"""The job service with a log on disk: every state with its message, in one transaction."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from bus.lifecycle import IllegalTransitionError
from bus.limits import Limits
from bus.log import Log
from bus.messages import JobCompleted, JobQueued, JobResult, JobStarted, LearningContext
from bus.requests import JobRequest
from pipeline_runner.jobs import NormalizedJobRecord, cancelled_result, failed_result
from pipeline_runner.retries import MAX_FAULTS
from pipeline_runner.service import CRASHED, JobService, QueueFullError
from pipeline_runner.store import JobStore
from tests.factories import badly, context, messages, request_for, well

ONE: Final = {"embedded": 1}  # room for one job
Open = Callable[[], tuple[JobService, Log]]


@pytest.fixture
def reopen(tmp_path: Path, open_log: Callable[[Path], Log]) -> Open:
    """Open the service, and again on the same file, as the next runner does; its clock counts from 1."""
    logs: list[Log] = []

    def make() -> tuple[JobService, Log]:
        for log in logs:
            log.close()
        logs[:] = [open_log(tmp_path / "runner.db")]
        ticks = iter(range(1, 1000))
        return JobService(logs[0], clock=lambda: float(next(ticks))), logs[0]

    return make


@pytest.fixture
def service(reopen: Open) -> JobService:
    """Give a service with an empty queue."""
    return reopen()[0]


def told(log: Log) -> list[tuple[str, str, int]]:
    """Give topic, job and attempt of every message in the log."""
    found = []
    for record, message in zip(log.fetch("", 0).records, messages(log.fetch("", 0).records), strict=True):
        assert isinstance(message, JobQueued | JobStarted | JobCompleted)
        found.append((record.topic, message.job_id, message.attempt))
    return found


def states(service: JobService, *names: str) -> list[str]:
    """Give the states of jobs."""
    return [record_in(service, name).state for name in names]


def record_in(service: JobService, name: str) -> NormalizedJobRecord:
    """Give a job that is there."""
    record = service.store.get(name)
    assert record is not None
    return record


def claimed(service: JobService) -> NormalizedJobRecord:
    """Claim the one job that is next."""
    (job,) = service.claim(ONE)
    return job


def test_submitting_queues_jobs_with_a_message_each(reopen: Open) -> None:
    """The topic of a job's message has its experiment and variant; without a context it has none."""
    service, log = reopen()

    accepted = service.submit([request_for("one", mark=context(3, 6.5)), request_for("two")])

    assert accepted == 2
    assert states(service, "one", "two") == ["queued", "queued"]
    assert told(log) == [("job.queued.exp-1.3.", "one", 0), ("job.queued.", "two", 0)]


def test_submitting_again_adds_nothing(reopen: Open) -> None:
    """A repeated submission, also in part or within one request, changes neither state nor log."""
    service, log = reopen()
    service.submit([request_for("one")])
    service.claim(ONE)

    again = service.submit([request_for("one", config={"steps": 9}), request_for("two"), request_for("two")])

    assert again == 1
    assert states(service, "one", "two") == ["running", "queued"]
    assert record_in(service, "one").config == request_for("one").config
    assert [name for topic, name, _ in told(log) if topic == "job.queued."] == ["one", "two"]


def test_a_job_that_has_ended_is_not_queued_again(service: JobService) -> None:
    """Its id is known for ever."""
    service.submit([request_for("one")])
    service.claim(ONE)
    service.finish({"one": well()})

    assert service.submit([request_for("one")]) == 0
    assert service.claim(ONE) == []


def test_jobs_are_claimed_in_the_order_of_their_submission(service: JobService) -> None:
    """Whatever their ids are; each at most once."""
    service.submit([request_for("z"), request_for("a")])
    service.submit([request_for("m")])

    assert [claimed(service).job_id for _ in range(3)] == ["z", "a", "m"]
    assert service.claim(ONE) == []


def test_a_claimed_job_runs_and_says_so(reopen: Open) -> None:
    """Record and message agree on attempt and time."""
    service, log = reopen()
    service.submit([request_for("one", mark=context())])

    job = claimed(service)

    assert (job.state, job.attempt, job.queued_at, job.started_at) == ("running", 1, 1.0, 2.0)
    assert record_in(service, "one") == job
    started = messages(log.fetch("job.started.exp-1.0.", 0).records)[0]
    assert isinstance(started, JobStarted)
    assert (started.attempt, started.started_at, started.learning_context) == (1, 2.0, context())


@pytest.mark.parametrize(
    ("result", "state"), [(well("a", match=0.5), "completed"), (badly(), "failed"), (cancelled_result(), "cancelled")]
)
def test_a_finished_job_has_its_result_in_record_and_message(reopen: Open, result: JobResult, state: str) -> None:
    """However it ended, there is one `job.completed` with everything about it."""
    service, log = reopen()
    service.submit([request_for("one", mark=context())])
    service.claim(ONE)

    service.finish({"one": result})

    record = record_in(service, "one")
    assert (record.state, record.result, record.finished_at) == (state, result, 3.0)
    (message,) = messages(log.fetch("job.completed.exp-1.0.", 0).records)
    assert message == JobCompleted(
        job_id="one",
        stage="txt2img",
        pipeline="embedded",
        attempt=1,
        learning_context=context(),
        config=record.config,
        result=result,
        queued_at=1.0,
        started_at=2.0,
        finished_at=3.0,
    )


def test_finishing_an_unknown_job_is_an_error(reopen: Open) -> None:
    """Nothing is written."""
    service, log = reopen()

    with pytest.raises(KeyError):
        service.finish({"nobody": well()})

    assert log.head == 0


def test_finishing_twice_is_refused_and_changes_nothing(reopen: Open) -> None:
    """Neither record nor log has a second end."""
    service, log = reopen()
    service.submit([request_for("one")])
    service.claim(ONE)
    service.finish({"one": well()})
    head = log.head

    with pytest.raises(IllegalTransitionError):
        service.finish({"one": badly()})

    assert (states(service, "one"), log.head) == (["completed"], head)


def test_a_result_that_is_too_large_becomes_a_failure(reopen: Open) -> None:
    """There is a message in any case: the job has failed, and the text says why."""
    service, log = reopen()
    service.submit([request_for("one", mark=context())])
    service.claim(ONE)

    service.finish({"one": well(**{f"metric {number}": 1.0 for number in range(100_000)})})

    record = record_in(service, "one")
    assert record.state == "failed"
    assert record.result is not None
    assert record.result.error is not None
    assert record.result.error.kind == "too_large"
    (message,) = messages(log.fetch("job.completed.", 0).records)
    assert isinstance(message, JobCompleted)
    assert message.result == record.result


def test_what_ran_when_the_runner_died_is_queued_again(reopen: Open) -> None:
    """It keeps its id and its place before younger jobs, and has one attempt more."""
    service, _ = reopen()
    service.submit([request_for("one", mark=context()), request_for("two"), request_for("three")])
    service.claim(ONE)
    service.claim(ONE)
    service.finish({"two": well()})

    service, log = reopen()
    assert service.recover() == 1
    assert states(service, "one", "two", "three") == ["queued", "completed", "queued"]
    job = claimed(service)

    assert (job.job_id, job.attempt, job.learning_context) == ("one", 2, context())
    assert [entry for entry in told(log) if entry[1] == "one"] == [
        ("job.queued.exp-1.0.", "one", 0),
        ("job.started.exp-1.0.", "one", 1),
        ("job.queued.exp-1.0.", "one", 1),
        ("job.started.exp-1.0.", "one", 2),
    ]


def test_a_job_that_was_being_cancelled_when_the_runner_died_is_cancelled(reopen: Open) -> None:
    """A person's wish outlives the runner; the handlers of the new one hear of it."""
    service, _ = reopen()
    service.submit([request_for("one")])
    assert service.cancel(claimed(service))

    service, log = reopen()
    ended: list[str] = []
    service.register_completion_handler(lambda job, _result: ended.append(job.job_id))
    assert service.recover() == 1

    assert states(service, "one") == ["cancelled"]
    assert told(log)[-1] == ("job.completed.", "one", 1)
    assert ended == ["one"]


def test_a_job_that_kills_the_runner_again_and_again_fails_at_last(reopen: Open) -> None:
    """It may not keep those behind it from running for ever."""
    service, _ = reopen()
    service.submit([request_for("deadly"), request_for("next")])

    for _ in range(MAX_FAULTS):
        claimed(service)
        service, log = reopen()
        service.recover()

    record = record_in(service, "deadly")
    assert (record.state, record.attempt) == ("failed", MAX_FAULTS)
    assert record.result is not None
    assert record.result.error == CRASHED
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


@pytest.mark.parametrize(("kind", "verdict"), [("server_error", "rest"), ("unreachable", "wait")])
def test_a_fault_of_the_server_puts_the_job_back_into_its_place(reopen: Open, kind: str, verdict: str) -> None:
    """It is the next one, with one attempt more; after some faults it fails with the last of them."""
    service, log = reopen()
    service.submit([request_for("one"), request_for("two")])
    fault = failed_result(kind, "no answer")

    for number in range(1, MAX_FAULTS):
        job = claimed(service)
        (again,) = service.finish({job.job_id: fault})
        assert (again.record.job_id, again.verdict, again.record.faults) == ("one", verdict, number)
        assert record_in(service, "one").fault == fault.error
        assert told(log)[-1] == ("job.queued.", "one", number)
    assert service.finish({claimed(service).job_id: fault}) == []

    assert states(service, "one", "two") == ["failed", "queued"]
    assert record_in(service, "one").result == fault


def test_a_cancelled_job_that_meets_a_fault_is_cancelled(service: JobService) -> None:
    """It does not run again."""
    service.submit([request_for("one")])
    service.cancel(claimed(service))

    assert service.finish({"one": failed_result("unreachable", "gone")}) == []
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
    assert (service.lanes.paused, service.lanes["webui"].paused, service.lanes["embedded"].paused) == (True,) * 3
    service.resume()

    service, _ = reopen()
    assert (service.lanes.paused, service.lanes["webui"].paused) == (False, False)


def test_a_full_queue_refuses_new_jobs_and_knows_old_ones(reopen: Open) -> None:
    """All or none; a repeated submission needs no room."""
    service, log = reopen()
    log.limits = Limits(queued_jobs=3)
    service.submit([request_for(name) for name in "abc"])
    head = log.head

    with pytest.raises(QueueFullError, match="room for 0 more jobs of 3") as full:
        service.submit([request_for("c"), request_for("d")])
    assert full.value.room == 0
    assert service.submit([request_for(name) for name in "abc"]) == 0
    assert log.head == head

    claimed(service)
    assert service.submit([request_for("d")]) == 1


def test_the_lanes_know_how_many_jobs_wait_and_run(reopen: Open) -> None:
    """Through every change of state, and again after a restart."""
    service, _ = reopen()

    def counts() -> tuple[int, int]:
        return service.lanes.queued, service.lanes.running

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


def test_recovering_with_nothing_running_does_nothing(reopen: Open) -> None:
    """A first start writes no message."""
    service, log = reopen()

    assert service.recover() == 0
    assert log.head == 0


def test_cancelling_ends_a_queued_job_now_and_marks_a_running_one(reopen: Open) -> None:
    """A running job is marked, and ends when its pipeline has stopped."""
    service, log = reopen()
    service.submit([request_for("one"), request_for("two")])
    service.claim(ONE)

    assert service.cancel(record_in(service, "one"))
    assert not service.cancel(record_in(service, "two"))

    assert states(service, "one", "two") == ["running", "cancelled"]
    assert record_in(service, "one").cancel_requested
    (message,) = messages(log.fetch("job.completed.", 0).records)
    assert isinstance(message, JobCompleted)
    assert (message.job_id, message.result.cancelled, message.started_at) == ("two", True, None)
    assert service.claim(ONE) == []


def test_cancelling_a_job_that_has_ended_is_refused(reopen: Open) -> None:
    """Its end stays as it was."""
    service, log = reopen()
    service.submit([request_for("one")])
    service.claim(ONE)
    service.finish({"one": well()})
    head = log.head

    with pytest.raises(IllegalTransitionError, match="one: the job has ended already, it is completed"):
        service.cancel(record_in(service, "one"))

    assert (states(service, "one"), log.head) == (["completed"], head)


def test_a_large_experiment_is_cancelled_some_jobs_at_a_time(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens between, none of them starts any more; a restart goes on with it."""
    monkeypatch.setattr("pipeline_runner.service.CANCELS_AT_ONCE", 2)
    service, log = reopen()
    service.submit([request_for(name, mark=context()) for name in "abcdef"])
    service.submit([request_for("other", mark=context(experiment="exp-10"))])
    claimed(service)

    assert service.cancel_experiment("exp-1") == (6, ["a"])
    assert service.cancel_some()
    assert states(service, *"abcdef") == ["running", "cancelled", "cancelled", "queued", "queued", "queued"]
    assert service.claim({"embedded": 1}) == []
    assert states(service, *"def") == ["cancelled", "queued", "queued"]

    service, log = reopen()
    service.recover()
    while service.cancel_some():
        pass
    assert states(service, *"abcdef") == ["cancelled"] * 6
    assert [job.job_id for job in service.claim({"embedded": 9})] == ["other"]
    ended = [name for topic, name, _ in told(log) if topic.startswith("job.completed.")]
    assert sorted(ended) == list("abcdef")
    assert service.submit([request_for("later", mark=context())]) == 1
    assert claimed(service).job_id == "later", "the wish is fulfilled and forgotten"


def test_a_cancelled_job_may_have_been_done(service: JobService) -> None:
    """If its pipeline ended well before it noticed, it is completed."""
    service.submit([request_for("one")])
    service.cancel(claimed(service))

    service.finish({"one": well()})

    assert states(service, "one") == ["completed"]


def test_completion_handlers_hear_of_every_end(service: JobService) -> None:
    """Well, badly, cancelled in the queue: each once, with the record that is on disk; unregistered ones do not."""
    ended: list[tuple[NormalizedJobRecord, JobResult]] = []
    quiet: list[str] = []

    def hear(job: NormalizedJobRecord, result: JobResult) -> None:
        assert service.store.get(job.job_id) == job
        ended.append((job, result))

    def silent(job: NormalizedJobRecord, _result: JobResult) -> None:
        quiet.append(job.job_id)

    for handler in (hear, silent, hear):
        service.register_completion_handler(handler)
    service.unregister_completion_handler(silent)
    service.submit([request_for("one", mark=context()), request_for("two"), request_for("three")])
    for result in (well("a"), badly()):
        service.finish({claimed(service).job_id: result})
    service.cancel(record_in(service, "three"))

    assert [(job.job_id, job.state, result) for job, result in ended] == [
        ("one", "completed", well("a")),
        ("two", "failed", badly()),
        ("three", "cancelled", cancelled_result()),
    ]
    assert ended[0][0].learning_context == context()
    assert quiet == []


def test_a_completion_handler_that_raises_does_not_hurt_the_job(
    service: JobService, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the job is on disk before any handler is called."""

    def broken(_job: NormalizedJobRecord, _result: JobResult) -> None:
        raise ZeroDivisionError("a bug of the handler")

    service.register_completion_handler(broken)
    service.submit([request_for("one")])
    service.claim(ONE)

    with caplog.at_level(logging.ERROR):
        service.finish({"one": well()})

    assert states(service, "one") == ["completed"]
    assert "a bug of the handler" in caplog.text


def test_a_state_and_its_message_are_written_together_or_not_at_all(reopen: Open) -> None:
    """When the disk is full in the middle, the job is as before and the log has no word of it."""
    service, log = reopen()
    service.submit([request_for("one")])
    service.claim(ONE)
    head = log.head
    size = int(log.query("PRAGMA page_count")[0][0])
    log.query(f"PRAGMA max_page_count = {size}")

    with pytest.raises(Exception, match="full"):
        service.finish({"one": well(*(f"{number:064}" for number in range(1000)))})
    assert (states(service, "one"), log.head) == (["running"], head)

    log.query("PRAGMA max_page_count = 1000000")
    service.finish({"one": well("a")})
    assert (states(service, "one"), log.head) == (["completed"], head + 1)


@pytest.fixture
def store(reopen: Open) -> JobStore:
    """Give a store with five jobs, of which one runs and one is done."""
    service, _ = reopen()
    marks: list[LearningContext | None] = [context(), context(1), None, context(experiment="exp-10"), context()]
    requests: list[JobRequest] = [request_for(f"job-{number}", mark=mark) for number, mark in enumerate(marks)]
    service.submit(requests)
    service.claim(ONE)
    service.finish({"job-0": well()})
    service.claim(ONE)
    return service.store


def test_jobs_are_listed_newest_first_page_by_page(store: JobStore) -> None:
    """The number of the last one is where the next page begins."""
    first, behind_first = store.page(None, None, 2)
    second, _ = store.page(None, behind_first, 2)

    assert [job.job_id for _, job in [*first, *second]] == ["job-4", "job-3", "job-2", "job-1"]
    assert [job.job_id for _, job in store.page("queued", None, 10)[0]] == ["job-4", "job-3", "job-2"]
    assert [job.job_id for _, job in store.page("queued", behind_first, 10)[0]] == ["job-2"]


def test_a_page_of_jobs_ends_where_a_reply_is_large_enough(reopen: Open) -> None:
    """Jobs with large configurations come few at a time, and each of them once."""
    service, log = reopen()
    log.limits = Limits(page_bytes=25_000)
    service.submit([replace(request_for(f"job-{number}"), config={"prompt": "x" * 10_000}) for number in range(7)])

    pages: list[list[str]] = []
    before = None
    while not pages or before is not None:
        jobs, before = service.store.page(None, before, 1000)
        pages.append([job.job_id for _, job in jobs])

    assert pages == [["job-6", "job-5", "job-4"], ["job-3", "job-2", "job-1"], ["job-0"]]


def test_jobs_are_counted_by_state(store: JobStore) -> None:
    """Those that wait and run, of each pipeline: what lanes begin with."""
    assert store.count_active() == {("embedded", "queued"): 3, ("embedded", "running"): 1}


def test_the_jobs_of_an_experiment_that_have_not_ended_are_found(store: JobStore) -> None:
    """Those of an experiment whose id begins the same are not among them."""
    assert [job.job_id for job in store.unended("exp-1", "running")] == ["job-1"]
    assert [job.job_id for job in store.unended("exp-1", "queued")] == ["job-4"]
    assert store.count_unended("exp-1") == 2


def test_an_unknown_job_is_none(store: JobStore) -> None:
    """Not an error: whoever asked decides."""
    assert store.get("nobody") is None
