"""The tables of a runner in a cluster: its name, the jobs that it has taken, and the ends that it owes."""

import logging
import re
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import checked
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("pipeline_runner.cluster", "store.sql")
PROBE: Final = "~"  # as no job is called
PROBE_BYTES: Final = 16 << 10
HOST_LIMIT: Final = 40  # characters of the host in the name of a runner
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_-]+")
EndState = Literal["waiting", "won", "fenced"]
logger = logging.getLogger(__name__)


class EndRow(NamedTuple):
    """The end of a job, with its place among the ends of this runner."""

    epoch: int
    number: int
    job_id: str
    state: EndState


class ClusterStore:
    """Reads and writes the tables; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there.

        Attributes:
            is_damaged: Whether rows were lost, so that there may be jobs without a ticket.
            tickets: The jobs that were taken, each with the subject for its acknowledgement.
        """
        self._log = log
        log.create_tables("cluster", SQL)
        lost = log.damaged_rows("cluster")
        self.is_damaged = bool(lost)
        if lost:
            logger.error("%d damaged rows of jobs of the cluster are lost; their jobs are looked at anew", len(lost))
            with log.transaction(sync=True) as tx:
                log.mark_repaired(tx, lost)
        self.tickets: dict[str, str] = dict(log.query(SQL["select_tickets"]))

    def name(self) -> str:
        """Return the name of this runner, which is made once."""
        for (name,) in self._log.query(SQL["select_name"]):
            return str(name)
        host = _OTHERS.sub("-", socket.gethostname())[:HOST_LIMIT].strip("-") or "runner"
        name = f"{host}-{secrets.token_hex(4)}"
        with self._log.transaction(sync=True) as tx:
            tx.execute(SQL["insert_name"], (name,))
        return name

    def take(self, tx: Transaction, tickets: Mapping[str, str]) -> None:
        """Write that jobs were taken, or were delivered again."""
        tx.executemany(SQL["write_ticket"], checked("tickets", tickets.items()))
        tx.after_commit(partial(self.tickets.update, tickets))

    def drop(self, tx: Transaction, job_ids: Sequence[str]) -> None:
        """Write that nothing is owed for jobs any more."""
        tx.executemany(SQL["delete_ticket"], [(job_id,) for job_id in job_ids])
        tx.after_commit(partial(self._forget_tickets, job_ids))

    def probe(self) -> None:
        """Write something as large as a job, and remove it again.

        Raises:
            StorageError: there is no room for it.
        """
        with self._log.transaction() as tx:
            tx.executemany(SQL["write_ticket"], checked("tickets", [(PROBE, " " * PROBE_BYTES)]))
            tx.execute(SQL["delete_ticket"], (PROBE,))

    def write(self, tx: Transaction, rows: Iterable[EndRow]) -> None:
        """Write ends with their states."""
        tx.executemany(SQL["write_end"], checked("ends", rows))

    def owed(self) -> list[EndRow]:
        """Return the ends that wait and those that were fenced, oldest first."""
        return [EndRow(*row) for row in self._log.query(SQL["select_owed"])]

    def last(self, epoch: int) -> int:
        """Return the highest number of an epoch, 0 if it has none."""
        return int(self._log.query(SQL["select_last"], (epoch,))[0][0] or 0)

    def end_of(self, job_id: str) -> EndRow | None:
        """Return the newest end of a job that was not fenced."""
        rows = self._log.query(SQL["select_end_of"], (job_id,))
        return EndRow(*rows[0]) if rows else None

    def won(self, epoch: int, number: int, limit: int) -> list[EndRow]:
        """Return ends of an epoch from a number on that were acknowledged, in their order."""
        return [EndRow(*row) for row in self._log.query(SQL["select_won"], (epoch, number, limit))]

    def forget(self, tx: Transaction, job_ids: Iterable[str]) -> None:
        """Remove the ends of jobs, in the transaction that removes the jobs themselves."""
        tx.executemany(SQL["delete_ends_of"], [(job_id,) for job_id in job_ids])

    def _forget_tickets(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self.tickets.pop(job_id, None)
