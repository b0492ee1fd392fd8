"""The life cycle of a job: every move of its table, and every move that is not in it."""

from itertools import product
from typing import get_args

import pytest
from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobError, JobResult, JobState
from pipeline_runner.queue.jobs import (
    ERROR_LIMIT,
    TRANSITIONS,
    JobEvent,
    NormalizedJobRecord,
    cancelled_result,
    error_text,
    failed_result,
    faulted,
    finished,
    marked,
    new_record,
    requeued,
    retried,
    started,
    transition,
)
from tests.support.factories import context, record_of, request_for, well

STATES: tuple[JobState, ...] = get_args(JobState)
EVENTS: tuple[JobEvent, ...] = get_args(JobEvent)
LEGAL: list[tuple[JobState, JobEvent, JobState]] = [
    ("queued", "start", "running"),
    ("queued", "cancel", "cancelled"),
    ("running", "complete", "completed"),
    ("running", "fail", "failed"),
    ("running", "cancel", "cancelled"),
    ("running", "requeue", "queued"),
    ("failed", "retry", "queued"),
    ("cancelled", "retry", "queued"),
]
ILLEGAL = [pair for pair in product(STATES, EVENTS) if pair not in {(state, event) for state, event, _ in LEGAL}]
RESULT_OF: dict[JobEvent, JobResult] = {
    "complete": well(),
    "fail": failed_result("internal", "out of memory"),
    "cancel": cancelled_result(),
}


def moved(record: NormalizedJobRecord, event: JobEvent) -> NormalizedJobRecord:
    """Apply an event by the function that stands for it."""
    if event == "start":
        return started(record, now=20.0)
    if event == "requeue":
        return requeued(record)
    if event == "retry":
        return retried(record, now=40.0)
    return finished(record, RESULT_OF[event], now=30.0)


@pytest.mark.parametrize(("state", "event", "after"), LEGAL)
def test_every_legal_move_reaches_its_state(state: JobState, event: JobEvent, after: JobState) -> None:
    """The table and the function that applies it agree with the list above."""
    record = replace(record_of(mark=context()), state=state)

    assert transition(state, event) == after
    assert moved(record, event).state == after


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_every_illegal_move_raises_and_changes_nothing(state: JobState, event: JobEvent) -> None:
    """Whatever is not in the table is refused, with a sentence that names state and event."""
    record = replace(record_of(mark=context()), state=state)
    before = replace(record)

    with pytest.raises(IllegalTransitionError, match=f"a job that is {state} cannot take {event}"):
        moved(record, event)

    assert record == before


def test_the_table_knows_every_state_and_no_other() -> None:
    """Each state of the messages has a row, and each move leads to such a state."""
    assert set(TRANSITIONS) == set(STATES)
    assert {after for moves in TRANSITIONS.values() for after in moves.values()} <= set(STATES)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_an_end_is_an_end(state: JobState) -> None:
    """Only a person's wish leads out of a state in which a job has ended, and never out of a good end."""
    assert set(TRANSITIONS[state]) <= {"retry"}
    assert TRANSITIONS["completed"] == {}


def test_a_fault_of_the_server_is_counted() -> None:
    """The job is back in the queue as after a restart, and knows what happened."""
    fault = JobError(kind="server_error", message="no")

    once = faulted(record_of(), fault)
    twice = faulted(started(once, now=20.0), fault)

    assert (once.state, once.faults, once.fault, once.started_at) == ("queued", 1, fault, None)
    assert (twice.faults, twice.attempt) == (2, 2)


def test_a_retried_job_begins_anew() -> None:
    """Its faults are forgiven and its old result is gone; attempts are counted on."""
    failed = finished(faulted_once(), RESULT_OF["fail"], now=30.0)

    again = retried(replace(failed, cancel_requested=True), now=40.0)

    assert (again.state, again.faults, again.fault, again.cancel_requested) == ("queued", 0, None, False)
    assert (again.result, again.started_at, again.finished_at) == (None, None, None)
    assert (again.attempt, again.queued_at) == (failed.attempt, 40.0)


def faulted_once() -> NormalizedJobRecord:
    """Return a job that runs again after a fault."""
    return started(faulted(record_of(), JobError(kind="server_error", message="no")), now=20.0)


def test_a_new_job_is_queued_and_was_never_tried() -> None:
    """A submitted job begins with attempt 0 and the time of its submission."""
    record = new_record(request_for("job-9", mark=context()), now=5.0)

    assert (record.job_id, record.state, record.attempt, record.queued_at) == ("job-9", "queued", 0, 5.0)
    assert (record.started_at, record.finished_at, record.result) == (None, None, None)


def test_each_start_counts_one_attempt() -> None:
    """A job that runs again after a crash keeps its id and its time of submission, with one attempt more."""
    first = started(new_record(request_for(), now=5.0), now=6.0)
    again = started(requeued(first), now=9.0)

    assert (first.attempt, again.attempt) == (1, 2)
    assert (again.job_id, again.queued_at, again.started_at) == (first.job_id, 5.0, 9.0)


def test_a_marked_job_runs_on_until_it_stops() -> None:
    """A cancel is no transition of a running job: its pipeline has to stop first."""
    assert marked(record_of()) == replace(record_of(), cancel_requested=True)


def test_a_requeued_job_has_not_started() -> None:
    """What is back in the queue has no time of start."""
    assert requeued(record_of()).started_at is None


def test_the_result_decides_how_a_job_ends() -> None:
    """A cancelled result wins over success: the pipeline stopped because it was asked to."""
    both = JobResult(success=True, cancelled=True)

    assert finished(record_of(), both, now=30.0).state == "cancelled"


def test_a_finished_job_keeps_its_result_and_time() -> None:
    """The record of an ended job has what came of it, and when."""
    record = finished(record_of(), RESULT_OF["fail"], now=30.0)

    assert (record.result, record.finished_at) == (RESULT_OF["fail"], 30.0)


def test_a_job_that_ends_without_a_start_has_none() -> None:
    """Such as one that is cancelled in the queue."""
    waiting = requeued(record_of())

    assert finished(waiting, cancelled_result(), now=30.0).started_at is None


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such file"), "ValueError: no such file"),
        (ValueError("x" * 2 * ERROR_LIMIT), f"ValueError: {'x' * ERROR_LIMIT}"[:ERROR_LIMIT]),
        (ValueError("half a \ud800"), "ValueError: half a ?"),
        (_MuteError(), "_MuteError"),
    ],
)
def test_any_exception_of_a_pipeline_has_a_text_that_fits(error: Exception, text: str) -> None:
    """Cut, without what no message can hold, and also where its own text cannot be made."""
    assert error_text(error) == text
