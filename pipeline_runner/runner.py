"""The runner: the job service, its workers and its publisher, joined in one loop."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from bus import __version__, topics
from bus.keys import Keys
from bus.log import Log, StorageError
from bus.loop import Loop
from bus.messages import JobProgress, JobResult
from bus.metrics import Point
from bus.publisher import Publisher
from bus.requests import PipelinesReply
from bus.sockets import Address
from bus.wire import NoParams
from pipeline_runner.jobs import NormalizedJobRecord
from pipeline_runner.lanes import Lanes
from pipeline_runner.methods import Fractions, JobMethods
from pipeline_runner.output_index import OutputIndex
from pipeline_runner.output_methods import OutputMethods
from pipeline_runner.outputs import Outputs
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.refresher import Refresher
from pipeline_runner.retries import rest_seconds
from pipeline_runner.service import Faulted, JobService
from pipeline_runner.workers import WorkerPool

STOP_SECONDS: Final = 3.0  # for running jobs to stop when the runner does; the whole shutdown stays under 5 s
RETRY_SECONDS: Final = 1.0  # until the next try where the disk is full
logger = logging.getLogger(__name__)


class Runner:
    """Takes jobs from its control socket, runs them, and publishes what becomes of them."""

    def __init__(  # noqa: PLR0913 - what it works with and where it listens
        self,
        log: Log,
        loop: Loop,
        pipelines: dict[str, Pipeline],
        outputs: Outputs,
        *,
        workers: int,
        feed: Address,
        control: Address,
        keys: Keys | None = None,
    ) -> None:
        """Bind the sockets, and put jobs back into the queue that ran when the last runner died.

        Raises:
            BindError: a port is taken.
        """
        self.publisher = Publisher(
            log, loop, service="runner", version=__version__, feed=feed, control=control, keys=keys
        )
        self._loop, self._outputs, self._pipelines = loop, outputs, pipelines
        self._stages = {name: dict(pipeline.stages()) for name, pipeline in pipelines.items()}
        self._lanes = Lanes(
            {name: one.concurrency or workers for name, one in pipelines.items()}, workers, log.limits.queued_jobs
        )
        self._service = JobService(log, self._lanes)
        index = OutputIndex(log, outputs.root)
        self._service.write_with_end(index.add)
        self._fractions: Fractions = {}
        self._results: dict[str, JobResult] = {}  # of runs that have ended, until they are written
        self._pool = WorkerPool(loop, pipelines, self._ended, self._report)
        for job in self._service.store.running():
            outputs.discard_unfinished(job)
        recovered = self._service.recover()
        if recovered:
            logger.warning("%d jobs that were running when the runner died run again", recovered)
        self._refresher = Refresher(loop, pipelines, self._refreshed)
        for name in self._refresher.names:
            self._lanes[name].away = f"{name}: its server was not heard of yet"
        self._add_methods(log.limits.job_bytes)
        OutputMethods(self.publisher.methods, log, index, outputs)
        loop.call(self._changed)

    def close(self) -> None:
        """Stop the running jobs without an end: they run again at the next start."""
        self._refresher.stop()
        stopped, left = self._pool.stop(STOP_SECONDS)
        if left:
            logger.warning("%d jobs did not stop in time and are abandoned", len(left))
        try:
            with suppress(StorageError):  # the next start puts them back as well
                self._service.finish(self._results)
                self._service.release(stopped)
        finally:
            self.publisher.close()

    def _add_methods(self, job_limit: int) -> None:
        jobs = JobMethods(
            self._service,
            self._pipelines,
            stages=lambda: self._stages,
            fractions=self._fractions,
            job_limit=job_limit,
            stop=self._pool.cancel,
            changed=self._changed,
        )
        jobs.add_to(self.publisher.methods)
        self.publisher.methods.add("pipelines", NoParams, self._offer, role="read")
        self.publisher.metrics.add(self._points)

    def _dispatch(self) -> None:
        """Give queued jobs to idle workers."""
        now = time.monotonic()
        with self._tried_again(self._dispatch):
            for job in self._service.claim(self._lanes.open(now)):
                self._pool.start(job)

    def _changed(self) -> None:
        self._cancel_some()
        self._dispatch()

    def _cancel_some(self) -> None:
        """Cancel some jobs of a cancelled experiment, and the others in the next turns of the loop."""
        with self._tried_again(self._cancel_some):
            if self._service.cancel_some():
                self._loop.call(self._cancel_some)

    def _ended(self, job_id: str, result: JobResult) -> None:
        """Collect what has ended in this turn of the loop, to write all of it in one transaction."""
        self._fractions.pop(job_id, None)
        if not self._results:
            self._loop.call(self._finish)
        self._results[job_id] = result

    def _finish(self) -> None:
        with self._tried_again(self._finish):
            again = self._service.finish(self._results)
            self._results = {}
            for fault in again:
                self._hold_up(fault)
            self._dispatch()

    def _hold_up(self, fault: Faulted) -> None:
        """Start no more jobs of a pipeline until its server has recovered."""
        record, lane = fault.record, self._lanes[fault.record.pipeline]
        reason = record.fault.message if record.fault else ""
        if fault.verdict == "wait" and record.pipeline in self._refresher.names:
            self._away(record.pipeline, reason)
            return
        seconds = rest_seconds(record.faults)
        logger.warning("job %s: %s; %s rests for %g s", record.job_id, reason, record.pipeline, seconds)
        lane.rest(time.monotonic() + seconds, reason)
        self._loop.later(seconds, self._dispatch)

    def _refreshed(self, pipeline: str, away: str) -> None:
        """Take over what a server offers, or that it does not answer."""
        self._stages[pipeline] = dict(self._pipelines[pipeline].stages())
        if away:
            self._away(pipeline, away)
        elif self._lanes[pipeline].away:
            self._lanes[pipeline].away = ""
            logger.info("%s: its server answers", pipeline)
            self._dispatch()

    def _away(self, pipeline: str, reason: str) -> None:
        lane = self._lanes[pipeline]
        if lane.queued or lane.running:
            if lane.away != reason:
                logger.warning("%s; %d jobs wait for it", reason, lane.queued)
            self._refresher.hurry(pipeline)
        lane.away = reason

    @contextmanager
    def _tried_again(self, again: Callable[[], None]) -> Iterator[None]:
        """Go on when the disk is full: do it again later, as what a job has made is not to be lost."""
        try:
            yield
        except StorageError as error:
            logger.error("cannot write: %s; trying again", error)  # noqa: TRY400 - no bug of ours
            self._loop.later(RETRY_SECONDS, again)

    def _report(self, job: NormalizedJobRecord, fraction: float, step: int | None, steps: int | None) -> None:
        self._fractions[job.job_id] = fraction
        context = job.learning_context
        message = JobProgress(job_id=job.job_id, learning_context=context, fraction=fraction, step=step, steps=steps)
        tokens = (context.experiment_id, context.variant_index) if context else ()
        self.publisher.publish_ephemeral(topics.build(topics.JOB_PROGRESS, *tokens), message)

    def _points(self) -> Iterator[Point]:
        yield "variantbus_jobs", {"state": "queued"}, self._lanes.queued
        yield "variantbus_jobs", {"state": "running"}, self._lanes.running

    def _offer(self, _params: NoParams) -> PipelinesReply:
        return PipelinesReply(
            pipelines=self._stages,
            outputs=str(self._outputs.root),
            queued=self._lanes.queued,
            running=self._lanes.running,
            paused=self._lanes.paused,
            lanes=self._lanes.views(time.monotonic()),
        )
