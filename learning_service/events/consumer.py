"""Applies events: each batch changes state, publishes messages and moves the position, in one transaction."""

import logging
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from bus.contracts.messages import (
    EventRejected,
    JobCompleted,
    JobProgress,
    JobQueued,
    JobScored,
    JobStarted,
    Message,
    VariantProgress,
)
from bus.contracts.topics import EVENT_REJECTED, VARIANT_PROGRESS
from bus.eventlog.errors import LogError, StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol import topics
from bus.protocol.validation import InvalidInputError
from bus.publisher import Publisher
from bus.subscriber.delivery import Delivery, Position
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.retry import retry_later
from learning_service.events.router import (
    HANDLER_ERROR,
    Applied,
    JobEvent,
    Label,
    LearningController,
    Outcome,
    Rejected,
    failure,
)
from learning_service.events.staging import Staging, rejection
from learning_service.experiments.model import variant_fraction
from learning_service.runners.reaching import Beside
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

HELP: Final = {
    "variantbus_events_routed_total": "What became of the events of runners.",
    "variantbus_events_waiting": "Events that wait because the learning service cannot write.",
}
JOB_EVENTS: Final = (JobQueued, JobStarted, JobCompleted, JobScored)
HANDLE_SECONDS: Final = 0.01  # of processor time in a transaction; to write what follows takes about as long
EVENTS_A_LOOK: Final = 16  # at the clock
DAMAGED_KEPT: Final = 10_000  # damaged records that are not published again
logger = logging.getLogger(__name__)


class EventConsumer:
    """Applies the events that subscribers deliver; none is lost while nothing can be read or written.

    Only an error of the event itself rejects it. After any other, such as a failed read, the position stays where it
    is: a transient one is waited for, all others end the process, and the next start reads the event again.
    """

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        publisher: Publisher,
        controller: LearningController,
        on_overflow: Callable[[], None],
        reconcile: Callable[[str], None],
    ) -> None:
        """Wire the parts; `on_batch` is what the subscriber calls.

        `on_overflow` is called when events were dropped: they must be read again from the stored positions. `reconcile`
        is called with a runner whose event could not be handled: it has to be asked how its jobs ended.
        """
        self.on_hold: Callable[[bool], None] = lambda _: None  # whether to deliver no more for now, as many wait
        self.beside: Beside | None = None  # what writes more of events than their positions, in the same transaction
        self._is_held = self._is_called = False
        self._pace = Pace(log.limits.batch_events)
        self._on_overflow, self._reconcile = on_overflow, reconcile
        self._log, self._store, self._loop = log, store, loop
        self._publisher, self._controller = publisher, controller
        self._waiting: deque[Delivery | JobEvent] = deque()
        self._damaged: dict[tuple[str, int], None] = {}  # runners with offsets that were published, oldest first
        self._gaps: set[str] = set()  # runners with a gap that could not be noted
        self._blocked = self._overflown = False
        self._alone = 0  # so many events are applied one by one, as one of them makes its batch fail
        self._counts: Counter[Label] = Counter()  # outcomes with their reasons since the start

    def points(self) -> Iterator[Point]:
        """Return the metrics: events by outcome, and how many wait."""
        for (kind, reason), count in self._counts.items():
            yield "variantbus_events_routed_total", {"outcome": kind, "reason": reason}, count
        yield "variantbus_events_waiting", {}, len(self._waiting)

    def on_batch(self, batch: list[Delivery]) -> None:
        """Take events in the order of their log."""
        for delivery in batch:
            if not delivery.offset:
                self._relay_progress(delivery)
            elif self._overflown or (self._blocked and len(self._waiting) >= self._log.limits.waiting_events):
                self._overflown = True  # this one and all that follow are read again: see `_go_on`
            else:
                self._waiting.append(delivery)
        self._work_off()

    def on_news(self, messages: list[Message]) -> None:
        """Take events that have no place in a log; they may be lost, and are dropped while many wait."""
        if not self._overflown and len(self._waiting) < self._log.limits.waiting_events:
            self._waiting += [one for one in messages if isinstance(one, JobQueued | JobStarted | JobCompleted)]
        self._work_off()

    def apply_local(self, event: JobEvent) -> None:
        """Apply an event that came on no feed: a job that a runner refused, or the end of a job that it was asked for.

        Raises:
            StorageError: nothing can be written now, and the event was not applied.
        """
        self._apply([event])

    def note_gap(self, runner: str) -> None:
        """Record with the next events, whose positions lie behind it, that a runner has a gap: it has to be asked."""
        self._gaps.add(runner)

    def reject_damaged(self, runner: str, offset: int) -> None:
        """Publish that a record of a runner's log is damaged: its event was not counted.

        Its topic is not known, so the subscriber reports it for each prefix that it follows; it is published once.
        """
        if (runner, offset) in self._damaged:
            return
        message = EventRejected(
            reason="damaged_record",
            topic="",
            offset=offset,
            job_id=None,
            detail="it is damaged or missing in the log of the runner",
        )
        try:
            with self._log.transaction() as tx:
                tx.append(EVENT_REJECTED, message)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self.reject_damaged(runner, offset))
        else:
            self._counts["rejected", "damaged_record"] += 1
            self._damaged[runner, offset] = None
            if len(self._damaged) > DAMAGED_KEPT:
                del self._damaged[next(iter(self._damaged))]

    def _work_off(self) -> None:
        """Apply what waits, for some milliseconds; the rest in the next turn of the loop."""
        is_alone = len(self._waiting) == 1  # then nothing is measured: each look at this clock is a system call
        began = 0.0 if is_alone else time.thread_time()
        until = began + HANDLE_SECONDS
        while self._waiting and not self._blocked:
            count = 1 if self._alone else min(self._pace.count, len(self._waiting))
            try:
                applied = self._apply(list(islice(self._waiting, count)))
            except StorageError as error:
                # a transient error: the events wait here, and the runner's log has them anyway
                self._blocked = True
                retry_later(self._loop, error, self._unblock)
                return
            self._alone = max(0, self._alone - 1) if applied else count
            for _ in range(applied):
                self._waiting.popleft()
            if not is_alone:
                now = time.thread_time()
                self._pace.note(count, now - began)
                began = now
                if self._waiting and now >= until:
                    self._leave()
                    break
        self._hold_back()

    def _leave(self) -> None:
        """Go on in the next turn of the loop."""
        if not self._is_called:
            self._is_called = True
            self._loop.call(self._called)

    def _called(self) -> None:
        self._is_called = False
        self._go_on()

    def _hold_back(self) -> None:
        """Take no more events while many wait, and again when few do: they come faster than they are applied."""
        waiting, most = len(self._waiting), self._log.limits.batch_events
        if waiting > most if not self._is_held else waiting <= most // 4:
            self._is_held = not self._is_held
            self.on_hold(self._is_held)

    def _unblock(self) -> None:
        self._blocked = False
        self._go_on()

    def _go_on(self) -> None:
        self._work_off()
        if self._overflown and not self._blocked and not self._waiting:
            self._overflown = False
            self._on_overflow()

    def _apply(self, batch: Sequence[Delivery | JobEvent]) -> int:
        """Apply a batch or its first part, and reject an event that fails alone; return how many that were.

        If one of several fails, that is 0: nothing was applied.
        """
        try:
            return self._transact(batch)
        except Exception as error:
            if not _is_of_event(error):
                raise
            logger.exception("a batch of %d events failed", len(batch))
            if len(batch) > 1:
                return 0
            self._reject_alone(batch[0], error)
        return 1

    def _transact(self, batch: Sequence[Delivery | JobEvent]) -> int:
        """Apply the events of a batch, as many as some milliseconds allow, and return how many; or raise, and none."""
        until = time.thread_time() + HANDLE_SECONDS if len(batch) > EVENTS_A_LOOK else 0.0
        self._store.trim()
        is_alone = len(batch) == 1  # then the router decides, whatever it is: its errors are those of the event
        labels: list[Label] = []  # and not the outcomes, which keep messages
        with self._log.transaction() as tx:
            staging = Staging(UnitOfWork(tx, self._store), self._store, self._controller)
            for place, one in enumerate(batch):
                if place and place % EVENTS_A_LOOK == 0 and time.thread_time() >= until:
                    batch = batch[:place]
                    break
                delivery = one if isinstance(one, Delivery) else None
                outcome: Outcome
                try:
                    message = one.message if isinstance(one, Delivery) else one
                except InvalidInputError as error:
                    event, outcome = None, Rejected("malformed", str(error))
                else:
                    if not isinstance(message, JOB_EVENTS):
                        continue
                    if not is_alone and staging.waits(message):
                        labels.append(Applied.label)
                        continue
                    event, outcome = message, staging.decide(message)
                staging.stage(outcome, event, delivery)
                if isinstance(outcome, Rejected):
                    self._note_failure(tx, outcome, delivery)
                labels.append(outcome.label)
            staging.settle()
            for runner in self._gaps:
                self._store.begin_reconcile(tx, runner)
            self._write_positions(tx, batch)
        self._gaps.clear()
        for label in labels:  # once they are on disk: a failed batch is tried again
            self._counts[label] += 1
        return len(batch)

    def _note_failure(self, tx: Transaction, outcome: Rejected, delivery: Delivery | None) -> None:
        """Record with an event that could not be handled that its runner is to be asked for the end of the job."""
        if delivery and outcome.reason == HANDLER_ERROR:
            self._store.begin_reconcile(tx, delivery.source)
            tx.after_commit(partial(self._reconcile, delivery.source))

    def _reject_alone(self, one: Delivery | JobEvent, error: Exception) -> None:
        """Reject an event that cannot be applied, and continue with the next one."""
        outcome, delivery = failure(error), one if isinstance(one, Delivery) else None
        with self._log.transaction() as tx:
            tx.append(EVENT_REJECTED, rejection(outcome, None, delivery))
            self._note_failure(tx, outcome, delivery)
            self._write_positions(tx, [one])
        self._counts[outcome.label] += 1

    def _write_positions(self, tx: Transaction, batch: Sequence[Delivery | JobEvent]) -> None:
        """Write where a batch ends in each log."""
        self._store.write_positions(tx, _positions(batch))
        if self.beside:
            self.beside(tx, [one for one in batch if isinstance(one, Delivery)])

    def _relay_progress(self, delivery: Delivery) -> None:
        try:
            message = delivery.message
        except InvalidInputError:
            return
        if not isinstance(message, JobProgress) or message.learning_context is None:
            return
        context = message.learning_context
        try:
            experiment = self._controller.find_running(message, self._store.find)
        except StorageError:  # the next progress follows soon
            return
        if experiment:
            experiment.progress[message.job_id] = (context.variant_index, message.fraction)
            progress = VariantProgress(
                experiment_id=context.experiment_id,
                variant_index=context.variant_index,
                job_id=message.job_id,
                fraction=variant_fraction(experiment, context),
            )
            topic = topics.build(VARIANT_PROGRESS, context.experiment_id, context.variant_index)
            self._publisher.publish_ephemeral(topic, progress)


def _is_of_event(error: Exception) -> bool:
    """Return whether an event is to blame for an error, as it would fail again: not a failed read, or no memory."""
    if isinstance(error, sqlite3.Error):  # a value that no column takes, such as one that is not a number
        return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
    return not isinstance(error, StorageError | LogError | MemoryError | OSError)


def _positions(batch: Sequence[Delivery | JobEvent]) -> dict[tuple[str, str], Position]:
    """Return the position at the end of a batch in each stream."""
    return {(one.source, one.prefix): Position(one.epoch, one.offset) for one in batch if isinstance(one, Delivery)}
