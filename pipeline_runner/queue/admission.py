"""Whether jobs may be queued now: decisions without a clock or storage."""

from collections.abc import Callable, Collection, Iterable

from bus.contracts.jobs import JobRequest
from pipeline_runner.queue.capacity import PipelineQueues
from pipeline_runner.queue.errors import QueueFullError, StillCancellingError


def check_cancels(requests: Iterable[JobRequest], cancelling: Collection[str]) -> None:
    """Check that no job is of an experiment whose jobs are being cancelled.

    Raises:
        StillCancellingError: one is.
    """
    contexts = (request.learning_context for request in requests) if cancelling else ()
    for context in contexts:
        if context and context.experiment_id in cancelling:
            raise StillCancellingError(context.experiment_id)


def check_capacity(
    requests: Iterable[JobRequest], queues: PipelineQueues, count_known: Callable[[list[str]], int]
) -> None:
    """Check that the queues can take all new jobs; known ids are looked up only where it matters.

    Raises:
        QueueFullError: one of them cannot.
    """
    by_pipeline: dict[str, list[str]] = {}
    for request in requests:
        by_pipeline.setdefault(request.pipeline, []).append(request.job_id)
    for pipeline, job_ids in by_pipeline.items():
        queue = queues[pipeline]
        if len(job_ids) > queue.capacity_left and len(job_ids) - count_known(job_ids) > queue.capacity_left:
            raise QueueFullError(pipeline, queue.capacity_left, queue.limit)
