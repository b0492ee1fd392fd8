"""The worker pool: one thread for each running job; results and progress come back through the loop."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bus.contracts.fields import INT64_MAX
from bus.contracts.messages import ImageRef, JobResult
from bus.contracts.scoring import metric_names
from bus.eventlog.errors import DiskError, StorageError
from bus.protocol.validation import convert
from bus.transport.loop import Callback, Loop
from pipeline_runner.execution.previews import Pace, Picture, Previews, picture_of
from pipeline_runner.execution.reuse import identity_of, is_confirmed
from pipeline_runner.execution.scored import STOPPED, has_files, measure, timed, with_measures
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, error_text, failed_result
from pipeline_runner.queue.metrics import NOT_SCORED, with_checked_metrics
from pipeline_runner.queue.retries import STORAGE
from pipeline_runner.scoring.measuring import Measured, Measuring
from pipeline_runner.scoring.talk import StoppedError

logger = logging.getLogger(__name__)


class Calls(NamedTuple):
    """What the pool calls, always in the loop's thread.

    Attributes:
        done: With job id, result, and whether the result was made by what the identity said.
        report: With the progress of a job.
        find: With a job and its identity; returns an earlier result for it, None if there is none.
        reused: With job id and the earlier result that it ends with.
        made: With a job and what its pipeline has made, before that is measured; returns the pictures that its own
            are compared with.
    """

    done: Callable[[str, JobResult, bool], None]
    report: Callable[[NormalizedJobRecord, float, int | None, int | None], None]
    find: Callable[[NormalizedJobRecord, str], JobResult | None]
    reused: Callable[[str, JobResult], None]
    made: Callable[[NormalizedJobRecord, JobResult], tuple[ImageRef, ...]]


class _Stop:
    """Whether a job has to stop; lighter than an event, as nobody waits for it."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Have it stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return whether it has to stop."""
        return self._is_set


class _Task(NamedTuple):
    """A job for a thread.

    First its pipeline is asked for its identity, then, unless a result is reused, it is run; last, what was made is
    measured.
    """

    job: NormalizedJobRecord
    stop: _Stop
    identity: str | None = None
    made: JobResult | None = None
    base: tuple[ImageRef, ...] = ()  # what its pictures are compared with
    confirmed: bool = False  # it was made by what the identity said


class WorkerPool:
    """Runs every job that it is given at once. All methods and callbacks belong to the loop's thread.

    Threads are kept for later jobs. They are daemons, so that a pipeline that hangs cannot keep the process alive.
    """

    def __init__(
        self, loop: Loop, pipelines: Mapping[str, Pipeline], calls: Calls, outputs: Outputs, measuring: Measuring
    ) -> None:
        """Wire the parts."""
        self._loop, self._pipelines, self._outputs = loop, pipelines, outputs
        self._calls, self._measuring = calls, measuring
        self.previews = Previews()
        self._waiting: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: dict[str, _Stop] = {}
        self._over: dict[str, JobResult] = {}  # of jobs that have ended, until the loop has seen it
        self._unmeasured: dict[str, tuple[NormalizedJobRecord, JobResult]] = {}  # what was made, until it has seen that
        self._is_stopping = False

    def start(self, job: NormalizedJobRecord) -> None:
        """Run a job in an idle thread, or in a new one."""
        stop = self._running[job.job_id] = _Stop()
        if len(self._running) > len(self._threads):
            self._threads.append(threading.Thread(target=self._work, name=f"worker {len(self._threads)}", daemon=True))
            self._threads[-1].start()
        self._waiting.put(_Task(job, stop))

    def cancel(self, job_id: str) -> None:
        """Ask a running job to stop; its end is reported like any other."""
        if job_id in self._running:
            self._running[job_id].set()

    def stop(self, seconds: float) -> tuple[dict[str, JobResult], list[str]]:
        """Stop all jobs, and return the results of those that ended in time and the ids of the others.

        `done` is not called for them.
        """
        deadline = time.monotonic() + seconds
        self._is_stopping = True
        for stop in self._running.values():
            stop.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        ended = {name: one if self._is_there(one) else cancelled_result() for name, one in self._over.items()}
        for job, made in list(self._unmeasured.values()):
            self._calls.made(job, made)
            ended[job.job_id] = cancelled_result()
        return ended, [job_id for job_id in self._running if job_id not in ended]

    def _work(self) -> None:
        """Run in a thread of the pool."""
        while task := self._waiting.get():
            job, pipeline = task.job, self._pipelines.get(task.job.pipeline)
            threading.current_thread().name = job.job_id  # for tools that show the threads of a process
            try:
                result = self._next(task, pipeline)
            except DiskError as error:
                self._loop.call(partial(_raise, error))  # which ends the process
                return
            if result is None:
                continue
            confirmed = task.confirmed if task.made else self._is_confirmed(task, pipeline, result)
            if job.score and result.success and task.made is None:
                self._unmeasured[job.job_id] = job, result
                self._loop.call(partial(self._measure, task, result, confirmed))
                continue
            self._over[job.job_id] = result
            self._loop.call(partial(self._ended, task, result, confirmed))

    def _next(self, task: _Task, pipeline: Pipeline | None) -> JobResult | None:
        """Return the result of a job, or of what of it comes first; None if that goes on in the loop.

        Raises:
            DiskError: the disk of the results failed.
        """
        job = task.job
        if task.made:
            return self._measured(task, task.made)
        if job.made and task.identity is None and has_files(self._outputs.root, job.made):
            self._loop.call(partial(self._measure, task, job.made, confirmed=False))  # the last runner died meanwhile
            return None
        if task.identity is None and (identity := identity_of(pipeline, job)) is not None:
            self._loop.call(partial(self._look_up, task._replace(identity=identity)))
            return None
        began = time.monotonic()
        result = run_job(pipeline, job, self._progress_of(task), task.stop.is_set, self._outputs)
        return timed(result, time.monotonic() - began) if job.score else result

    def _is_confirmed(self, task: _Task, pipeline: Pipeline | None, result: JobResult) -> bool:
        return task.identity is not None and result.success and is_confirmed(pipeline, task.job, task.identity)

    def _look_up(self, task: _Task) -> None:
        """End a job whose result there is already, or have it run."""
        found = self._calls.find(task.job, task.identity or "")
        if found is None:
            self._waiting.put(task)
        elif task.job.score:
            self._measure(task, found, confirmed=True)
        else:
            del self._running[task.job.job_id]  # before, as the next job may take its place at once
            self._calls.reused(task.job.job_id, found)

    def _measure(self, task: _Task, made: JobResult, confirmed: bool) -> None:
        """Have what was made measured, once it is on disk that it was made."""
        base = self._calls.made(task.job, made)
        self._unmeasured.pop(task.job.job_id, None)
        self._waiting.put(task._replace(made=made, base=base, confirmed=confirmed))

    def _measured(self, task: _Task, made: JobResult) -> JobResult:
        """Return the result with its measures."""
        job = task.job
        try:
            measured = measure(self._measuring, job, made, task.base, task.stop.is_set)
        except StoppedError:
            if self._is_stopping:
                return cancelled_result()  # the next start measures what was made
            measured = Measured({}, (STOPPED,))
        except Exception as error:
            logger.exception("job %s cannot be scored", job.job_id)
            measured = Measured({}, (f"{NOT_SCORED}{error_text(error)}",))
        return with_measures(job, made, measured, self._measuring)

    def _ended(self, task: _Task, result: JobResult, confirmed: bool) -> None:
        job_id = task.job.job_id
        del self._over[job_id]
        if task.made and not self._is_there(result):  # to be made anew: its files have gone while they were measured
            self._waiting.put(task._replace(made=None, identity=task.identity or ""))
            return
        del self._running[job_id]
        self.previews.drop(job_id)
        if task.made and result.reused_from:
            self._calls.reused(job_id, result)
        else:
            self._calls.done(job_id, result, confirmed)

    def _is_there(self, result: JobResult) -> bool:
        """Return whether a result has its files: those of an earlier job may be removed at any time."""
        return not result.reused_from or has_files(self._outputs.root, result)

    def _progress_of(self, task: _Task) -> Progress:
        pace = Pace()

        def progress(
            fraction: float, step: int | None = None, steps: int | None = None, *, preview: bytes | None = None
        ) -> None:
            now = time.monotonic()
            picture = None if preview is None or not pace.may_show(now) else picture_of(bytes(preview))
            seconds = pace.wait(now, has_preview=picture is not None)
            if seconds is None:
                return
            # converted here, where an error fails only the job: numbers of numpy cannot be encoded
            bounded = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
            done, total = (None if count is None else min(int(count), INT64_MAX) for count in (step, steps))
            tell = partial(self._tell, task, picture, bounded, done, total)
            self._loop.call(partial(self._after, seconds, tell) if seconds else tell)

        return progress

    def _after(self, seconds: float, callback: Callback) -> None:
        self._loop.later(seconds, callback)

    def _tell(self, task: _Task, picture: Picture | None, fraction: float, step: int | None, steps: int | None) -> None:
        """Report progress, unless the job has ended meanwhile."""
        if self._running.get(task.job.job_id) is not task.stop:
            return
        if picture:
            self.previews.put(task.job.job_id, picture)
        self._calls.report(task.job, fraction, step, steps)


def _raise(error: Exception) -> None:
    raise error


def run_job(
    pipeline: Pipeline | None, job: NormalizedJobRecord, progress: Progress, stopped: Cancelled, outputs: Outputs
) -> JobResult:
    """Run a job and return its result; an exception of the pipeline is a failure of the job.

    The result is encoded once here: one that cannot be encoded would end the runner, at every start again.

    Raises:
        DiskError: the disk of the results failed.
    """
    if pipeline is None:
        return failed_result("invalid_request", f"pipeline {job.pipeline!r} is not installed any more")
    try:
        result = convert(msgspec.to_builtins(pipeline.run(job, progress, stopped)), JobResult)
        result = with_checked_metrics(result, job.learning_context, metric_names(job.score))
        if warnings := outputs.take_warnings(job.job_id):
            result = replace(result, warnings=(*result.warnings, *warnings))
        msgspec.msgpack.encode(result)
    except DiskError:
        raise
    except BaseException as error:
        outputs.take_warnings(job.job_id)
        if fault := _storage_fault(error, outputs):
            return failed_result(STORAGE, str(fault))
        logger.exception("job %s failed", job.job_id)
        return failed_result("internal", error_text(error))
    # a job that stopped on request is cancelled; one that completed before it noticed is completed
    return cancelled_result() if stopped() and not result.success else result


def _storage_fault(error: BaseException, outputs: Outputs) -> StorageError | None:
    """Return why the disk is to blame for an exception of a pipeline, None if it is not.

    An error of a file that a pipeline wrote itself may be of another disk; ours is to blame only if it is full now.
    """
    if isinstance(error, StorageError):
        return error
    fault = outputs.probe() if isinstance(error, OSError) else None
    return fault if isinstance(fault, StorageError) else None
