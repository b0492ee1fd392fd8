"""Sends a runner its unfinished jobs again after its log was replaced or has lost its end."""

import logging
from collections.abc import Callable

from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from learning_service.experiments import variants
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)


class Resending:
    """Marks jobs and cancel requests to be sent again."""

    def __init__(self, log: Log, store: LearningStore, loop: Loop, pump: Callable[[], None]) -> None:
        """Wire the parts; `pump` sends the marked jobs."""
        self._log, self._store, self._loop, self._pump = log, store, loop, pump

    def resend(self, runner: str) -> None:
        """Mark the unfinished jobs of a runner and send them again; retried until it can be written."""
        logger.warning("runner %s lost part of its log or has a new one; sending it its unfinished jobs again", runner)
        try:
            with self._log.transaction() as tx:
                work = UnitOfWork(tx, self._store)
                for experiment, index, rows in self._store.unended_of(runner):
                    draft = work.draft(experiment.experiment_id)
                    names = [row.job_id for row in rows]
                    draft.put(variants.resent(experiment.variants[index], names))
                    draft.moved += names
                    self._store.resend(tx, rows)
                self._store.repeat_cancels(tx, runner)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self.resend(runner))
            return
        self._loop.call(self._pump)
