"""The learning service: planning, submitting, following and publishing, joined in one loop."""

import logging
import time
from collections.abc import Iterator
from typing import Final

from bus import __version__
from bus.contracts.experiments import (
    ExperimentCancelParams,
    ExperimentListParams,
    ExperimentListReply,
    ExperimentParams,
    ExperimentView,
)
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import JobCompleted, JobError, JobResult
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.protocol.control import ControlError
from bus.protocol.recovery import Damaged, Notice, Rewound
from bus.publisher import Publisher
from bus.subscriber import source
from bus.subscriber.sync import Start, Subscriber
from bus.telemetry.metrics import Point
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import Loop
from learning_service.archive.history import History
from learning_service.archive.service import Archive
from learning_service.dispatch import dispatcher
from learning_service.dispatch.dispatcher import Submitter
from learning_service.events import consumer
from learning_service.events.consumer import Follower
from learning_service.events.reconciliation import Reconciler
from learning_service.events.router import LearningController
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment, experiment_status, experiment_view
from learning_service.experiments.plan import job_request
from learning_service.experiments.selection import Selection
from learning_service.feedback.ratings import RatingDesk
from learning_service.planning.adaptive import AdaptiveSearch
from learning_service.planning.creation import Creation
from learning_service.planning.revisions import Revisions
from learning_service.recommendation.service import Recommender
from learning_service.storage.store import UNASSIGNED, JobRow, LearningStore
from learning_service.storage.unit_of_work import unit_of_work

RESEND_SECONDS: Final = 1.0  # until the next try where the disk is full
logger = logging.getLogger(__name__)


class LearningService:
    """Plans experiments, has runners do their jobs, and publishes the state of every variant."""

    def __init__(
        self, log: Log, loop: Loop, selection: Selection, *, feed: Address, control: Address, keys: Keys | None = None
    ) -> None:
        """Bind the sockets and go on where the last service stopped.

        Raises:
            BindError: a port is taken.
            InvalidInputError: the keys do not say which key a runner has, or the file is another shard's.
        """
        curves = {runner: curve_for(keys, runner) for runner in selection.runners}  # before anything is opened
        self._store = LearningStore(log, selection.shard)
        self.publisher = Publisher(
            log, loop, service="learning", version=__version__, feed=feed, control=control, keys=keys
        )
        self._log, self._loop, self._selection, self._keys = log, loop, selection, keys
        controller = LearningController(
            experiments=selection.experiments,
            variant_indices=selection.variants,
            discover=selection.discover,
            shard=selection.shard,
        )
        self._follower = Follower(log, self._store, loop, self.publisher, controller, self._read_again)
        self._submitter = Submitter(
            log,
            self._store,
            loop,
            selection.runners,
            request_of=self._request_of,
            is_known=self._is_known,
            refused=self._refused,
            unsent=self._unsent,
            keys=keys,
        )
        self._reconciler = Reconciler(
            log, self._store, loop, apply=lambda event: self._follower.apply_local([event]), curves=curves
        )
        self._subscriber = self._subscribe()
        self._recommender = Recommender(log, self._store, loop)
        methods = self.publisher.methods
        revisions = Revisions(log, self._store, self._submitter, selection.max_variants)
        revisions.register(methods)
        self._search = AdaptiveSearch(
            log,
            self._store,
            loop,
            submitter=self._submitter,
            revisions=revisions,
            recommender=self._recommender,
        )
        self._search.register(methods)
        Creation(log, loop, self._store, self._submitter, self._search, selection).register(methods)
        methods.add("experiment.cancel", ExperimentCancelParams, self._cancel)
        methods.add("experiment.show", ExperimentParams, self._show, role="read")
        methods.add("experiment.list", ExperimentListParams, self._list, role="read")
        RatingDesk(log, self._store).register(methods)
        self._recommender.register(methods)
        Archive(log, self._store, selection.shard, selection.max_variants).register(methods)
        History(log, self._store).register(methods)
        self.publisher.metrics.add(self._points, {**consumer.HELP, **dispatcher.HELP, **source.HELP})

    def close(self) -> None:
        """Stop; all that was applied is on disk, all else is in the runners' logs."""
        self._subscriber.close()
        self._reconciler.close()
        self._submitter.close()
        self.publisher.close()

    def _points(self) -> Iterator[Point]:
        yield from self._follower.points()
        yield from self._submitter.points()
        yield from self._subscriber.points()

    def _subscribe(self) -> Subscriber:
        return Subscriber(
            self._selection.runners,
            self._selection.prefixes(),
            start=Start.BEGINNING,
            positions=self._store.positions(),
            loop=self._loop,
            on_batch=self._follower.on_batch,
            on_notice=self._on_notice,
            limits=self._log.limits,
            keys=self._keys,
        )

    def _read_again(self) -> None:
        """Go back to the stored positions: more events came than could be kept while the disk was full."""
        self._subscriber.close()
        self._subscriber = self._subscribe()

    def _on_notice(self, runner: str, _prefix: str, notice: Notice) -> None:
        """Do what can be done about events that a runner cannot give."""
        logger.warning("%s: %s", runner, notice)
        if isinstance(notice, Rewound):
            self._resend(runner)
        else:
            if isinstance(notice, Damaged):
                self._follower.reject_damaged(notice.offset)
            self._reconciler.ask(runner)

    def _cancel(self, params: ExperimentCancelParams) -> ExperimentView:
        """Cancel what no runner has at once, and have the runners cancel the rest."""
        experiment = self._store.get(params.experiment_id)
        if experiment.has_ended:
            raise ControlError("conflict", f"{params.experiment_id} has ended already: {experiment.status}")
        runners = self._selection.runners if experiment.discovered else self._store.runners_of(params.experiment_id)
        with unit_of_work(self._log, self._store, sync=True) as work:
            for runner in (UNASSIGNED, *runners):
                self._store.write_cancel(work.tx, params.experiment_id, runner, finish_running=params.finish_running)
            self._search.end(work, experiment, "it was cancelled")
        self._submitter.pump()
        return experiment_view(self._store.get(params.experiment_id))

    def _unsent(self, rows: list[JobRow]) -> None:
        """Cancel jobs of experiments that were cancelled before a runner had them: its queue is full, say."""
        by_experiment: dict[str, list[JobRow]] = {}
        for row in rows:
            by_experiment.setdefault(row.experiment_id, []).append(row)
        for experiment_id, mine in by_experiment.items():
            self._cancel_unsent(self._store.get(experiment_id), mine)

    def _cancel_unsent(self, experiment: Experiment, rows: list[JobRow]) -> None:
        # one that has got further came to a runner all the same: its own end is counted
        known = [row for row in rows if self._is_known(row)]
        unsent = [row for row in rows if not self._is_known(row)]
        by_variant: dict[int, list[str]] = {}
        for row in unsent:
            by_variant.setdefault(row.planned.variant_index, []).append(row.job_id)
        now = time.time()
        with unit_of_work(self._log, self._store) as work:
            draft = work.draft(experiment.experiment_id)
            for index, names in by_variant.items():
                work.put(draft, variants.cancelled(experiment.variants[index], names, now), now)
            self._store.withdraw(work.tx, unsent)
            self._store.acknowledge(work.tx, known)

    def _show(self, params: ExperimentParams) -> ExperimentView:
        self._store.trim()
        experiment = self._store.get(params.experiment_id)
        return experiment_view(experiment, self._recommender.latest(params.experiment_id))

    def _list(self, params: ExperimentListParams) -> ExperimentListReply:
        page, before = self._store.page(params.before, params.limit)
        return ExperimentListReply(experiments=[experiment_status(one) for one in page], before=before)

    def _is_known(self, row: JobRow) -> bool:
        """Is it known from its events that a runner has a job, or has it ended?"""
        variant = self._store.get(row.experiment_id).variants[row.planned.variant_index]
        return variant.jobs[row.job_id] != "planned"

    def _request_of(self, row: JobRow) -> JobRequest:
        experiment = self._store.get(row.experiment_id)
        value = experiment.variants[row.planned.variant_index].value
        return job_request(row.experiment_id, experiment.definition, value, row.planned)

    def _refused(self, row: JobRow, message: str) -> None:
        """Count a job as failed that its runner does not take: it was changed since the job was planned."""
        logger.error("job %s was refused: %s", row.job_id, message)
        self._follower.apply_local([self._failure(row, message)])

    def _failure(self, row: JobRow, message: str) -> JobCompleted:
        request = self._request_of(row)
        now = time.time()
        return JobCompleted(
            job_id=request.job_id,
            stage=request.stage,
            pipeline=request.pipeline,
            attempt=0,
            learning_context=request.learning_context,
            config=request.config,
            result=JobResult(success=False, error=JobError(kind="invalid_request", message=message)),
            queued_at=now,
            started_at=None,
            finished_at=now,
        )

    def _resend(self, runner: str) -> None:
        """Send a runner again what it has not finished: its log is another one, or lost its end."""
        logger.warning("runner %s lost part of its log or has a new one; sending it its unfinished jobs again", runner)
        try:
            with unit_of_work(self._log, self._store) as work:
                for experiment, index, rows in self._store.unended_of(runner):
                    draft = work.draft(experiment.experiment_id)
                    names = [row.job_id for row in rows]
                    draft.put(variants.resent(experiment.variants[index], names))
                    draft.moved += names
                    self._store.resend(work.tx, rows)
                self._store.repeat_cancels(work.tx, runner)
        except StorageError as error:  # the disk is full
            logger.error("cannot write %s: %s; trying again", self._log.path, error)  # noqa: TRY400 - no bug of ours
            self._loop.later(RESEND_SECONDS, lambda: self._resend(runner))
            return
        self._loop.call(self._submitter.pump)
