"""Which recommendations are stale: marked in the transaction that makes them stale, so that a crash loses none."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.storage", "stale.sql")


class StaleMarks:
    """Marks experiments in the transactions of others, and notifies the recommender after the commit."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        self.on_mark: Callable[[str], None] = lambda _: None  # called after the commit
        log.create_tables("stale", SQL)

    def mark(self, tx: Transaction, experiment_ids: Iterable[str]) -> None:
        """Mark an experiment: its recommendation is stale."""
        for experiment_id in experiment_ids:
            tx.execute(SQL["insert_stale"], (experiment_id,))
            tx.after_commit(partial(self.on_mark, experiment_id))

    def clear(self, tx: Transaction, experiment_id: str) -> None:
        """Remove the mark: the recommendation was updated."""
        tx.execute(SQL["delete_stale"], (experiment_id,))

    def all(self) -> list[str]:
        """Return the experiments that are marked."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_stale"])]

    def has(self, experiment_id: str) -> bool:
        """Return whether an experiment is marked."""
        return bool(self._log.query(SQL["is_stale"], (experiment_id,)))
