"""The job service: every change of a job's state with its message, and who is told when a job has ended."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobCompleted, JobError, JobQueued, JobResult, JobStarted, LearningContext, Message
from bus.contracts.requests import JobRequest
from bus.contracts.topics import JOB_COMPLETED, JOB_QUEUED, JOB_STARTED
from bus.eventlog.log import BodyTooLargeError, Log, Transaction
from bus.protocol import topics
from pipeline_runner.queue.capacity import ALL, Lanes
from pipeline_runner.queue.completion import CompletionHandler, CompletionHandlers
from pipeline_runner.queue.jobs import (
    NormalizedJobRecord,
    cancelled_result,
    failed_result,
    faulted,
    finished,
    new_record,
    requeued,
    retried,
    started,
)
from pipeline_runner.queue.retries import MAX_FAULTS, fault_of
from pipeline_runner.queue.store import JobStore

Clock = Callable[[], float]
EndWriter = Callable[[Transaction, NormalizedJobRecord], None]
CANCELS_AT_ONCE: Final = 500


class QueueFullError(Exception):
    """There is no room for so many jobs of a pipeline; nothing was queued. `room` is for how many there is."""

    def __init__(self, pipeline: str, room: int, limit: int) -> None:
        """Say what to do."""
        super().__init__(f"{pipeline} has room for {room} more jobs of {limit} (queued_jobs); try again later")
        self.pipeline, self.room = pipeline, room


class JobService:
    """Owns the queue. Each change is durable, with its message, before anybody hears of it."""

    def __init__(self, log: Log, lanes: Lanes | None = None, clock: Clock = time.time) -> None:
        """Open the queue of a log; `clock` gives unix seconds. The lanes are kept up to date with it."""
        self._log, self._clock = log, clock
        self.store = JobStore(log)
        self._running: dict[str, NormalizedJobRecord] = {}  # as they are on disk
        self.lanes = lanes or Lanes({}, 1, log.limits.queued_jobs)
        self._handlers = CompletionHandlers()
        self._end_writers: list[EndWriter] = []
        for pipeline, priority, count in self.store.count_queued():
            self.lanes[pipeline].waiting[priority] = count
        for record in self.store.running():
            self._count(record, 1)
        self._cancelling = set(self.store.cancels())
        self._pauses = frozenset(self.store.pauses())
        self.lanes.set_pauses(self._pauses)

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

        Raises:
            QueueFullError: there is no room for all that are new; none was queued.
        """
        self._check_room(requests)
        new = []
        with self._log.transaction(sync=True) as tx:
            for request in requests:
                record = new_record(request, self._clock())
                if self.store.insert(tx, record):
                    new.append(record)
                    tx.append(_topic(JOB_QUEUED, record.learning_context), _queued(record))
        for record in new:
            self._count(record, 1)
        return len(new)

    def _check_room(self, requests: list[JobRequest]) -> None:
        """See that all that are new find room; which ones are known is only asked where it matters."""
        by_pipeline: dict[str, list[str]] = {}
        for request in requests:
            by_pipeline.setdefault(request.pipeline, []).append(request.job_id)
        for pipeline, job_ids in by_pipeline.items():
            lane = self.lanes[pipeline]
            if len(job_ids) > lane.room and len(job_ids) - self.store.count_known(job_ids) > lane.room:
                raise QueueFullError(pipeline, lane.room, lane.most)

    def recover(self) -> int:
        """Put jobs that ran when the runner died back into the queue; give their number. Called once, at start.

        Who brings the runner down again and again fails at last: the jobs behind it have to run, too.
        """
        left = self.store.running()
        fault = JobError(kind="crashed", message="the runner died while this job ran")
        ended, moved = [], []
        with self._log.transaction() as tx:
            for record in left:
                if record.cancel_requested:
                    ended.append(self._end(tx, record, cancelled_result()))
                elif record.faults + 1 >= MAX_FAULTS:
                    ended.append(self._end(tx, record, JobResult(success=False, error=fault)))
                else:
                    moved.append(self._requeue(tx, faulted(record, fault)))
        self._moved(left, [*ended, *moved])
        return len(left)

    def claim(self, rooms: Mapping[str, int]) -> list[NormalizedJobRecord]:
        """Take the jobs that are next for the workers, at most as many of each pipeline as there is room for."""
        waiting = [record for pipeline, room in rooms.items() for record in self.store.next_queued(pipeline, room)]
        if not waiting:
            return []
        taken, ended = [], []
        with self._log.transaction() as tx:
            for record in waiting:
                if record.learning_context and record.learning_context.experiment_id in self._cancelling:
                    ended.append(self._end(tx, record, cancelled_result()))
                else:
                    taken.append(self._start(tx, record))
        self._moved(waiting, [*taken, *ended])
        return taken

    def finish(self, results: Mapping[str, JobResult]) -> list[NormalizedJobRecord]:
        """Write how runs of jobs ended, then tell the completion handlers; give the jobs as they are now.

        One whose run was ended by a fault of its server is back in the queue, in its old place.

        Raises:
            KeyError: there is no such job.
        """
        before = [self._get(job_id) for job_id in results]
        with self._log.transaction() as tx:
            after = [self._judge(tx, record, results[record.job_id]) for record in before]
        self._moved(before, after)
        return after

    def _judge(self, tx: Transaction, record: NormalizedJobRecord, result: JobResult) -> NormalizedJobRecord:
        fault = fault_of(result)
        if fault is None or record.faults + 1 >= MAX_FAULTS:
            return self._end(tx, record, result)
        if record.cancel_requested:
            return self._end(tx, record, cancelled_result())
        return self._requeue(tx, faulted(record, fault))

    def release(self, job_ids: Iterable[str]) -> None:
        """Put jobs back into the queue that were stopped only because the runner ends."""
        before = [self._get(job_id) for job_id in job_ids]
        with self._log.transaction() as tx:
            after = [
                self._end(tx, record, cancelled_result())
                if record.cancel_requested
                else self._requeue(tx, requeued(record))
                for record in before
            ]
        self._moved(before, after)

    def cancel(self, record: NormalizedJobRecord) -> bool:
        """Cancel a job, synced to disk: a queued one ends now. Does it have to stop, as it is running?

        Raises:
            IllegalTransitionError: it has ended already.
        """
        if record.state not in ("queued", "running"):
            raise IllegalTransitionError(f"{record.job_id}: the job has ended already, it is {record.state}")
        runs = record.state == "running"
        with self._log.transaction(sync=True) as tx:
            after = self._mark(tx, record) if runs else self._end(tx, record, cancelled_result())
        self._moved([record], [after])
        return runs

    def cancel_experiment(self, experiment_id: str) -> tuple[int, list[str]]:
        """Have all jobs of an experiment cancelled; give their number, and the ids of those that run.

        Running ones are marked, so that they do not run a second time. Queued ones end by `cancel_some`, called until
        it has no more; what is to be done is synced to disk, and goes on after a restart.
        """
        number = self.store.count_unended(experiment_id)
        running = self.store.unended(experiment_id, "running")
        with self._log.transaction(sync=True) as tx:
            self.store.write_cancel(tx, experiment_id, done=False)
            marked = [self._mark(tx, record) for record in running]
        self._moved(running, marked)
        self._cancelling.add(experiment_id)
        return number, [record.job_id for record in running]

    def cancel_some(self) -> bool:
        """Cancel some more jobs of experiments that are being cancelled; are there perhaps others?

        A hundred thousand at once would keep the service from answering for seconds.
        """
        if not self._cancelling:
            return False
        experiment_id = min(self._cancelling)
        waiting = self.store.unended(experiment_id, "queued", CANCELS_AT_ONCE)
        done = len(waiting) < CANCELS_AT_ONCE
        with self._log.transaction() as tx:
            ended = [self._end(tx, record, cancelled_result()) for record in waiting]
            if done:
                self.store.write_cancel(tx, experiment_id, done=True)
        self._moved(waiting, ended)
        if done:
            self._cancelling.discard(experiment_id)
        return bool(self._cancelling)

    def retry(self, record: NormalizedJobRecord) -> NormalizedJobRecord:
        """Have a job run again that has failed or was cancelled; synced to disk.

        Raises:
            IllegalTransitionError: it has not ended so.
        """
        with self._log.transaction(sync=True) as tx:
            again = self._requeue(tx, retried(record, self._clock()))
        self._moved([record], [again])
        return again

    def pause(self, pipeline: str = ALL) -> None:
        """Start no more jobs of a pipeline, or of any; synced to disk."""
        self._set_pauses(self._pauses | {pipeline})

    def resume(self, pipeline: str = ALL) -> None:
        """Go on with a pipeline, or with all, also those that were paused alone; synced to disk."""
        self._set_pauses(self._pauses - {pipeline} if pipeline else frozenset())

    def _set_pauses(self, pauses: frozenset[str]) -> None:
        with self._log.transaction(sync=True) as tx:
            for pipeline in pauses ^ self._pauses:
                self.store.write_pause(tx, pipeline, paused=pipeline in pauses)
        self._pauses = pauses
        self.lanes.set_pauses(pauses)

    def _get(self, job_id: str) -> NormalizedJobRecord:
        record = self._running.get(job_id) or self.store.get(job_id)
        if record is None:
            raise KeyError(job_id)
        return record

    def _mark(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        marked = replace(record, cancel_requested=True)
        self.store.update(tx, marked)
        return marked

    def _start(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        taken = started(record, self._clock())
        self.store.update(tx, taken)
        tx.append(_topic(JOB_STARTED, taken.learning_context), _started(taken))
        return taken

    def _requeue(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        self.store.update(tx, record)
        tx.append(_topic(JOB_QUEUED, record.learning_context), _queued(record))
        return record

    def _end(self, tx: Transaction, record: NormalizedJobRecord, result: JobResult) -> NormalizedJobRecord:
        ended = finished(record, result, self._clock())
        topic = _topic(JOB_COMPLETED, ended.learning_context)
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

    def _moved(self, before: Iterable[NormalizedJobRecord], after: Iterable[NormalizedJobRecord]) -> None:
        """Keep the lanes up to date with what was committed, and tell who wants to know what has ended."""
        for record in before:
            self._count(record, -1)
        for record in after:
            self._count(record, 1)
            if record.result and record.state not in ("queued", "running"):
                self._learn(record)
                self._handlers.notify(record, record.result)

    def _learn(self, record: NormalizedJobRecord) -> None:
        if record.result and record.result.reused_from:
            return  # it took no time
        if record.result and record.result.success and record.started_at and record.finished_at:
            self.lanes[record.pipeline].note_duration(max(0.0, record.finished_at - record.started_at))

    def _count(self, record: NormalizedJobRecord, change: int) -> None:
        """Count a job in its lane, where it is in one, or take it out of the count."""
        lane = self.lanes[record.pipeline]
        if record.state == "queued":
            lane.waiting[record.priority] += change
        elif record.state == "running":
            lane.running += change
            if change > 0:
                self._running[record.job_id] = record
            else:
                self._running.pop(record.job_id, None)


def _topic(base: str, context: LearningContext | None) -> str:
    return _marked_topic(base, context.experiment_id, context.variant_index) if context else base


@lru_cache(maxsize=4096)  # the jobs of a variant share three of them
def _marked_topic(base: str, experiment_id: str, variant_index: int) -> str:
    return topics.build(base, experiment_id, variant_index)


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
