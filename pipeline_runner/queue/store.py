"""The durable queue: the runner's jobs, in the same file as its log."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bus.contracts.fields import INT64_MAX
from bus.contracts.messages import JobState
from bus.eventlog import sql
from bus.eventlog.errors import DiskError
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import Value, checked
from bus.eventlog.transaction import Transaction
from pipeline_runner.queue.jobs import NormalizedJobRecord

SQL: Final = sql.load("pipeline_runner.queue", "store.sql")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(NormalizedJobRecord).decode
Numbered = tuple[int, NormalizedJobRecord]
logger = logging.getLogger(__name__)
PAGE: Final = 1000  # rows read at a time


def decoded(record: bytes) -> NormalizedJobRecord | None:
    """Decode a job of unknown bytes, None if they are none."""
    try:
        return _decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class DamagedJobError(DiskError):
    """A row has been damaged since it was checked at the start, which sets such a row aside."""

    def __init__(self, path: Path, what: str) -> None:
        """Name the row."""
        super().__init__(f"{path}: the row of {what} is damaged; start again, which sets it aside")


class JobStore:
    """Reads and writes jobs; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        self._numbers: dict[str, int] = {}  # of jobs that were next, until they have ended or wait again
        log.create_tables("runner", SQL)

    def insert(self, tx: Transaction, records: Sequence[NormalizedJobRecord]) -> list[NormalizedJobRecord]:
        """Add jobs and return the new ones; a known id changes nothing."""
        last = self._last_number()
        tx.insert(SQL["insert"], checked("jobs", [_row(last + at, one) for at, one in enumerate(records, 1)]))
        new = {number for (number,) in tx.execute(SQL["select_behind"], (last,))}
        return [record for at, record in enumerate(records, 1) if last + at in new]

    def update(self, tx: Transaction, records: Iterable[NormalizedJobRecord]) -> None:
        """Write the new states of jobs."""
        rows = []
        for one in records:
            number = self._numbers.get(one.job_id) or self.number_of(one.job_id)
            if one.state != "running":
                self._numbers.pop(one.job_id, None)
            ((*_, state, record, crc),) = checked("jobs", [_row(number, one)])
            rows.append((state, record, crc, number))
        tx.executemany(SQL["update"], rows)

    def reprioritize(self, tx: Transaction, numbered: Iterable[Numbered]) -> None:
        """Write the priorities of jobs whose numbers are given."""
        rows = []
        for number, one in numbered:
            ((*_, record, crc),) = checked("jobs", [_row(number, one)])
            rows.append((one.priority, record, crc, number))
        tx.executemany(SQL["update_priority"], rows)

    def restore(self, tx: Transaction, number: int | None, record: NormalizedJobRecord) -> None:
        """Add a job that was there before, in its old place if that is known and free."""
        if number is None or self._log.query(SQL["select_number"], (number,)):
            number = self._last_number() + 1
        tx.insert(SQL["insert"], checked("jobs", [_row(number, record)]))

    def _last_number(self) -> int:
        return int(self._log.query(SQL["select_last"])[0][0])

    def ended(self) -> Iterator[NormalizedJobRecord]:
        """Return all jobs that have ended, oldest first."""
        after = 0
        while rows := self._log.query(SQL["select_from"], (after, PAGE)):
            yield from (self._read(record) for _, state, record in rows if state not in ("queued", "running"))
            after = rows[-1][0]

    def get(self, job_id: str) -> NormalizedJobRecord | None:
        """Return a job, None if its id is unknown.

        Raises:
            DamagedJobError: it cannot be read.
        """
        rows = self._log.query(SQL["select"], (job_id,))
        return self._read(rows[0][1], f"job {job_id!a}") if rows else None

    def intact(self, job_id: str) -> NormalizedJobRecord | None:
        """Return a job, None if its id is unknown or it cannot be read."""
        try:
            return self.get(job_id)
        except DamagedJobError:
            return None

    def knows(self, job_id: str) -> bool:
        """Return whether there is a job with an id."""
        return bool(self._log.query(SQL["select"], (job_id,)))

    def find(self, prefix: str, limit: int) -> list[str]:
        """Return the ids that begin so, in their order; of an empty prefix the newest ones, newest first."""
        by_prefix = (SQL["select_ids"], {"prefix": prefix, "limit": limit})
        rows = self._log.query(*by_prefix) if prefix else self._log.query(SQL["select_newest_ids"], (limit,))
        return [job_id for (job_id,) in rows]

    def next_queued(self, pipeline: str, count: int) -> list[NormalizedJobRecord]:
        """Return the next jobs of a pipeline: by priority, then oldest first.

        Raises:
            DamagedJobError: a row fails its checksum.
        """
        rows = self._log.query(SQL["select_next"], (pipeline, count))
        for number, job_id, _, intact in rows:
            if not intact:
                raise DamagedJobError(self._log.path, f"job {job_id!a}")
            self._numbers[job_id] = number
        return [self._read(record) for _, _, record, _ in rows]

    def _read(self, record: bytes, what: str = "a job") -> NormalizedJobRecord:
        job = decoded(record)
        if job is None:
            raise DamagedJobError(self._log.path, what)
        return job

    def running(self) -> list[NormalizedJobRecord]:
        """Return the running jobs."""
        return [self._read(row[0]) for row in self._log.query(SQL["select_running"])]

    def unended(self, experiment_id: str, state: JobState, limit: int = INT64_MAX) -> list[NormalizedJobRecord]:
        """Return queued or running jobs of an experiment, oldest first."""
        return [self._read(row[0]) for row in self._log.query(SQL["select_unended"], (experiment_id, state, limit))]

    def unended_of_experiments(self) -> list[NormalizedJobRecord]:
        """Return the queued and running jobs of all experiments."""
        return [self._read(row[0]) for row in self._log.query(SQL["select_unended_of_experiments"])]

    def waiting_of(self, experiment_id: str, after: int, limit: int) -> list[Numbered]:
        """Return queued jobs of an experiment behind a number, oldest first."""
        rows = self._log.query(SQL["select_waiting_of"], (experiment_id, after, limit))
        return [(number, self._read(record)) for number, record in rows]

    def waiting_in(self, pipeline: str, priority: int, after: int, limit: int) -> list[tuple[int, str, str | None]]:
        """Return number, id and experiment of queued jobs of one priority behind a number, in their order."""
        return self._log.query(SQL["select_waiting_in"], (pipeline, priority, after, limit))

    def count_unended(self, experiment_id: str) -> int:
        """Count the jobs of an experiment that have not ended."""
        return int(self._log.query(SQL["count_unended"], (experiment_id,))[0][0])

    def cancels(self) -> list[str]:
        """Return the experiments whose jobs are being cancelled."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_cancels"])]

    def write_cancel(self, tx: Transaction, experiment_id: str, *, done: bool) -> None:
        """Write that the jobs of an experiment must be cancelled, or (`done`) that all are."""
        tx.execute(SQL["delete_cancel"] if done else SQL["insert_cancel"], (experiment_id,))

    def page(self, state: JobState | None, before: int | None, limit: int) -> tuple[list[Numbered], int | None]:
        """Return jobs with their numbers, newest first, up to the limits of a reply, and `before` of the next page.

        One that has been damaged since the start is left out.
        """
        statement = SQL["select_page_by_state"] if state else SQL["select_page"]
        params = {"before": INT64_MAX if before is None else before, "limit": limit}
        rows, more = self._log.query_page(statement, {**params, "state": state} if state else params, limit)
        jobs = [(number, job) for number, record in rows if (job := decoded(record))]
        if len(jobs) < len(rows):
            logger.error(
                "%s: damaged rows of jobs are left out of a list: %d; start again",
                self._log.path,
                len(rows) - len(jobs),
            )
        return jobs, rows[-1][0] if more else None

    def number_of(self, job_id: str) -> int:
        """Return the number of a job that exists."""
        return int(self._log.query(SQL["select"], (job_id,))[0][0])

    def behind(self, number: int, record: NormalizedJobRecord) -> int:
        """Count the queued jobs of the same pipeline and priority that run after a queued one."""
        return int(self._log.query(SQL["count_behind"], (record.pipeline, record.priority, number))[0][0])

    def count_queued(self) -> list[tuple[str, int, int]]:
        """Count the jobs that wait: pipeline, priority and number."""
        return self._log.query(SQL["count_queued"])

    def count_known(self, job_ids: Iterable[str]) -> int:
        """Count how many of some ids are known."""
        return int(self._log.query(SQL["count_known"], (json.dumps(list(job_ids)),))[0][0])

    def pauses(self) -> set[str]:
        """Return the pipelines that are paused; "" is all of them."""
        return {pipeline for (pipeline,) in self._log.query(SQL["select_pauses"])}

    def write_pause(self, tx: Transaction, pipeline: str, *, paused: bool) -> None:
        """Write that a pipeline is paused, or that it is not."""
        tx.execute(SQL["insert_pause"] if paused else SQL["delete_pause"], (pipeline,))


def _row(number: int, record: NormalizedJobRecord) -> tuple[Value, ...]:
    experiment_id = record.learning_context.experiment_id if record.learning_context else None
    return number, record.job_id, experiment_id, record.pipeline, record.priority, record.state, _encode(record)
