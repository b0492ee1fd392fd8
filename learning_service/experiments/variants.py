"""The life of a variant: a table of transitions, and the state that grows with every job that ends."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final, Literal

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from bus.contracts.fields import VariantValue
from bus.contracts.lifecycle import step
from bus.contracts.messages import ImageRef, JobCompleted, JobQueued, JobStarted, RatingSummary, VariantState
from learning_service.experiments import pictures
from learning_service.experiments.phases import JobPhase, moved

VariantEvent = Literal[
    "job_queued",
    "job_started",
    "job_ended",
    "all_completed",
    "all_failed",
    "all_cancelled",
    "all_ended_mixed",
]

_ENDS: Final[dict[VariantEvent, VariantState]] = {
    "all_completed": "completed",
    "all_failed": "failed",
    "all_cancelled": "cancelled",
    "all_ended_mixed": "partial",
}
# A late event after an end is not in the table: it changes nothing.
TRANSITIONS: Final[dict[VariantState, dict[VariantEvent, VariantState]]] = {
    "pending": {**_ENDS, "job_queued": "queued", "job_started": "running", "job_ended": "running"},
    "queued": {**_ENDS, "job_queued": "queued", "job_started": "running", "job_ended": "running"},
    "running": {**_ENDS, "job_queued": "running", "job_started": "running", "job_ended": "running"},
    "completed": {},
    "partial": {},
    "failed": {},
    "cancelled": {},
}
GONE: Final = frozenset[JobPhase]({"ended", "replaced"})
# More jobs were planned: the one way back from an end.
EXTENDED: Final[dict[VariantState, VariantState]] = {"pending": "pending", "queued": "queued"}
ENDED: Final = frozenset[VariantState]({"completed", "partial", "failed", "cancelled"})
UNKNOWN_ERROR: Final = "Unknown error"
IMAGES_LIMIT: Final = 1500  # listed in a status, so that it stays below the limit of a message; all stay on disk
METRICS_LIMIT: Final = 100  # names of metrics, for the same reason
METRIC_NAME_LIMIT: Final = 100  # characters
ERROR_LIMIT: Final = 4000  # characters of an error text


def transition(status: VariantState, event: VariantEvent) -> VariantState:
    """Return the status of a variant after an event.

    Raises:
        IllegalTransitionError: the event cannot happen in this status.
    """
    return step("variant", TRANSITIONS, status, event)


class Variant(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename={"packed": "images"}):
    """The stored state of one variant; its published status is derived (see `experiments.model`)."""

    index: int
    value: VariantValue
    jobs: Mapping[str, JobPhase]  # by job id; never changed in place
    status: VariantState = "pending"
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    packed: Raw = pictures.NONE  # its pictures
    stored: pictures.Extent = pictures.EMPTY  # those of them that are stored as a whole; see `saving`
    error: str | None = None
    warned: int = 0  # completed jobs with warnings
    warning: str | None = None
    reused: int = 0  # completed jobs whose result an earlier job had made
    replaced: int = 0  # jobs in whose place there is another one; they are no longer part of the plan
    handed_on: int = 0  # of these, those whose runner was forgotten; all others had failed and were retried
    rating: RatingSummary | None = None
    metric_sums: dict[str, tuple[float, int]] = field(default_factory=dict)  # sum and count over completed jobs
    duration_sum: float = 0.0
    revision: int = 0
    updated_at: float = 0.0

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """Its pictures, in the order in which their jobs ended."""
        return pictures.unpack(self.packed)

    @property
    def planned(self) -> int:
        """How many jobs it has."""
        return len(self.jobs) - self.replaced

    @property
    def ended(self) -> int:
        """How many of its jobs have ended."""
        return self.completed + self.failed + self.cancelled


def queued(variant: Variant, job_id: str, now: float) -> Variant:
    """Return the variant after a job of it was queued; also queued again, after its runner had crashed."""
    return _moved(variant, job_id, "queued", transition(variant.status, "job_queued"), now)


def started(variant: Variant, job_id: str, now: float) -> Variant:
    """Return the variant after a job of it started."""
    return _moved(variant, job_id, "running", transition(variant.status, "job_started"), now)


def extended(variant: Variant, job_id: str) -> Variant:
    """Return the variant with one more job in its plan; the event that brings it makes the revision of this change."""
    status = EXTENDED.get(variant.status, "running")
    return replace(variant, status=status, jobs={**variant.jobs, job_id: "planned"})


def planned_more(variant: Variant, job_ids: Iterable[str], now: float) -> Variant:
    """Return the variant, a new one perhaps, with more jobs in its plan."""
    status = EXTENDED.get(variant.status, "running")
    jobs: dict[str, JobPhase] = {**variant.jobs, **dict.fromkeys(job_ids, "planned")}
    return replace(variant, status=status, jobs=jobs, revision=variant.revision + 1, updated_at=now)


def retried(variant: Variant, again: Mapping[str, str], now: float) -> Variant:
    """Return the variant after failed jobs of it were replaced by retries: old id -> new id."""
    replaced: dict[str, JobPhase] = dict.fromkeys(again, "replaced")
    failed = variant.failed - len(again)
    return replace(
        planned_more(variant, again.values(), now),
        jobs={**variant.jobs, **replaced, **dict.fromkeys(again.values(), "planned")},
        failed=failed,
        replaced=variant.replaced + len(again),
        error=variant.error if failed else None,
    )


def resent(variant: Variant, job_ids: Iterable[str]) -> Variant:
    """Return the variant after its runner has lost jobs: those that have not ended are sent again."""
    lost: dict[str, JobPhase] = {job_id: "planned" for job_id in job_ids if variant.jobs.get(job_id) not in GONE}
    jobs = {**variant.jobs, **lost}
    return replace(variant, jobs=jobs, running=list(jobs.values()).count("running"))


def handed_on(variant: Variant, again: Mapping[str, str], now: float) -> Variant:
    """Return the variant after its runner was forgotten: jobs of it go to others under new ids, old id -> new id."""
    jobs: dict[str, JobPhase] = {**variant.jobs, **dict.fromkeys(again, "replaced")}
    jobs.update(dict.fromkeys(again.values(), "planned"))
    return replace(
        variant,
        jobs=jobs,
        running=list(jobs.values()).count("running"),
        replaced=variant.replaced + len(again),
        handed_on=variant.handed_on + len(again),
        revision=variant.revision + 1,
        updated_at=max(variant.updated_at, now),
    )


def cancelled(variant: Variant, job_ids: Sequence[str], now: float, reason: str | None = None) -> Variant:
    """Return the variant after jobs of it were cancelled that no runner has, or none any more for this reason."""
    jobs: dict[str, JobPhase] = {**variant.jobs, **dict.fromkeys(job_ids, "ended")}
    counted = replace(
        variant,
        jobs=jobs,
        running=list(jobs.values()).count("running"),
        cancelled=variant.cancelled + len(job_ids),
        error=reason or variant.error,
        revision=variant.revision + 1,
        updated_at=now,
    )
    return replace(counted, status=_next_status(variant.status, counted, counted.planned - counted.ended))


def rated(variant: Variant, rating: RatingSummary | None, now: float) -> Variant:
    """Return the variant with a new summary of the ratings of its pictures."""
    return replace(variant, rating=rating, revision=variant.revision + 1, updated_at=max(variant.updated_at, now))


def rescored(variant: Variant, before: dict[str, float], after: dict[str, float], now: float) -> Variant:
    """Return the variant with other metrics of one of its completed jobs."""
    sums = variant.metric_sums.copy()
    add_metrics(sums, {name: value for name, value in after.items() if name not in before})
    for name in before.keys() & after.keys() & sums.keys():
        total, count = sums[name]
        sums[name] = total - before[name] + after[name], count
    return replace(variant, metric_sums=sums, revision=variant.revision + 1, updated_at=max(variant.updated_at, now))


def job_ended(variant: Variant, job: JobCompleted) -> Variant:
    """Return the variant after one of its jobs ended, with any outcome."""
    return advanced(variant, (job,))


def advanced(variant: Variant, events: Sequence[JobQueued | JobStarted | JobCompleted]) -> Variant:
    """Return the variant after events of its jobs, at least one, in this order: as one by one, with one copy."""
    ends = [event for event in events if isinstance(event, JobCompleted)]
    counted = _with_results(variant, ends) if ends else variant
    running, status, revision = variant.running, variant.status, variant.revision
    moves: dict[str, JobPhase] = {}
    left = variant.planned - variant.ended
    for event in events:
        before, name = status, event.job_id
        running -= (moves.get(name) or variant.jobs[name]) == "running"
        if isinstance(event, JobCompleted):
            left -= 1
            moves[name], revision = "ended", revision + 1
            status = _next_status(status, counted, left)
        elif isinstance(event, JobStarted):
            moves[name], status, running = "running", transition(status, "job_started"), running + 1
            revision += status != before
        else:
            moves[name], status = "queued", transition(status, "job_queued")
            revision += status != before
    return replace(
        counted,
        jobs=moved(variant.jobs, moves),
        running=running,
        status=status,
        revision=revision,
        updated_at=time_of(events[-1]),
    )


def time_of(event: JobQueued | JobStarted | JobCompleted) -> float:
    """Return when an event happened, in unix seconds."""
    if isinstance(event, JobCompleted):
        return event.finished_at
    return event.started_at if isinstance(event, JobStarted) else event.queued_at


def _with_results(variant: Variant, ended: Sequence[JobCompleted]) -> Variant:
    """Return the variant with the results of jobs added, in this order."""
    sums, images = variant.metric_sums.copy(), list[ImageRef]()
    completed, failed, cancelled = variant.completed, variant.failed, variant.cancelled
    seconds, warned, reused = variant.duration_sum, variant.warned, variant.reused
    warning, error = variant.warning, variant.error
    for job in ended:
        result = job.result
        if result.cancelled:
            cancelled += 1
        elif not result.success:
            failed += 1
            error = _error_of(job)
        else:
            completed += 1
            seconds += seconds_of(job) or 0.0
            images += result.images
            add_metrics(sums, result.metrics)
            reused += result.reused_from is not None
            if result.warnings:
                warned += 1
                warning = result.warnings[0][:ERROR_LIMIT]
    return replace(
        variant,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        packed=pictures.with_more(variant.packed, images, IMAGES_LIMIT) if images else variant.packed,
        metric_sums=sums,
        duration_sum=seconds,
        warned=warned,
        warning=warning,
        reused=reused,
        error=error,
    )


def _error_of(job: JobCompleted) -> str:
    return ((job.result.error.message if job.result.error else "") or UNKNOWN_ERROR)[:ERROR_LIMIT]


def seconds_of(job: JobCompleted) -> float | None:
    """Return the seconds that a completed job took: as its pipeline reports, else from its start to its end."""
    if not job.result.success:
        return None
    seconds = job.result.seconds
    if seconds is None or not isfinite(seconds):
        seconds = 0.0 if job.started_at is None else job.finished_at - job.started_at
    return max(0.0, seconds)


def may_have(variant: Variant, digits: str) -> bool:
    """Return whether a job of the variant may have made a picture with these digits in its hash."""
    return not _has_all(variant) or pictures.has_digits(variant.packed, digits)


def hashes_of(variant: Variant) -> set[str]:
    """Return the hashes of the pictures that the jobs of the variant made; none if it does not have all of them."""
    return pictures.hashes(variant.packed) if _has_all(variant) else set()


def _has_all(variant: Variant) -> bool:
    """Return whether the variant has all pictures of its jobs: up to a limit those of completed ones, and no others."""
    is_other = variant.failed or variant.cancelled or variant.replaced
    return not is_other and pictures.count_of(variant.packed) < IMAGES_LIMIT


def add_metrics(sums: dict[str, tuple[float, int]], metrics: dict[str, float]) -> None:
    """Add the metrics of a job to sums, but for numbers that are not finite, which would spoil the mean."""
    for name, value in metrics.items():
        if not isfinite(value):
            continue
        if before := sums.get(name):
            sums[name] = (before[0] + value, before[1] + 1)
        elif len(sums) < METRICS_LIMIT and len(name) <= METRIC_NAME_LIMIT:
            sums[name] = (value, 1)


def end_of(completed: int, failed: int, cancelled: int) -> VariantEvent:
    """Return what happens to a variant whose jobs have all ended so."""
    if not failed and not cancelled:
        return "all_completed"
    if completed:
        return "all_ended_mixed"
    return "all_failed" if failed else "all_cancelled"


def _next_status(status: VariantState, counted: Variant, left: int) -> VariantState:
    """Return the status after the end of a job; with the last one, `counted` has how all of them ended."""
    if left > 0:
        return transition(status, "job_ended")
    return transition(status, end_of(counted.completed, counted.failed, counted.cancelled))


def _moved(variant: Variant, job_id: str, phase: JobPhase, status: VariantState, now: float) -> Variant:
    """Return the variant with a job in its next phase; the revision grows only if the status changes."""
    return replace(
        variant,
        status=status,
        jobs=moved(variant.jobs, {job_id: phase}),
        running=variant.running + (phase == "running") - (variant.jobs[job_id] == "running"),
        revision=variant.revision + (status != variant.status),
        updated_at=now,
    )
