"""The job service: every change of a job's state with its message, and the completion handlers."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from bus.contracts.jobs import JobRequest
from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobError, JobResult
from bus.contracts.topics import JOB_COMPLETED, JOB_QUEUED, JOB_STARTED
from bus.eventlog.errors import BodyTooLargeError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.transport.pace import Pace
from pipeline_runner.queue.admission import check_cancels, check_capacity
from pipeline_runner.queue.capacity import ALL, PipelineQueues
from pipeline_runner.queue.completion import CompletionHandler, CompletionHandlers
from pipeline_runner.queue.jobs import (
    NormalizedJobRecord,
    cancelled_result,
    failed_result,
    faulted,
    finished,
    marked,
    new_record,
    requeued,
    retried,
    started,
)
from pipeline_runner.queue.messages import completed_message, queued_message, started_message, topic_of
from pipeline_runner.queue.priorities import Priorities
from pipeline_runner.queue.repair import DamagedJobs
from pipeline_runner.queue.retries import MAX_FAULTS, FailedVariants, fault_of, may_run_again, storage_fault_of
from pipeline_runner.queue.store import JobStore
from pipeline_runner.queue.turns import Turns, end_awaited

Clock = Callable[[], float]
EndWriter = Callable[[Transaction, Sequence[NormalizedJobRecord]], None]
CANCELS_AT_ONCE: Final = 1000  # jobs in one transaction, at most


class JobService:
    """Owns the queue. Each change is committed together with its message, before anything else sees it."""

    def __init__(
        self,
        log: Log,
        queues: PipelineQueues | None = None,
        clock: Clock = time.time,
        steady: Clock | None = None,
    ) -> None:
        """Open the jobs of a log and count them in `queues`.

        `clock` returns unix seconds, and may be set while a job runs; by `steady`, which never is, its duration is
        measured.
        """
        self._log, self._clock = log, clock
        self._steady = steady
        self._began: dict[str, float] = {}  # when running jobs started, by the steady clock; none of an earlier process
        self.store = JobStore(log)
        self.damaged = DamagedJobs(log, self.store)
        self.priorities = Priorities(log, self.store, self._moved)
        self._running: dict[str, NormalizedJobRecord] = {}  # as they are on disk
        self.queues = queues or PipelineQueues({}, 1, log.limits.queued_jobs)
        self._turns = Turns()
        self._failed_variants = FailedVariants()
        self._handlers = CompletionHandlers()
        self._end_writers: list[EndWriter] = []
        for pipeline, priority, count in self.store.count_queued():
            self.queues[pipeline].waiting[priority] = count
        for record in self.store.running():
            self._count(record, 1)
        self._cancelling = set(self.store.cancels())
        self._cancel_pace = Pace(CANCELS_AT_ONCE)
        self._pauses = frozenset(self.store.pauses())
        self.queues.set_pauses(self._pauses)

    def write_with_end(self, writer: EndWriter) -> None:
        """Call `writer` in the transaction in which jobs end, so that it can write more."""
        self._end_writers.append(writer)

    def register_completion_handler(self, handler: CompletionHandler) -> None:
        """Call `handler(record, result)` after the commit of each job's end; registering twice counts once."""
        self._handlers.register(handler)

    def unregister_completion_handler(self, handler: CompletionHandler) -> None:
        """Stop calling a handler; an unknown one is no error."""
        self._handlers.unregister(handler)

    def submit(
        self, requests: list[JobRequest], *, write: Callable[[Transaction], None] | None = None, sync: bool = True
    ) -> int:
        """Queue jobs and return the number of new ones; jobs with a known id are left as they are.

        Synced to disk, unless `sync` is off: a client that has the answer need not keep the job. `write` is called in
        the same transaction.

        Raises:
            QueueFullError: the queue cannot take all new jobs; none was queued.
            StillCancellingError: jobs of their experiment are being cancelled, which would take these, too.
        """
        check_cancels(requests, self._cancelling)
        check_capacity(requests, self.queues, self.store.count_known)
        now = self._clock()
        with self._log.transaction(sync=sync) as tx:
            records = [self.priorities.applied(new_record(request, now)) for request in requests]
            new = self.store.insert(tx, records)
            for record in new:
                self.damaged.note_submitted(tx, record.job_id)
                tx.append(topic_of(JOB_QUEUED, record.learning_context), queued_message(record))
            if write:
                write(tx)
        for record in new:
            self._count(record, 1)
            self._failed_variants.note_submitted(record.learning_context)
        return len(new)

    def recover(self) -> int:
        """Put jobs that were running when the runner died back into the queue; return their number.

        Called once, at start. A job that ends the runner again and again fails, so that the jobs behind it run.
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
            self._write(tx, [*ended, *moved])
        self._moved(left, [*ended, *moved])
        return len(left)

    @property
    def runs_alone(self) -> bool:
        """Whether a job runs beside which no other one may."""
        return any(record.exclusive for record in self._running.values())

    def end_awaited(self) -> str:
        """Return for whose end all queues wait, as the next job runs alone; "" if that is not so."""
        return end_awaited(self._running.values()) if self.queues.draining else ""

    def claim(self, startable: Mapping[str, int]) -> list[NormalizedJobRecord]:
        """Start and return the next jobs for the workers, of each pipeline at most as many as `startable` says.

        Fewer are started where some of them end instead, though others wait: call it again.
        """
        return self.advance({}, startable)[1]

    def finish(self, results: Mapping[str, JobResult]) -> list[NormalizedJobRecord]:
        """Write how runs of jobs ended, then call the completion handlers; return the jobs as they are now.

        A job whose run ended with a fault, after which it is tried again, is back in the queue, in its old place.

        Raises:
            KeyError: there is no such job.
        """
        return self.advance(results, {})[0]

    def advance(
        self, results: Mapping[str, JobResult], startable: Mapping[str, int]
    ) -> tuple[list[NormalizedJobRecord], list[NormalizedJobRecord]]:
        """Do what `finish` and `claim` do in one transaction, which costs half; return what both return."""
        before = [self._get(job_id) for job_id in results]
        offered = {pipeline: self.store.next_queued(pipeline, most) for pipeline, most in startable.items()}
        waiting = self._turns.choose(offered, [one for name, one in self._running.items() if name not in results])
        after: list[NormalizedJobRecord] = []
        taken: list[NormalizedJobRecord] = []
        if before or waiting:
            with self._log.transaction() as tx:
                after = [self._judge(tx, record, results[record.job_id]) for record in before]
                started = [self._start_or_end(tx, record) for record in waiting]
                self._write(tx, [*after, *started])
            self._moved([*before, *waiting], [*after, *started])
            taken = [record for record in started if record.state == "running"]
        self.queues.draining = len(taken) == len(waiting) < sum(map(len, offered.values()))
        if self._steady:
            self._began.update(dict.fromkeys((record.job_id for record in taken), self._steady()))
        return after, taken

    def places_freed(self, results: Mapping[str, JobResult]) -> Counter[str] | None:
        """Return how many jobs of each pipeline may start in the transaction of these ends; None: none of any pipeline.

        So it is where one did not end well, or shows that its variant does not fail: what follows is decided first.
        """
        ended = [self._get(job_id) for job_id in results]
        if not all(result.success for result in results.values()):
            return None
        if any(self._failed_variants.reason(record.learning_context) for record in ended):
            return None
        return Counter(record.pipeline for record in ended)

    def _start_or_end(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        """Start a job whose turn it is, or end one that is not to run."""
        context = record.learning_context
        if context and context.experiment_id in self._cancelling:
            return self._end(tx, record, cancelled_result())
        if reason := self._failed_variants.reason(context):
            return self._end(tx, self._start(tx, record), JobResult(success=False, error=reason))
        return self._start(tx, record)

    def _judge(self, tx: Transaction, record: NormalizedJobRecord, result: JobResult) -> NormalizedJobRecord:
        if storage_fault_of(result):
            return self._stopped(tx, record)
        fault = fault_of(result)
        if fault is None or not may_run_again(fault, record.fault, record.faults):
            return self._end(tx, record, result)
        if record.cancel_requested:
            return self._end(tx, record, cancelled_result())
        return self._requeue(tx, faulted(record, fault))

    def note_made(self, job_id: str, made: JobResult) -> None:
        """Note what the pipeline of a running job has made: if the runner dies while that is measured, it is kept."""
        record = replace(self._get(job_id), made=made)
        with self._log.transaction() as tx:
            self._write(tx, [record])
        self._running[job_id] = record

    def release(self, job_ids: Iterable[str]) -> None:
        """Put jobs back into the queue that were stopped only because the runner shuts down."""
        before = [self._get(job_id) for job_id in job_ids]
        with self._log.transaction() as tx:
            after = [self._stopped(tx, record) for record in before]
            self._write(tx, after)
        self._moved(before, after)

    def _stopped(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        """Put a job back that was stopped for a reason that is not its own."""
        if record.cancel_requested:
            return self._end(tx, record, cancelled_result())
        return self._requeue(tx, requeued(record))

    def cancel(self, record: NormalizedJobRecord) -> bool:
        """Cancel a job, synced to disk; return whether it is running and has still to stop. A queued one ends now.

        Raises:
            IllegalTransitionError: it has ended already.
        """
        if record.state not in ("queued", "running"):
            raise IllegalTransitionError(f"{record.job_id}: the job has ended already, it is {record.state}")
        runs = record.state == "running"
        with self._log.transaction(sync=True) as tx:
            after = marked(record) if runs else self._end(tx, record, cancelled_result())
            self._write(tx, [after])
        self._moved([record], [after])
        self.queues.end_rest_after(record.job_id)
        return runs

    def cancel_experiment(self, experiment_id: str) -> tuple[int, list[str]]:
        """Cancel all jobs of an experiment; return their number, and the ids of those that are running.

        Running ones are marked, so that they do not run a second time. Queued ones end by `cancel_some`, which is
        called until it has no more. The request is synced to disk and continues after a restart.
        """
        number = self.store.count_unended(experiment_id)
        running = self.store.unended(experiment_id, "running")
        with self._log.transaction(sync=True) as tx:
            self.store.write_cancel(tx, experiment_id, done=False)
            stopping = [marked(record) for record in running]
            self._write(tx, stopping)
        self._moved(running, stopping)
        self._cancelling.add(experiment_id)
        self.queues.end_rest_after(experiment_id)
        return number, [record.job_id for record in running]

    def cancel_some(self) -> bool:
        """Cancel the next batch of jobs of experiments that are being cancelled; return whether more may be left.

        A hundred thousand in one transaction would block the service for seconds.
        """
        if not self._cancelling:
            return False
        experiment_id = min(self._cancelling)
        pace = self._cancel_pace
        waiting = self.store.unended(experiment_id, "queued", pace.count)
        done = len(waiting) < pace.count
        with pace.timed(len(waiting)), self._log.transaction() as tx:
            ended = [self._end(tx, record, cancelled_result()) for record in waiting]
            self._write(tx, ended)
            if done:
                self.store.write_cancel(tx, experiment_id, done=True)
        self._moved(waiting, ended)
        if done:
            self._cancelling.discard(experiment_id)
        return bool(self._cancelling)

    def retry(self, record: NormalizedJobRecord) -> NormalizedJobRecord:
        """Queue a failed or cancelled job again, synced to disk; return its new record.

        Raises:
            IllegalTransitionError: the job is in another state.
        """
        with self._log.transaction(sync=True) as tx:
            again = self._requeue(tx, retried(record, self._clock()))
            self._write(tx, [again])
        self._moved([record], [again])
        return again

    def pause(self, pipeline: str = ALL) -> None:
        """Start no more jobs of a pipeline, or of any; synced to disk."""
        self._set_pauses(self._pauses | {pipeline})

    def resume(self, pipeline: str = ALL) -> None:
        """Start jobs of a pipeline again, or of all, including pipelines that were paused alone; synced to disk."""
        self._set_pauses(self._pauses - {pipeline} if pipeline else frozenset())

    def _set_pauses(self, pauses: frozenset[str]) -> None:
        with self._log.transaction(sync=True) as tx:
            for pipeline in pauses ^ self._pauses:
                self.store.write_pause(tx, pipeline, paused=pipeline in pauses)
        self._pauses = pauses
        self.queues.set_pauses(pauses)

    def elapsed(self, job_id: str) -> float | None:
        """Return for how many seconds a job has run, None if it does not run or was started by an earlier process."""
        began = self._began.get(job_id)
        return self._steady() - began if self._steady and began is not None else None

    def _get(self, job_id: str) -> NormalizedJobRecord:
        record = self._running.get(job_id) or self.store.get(job_id)
        if record is None:
            raise KeyError(job_id)
        return record

    def _write(self, tx: Transaction, records: Sequence[NormalizedJobRecord]) -> None:
        """Write what has become of jobs, with what belongs to the ends of those that have ended."""
        self.store.update(tx, records)
        if ended := [record for record in records if record.state not in ("queued", "running")]:
            for write in self._end_writers:
                write(tx, ended)

    def _start(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        taken = started(record, self._clock())
        tx.append(topic_of(JOB_STARTED, taken.learning_context), started_message(taken))
        return taken

    def _requeue(self, tx: Transaction, record: NormalizedJobRecord) -> NormalizedJobRecord:
        tx.append(topic_of(JOB_QUEUED, record.learning_context), queued_message(record))
        return record

    def _end(self, tx: Transaction, record: NormalizedJobRecord, result: JobResult) -> NormalizedJobRecord:
        ended = finished(record, result, self._clock(), self.elapsed(record.job_id))
        topic = topic_of(JOB_COMPLETED, ended.learning_context)
        try:
            tx.append(topic, completed_message(ended))
        except BodyTooLargeError as error:
            # the end of a job must be published: a result that is too large becomes a failure that says so
            text = f"{len(result.images)} results, {error}; make fewer, or raise body_bytes in [limits]"
            ended = finished(record, failed_result("too_large", text), self._clock(), self.elapsed(record.job_id))
            tx.append(topic, completed_message(ended))
        return ended

    def _moved(self, before: Iterable[NormalizedJobRecord], after: Iterable[NormalizedJobRecord]) -> None:
        """Update the counts after a commit, and call the completion handlers for jobs that have ended."""
        for record in before:
            self._count(record, -1)
        for record in after:
            self._count(record, 1)
            if record.state != "running":
                self._began.pop(record.job_id, None)
            if record.result and record.state not in ("queued", "running"):
                self._learn(record)
                self._failed_variants.note_end(record.learning_context, record.result)
                self._handlers.notify(record, record.result)

    def _learn(self, record: NormalizedJobRecord) -> None:
        if record.result and record.result.reused_from:
            return  # a reused result took no time
        if record.result and record.result.success and record.started_at and record.finished_at:
            self.queues[record.pipeline].note_duration(record.finished_at - record.started_at)

    def _count(self, record: NormalizedJobRecord, change: int) -> None:
        """Add a queued or running job to the counts of its pipeline (+1), or remove it (-1)."""
        self.queues.draining = False
        queue = self.queues[record.pipeline]
        if record.state == "queued":
            queue.waiting[record.priority] += change
        elif record.state == "running":
            queue.running += change
            if change > 0:
                self._running[record.job_id] = record
            else:
                self._running.pop(record.job_id, None)
