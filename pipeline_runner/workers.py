"""The worker pool: one thread a running job; results and progress come back through the loop."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from bus.loop import Loop
from bus.messages import JobResult
from bus.validate import convert
from pipeline_runner.jobs import NormalizedJobRecord, cancelled_result, failed_result
from pipeline_runner.pipelines import Pipeline, Progress

PROGRESS_GAP: Final = 0.2  # seconds: at most 5 progress messages a second for a job
Done = Callable[[str, JobResult], None]
Report = Callable[[NormalizedJobRecord, float, int | None, int | None], None]
logger = logging.getLogger(__name__)


class WorkerPool:
    """Runs up to `size` jobs at a time. All methods and callbacks belong to the loop's thread."""

    def __init__(self, loop: Loop, size: int, pipelines: dict[str, Pipeline], done: Done, report: Report) -> None:
        """Call `done` with job id and result, and `report` with progress, in the loop's thread."""
        self._loop, self._size, self._pipelines = loop, size, pipelines
        self._done, self._report = done, report
        self._running: dict[str, tuple[threading.Thread, threading.Event]] = {}

    @property
    def has_room(self) -> bool:
        """Can another job start?"""
        return len(self._running) < self._size

    def start(self, job: NormalizedJobRecord) -> None:
        """Run a job in a thread of its own; a daemon, so that a pipeline that hangs cannot keep the process."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(job, stop), name=job.job_id, daemon=True)
        self._running[job.job_id] = (thread, stop)
        thread.start()

    def cancel(self, job_id: str) -> None:
        """Ask a running job to stop; its end is reported as any other."""
        if job_id in self._running:
            self._running[job_id][1].set()

    def stop(self, seconds: float) -> int:
        """Ask all jobs to stop and wait for them; give the number of those that did not. Nothing is reported."""
        deadline = time.monotonic() + seconds
        threads = [thread for thread, _ in self._running.values()]
        for _, stop in self._running.values():
            stop.set()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in threads)

    def _run(self, job: NormalizedJobRecord, stop: threading.Event) -> None:
        """Run in the job's thread."""
        result = run_job(self._pipelines.get(job.pipeline), job, self._progress_of(job), stop)
        self._loop.call(lambda: self._ended(job.job_id, result))

    def _ended(self, job_id: str, result: JobResult) -> None:
        del self._running[job_id]
        self._done(job_id, result)

    def _progress_of(self, job: NormalizedJobRecord) -> Progress:
        last = 0.0

        def progress(fraction: float, step: int | None = None, steps: int | None = None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= PROGRESS_GAP:
                last = now
                # converted here, where an error is the job's: numbers of numpy cannot be encoded
                bounded = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
                done, total = (None if count is None else int(count) for count in (step, steps))
                self._loop.call(lambda: self._report(job, bounded, done, total))

        return progress


def run_job(
    pipeline: Pipeline | None, job: NormalizedJobRecord, progress: Progress, stop: threading.Event
) -> JobResult:
    """Run a job to a result, whatever the pipeline does.

    What it returns is encoded once: a result that cannot be would end the runner, at every start again.
    """
    if pipeline is None:
        return failed_result("invalid_request", f"pipeline {job.pipeline!r} is not installed any more")
    try:
        result = convert(msgspec.to_builtins(pipeline.run(job, progress, stop.is_set)), JobResult)
        msgspec.msgpack.encode(result)
    except BaseException as error:
        logger.exception("job %s failed", job.job_id)
        text = f"{type(error).__name__}: {error}"[:2000]
        return failed_result("internal", text.encode("utf-8", "replace").decode())
    # a pipeline that stopped for us did not fail; one that was done before it noticed is done
    return cancelled_result() if stop.is_set() and not result.success else result
