"""Applying events: each batch changes the state, publishes what follows and moves the position, in one transaction."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from bus.contracts.messages import EventRejected, JobCompleted, JobProgress, JobQueued, JobStarted, VariantProgress
from bus.contracts.topics import EVENT_REJECTED, VARIANT_PROGRESS
from bus.eventlog.errors import LogError, StorageError
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.validation import InvalidInputError
from bus.publisher import Publisher
from bus.subscriber.delivery import Delivery, Position
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from learning_service.events.router import JobEvent, Kind, LearningController, Outcome
from learning_service.events.unit_of_work import Changes
from learning_service.experiments.model import variant_fraction
from learning_service.storage.store import LearningStore

RETRY_SECONDS: Final = 1.0
HELP: Final = {
    "variantbus_events_routed_total": "What became of the events of runners.",
    "variantbus_events_waiting": "Events that wait because the learning service cannot write.",
}
logger = logging.getLogger(__name__)


class Follower:
    """Takes what subscribers deliver, and nothing of it is lost if the disk is full for a while."""

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        publisher: Publisher,
        controller: LearningController,
        on_overflow: Callable[[], None],
    ) -> None:
        """Wire the parts; `on_batch` is what the subscriber calls.

        `on_overflow` is called when events had to be dropped: they are to be read again from the stored positions.
        """
        self._on_overflow = on_overflow
        self._log, self._store, self._loop = log, store, loop
        self._publisher, self._controller = publisher, controller
        self._waiting: deque[Delivery] = deque()
        self._blocked = self._overflown = False
        self._counts: Counter[tuple[Kind, str]] = Counter()  # outcomes with their reasons since the start

    def points(self) -> Iterator[Point]:
        """Tell for the metrics what became of events, and how many wait."""
        for (kind, reason), count in self._counts.items():
            yield "variantbus_events_routed_total", {"outcome": kind, "reason": reason}, count
        yield "variantbus_events_waiting", {}, len(self._waiting)

    def on_batch(self, batch: list[Delivery]) -> None:
        """Take events in the order of their log."""
        for delivery in batch:
            if not delivery.offset:
                self._relay_progress(delivery)
            elif self._blocked and (self._overflown or len(self._waiting) >= self._log.limits.waiting_events):
                self._overflown = True  # this one and all that follow are read again: see `_unblock`
            else:
                self._waiting.append(delivery)
        self._work_off()

    def apply_local(self, events: list[JobEvent]) -> None:
        """Apply events that no feed brought: jobs that a runner refused, or was asked for.

        One that cannot be applied is rejected, and the others are applied.
        """
        try:
            self._transact_local(events)
        except (StorageError, LogError, MemoryError):
            self._store.forget()
            raise
        except Exception as error:
            logger.exception("%d events failed", len(events))
            self._store.forget()
            if len(events) > 1:
                for event in events:
                    self.apply_local([event])
            else:
                self._reject_alone(None, error)

    def _transact_local(self, events: list[JobEvent]) -> None:
        outcomes: list[Outcome] = []
        with self._log.transaction() as tx:
            changes = Changes(tx, self._store)
            for event in events:
                outcomes.append(self._controller.handle(event))
                _write(changes, event, outcomes[-1], None)
            changes.write()
        self._count(outcomes)

    def reject_damaged(self, offset: int) -> None:
        """Publish that a record of a runner's log is damaged: whatever it said has not been counted."""
        message = EventRejected(
            reason="damaged_record", topic="", offset=offset, job_id=None, detail="it fails its checksum at the runner"
        )
        try:
            with self._log.transaction() as tx:
                tx.append(EVENT_REJECTED, message)
        except StorageError as error:
            logger.error("record %d is damaged, and: %s", offset, error)  # noqa: TRY400 - no bug of ours
        self._counts["rejected", "damaged_record"] += 1

    def _work_off(self) -> None:
        while self._waiting and not self._blocked:
            batch = [self._waiting[index] for index in range(min(self._log.limits.batch_events, len(self._waiting)))]
            try:
                self._apply(batch)
            except StorageError as error:
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
        if self._overflown and not self._blocked:
            self._overflown = False
            self._on_overflow()

    def _apply(self, batch: list[Delivery]) -> None:
        """Apply a batch; if one event makes it fail, that one is rejected and the others are applied."""
        try:
            self._transact(batch)
        except (StorageError, LogError, MemoryError):
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
        self._store.trim()
        outcomes: list[Outcome] = []
        with self._log.transaction() as tx:
            changes = Changes(tx, self._store)
            for delivery in batch:
                try:
                    message = delivery.message
                except InvalidInputError as error:
                    message, outcome = None, Outcome("rejected", "malformed", str(error))
                else:
                    if not isinstance(message, JobQueued | JobStarted | JobCompleted):
                        continue
                    outcome = self._controller.handle(message)
                _write(changes, message, outcome, delivery)
                outcomes.append(outcome)
            changes.write()
            self._store.write_positions(tx, _positions(batch))
        self._count(outcomes)

    def _count(self, outcomes: list[Outcome]) -> None:
        """Count what became of events, once that is on disk: a batch that fails is tried again."""
        for outcome in outcomes:
            self._counts[outcome.kind, outcome.reason] += 1

    def _reject_alone(self, delivery: Delivery | None, error: Exception) -> None:
        """Reject an event that cannot be applied, and go on behind it; None for one that no feed brought."""
        outcome = Outcome("rejected", "handler_error", f"{type(error).__name__}: {error}"[:500])
        with self._log.transaction() as tx:
            _write(Changes(tx, self._store), None, outcome, delivery)
            if delivery:
                self._store.write_positions(tx, _positions([delivery]))
        self._count([outcome])

    def _relay_progress(self, delivery: Delivery) -> None:
        try:
            message = delivery.message
        except InvalidInputError:
            return
        if not isinstance(message, JobProgress) or message.learning_context is None:
            return
        context = message.learning_context
        experiment = self._controller.note_progress(message)
        if experiment:
            progress = VariantProgress(
                experiment_id=context.experiment_id,
                variant_index=context.variant_index,
                job_id=message.job_id,
                fraction=variant_fraction(experiment, context),
            )
            topic = topics.build(VARIANT_PROGRESS, context.experiment_id, context.variant_index)
            self._publisher.publish_ephemeral(topic, progress)


def _write(changes: Changes, event: JobEvent | None, outcome: Outcome, delivery: Delivery | None) -> None:
    """Have an event's outcome written and published."""
    if outcome.kind == "rejected":
        changes.reject(event, outcome, delivery)
    elif outcome.kind == "late" and delivery:
        changes.keep_late(outcome, delivery)
    elif outcome.kind == "applied" and event:
        changes.apply(event, outcome)


def _positions(batch: list[Delivery]) -> dict[tuple[str, str], Position]:
    """Give where a batch ends in each stream."""
    return {(one.source, one.prefix): Position(one.epoch, one.offset) for one in batch}
