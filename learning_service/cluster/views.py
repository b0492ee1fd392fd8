"""A job of the cluster as it is shown, by its end or by its request, and as it is cancelled. No socket, no clock."""

from bus.cluster import names
from bus.contracts.jobs import JobRequest, JobView
from bus.contracts.messages import JobCompleted, JobResult, JobWord
from learning_service.experiments.plan import PlannedJob, parse_job_id


def planned(job_id: str) -> PlannedJob | None:
    """Return what the id of a job says of it, None if no learning service has planned it."""
    try:
        return parse_job_id(job_id)
    except (TypeError, ValueError):
        return None


def end_subject(job_id: str) -> str:
    """Return where the end of a job is, or where it may be: that is slow to look at."""
    job = planned(job_id)
    if job is None:
        return names.any_end_of(job_id)
    return names.end_subject(job_id.rsplit(".", 3)[0], job.variant_index, job_id)


def ended(job: JobCompleted) -> JobView:
    """Return a job that has ended."""
    result = job.result
    state: JobWord = "completed" if result.success else "cancelled" if result.cancelled else "failed"
    return JobView(
        job_id=job.job_id,
        pipeline=job.pipeline,
        stage=job.stage,
        state=state,
        attempt=job.attempt,
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        config=job.config,
        learning_context=job.learning_context,
        result=result,
    )


def waiting(job: JobRequest) -> JobView:
    """Return a job that has not ended. Which runner has it, and since when, only that runner knows."""
    return JobView(
        job_id=job.job_id,
        pipeline=job.pipeline,
        stage=job.stage,
        state="queued",
        attempt=0,
        queued_at=0.0,
        started_at=None,
        finished_at=None,
        config=job.config,
        learning_context=job.learning_context,
        result=None,
        priority=job.priority,
        exclusive=job.exclusive,
    )


def cancelled(job: JobRequest, now: float) -> JobCompleted:
    """Return the end of a job that is cancelled before it has run, as far as one knows."""
    return JobCompleted(
        job_id=job.job_id,
        stage=job.stage,
        pipeline=job.pipeline,
        attempt=0,
        learning_context=job.learning_context,
        config=job.config,
        result=JobResult(success=False, cancelled=True),
        queued_at=now,
        started_at=None,
        finished_at=now,
    )
