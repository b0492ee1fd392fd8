"""The log in which each runner has the jobs and cancels that it confirmed."""

from typing import Final, NamedTuple

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.storage", "confirmations.sql")


class LogMark(NamedTuple):
    """Which log it is, and up to where it reaches."""

    epoch: int
    head: int


class Confirmations:
    """Reads and writes them; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        log.create_tables("confirmations", SQL)

    def find(self, runner: str) -> LogMark | None:
        """Return the log of a runner when it last confirmed something; None if it never did."""
        rows = self._log.query(SQL["select_confirmation"], (runner,))
        return LogMark(*rows[0]) if rows else None

    def write(self, tx: Transaction, runner: str, mark: LogMark) -> None:
        """Record that all that a runner has confirmed is in this log."""
        tx.execute(SQL["upsert_confirmation"], (runner, *mark))
