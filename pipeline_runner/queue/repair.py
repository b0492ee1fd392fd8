"""Damaged rows of the queue, made up for from the log as far as it tells of them, and named where it does not."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from bus.contracts.messages import JobCompleted, JobQueued, JobScored, JobStarted, JobState, decode_body
from bus.eventlog.damage import DamagedRow
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.validation import InvalidInputError
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import JobStore, decoded

LOST: Final = (
    "its row in the runner's database is damaged, and the log does not tell its configuration; a learning service "
    "sends the unfinished jobs of its experiments again, any other one has to be submitted again"
)
JobEvent = JobQueued | JobStarted | JobCompleted | JobScored
logger = logging.getLogger(__name__)


class DamagedJobs:
    """The jobs of which only damaged rows are left. None of them is ever run as its row has it."""

    def __init__(self, log: Log, store: JobStore) -> None:
        """Repair what the log tells of; the other rows stay aside, and are found again at the next start."""
        self._log = log
        self._rows: dict[str, DamagedRow] = {}  # by the ids that the job may have
        rows = log.damaged_rows("runner")
        if rows:
            self._repair(store, rows)

    @property
    def names(self) -> list[str]:
        """The ids of the jobs; a damaged id may be among them."""
        return list(self._rows)

    def note_submitted(self, tx: Transaction, job_id: str) -> None:
        """Forget a damaged row: its job was submitted again."""
        row = self._rows.get(job_id)
        if row:
            self._log.mark_repaired(tx, [row])
            tx.after_commit(partial(self._forget, row))

    def _forget(self, row: DamagedRow) -> None:
        self._rows = {name: one for name, one in self._rows.items() if one is not row}

    def _repair(self, store: JobStore, rows: list[DamagedRow]) -> None:
        names = {row.number: names_of(row.values) for row in rows if row.table == "jobs"}
        told = _told(self._log, {name for some in names.values() for name in some})
        with self._log.transaction(sync=True) as tx:
            for row in rows:
                left = [name for name in names.get(row.number, ()) if not store.knows(name)]
                record = next((made for name in left if (made := rebuilt(told.get(name, [])))), None)
                if record:
                    store.restore(tx, _number(row.values), record)
                    logger.warning("job %s: its damaged row was made anew from the log", record.job_id)
                elif left:
                    self._rows |= dict.fromkeys(left, row)
                    logger.error("job %s is lost: %s", " or ".join(left), LOST)
                    continue  # its row stays aside
                elif row.table != "jobs":
                    logger.error("a damaged row of %s is lost, ask for it again: %r", row.table, row.values)
                self._log.mark_repaired(tx, [row])


def names_of(values: Mapping[str, Any]) -> list[str]:
    """Return the ids that the job of a damaged row may have: one of them is damaged if they differ."""
    blob = values.get("record")
    record = decoded(blob) if isinstance(blob, bytes) else None
    found = [record.job_id if record else None, values.get("job_id")]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def rebuilt(events: Iterable[JobEvent]) -> NormalizedJobRecord | None:
    """Return the record of a job by its events in order, None if none of them has its configuration.

    A job that a person has retried since is queued again. Priority, faults and scorers are not in the log.
    """
    end: JobCompleted | None = None
    newest: JobQueued | JobStarted | JobCompleted | None = None
    scored: set[str] = set()
    for event in events:
        if not isinstance(event, JobScored):
            newest, end = event, event if isinstance(event, JobCompleted) else end
        elif end:
            result = msgspec.structs.replace(end.result, metrics={**end.result.metrics, **event.metrics})
            newest = end = msgspec.structs.replace(end, result=result)
            scored |= event.metrics.keys()
    if end is None or newest is None:
        return None
    record = NormalizedJobRecord(
        job_id=end.job_id,
        pipeline=end.pipeline,
        stage=end.stage,
        config=end.config,
        learning_context=end.learning_context,
        scored=tuple(sorted(scored)),
        attempt=newest.attempt,
        queued_at=newest.queued_at if isinstance(newest, JobQueued) else end.queued_at,
    )
    if newest is not end:
        return record
    state: JobState = "cancelled" if end.result.cancelled else "completed" if end.result.success else "failed"
    return msgspec.structs.replace(
        record, state=state, started_at=end.started_at, finished_at=end.finished_at, result=end.result
    )


class _Named(msgspec.Struct):
    job_id: str


_name: Final = msgspec.msgpack.Decoder(_Named)


def _told(log: Log, names: set[str]) -> dict[str, list[JobEvent]]:
    """Return the events of some jobs, in order; all of the log is read."""
    found: dict[str, list[JobEvent]] = {}
    at = 0
    while names and at < log.head:
        page = log.fetch("job.", at)
        for record in page.records:
            with suppress(msgspec.MsgspecError, InvalidInputError):  # of another version
                message = decode_body(record.body) if _name.decode(record.body).job_id in names else None
                if isinstance(message, JobEvent):
                    found.setdefault(message.job_id, []).append(message)
        at = max(page.next, at + 1)
    return found


def _number(values: Mapping[str, Any]) -> int | None:
    number = values.get("number")
    return number if isinstance(number, int) and number > 0 else None
