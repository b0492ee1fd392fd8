"""The runner: the job service, its workers and its publisher, joined in one loop."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bus import __version__, topics
from bus.keys import Keys
from bus.lifecycle import IllegalTransitionError
from bus.log import Log, StorageError
from bus.loop import Loop
from bus.messages import JobProgress, JobResult
from bus.metrics import Point
from bus.publisher import Publisher
from bus.requests import (
    CancelParams,
    CancelReply,
    JobListParams,
    JobListReply,
    JobParams,
    JobRequest,
    JobView,
    PipelinesReply,
    SubmitParams,
    SubmitReply,
)
from bus.sockets import Address
from bus.specs import check_config, find_stage
from bus.validate import InvalidInputError
from bus.wire import ControlError, NoParams
from pipeline_runner.jobs import NormalizedJobRecord
from pipeline_runner.output_index import OutputIndex
from pipeline_runner.output_methods import OutputMethods
from pipeline_runner.outputs import Outputs
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.service import JobService
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
        self._loop, self._outputs = loop, outputs
        self._job_limit = log.limits.job_bytes
        self._stages = {name: dict(pipeline.stages()) for name, pipeline in pipelines.items()}
        self._service = JobService(log)
        index = OutputIndex(log, outputs.root)
        self._service.write_with_end(index.add)
        self._pool = WorkerPool(loop, workers, pipelines, self._finish, self._report)
        for job in self._service.store.running():
            outputs.discard_unfinished(job)
        recovered = self._service.recover()
        if recovered:
            logger.warning("%d jobs that were running when the runner died run again", recovered)
        methods = self.publisher.methods
        methods.add("job.submit", SubmitParams, self._submit)
        methods.add("job.cancel", CancelParams, self._cancel)
        methods.add("job.show", JobParams, self._show, role="read")
        methods.add("job.list", JobListParams, self._list, role="read")
        methods.add("pipelines", NoParams, self._pipelines, role="read")
        OutputMethods(methods, log, index, outputs)
        self.publisher.metrics.add(self._points)
        loop.call(self._dispatch)

    def close(self) -> None:
        """Stop the running jobs without an end: they run again at the next start."""
        left = self._pool.stop(STOP_SECONDS)
        if left:
            logger.warning("%d jobs did not stop in time and are abandoned", left)
        self.publisher.close()

    def _dispatch(self) -> None:
        """Give queued jobs to idle workers."""
        with self._tried_again(self._dispatch):
            while self._pool.has_room and (job := self._service.claim()):
                self._pool.start(job)

    def _finish(self, job_id: str, result: JobResult) -> None:
        with self._tried_again(lambda: self._finish(job_id, result)):
            self._service.finish(job_id, result)
            self._dispatch()

    @contextmanager
    def _tried_again(self, again: Callable[[], None]) -> Iterator[None]:
        """Go on when the disk is full: do it again later, as what a job has made is not to be lost."""
        try:
            yield
        except StorageError as error:
            logger.error("cannot write: %s; trying again", error)  # noqa: TRY400 - no bug of ours
            self._loop.later(RETRY_SECONDS, again)

    def _report(self, job: NormalizedJobRecord, fraction: float, step: int | None, steps: int | None) -> None:
        context = job.learning_context
        message = JobProgress(job_id=job.job_id, learning_context=context, fraction=fraction, step=step, steps=steps)
        tokens = (context.experiment_id, context.variant_index) if context else ()
        self.publisher.publish_ephemeral(topics.build(topics.JOB_PROGRESS, *tokens), message)

    def _submit(self, params: SubmitParams) -> SubmitReply:
        for number, request in enumerate(params.jobs):
            try:
                self._check(request)
            except (InvalidInputError, topics.TopicError) as error:
                raise InvalidInputError(f"jobs[{number}] {request.job_id}: {error}") from None
        accepted = self._service.submit(params.jobs)
        self._dispatch()
        return SubmitReply(accepted=accepted, known=len(params.jobs) - accepted)

    def _check(self, request: JobRequest) -> None:
        size = len(msgspec.msgpack.encode(request))
        if size > self._job_limit:
            raise InvalidInputError(
                f"config: the job has {size} bytes, over {self._job_limit}; put large values in a file"
            )
        check_config(find_stage(self._stages, request.pipeline, request.stage), request.config)
        context = request.learning_context
        if context:
            topics.build(topics.JOB_COMPLETED, context.experiment_id, context.variant_index)

    def _cancel(self, params: CancelParams) -> CancelReply:
        if (params.job_id is None) == (params.experiment_id is None):
            raise InvalidInputError("job_id: give either job_id or experiment_id")
        if params.experiment_id is not None:
            jobs = self._service.store.unended(params.experiment_id)
        else:
            jobs = [self._get(params.job_id or "")]
        try:
            to_stop = self._service.cancel(jobs)
        except IllegalTransitionError as error:
            raise ControlError("conflict", str(error)) from None
        for job_id in to_stop:
            self._pool.cancel(job_id)
        return CancelReply(cancelled=len(jobs))

    def _get(self, job_id: str) -> NormalizedJobRecord:
        job = self._service.store.get(job_id)
        if job is None:
            raise ControlError("not_found", f"job {job_id!r} is unknown to this runner; see `variantbus job list`")
        return job

    def _show(self, params: JobParams) -> JobView:
        return _view(self._get(params.job_id))

    def _list(self, params: JobListParams) -> JobListReply:
        jobs, before = self._service.store.page(params.state, params.before, params.limit)
        return JobListReply(jobs=[_view(job) for job in jobs], before=before)

    def _points(self) -> Iterator[Point]:
        for state in ("queued", "running"):
            yield "variantbus_jobs", {"state": state}, self._service.store.count(state)

    def _pipelines(self, _params: NoParams) -> PipelinesReply:
        return PipelinesReply(
            pipelines=self._stages,
            outputs=str(self._outputs.root),
            queued=self._service.store.count("queued"),
            running=self._service.store.count("running"),
        )


def _view(job: NormalizedJobRecord) -> JobView:
    return JobView(
        job_id=job.job_id,
        pipeline=job.pipeline,
        stage=job.stage,
        state=job.state,
        attempt=job.attempt,
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        config=job.config,
        learning_context=job.learning_context,
        result=job.result,
    )
