"""The methods of the runner's control socket for jobs and the queue."""

import logging
import time
from collections.abc import Callable, Collection
from itertools import count
from typing import Final

import msgspec

from bus.contracts.finding import FindParams, FindReply
from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobCheckReply,
    JobListParams,
    JobListReply,
    JobParams,
    JobRequest,
    JobView,
    QueueParams,
    QueueReply,
    SubmitParams,
    SubmitReply,
    SubmittersParams,
    SubmittersReply,
)
from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.pipeline_specs import Pipelines, check_config, find_stage
from bus.contracts.scoring import ScoreSettings
from bus.contracts.topics import JOB_COMPLETED
from bus.eventlog.errors import StorageError
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError, near_miss
from bus.transport.server import MethodServer
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.queue.capacity import ALL
from pipeline_runner.queue.errors import QueueFullError, StillCancellingError
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.messages import topic_of
from pipeline_runner.queue.repair import LOST
from pipeline_runner.queue.service import JobService
from pipeline_runner.queue.store import DamagedJobError, Numbered
from pipeline_runner.scoring.registry import Scorers, check_request
from pipeline_runner.submitters import Submitters

Fractions = dict[str, float]  # how far each running job is
logger = logging.getLogger(__name__)
LEAST_FRACTION: Final = 0.05  # of a job; less does not allow an estimate of the rest


class JobMethods:
    """Checks requests and passes them to the job service."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        service: JobService,
        pipelines: dict[str, Pipeline],
        *,
        stages: Callable[[], Pipelines],
        fractions: Fractions,
        job_limit: int,
        stop: Callable[[str], None],
        changed: Callable[[], None],
        scorers: Scorers,
        in_cluster: bool = False,
    ) -> None:
        """Call `stop` for each running job that must stop, and `changed` when jobs may start or be cancelled."""
        self._service, self._pipelines, self._stages = service, pipelines, stages
        self._fractions, self._job_limit = fractions, job_limit
        self._stop, self._changed, self._scorers = stop, changed, scorers
        self._in_cluster = in_cluster
        self._submitters = Submitters()

    def add_to(self, methods: MethodServer) -> None:
        """Register the methods."""
        methods.add("job.submit", SubmitParams, self._submit)
        methods.add("job.check", SubmitParams, self._check_all)  # it tells which files there are
        methods.add("job.submitters", SubmittersParams, self._announce)
        methods.add("job.cancel", CancelParams, self._cancel)
        methods.add("job.retry", JobParams, self._retry)
        methods.add("job.show", JobParams, self._show, role="read")
        methods.add("job.list", JobListParams, self._list, role="read")
        methods.add("job.find", FindParams, self._find, role="read")
        methods.add("queue.pause", QueueParams, self._pause)
        methods.add("queue.resume", QueueParams, self._resume)

    def _check_all(self, params: SubmitParams) -> JobCheckReply:
        for number, request in enumerate(params.jobs):
            try:
                self.check(request)
            except (InvalidInputError, topics.TopicError) as error:
                # a client that submits many can send the others without this one
                raise ControlError("invalid_request", str(error), {"job": str(number)}) from None
        return JobCheckReply(checked=len(params.jobs))

    def _submit(self, params: SubmitParams) -> SubmitReply:
        if self._in_cluster and any(job.learning_context for job in params.jobs):
            raise ControlError("conflict", "this runner is in a cluster, which gives it the jobs of experiments")
        self._check_all(params)
        try:
            accepted = self._service.submit(params.jobs)
        except QueueFullError as error:
            details = {"pipeline": error.pipeline, "room": str(error.capacity_left)}
            raise ControlError("unavailable", str(error), details) from None
        except StillCancellingError as error:
            raise ControlError("unavailable", str(error)) from None
        self._changed()
        capacities = {name: self._service.queues[name].capacity_left for name in {job.pipeline for job in params.jobs}}
        return SubmitReply(accepted=accepted, known=len(params.jobs) - accepted, rooms=capacities)

    def _announce(self, params: SubmittersParams) -> SubmittersReply:
        return SubmittersReply(shared=self._submitters.announce(params, time.monotonic()))

    def check(self, request: JobRequest) -> None:
        """Refuse a job that could not run here, or of whose end nobody could hear.

        Raises:
            InvalidInputError, TopicError: naming the field and what to do.
            StorageError: that cannot be told now.
        """
        size = len(msgspec.msgpack.encode(request))
        if size > self._job_limit:
            raise InvalidInputError(f"config: the job has {size} bytes, over {self._job_limit}; shorten its texts")
        spec = find_stage(self._stages(), request.pipeline, request.stage)
        check_config(spec, request.config, _may_be_off(request))
        try:
            self._pipelines[request.pipeline].check(request.stage, request.config)
        except (InvalidInputError, StorageError):
            raise
        except Exception as error:
            logger.exception("pipeline %s cannot check a job", request.pipeline)
            raise InvalidInputError(f"config: {request.pipeline} cannot check it ({type(error).__name__})") from None
        if request.score:
            check_request(self._scorers, request.score, spec.metrics or ())
        topic_of(JOB_COMPLETED, request.learning_context)  # raises if no topic can be made of it

    def check_score(self, job: NormalizedJobRecord | None, score: ScoreSettings) -> None:
        """Refuse scorers that a completed job cannot have, whose pipeline may be gone; without one, that none can.

        Raises:
            InvalidInputError, StorageError: as for `check_request`.
        """
        stage = self._stages().get(job.pipeline, {}).get(job.stage) if job else None
        check_request(self._scorers, score, (stage.metrics if stage else None) or ())

    def _cancel(self, params: CancelParams) -> CancelReply:
        if (params.job_id is None) == (params.experiment_id is None):
            raise InvalidInputError("job_id: give either job_id or experiment_id")
        if params.experiment_id is None:
            number, running = self._cancel_job(params.job_id or "")
        else:
            number, running = self._service.cancel_experiment(params.experiment_id)
            self._service.cancel_some()  # so that a small experiment is cancelled before the answer
        self._changed()
        if params.finish_running:
            return CancelReply(cancelled=number - len(running))
        for job_id in running:
            self._stop(job_id)
        return CancelReply(cancelled=number)

    def _cancel_job(self, job_id: str) -> tuple[int, list[str]]:
        try:
            runs = self._service.cancel(self.find(job_id))
        except IllegalTransitionError as error:
            raise ControlError("conflict", str(error)) from None
        return 1, [job_id] if runs else []

    def _retry(self, params: JobParams) -> JobView:
        job = self.find(params.job_id)
        if job.learning_context:
            text = f"{job.job_id} belongs to {job.learning_context.experiment_id}, which has already counted its end"
            raise ControlError("conflict", text)
        try:
            again = self._service.retry(job)
        except IllegalTransitionError:
            text = f"{job.job_id} is {job.state}; only what has failed or was cancelled can run again"
            raise ControlError("conflict", text) from None
        self._changed()
        return self._view(again, None)

    def _pause(self, params: QueueParams) -> QueueReply:
        self._service.pause(self._queue_name(params.pipeline))
        self._changed()  # others may have waited for a job of it that was to run alone
        return self._queue()

    def _resume(self, params: QueueParams) -> QueueReply:
        name = self._queue_name(params.pipeline)
        if name and self._service.queues.paused:
            raise ControlError("conflict", "the whole queue is paused; resume it without naming a pipeline")
        self._service.resume(name)
        self._changed()
        return self._queue()

    def _queue_name(self, pipeline: str | None) -> str:
        if pipeline is not None and pipeline not in self._pipelines:
            hint = near_miss(pipeline, list(self._pipelines))
            raise InvalidInputError(f"pipeline: {pipeline!r} is unknown; {hint}")
        return pipeline or ALL

    def _queue(self) -> QueueReply:
        queues = self._service.queues
        lanes = queues.views(time.monotonic(), self._service.end_awaited())
        return QueueReply(paused=queues.paused, lanes=lanes)

    def _show(self, params: JobParams) -> JobView:
        job = self.find(params.job_id)
        behind = None
        if job.state == "queued":
            store = self._service.store
            behind = store.behind(store.number_of(job.job_id), job)
        return self._view(job, behind)

    def _list(self, params: JobListParams) -> JobListReply:
        page, before = self._service.store.page(params.state, params.before, params.limit)
        behind = self._behind(page)
        jobs = [self._view(job, behind.get(job.job_id)) for _, job in page]
        return JobListReply(jobs=jobs, before=before, damaged=self._service.damaged.names)

    def _find(self, params: FindParams) -> FindReply:
        return FindReply(ids=self._service.store.find(params.prefix, params.limit))

    def _behind(self, page: list[Numbered]) -> dict[str, int]:
        """Count for each queued job of a page how many of its pipeline and priority run after it.

        A page has all jobs between its first and its last, so they are counted only for the newest of each kind.
        """
        counters: dict[tuple[str, int], count[int]] = {}
        found: dict[str, int] = {}
        for number, job in page:
            if job.state == "queued":
                key = job.pipeline, job.priority
                if key not in counters:
                    counters[key] = count(self._service.store.behind(number, job))
                found[job.job_id] = next(counters[key])
        return found

    def find(self, job_id: str) -> NormalizedJobRecord:
        """Return a job.

        Raises:
            ControlError: there is none of that id, or its row is damaged (`not_found`).
        """
        try:
            job = self._service.store.get(job_id)
        except DamagedJobError as error:
            raise ControlError("not_found", str(error)) from None
        if job is None and job_id in self._service.damaged.names:
            raise ControlError("not_found", f"job {job_id!r} is lost: {LOST}")
        if job is None:
            raise ControlError("not_found", f"job {job_id!r} was not found; see `variantbus job list`")
        return job

    def _view(self, job: NormalizedJobRecord, behind: int | None) -> JobView:
        queue = self._service.queues[job.pipeline]
        now, eta = time.monotonic(), None
        if behind is not None:
            eta = queue.eta(queue.ahead(job.priority, behind), now)
        elif (elapsed := self._service.elapsed(job.job_id)) is not None:
            eta = eta_of_running(elapsed, self._fractions.get(job.job_id, 0.0), queue.mean_seconds)
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
            priority=job.priority,
            faults=job.faults,
            fault=job.fault,
            waits_for=queue.waits_for(now) or self._service.end_awaited() if job.state == "queued" else "",
            eta_seconds=eta,
            exclusive=job.exclusive,
        )


def _may_be_off(request: JobRequest) -> Collection[str]:
    """Return which settings may be off though others have no effect then: the variables of the job's experiment.

    In a job of no experiment any may be, as in the one that such an experiment recommends.
    """
    return request.learning_context.decided if request.learning_context else request.config


def eta_of_running(elapsed: float, fraction: float, mean: float | None) -> float | None:
    """Estimate the seconds until the end of a job by its own progress (0..1), else by the mean of others."""
    if fraction >= LEAST_FRACTION:
        return elapsed * (1.0 - fraction) / fraction
    return None if mean is None else max(0.0, mean - elapsed)
