"""The life of a variant: a table of transitions, and the state that grows with every job that ends."""

import math
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from bus.lifecycle import step
from bus.messages import ImageRef, JobCompleted, RatingSummary, Scalar, VariantState

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
# More jobs were planned: the one way back from an end.
EXTENDED: Final[dict[VariantState, VariantState]] = {"pending": "pending", "queued": "queued"}
ENDED: Final = frozenset[VariantState]({"completed", "partial", "failed", "cancelled"})
UNKNOWN_ERROR: Final = "Unknown error"
IMAGES_LIMIT: Final = 1500  # listed in a status, so that it stays below the limit of a message; all stay on disk
METRICS_LIMIT: Final = 100  # names of metrics, for the same reason
METRIC_NAME_LIMIT: Final = 100  # characters
ERROR_LIMIT: Final = 4000  # characters of an error text


def transition(status: VariantState, event: VariantEvent) -> VariantState:
    """Give the status of a variant after an event.

    Raises:
        IllegalTransitionError: the event cannot happen in this status.
    """
    return step("variant", TRANSITIONS, status, event)


class Variant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is kept of one variant; what is published of it is derived (see `learning_service.experiments`)."""

    index: int
    value: Scalar | dict[str, Scalar]
    planned: int
    status: VariantState = "pending"
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    images: tuple[ImageRef, ...] = ()
    error: str | None = None
    rating: RatingSummary | None = None
    metric_sums: dict[str, tuple[float, int]] = field(default_factory=dict)  # sum and count over completed jobs
    duration_sum: float = 0.0
    revision: int = 0
    updated_at: float = 0.0

    @property
    def ended(self) -> int:
        """How many of its jobs have ended."""
        return self.completed + self.failed + self.cancelled


def queued(variant: Variant, now: float) -> Variant:
    """Give the variant after one of its jobs came into a queue."""
    return _moved(variant, "job_queued", now)


def started(variant: Variant, now: float) -> Variant:
    """Give the variant after one of its jobs started."""
    return _moved(variant, "job_started", now)


def extended(variant: Variant, jobs: int, now: float) -> Variant:
    """Give the variant after jobs were added to its plan."""
    status = EXTENDED.get(variant.status, "running")
    planned, revision = variant.planned + jobs, variant.revision + 1
    return replace(variant, status=status, planned=planned, revision=revision, updated_at=now)


def cancelled(variant: Variant, jobs: int, now: float) -> Variant:
    """Give the variant after jobs of it were cancelled that no runner had yet."""
    return _ended(variant, now, cancelled=variant.cancelled + jobs)


def job_ended(variant: Variant, job: JobCompleted) -> Variant:
    """Give the variant after one of its jobs ended, well or not."""
    result, now = job.result, job.finished_at
    if result.cancelled:
        return _ended(variant, now, cancelled=variant.cancelled + 1)
    if not result.success:
        error = (result.error.message if result.error else "") or UNKNOWN_ERROR
        return _ended(variant, now, failed=variant.failed + 1, error=error[:ERROR_LIMIT])
    sums = dict(variant.metric_sums)
    for name, value in result.metrics.items():
        known = name in sums or (len(sums) < METRICS_LIMIT and len(name) <= METRIC_NAME_LIMIT)
        if not known or not math.isfinite(value):
            continue  # one that is not finite would make the mean of all others unknown
        total, count = sums.get(name, (0.0, 0))
        sums[name] = (total + value, count + 1)
    duration = result.seconds
    if duration is None or not math.isfinite(duration):
        duration = 0.0 if job.started_at is None else now - job.started_at
    return _ended(
        variant,
        now,
        completed=variant.completed + 1,
        images=(variant.images + result.images)[:IMAGES_LIMIT],
        metric_sums=sums,
        duration_sum=variant.duration_sum + max(0.0, duration),
    )


def _ended(variant: Variant, now: float, **changes: object) -> Variant:
    """Count a job that ended, and see whether it was the last one."""
    after = replace(variant, revision=variant.revision + 1, updated_at=now, **changes)
    event: VariantEvent = "job_ended"
    if after.ended >= after.planned:
        if after.completed == after.ended:
            event = "all_completed"
        elif after.completed:
            event = "all_ended_mixed"
        else:
            event = "all_failed" if after.failed else "all_cancelled"
    status = transition(variant.status, event)
    return after if status == after.status else replace(after, status=status)


def _moved(variant: Variant, event: VariantEvent, now: float) -> Variant:
    status = transition(variant.status, event)
    return replace(variant, status=status, revision=variant.revision + 1, updated_at=now)
