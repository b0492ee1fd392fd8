"""Sends a runner its unfinished jobs and cancels again when its log is not the one that has confirmed them.

A runner that lost its data folder, was restored from a backup, or dropped what was damaged says nothing of that: it
just does not have the jobs. But it has another log then, or one that ends before the confirmation.
"""

import logging
from collections.abc import Callable

from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from learning_service.dispatch.links import has_lost
from learning_service.experiments import variants
from learning_service.storage.confirmations import LogMark
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)


class Resending:
    """Marks jobs and cancel requests to be sent again. Sending what a runner has adds nothing there."""

    def __init__(self, log: Log, store: LearningStore, loop: Loop, pump: Callable[[], None]) -> None:
        """Wire the parts; `pump` sends the marked jobs."""
        self._log, self._store, self._loop, self._pump = log, store, loop, pump

    def resend(self, runner: str) -> None:
        """Mark the unfinished jobs of a runner and send them again; retried until it can be written."""
        try:
            with self._log.transaction() as tx:
                self._stage(tx, runner)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self.resend(runner))
            return
        self._loop.call(self._pump)

    def compare(self, runner: str, mark: LogMark, *, confirms: bool) -> None:
        """Mark the unfinished jobs of a runner if its log, as it is now, is not the one that has confirmed them.

        `confirms`: it has confirmed something since the last time, which is in this log if it is the same.

        Raises:
            StorageError: nothing can be read or written now.
        """
        lost = has_lost(self.confirmed(runner), mark)
        if lost or confirms:
            with self._log.transaction() as tx:
                if lost:
                    self._stage(tx, runner)
                self._store.confirmations.write(tx, runner, mark)

    def confirmed(self, runner: str) -> LogMark | None:
        """Return the log in which a runner has what it confirmed; from data of an older version, its position."""
        positions = [
            LogMark(epoch or 0, offset)
            for (source, _), (epoch, offset) in self._store.positions().items()
            if source == runner
        ]
        return self._store.confirmations.find(runner) or max(positions, key=lambda mark: mark.head, default=None)

    def _stage(self, tx: Transaction, runner: str) -> None:
        count = 0
        work = UnitOfWork(tx, self._store)
        for experiment, index, rows in self._store.unended_of(runner):
            draft = work.draft(experiment.experiment_id)
            names = [row.job_id for row in rows]
            draft.put(variants.resent(experiment.variants[index], names))
            draft.moved += names
            self._store.resend(tx, rows)
            count += len(rows)
        self._store.repeat_cancels(tx, runner)
        self._store.deletions.repeat_purges(tx, runner)
        if count:
            logger.warning("runner %s has another log or lost part of it; sending it %d jobs again", runner, count)
