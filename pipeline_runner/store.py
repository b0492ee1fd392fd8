"""The durable queue: the runner's jobs, in the same file as its log."""

from typing import Final

import msgspec

from bus import sql
from bus.log import Log, Transaction
from bus.messages import INT64_MAX, JobState
from pipeline_runner.jobs import NormalizedJobRecord

SQL: Final = sql.load("pipeline_runner", "store.sql")
SCHEMA_VERSION: Final = 2
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(NormalizedJobRecord).decode


class JobStore:
    """Reads and writes jobs; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        log.scope("runner", SCHEMA_VERSION, SQL["schema"])

    def insert(self, tx: Transaction, record: NormalizedJobRecord) -> bool:
        """Add a job; False if its id is known, and then nothing changes."""
        experiment_id = record.learning_context.experiment_id if record.learning_context else None
        row = (record.job_id, experiment_id, record.state, _encode(record))
        return tx.execute(SQL["insert"], row).rowcount == 1

    def update(self, tx: Transaction, record: NormalizedJobRecord) -> None:
        """Write a job's new state."""
        tx.execute(SQL["update"], (record.state, _encode(record), record.job_id))

    def get(self, job_id: str) -> NormalizedJobRecord | None:
        """Give one job."""
        rows = self._log.query(SQL["select"], (job_id,))
        return _decode(rows[0][0]) if rows else None

    def next_queued(self) -> NormalizedJobRecord | None:
        """Give the queued job that has waited longest."""
        rows = self._log.query(SQL["select_next"])
        return _decode(rows[0][0]) if rows else None

    def running(self) -> list[NormalizedJobRecord]:
        """Give the running jobs."""
        return [_decode(row[0]) for row in self._log.query(SQL["select_running"])]

    def unended(self, experiment_id: str) -> list[NormalizedJobRecord]:
        """Give the jobs of an experiment that have not ended."""
        return [_decode(row[0]) for row in self._log.query(SQL["select_unended"], (experiment_id,))]

    def page(
        self, state: JobState | None, before: int | None, limit: int
    ) -> tuple[list[NormalizedJobRecord], int | None]:
        """Give jobs, newest first, up to the limits of a reply, and the `before` of the next page."""
        statement = SQL["select_page_by_state"] if state else SQL["select_page"]
        params = {"before": INT64_MAX if before is None else before, "limit": limit}
        rows, more = self._log.query_page(statement, {**params, "state": state} if state else params, limit)
        return [_decode(record) for _, record in rows], rows[-1][0] if more else None

    def count(self, state: JobState) -> int:
        """Count the jobs in a state."""
        (row,) = self._log.query(SQL["count"], (state,))
        return int(row[0])
