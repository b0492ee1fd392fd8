"""The life of a variant: a table of transitions, and the state that grows with every job that ends."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final, Literal

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from bus.contracts.lifecycle import step
from bus.contracts.messages import ImageRef, JobCompleted, RatingSummary, VariantState, VariantValue
from learning_service.experiments import pictures

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
JobPhase = Literal["planned", "queued", "running", "ended", "replaced"]
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
    jobs: dict[str, JobPhase]  # by job id; never changed in place
    status: VariantState = "pending"
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    packed: Raw = pictures.NONE  # its pictures
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
    counts = variant.completed, variant.failed, variant.cancelled + len(job_ids)
    running = list(jobs.values()).count("running")
    return _ended(variant, jobs, counts, now, running=running, error=reason or variant.error)


def rated(variant: Variant, rating: RatingSummary | None, now: float) -> Variant:
    """Return the variant with a new summary of the ratings of its pictures."""
    return replace(variant, rating=rating, revision=variant.revision + 1, updated_at=max(variant.updated_at, now))


def job_ended(variant: Variant, job: JobCompleted) -> Variant:
    """Return the variant after one of its jobs ended, with any outcome."""
    result, now = job.result, job.finished_at
    jobs: dict[str, JobPhase] = {**variant.jobs, job.job_id: "ended"}
    running = variant.running - (variant.jobs[job.job_id] == "running")
    completed, failed, cancelled = variant.completed, variant.failed, variant.cancelled
    if result.cancelled:
        return _ended(variant, jobs, (completed, failed, cancelled + 1), now, running=running)
    if not result.success:
        return _ended(variant, jobs, (completed, failed + 1, cancelled), now, running=running, error=_error_of(job))
    return _ended(
        variant,
        jobs,
        (completed + 1, failed, cancelled),
        now,
        running=running,
        packed=pictures.with_more(variant.packed, result.images, IMAGES_LIMIT) if result.images else variant.packed,
        metric_sums=add_metrics(variant.metric_sums, result.metrics) if result.metrics else variant.metric_sums,
        duration_sum=variant.duration_sum + (seconds_of(job) or 0.0),
        warned=variant.warned + bool(result.warnings),
        reused=variant.reused + (result.reused_from is not None),
        warning=result.warnings[0][:ERROR_LIMIT] if result.warnings else variant.warning,
    )


def jobs_ended(variant: Variant, ended: Sequence[JobCompleted]) -> Variant:
    """Return the variant after some of its jobs, at least one, ended: as by `job_ended`, but with one copy for all."""
    phases: dict[str, JobPhase] = {job.job_id: "ended" for job in ended}
    runs = sum(variant.jobs[name] == "running" for name in phases)
    well = [job for job in ended if job.result.success and not job.result.cancelled]
    cancelled = sum(job.result.cancelled for job in ended)
    errors = [_error_of(job) for job in ended if not job.result.success and not job.result.cancelled]
    warnings = [job.result.warnings[0] for job in well if job.result.warnings]
    sums = variant.metric_sums
    for job in well:
        if job.result.metrics:
            sums = add_metrics(sums, job.result.metrics)
    images = [image for job in well for image in job.result.images]
    after = _ended(
        variant,
        {**variant.jobs, **phases},
        (variant.completed + len(well), variant.failed + len(errors), variant.cancelled + cancelled),
        ended[-1].finished_at,
        running=variant.running - runs,
        packed=pictures.with_more(variant.packed, images, IMAGES_LIMIT),
        metric_sums=sums,
        duration_sum=sum((seconds_of(job) or 0.0 for job in well), variant.duration_sum),
        warned=variant.warned + len(warnings),
        reused=variant.reused + sum(job.result.reused_from is not None for job in well),
        warning=warnings[-1][:ERROR_LIMIT] if warnings else variant.warning,
        error=errors[-1] if errors else variant.error,
    )
    return replace(after, revision=variant.revision + len(ended))


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


def add_metrics(sums: dict[str, tuple[float, int]], metrics: dict[str, float]) -> dict[str, tuple[float, int]]:
    """Return the sums with the metrics of one job, without numbers that are not finite, which would spoil the mean."""
    after = dict(sums)
    for name, value in metrics.items():
        before = after.get(name)
        if not isfinite(value):
            continue
        if before:
            after[name] = (before[0] + value, before[1] + 1)
        elif len(after) < METRICS_LIMIT and len(name) <= METRIC_NAME_LIMIT:
            after[name] = (value, 1)
    return after


def end_of(completed: int, failed: int, cancelled: int) -> VariantEvent:
    """Return what happens to a variant whose jobs have all ended so."""
    if not failed and not cancelled:
        return "all_completed"
    if completed:
        return "all_ended_mixed"
    return "all_failed" if failed else "all_cancelled"


def _ended(
    variant: Variant, jobs: dict[str, JobPhase], counts: tuple[int, int, int], now: float, **changes: object
) -> Variant:
    """Return the variant with jobs that ended; `counts`: completed, failed, cancelled. With the last one it ends."""
    completed, failed, cancelled = counts
    event: VariantEvent = "job_ended"
    if completed + failed + cancelled >= len(jobs) - variant.replaced:
        event = end_of(completed, failed, cancelled)
    return replace(
        variant,
        status=transition(variant.status, event),
        jobs=jobs,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        revision=variant.revision + 1,
        updated_at=now,
        **changes,
    )


def _moved(variant: Variant, job_id: str, phase: JobPhase, status: VariantState, now: float) -> Variant:
    """Return the variant with a job in its next phase; the revision grows only if the status changes."""
    return replace(
        variant,
        status=status,
        jobs={**variant.jobs, job_id: phase},
        running=variant.running + (phase == "running") - (variant.jobs[job_id] == "running"),
        revision=variant.revision + (status != variant.status),
        updated_at=now,
    )
