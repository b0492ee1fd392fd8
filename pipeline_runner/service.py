"""The job service: every change of a job's state with its message, and who is told when a job has ended."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from bus import topics
from bus.lifecycle import IllegalTransitionError
from bus.log import BodyTooLargeError, Log, Transaction
from bus.messages import JobCompleted, JobQueued, JobResult, JobStarted, LearningContext, Message
from bus.requests import JobRequest
from pipeline_runner.completion import CompletionHandler, CompletionHandlers
from pipeline_runner.jobs import (
    NormalizedJobRecord,
    cancelled_result,
    failed_result,
    finished,
    new_record,
    requeued,
    started,
)
from pipeline_runner.store import JobStore

Clock = Callable[[], float]
EndWriter = Callable[[Transaction, NormalizedJobRecord], None]


class JobService:
    """Owns the queue. Each change is durable, with its message, before anybody hears of it."""

    def __init__(self, log: Log, clock: Clock = time.time) -> None:
        """Open the queue of a log; `clock` gives unix seconds."""
        self._log, self._clock = log, clock
        self.store = JobStore(log)
        self._handlers = CompletionHandlers()
        self._end_writers: list[EndWriter] = []

    def write_with_end(self, writer: EndWriter) -> None:
        """Have something else written in the transaction in which a job ends."""
        self._end_writers.append(writer)

    def register_completion_handler(self, handler: CompletionHandler) -> None:
        """Have a function called with job and result whenever a job has ended; registering twice counts once."""
        self._handlers.register(handler)

    def unregister_completion_handler(self, handler: CompletionHandler) -> None:
        """Do not call a function any more; an unknown one is no error."""
        self._handlers.unregister(handler)

    def submit(self, requests: list[JobRequest]) -> int:
        """Queue jobs and give the number of new ones; known ids are left alone.

        Synced to disk: who got the answer may forget the job.
        """
        accepted = 0
        with self._log.transaction(sync=True) as tx:
            for request in requests:
                record = new_record(request, self._clock())
                if self.store.insert(tx, record):
                    accepted += 1
                    tx.append(_topic(topics.JOB_QUEUED, record.learning_context), _queued(record))
        return accepted

    def recover(self) -> int:
        """Put jobs that ran when the runner died back into the queue; give their number. Called once, at start."""
        left, ended = self.store.running(), []
        with self._log.transaction() as tx:
            for record in left:
                if record.cancel_requested:
                    ended.append(self._end(tx, record, cancelled_result()))
                else:
                    again = requeued(record)
                    self.store.update(tx, again)
                    tx.append(_topic(topics.JOB_QUEUED, again.learning_context), _queued(again))
        for record in ended:
            self._notify(record)
        return len(left)

    def claim(self) -> NormalizedJobRecord | None:
        """Take the job that has waited longest for a worker."""
        record = self.store.next_queued()
        if record is None:
            return None
        with self._log.transaction() as tx:
            taken = started(record, self._clock())
            self.store.update(tx, taken)
            tx.append(_topic(topics.JOB_STARTED, taken.learning_context), _started(taken))
        return taken

    def finish(self, job_id: str, result: JobResult) -> None:
        """Write how a running job ended, then tell the completion handlers."""
        record = self.store.get(job_id)
        if record is None:
            raise KeyError(job_id)
        with self._log.transaction() as tx:
            ended = self._end(tx, record, result)
        self._notify(ended)

    def cancel(self, records: list[NormalizedJobRecord]) -> list[str]:
        """Cancel jobs: queued ones end now, synced to disk. Give the ids of running ones, which have to stop first."""
        now_ended, to_stop = [], []
        with self._log.transaction(sync=True) as tx:
            for record in records:
                if record.state == "queued":
                    now_ended.append(self._end(tx, record, cancelled_result()))
                elif record.state == "running":
                    self.store.update(tx, replace(record, cancel_requested=True))
                    to_stop.append(record.job_id)
                else:
                    raise IllegalTransitionError(f"{record.job_id}: the job has ended already, it is {record.state}")
        for ended in now_ended:
            self._notify(ended)
        return to_stop

    def _end(self, tx: Transaction, record: NormalizedJobRecord, result: JobResult) -> NormalizedJobRecord:
        ended = finished(record, result, self._clock())
        topic = _topic(topics.JOB_COMPLETED, ended.learning_context)
        try:
            tx.append(topic, _completed(ended))
        except BodyTooLargeError as error:
            # a message there must be: the result that is too large becomes a failure that says so
            ended = finished(record, failed_result("too_large", str(error)), self._clock())
            tx.append(topic, _completed(ended))
        self.store.update(tx, ended)
        for write in self._end_writers:
            write(tx, ended)
        return ended

    def _notify(self, record: NormalizedJobRecord) -> None:
        self._handlers.notify(record, record.result or cancelled_result())


def _topic(base: str, context: LearningContext | None) -> str:
    return topics.build(base, context.experiment_id, context.variant_index) if context else base


def _queued(record: NormalizedJobRecord) -> Message:
    return JobQueued(
        job_id=record.job_id,
        stage=record.stage,
        pipeline=record.pipeline,
        attempt=record.attempt,
        learning_context=record.learning_context,
        queued_at=record.queued_at,
    )


def _started(record: NormalizedJobRecord) -> Message:
    return JobStarted(
        job_id=record.job_id,
        stage=record.stage,
        pipeline=record.pipeline,
        attempt=record.attempt,
        learning_context=record.learning_context,
        started_at=record.started_at or 0.0,
    )


def _completed(record: NormalizedJobRecord) -> Message:
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
