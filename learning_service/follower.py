"""Applying events: each batch changes the state, publishes what follows and moves the position, in one transaction."""

import logging
import sqlite3
from collections import Counter, deque
from typing import Final

from bus import topics
from bus.log import Log, Transaction
from bus.loop import Loop
from bus.messages import EventRejected, JobCompleted, JobProgress, JobQueued, JobStarted, VariantProgress
from bus.publisher import Publisher
from bus.source import Delivery, Position
from bus.validate import InvalidInputError
from learning_service.controller import JobEvent, LearningController, Outcome
from learning_service.experiments import Experiment, experiment_status, variant_fraction, variant_status
from learning_service.plan import PlannedJob
from learning_service.store import LearningStore

BATCH: Final = 256  # events in one transaction
RETRY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class Follower:
    """Takes what subscribers deliver, and nothing of it is lost if the disk is full for a while."""

    def __init__(
        self, log: Log, store: LearningStore, loop: Loop, publisher: Publisher, controller: LearningController
    ) -> None:
        """Wire the parts; `on_batch` is what the subscriber calls."""
        self._log, self._store, self._loop = log, store, loop
        self._publisher, self._controller = publisher, controller
        self._waiting: deque[Delivery] = deque()
        self._blocked = False
        self.counts: Counter[str] = Counter()  # outcomes since the start, such as "ignored no_learning_context"

    def on_batch(self, batch: list[Delivery]) -> None:
        """Take events in the order of their log."""
        for delivery in batch:
            if delivery.offset:
                self._waiting.append(delivery)
            else:
                self._relay_progress(delivery)
        self._work_off()

    def apply_local(self, events: list[JobEvent]) -> None:
        """Apply events that no runner sent: jobs that a runner refused."""
        try:
            with self._log.transaction() as tx:
                changed: dict[str, Experiment] = {}
                for event in events:
                    self._write(tx, event, self._controller.handle(event), None, changed)
                self._write_experiments(tx, changed)
        except BaseException:
            self._store.forget()
            raise

    def _work_off(self) -> None:
        while self._waiting and not self._blocked:
            batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
            try:
                self._apply(batch)
            except sqlite3.OperationalError as error:
                # the disk is full or read-only: the events stay here, and the runner's log has them anyway
                logger.error("cannot write %s: %s; trying again", self._log.path, error)  # noqa: TRY400 - no bug of ours
                self._blocked = True
                self._loop.later(RETRY_SECONDS, self._unblock)
                return
            for _ in batch:
                self._waiting.popleft()

    def _unblock(self) -> None:
        self._blocked = False
        self._work_off()

    def _apply(self, batch: list[Delivery]) -> None:
        """Apply a batch; if one event makes it fail, that one is rejected and the others are applied."""
        try:
            self._transact(batch)
        except sqlite3.OperationalError:
            self._store.forget()
            raise
        except Exception as error:
            logger.exception("a batch of %d events failed", len(batch))
            self._store.forget()
            if len(batch) > 1:
                for delivery in batch:
                    self._apply([delivery])
            else:
                self._reject_alone(batch[0], error)

    def _transact(self, batch: list[Delivery]) -> None:
        changed: dict[str, Experiment] = {}
        positions: dict[tuple[str, str], Position] = {}
        with self._log.transaction() as tx:
            for delivery in batch:
                positions[delivery.source, delivery.prefix] = Position(delivery.epoch, delivery.offset)
                try:
                    message = delivery.message
                except InvalidInputError as error:
                    outcome = Outcome("rejected", "malformed", str(error))
                    self._write(tx, None, outcome, delivery, changed)
                    continue
                if isinstance(message, JobQueued | JobStarted | JobCompleted):
                    self._write(tx, message, self._controller.handle(message), delivery, changed)
            self._write_experiments(tx, changed)
            self._store.write_positions(tx, positions)

    def _write(
        self,
        tx: Transaction,
        event: JobEvent | None,
        outcome: Outcome,
        delivery: Delivery | None,
        changed: dict[str, Experiment],
    ) -> None:
        """Write what became of one event, and what is published of it."""
        self.counts[f"{outcome.kind} {outcome.reason}".rstrip()] += 1
        if outcome.kind == "rejected":
            tx.append(topics.EVENT_REJECTED, _rejected(event, outcome, delivery))
        experiment, variant = outcome.experiment, outcome.variant
        if event is None or experiment is None or variant is None:
            return
        experiment_id = experiment.experiment_id
        if outcome.kind == "late" and delivery:
            self._store.write_late(tx, experiment_id, variant.index, bytes(delivery.body))
        if outcome.kind != "applied":
            return
        if outcome.adopted:
            self._store.insert(tx, experiment, [])
        phase = experiment.jobs[event.job_id]
        if outcome.added and event.learning_context:
            planned = PlannedJob(variant.index, event.learning_context.repeat_index)
            runner = delivery.source if delivery else ""
            self._store.insert_seen_job(tx, event.job_id, experiment_id, planned, phase, runner)
        else:
            self._store.write_job(tx, experiment_id, event.job_id, phase)
        self._store.write_variant(tx, experiment_id, variant)
        topic = topics.build(topics.VARIANT_STATUS, experiment_id, variant.index)
        tx.append(topic, variant_status(experiment, variant))
        changed[experiment_id] = experiment

    def _write_experiments(self, tx: Transaction, changed: dict[str, Experiment]) -> None:
        for experiment in changed.values():
            experiment.revision += 1
            self._store.write_experiment(tx, experiment)
            topic = topics.build(topics.EXPERIMENT_STATUS, experiment.experiment_id)
            tx.append(topic, experiment_status(experiment))

    def _reject_alone(self, delivery: Delivery, error: Exception) -> None:
        """Reject an event that cannot be applied, and go on behind it."""
        outcome = Outcome("rejected", "handler_error", f"{type(error).__name__}: {error}"[:500])
        with self._log.transaction() as tx:
            self._write(tx, None, outcome, delivery, {})
            position = Position(delivery.epoch, delivery.offset)
            self._store.write_positions(tx, {(delivery.source, delivery.prefix): position})

    def _relay_progress(self, delivery: Delivery) -> None:
        try:
            message = delivery.message
        except InvalidInputError:
            return
        if not isinstance(message, JobProgress) or message.learning_context is None:
            return
        context = message.learning_context
        experiment = self._controller.note_progress(message)
        if experiment and context.variant_index in experiment.variants:
            progress = VariantProgress(
                experiment_id=context.experiment_id,
                variant_index=context.variant_index,
                job_id=message.job_id,
                fraction=variant_fraction(experiment, context),
            )
            topic = topics.build(topics.VARIANT_PROGRESS, context.experiment_id, context.variant_index)
            self._publisher.publish_ephemeral(topic, progress)


def _rejected(event: JobEvent | None, outcome: Outcome, delivery: Delivery | None) -> EventRejected:
    return EventRejected(
        reason=outcome.reason,
        topic=delivery.topic if delivery else "",
        offset=delivery.offset if delivery else 0,
        job_id=event.job_id if event else None,
        detail=outcome.detail,
    )
