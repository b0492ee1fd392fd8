"""Measures that come after a job has completed: they become part of its result, with their message."""

from bus.contracts.scoring import ScoreSettings
from bus.contracts.topics import JOB_SCORED
from bus.eventlog.log import Log
from pipeline_runner.queue.jobs import with_scores
from pipeline_runner.queue.messages import scored_message, topic_of
from pipeline_runner.queue.store import JobStore


def write_scores(
    log: Log, store: JobStore, job_id: str, score: ScoreSettings, metrics: dict[str, float], now: float
) -> None:
    """Add measures to the result of a completed job, and publish them; also known ones, as a reader may lack them.

    Raises:
        StorageError: nothing can be written now.
    """
    record = store.get(job_id)
    changed = with_scores(record, score, metrics) if record else None
    if record and changed and metrics:
        with log.transaction() as tx:
            store.update(tx, [changed])
            tx.append(topic_of(JOB_SCORED, record.learning_context), scored_message(record, metrics, now))
