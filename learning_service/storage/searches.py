"""The stored state of the search of each adaptive experiment."""

from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from learning_service.experiments.model import SearchState

SQL: Final = sql.load("learning_service.storage", "searches.sql")


class Searches:
    """Reads and writes searches; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        log.create_tables("adaptive", SQL)

    def write(self, tx: Transaction, experiment_id: str, search: SearchState) -> None:
        """Write the state of a search."""
        tx.execute(SQL["upsert_search"], (experiment_id, *search))

    def find(self, experiment_id: str) -> SearchState | None:
        """Return the state of the search of an experiment; None if it is not adaptive."""
        rows = self._log.query(SQL["select_search"], (experiment_id,))
        return SearchState(*rows[0]) if rows else None

    def searching(self) -> list[str]:
        """Return the experiments whose search has not ended."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_searching"])]
