"""The job service with a log on disk: every state with its message, in one transaction."""

import logging

import pytest
from msgspec.structs import replace

from bus.config.limits import Limits
from bus.contracts.jobs import JobRequest
from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobCompleted, JobResult, JobStarted, LearningContext
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result
from pipeline_runner.queue.service import JobService
from pipeline_runner.queue.store import JobStore
from tests.support.factories import badly, context, messages, request_for, well
from tests.support.job_queues import ONE, Open, claimed, record_in, states, told


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
    """Its id is known forever."""
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
    assert record.result.error.message.endswith("; make fewer, or raise body_bytes in [limits]")
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
    """Return a store with five jobs, of which one runs and one is done."""
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


def test_waiting_jobs_are_counted(store: JobStore) -> None:
    """Those that wait, of each pipeline and priority: what the queues start with."""
    assert store.count_queued() == [("embedded", 0, 3)]


def test_the_jobs_of_an_experiment_that_have_not_ended_are_found(store: JobStore) -> None:
    """Those of an experiment whose id begins the same are not among them."""
    assert [job.job_id for job in store.unended("exp-1", "running")] == ["job-1"]
    assert [job.job_id for job in store.unended("exp-1", "queued")] == ["job-4"]
    assert store.count_unended("exp-1") == 2


def test_an_unknown_job_is_none(store: JobStore) -> None:
    """Not an error: whoever asked decides."""
    assert store.get("nobody") is None


def test_ends_and_the_jobs_in_their_places_share_a_transaction(reopen: Open) -> None:
    """Half as many commits, where jobs are short."""
    service, log = reopen()
    service.submit([request_for(name) for name in ("one", "two", "three")])
    claimed(service)
    commits: list[list[str]] = []
    log.on_commit(lambda records: commits.append([record.topic for record in records]))

    results = {"one": well()}
    places = service.places_freed(results)
    assert places == {"embedded": 1}
    after, started = service.advance(results, service.queues.startable(0.0, places))

    assert [record.job_id for record in after] == ["one"]
    assert [record.job_id for record in started] == ["two"]
    assert states(service, "one", "two", "three") == ["completed", "running", "queued"]
    assert commits == [["job.completed.", "job.started."]]


def test_no_job_starts_in_the_transaction_of_an_end_that_is_no_success(service: JobService) -> None:
    """Its server may have to rest, its variant may run no more: that is decided first."""
    service.submit([request_for("one", mark=context()), request_for("two", mark=context())])
    service.claim({"embedded": 2})

    assert service.places_freed({"one": badly(), "two": well()}) is None
    assert service.places_freed({"one": well(), "two": well()}) == {"embedded": 2}
