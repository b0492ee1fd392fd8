"""The job record, and the life cycle of a job as a table."""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest
from bus.contracts.lifecycle import step
from bus.contracts.messages import JobError, JobResult, JobState, LearningContext
from bus.contracts.scoring import ScoreSettings, merged_score, metric_names
from pipeline_runner.queue.metrics import measured

CLOCK_SLACK: Final = 0.1  # seconds by which the wall clock may differ from the monotonic one over the run of a job
ERROR_LIMIT: Final = 2000  # characters of an exception's text
JobEvent = Literal["start", "complete", "fail", "cancel", "requeue", "retry"]

# `requeue` is what follows a fault of the server or the end of the runner; only a person says `retry`.
TRANSITIONS: Final[dict[JobState, dict[JobEvent, JobState]]] = {
    "queued": {"start": "running", "cancel": "cancelled"},
    "running": {"complete": "completed", "fail": "failed", "cancel": "cancelled", "requeue": "queued"},
    "completed": {},
    "failed": {"retry": "queued"},
    "cancelled": {"retry": "queued"},
}


class NormalizedJobRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is known of a job; a job of a learning experiment carries its `learning_context`."""

    job_id: str
    pipeline: str
    stage: str
    config: Config
    learning_context: LearningContext | None = None
    priority: int = 0  # higher ones run first
    exclusive: bool = False  # it runs while no other job of the runner does
    state: JobState = "queued"
    attempt: int = 0  # how often a worker has taken it
    faults: int = 0  # runs that ended by a fault of the server or a crash of the runner
    fault: JobError | None = None  # the newest of them
    cancel_requested: bool = False  # no transition: the pipeline has to stop first
    queued_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    result: JobResult | None = None
    score: ScoreSettings | None = None  # what measures its pictures before it ends
    scored: tuple[str, ...] = ()  # metrics by scorers that `score` does not name any more
    score_base: str = ""  # how the id of the job begins whose pictures its own are compared with
    made: JobResult | None = None  # what its pipeline has made, while that is measured


def new_record(request: JobRequest, now: float) -> NormalizedJobRecord:
    """Make the record of a submitted job."""
    return NormalizedJobRecord(
        job_id=request.job_id,
        pipeline=request.pipeline,
        stage=request.stage,
        config=request.config,
        learning_context=request.learning_context,
        priority=request.priority,
        exclusive=request.exclusive,
        score=request.score,
        score_base=request.score_base,
        queued_at=now,
    )


def transition(state: JobState, event: JobEvent) -> JobState:
    """Return the state of a job after an event.

    Raises:
        IllegalTransitionError: the event cannot happen in this state.
    """
    return step("job", TRANSITIONS, state, event)


def started(record: NormalizedJobRecord, now: float) -> NormalizedJobRecord:
    """Return the record after a worker took it."""
    state = transition(record.state, "start")
    return replace(record, state=state, attempt=record.attempt + 1, started_at=now)


def marked(record: NormalizedJobRecord) -> NormalizedJobRecord:
    """Return the record of a running job that has to stop."""
    return replace(record, cancel_requested=True)


def requeued(record: NormalizedJobRecord) -> NormalizedJobRecord:
    """Return the record of a job that was stopped before its end: it runs again, in its old place."""
    return replace(record, state=transition(record.state, "requeue"), started_at=None)


def faulted(record: NormalizedJobRecord, fault: JobError) -> NormalizedJobRecord:
    """Return the record after a run that failed by a fault of the server or runner: as `requeued`, but counted."""
    return replace(requeued(record), faults=record.faults + 1, fault=fault)


def retried(record: NormalizedJobRecord, now: float) -> NormalizedJobRecord:
    """Return the record of a job that a person runs again; attempts are counted on, faults start at zero."""
    state = transition(record.state, "retry")
    changes: dict[str, object] = dict.fromkeys(("started_at", "finished_at", "result", "fault", "made"))
    return replace(record, state=state, faults=0, cancel_requested=False, queued_at=now, **changes)


def finished(
    record: NormalizedJobRecord, result: JobResult, now: float, elapsed: float | None = None
) -> NormalizedJobRecord:
    """Return the record after its end: completed, failed or cancelled, as the result says.

    `elapsed` is how long it has run, None if nobody knows.
    """
    event: JobEvent = "cancel" if result.cancelled else "complete" if result.success else "fail"
    start = start_of(record.started_at, now, elapsed)
    state = transition(record.state, event)
    return replace(record, state=state, result=result, made=None, started_at=start, finished_at=now)


def with_scores(
    record: NormalizedJobRecord, score: ScoreSettings, metrics: dict[str, float]
) -> NormalizedJobRecord | None:
    """Return the record of a job with more measures, None if it has not completed."""
    result = record.result
    if record.state != "completed" or result is None:
        return None
    together = merged_score(record.score, score)
    earlier = scored_metrics(record) - set(metric_names(together))
    return replace(record, result=measured(result, together, metrics), score=together, scored=tuple(sorted(earlier)))


def scored_metrics(record: NormalizedJobRecord) -> set[str]:
    """Return the metrics of a job that are those of scorers."""
    return {*metric_names(record.score), *record.scored}


def own_metrics(record: NormalizedJobRecord) -> set[str]:
    """Return the metrics that the pipeline of a job has reported, and not its scorers."""
    return (record.result.metrics if record.result else {}).keys() - scored_metrics(record)


def start_of(started: float | None, now: float, elapsed: float | None) -> float | None:
    """Return when a job that ends now has started, by the clock as it is now: it may have been set meanwhile.

    The later time is believed, as a clock that is set is usually wrong before: a machine without a battery begins
    in 1970.
    """
    if started is None:
        return None
    if elapsed is None or elapsed < 0:
        return min(started, now)
    told = now - started
    return started if told >= 0 and abs(told - elapsed) <= CLOCK_SLACK else now - elapsed


def cancelled_result() -> JobResult:
    """Return the result of a cancelled job."""
    return JobResult(success=False, cancelled=True)


def failed_result(kind: str, message: str) -> JobResult:
    """Return the result of a failed job."""
    return JobResult(success=False, error=JobError(kind=kind, message=message))


def error_text(error: BaseException) -> str:
    """Return type and text of an exception of a pipeline, cut and cleaned so that a message can carry it."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its own __str__ is broken
        text = type(error).__name__
    return text[:ERROR_LIMIT].encode("utf-8", "replace").decode()
