"""Which experiments are being laid out: their planned jobs do not all have the rows that are sent to runners yet."""

from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.storage", "layouts.sql")


class Layouts:
    """Reads and writes them; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        log.create_tables("layouts", SQL)

    def begin(self, tx: Transaction, experiment_id: str, *, by_value: bool) -> None:
        """Note, with the plan, that an experiment is to be laid out, by value or by seed."""
        tx.execute(SQL["begin"], (experiment_id, by_value))

    def end(self, tx: Transaction, experiment_id: str) -> None:
        """Note that all planned jobs of an experiment have their rows."""
        tx.execute(SQL["end"], (experiment_id,))

    def unfinished(self) -> dict[str, bool]:
        """Return the experiments that are being laid out, and whether by value."""
        return {experiment_id: bool(by_value) for experiment_id, by_value in self._log.query(SQL["select"])}
