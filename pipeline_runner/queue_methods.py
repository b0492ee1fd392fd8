"""The methods of the runner's control socket for the order of its queue."""

import time
from collections.abc import Callable, Mapping

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.queues import PrioritizeParams, PrioritizeReply, QueueListParams, QueueListReply, RunningJob
from bus.contracts.servers import ServerView
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from pipeline_runner.methods import Fractions, JobMethods, eta_of_running
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.listing import Listing
from pipeline_runner.queue.service import JobService


class QueueMethods:
    """Tells in which order jobs will run, and changes it."""

    def __init__(
        self,
        service: JobService,
        jobs: JobMethods,
        fractions: Fractions,
        servers: Mapping[str, ServerView],
        changed: Callable[[], None],
    ) -> None:
        """Find jobs as `jobs` does; call `changed` when there are jobs to move, or another one may be next.

        `servers` are those of pipelines, as far as they have told of themselves.
        """
        self._service, self._jobs, self._fractions = service, jobs, fractions
        self._servers, self._changed = servers, changed
        self._listing = Listing(service.store, service.queues)

    def add_to(self, methods: MethodServer) -> None:
        """Register the methods."""
        methods.add("job.prioritize", PrioritizeParams, self._prioritize)
        methods.add_steps("queue.list", QueueListParams, self._list, role="read")

    def _prioritize(self, params: PrioritizeParams) -> PrioritizeReply:
        if (params.job_id is None) == (params.experiment_id is None):
            raise InvalidInputError("job_id: give either job_id or experiment_id")
        priorities = self._service.priorities
        if params.job_id is not None:
            try:
                priorities.prioritize_job(self._jobs.find(params.job_id), params.priority)
            except IllegalTransitionError as error:
                raise ControlError("conflict", str(error)) from None
            waiting = 1
            self._changed()
        else:
            waiting = priorities.prioritize_experiment(params.experiment_id or "", params.priority)
            self._changed()  # first: the request is on disk, and goes on though the disk is full now
            priorities.move_some()  # so that a small experiment has its new place before the answer
        return PrioritizeReply(waiting=waiting)

    def _list(self, params: QueueListParams) -> Steps[QueueListReply]:
        waiting, left = yield from self._listing.waiting(params.limit)
        running = [self._running(job) for job in self._service.store.running()]
        queues = self._service.queues
        return QueueListReply(
            paused=queues.paused,
            running=running,
            waiting=waiting,
            left=left,
            lanes=queues.views(time.monotonic(), self._service.end_awaited()),
            servers=dict(self._servers),
        )

    def _running(self, job: NormalizedJobRecord) -> RunningJob:
        fraction, elapsed = self._fractions.get(job.job_id, 0.0), self._service.elapsed(job.job_id)
        mean, context = self._service.queues[job.pipeline].mean_seconds, job.learning_context
        return RunningJob(
            job_id=job.job_id,
            pipeline=job.pipeline,
            stage=job.stage,
            started_at=job.started_at,
            fraction=fraction,
            eta_seconds=None if elapsed is None else eta_of_running(elapsed, fraction, mean),
            experiment_id=context.experiment_id if context else None,
            experiment_name=context.experiment_name if context else None,
        )
