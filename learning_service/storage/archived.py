"""Which experiments are archived: complete, but in no list unless it is asked for."""

from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.storage", "archived.sql")


class Archived:
    """Reads and writes the marks; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        log.create_tables("archived", SQL)

    def has(self, experiment_id: str) -> bool:
        """Return whether an experiment is archived."""
        return bool(self._log.query(SQL["is_archived"], (experiment_id,)))

    def write(self, tx: Transaction, experiment_id: str, now: float, *, archived: bool) -> None:
        """Mark an experiment as archived at a time in unix seconds, or remove the mark."""
        if archived:
            tx.execute(SQL["insert_archived"], (experiment_id, now))
        else:
            tx.execute(SQL["delete_archived"], (experiment_id,))
