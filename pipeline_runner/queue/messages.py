"""The messages about a job, and their topics."""

from functools import lru_cache

from bus.contracts.messages import JobCompleted, JobQueued, JobScored, JobStarted, LearningContext, Message
from bus.protocol import topics
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result


def topic_of(base: str, context: LearningContext | None) -> str:
    """Return the topic of a message about a job; one without a context has no further tokens."""
    return _marked_topic(base, context.experiment_id, context.variant_index) if context else base


@lru_cache(maxsize=4096)  # the jobs of a variant share three of them
def _marked_topic(base: str, experiment_id: str, variant_index: int) -> str:
    return topics.build(base, experiment_id, variant_index)


def queued_message(record: NormalizedJobRecord) -> Message:
    """Return what says that a job waits."""
    return JobQueued(
        job_id=record.job_id,
        stage=record.stage,
        pipeline=record.pipeline,
        attempt=record.attempt,
        learning_context=record.learning_context,
        queued_at=record.queued_at,
    )


def started_message(record: NormalizedJobRecord) -> Message:
    """Return what says that a worker has taken a job."""
    return JobStarted(
        job_id=record.job_id,
        stage=record.stage,
        pipeline=record.pipeline,
        attempt=record.attempt,
        learning_context=record.learning_context,
        started_at=record.started_at or 0.0,
    )


def completed_message(record: NormalizedJobRecord) -> Message:
    """Return what says how a job has ended."""
    return JobCompleted(
        job_id=record.job_id,
        stage=record.stage,
        pipeline=record.pipeline,
        attempt=record.attempt,
        learning_context=record.learning_context,
        config=record.config,
        result=record.result or cancelled_result(),
        queued_at=record.queued_at,
        started_at=record.started_at,
        finished_at=record.finished_at or 0.0,
    )


def scored_message(record: NormalizedJobRecord, metrics: dict[str, float], now: float) -> Message:
    """Return what says that the pictures of a completed job were measured."""
    return JobScored(job_id=record.job_id, learning_context=record.learning_context, metrics=metrics, scored_at=now)
