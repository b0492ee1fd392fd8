"""Reuse of results: a job of an experiment with the settings of an earlier job gets the result of that job."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from bus.contracts.messages import JobResult
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from pipeline_runner.outputs import safe_paths
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.queue.jobs import NormalizedJobRecord, scored_metrics
from pipeline_runner.queue.metrics import unmeasured
from pipeline_runner.queue.store import JobStore

SQL: Final = sql.load("pipeline_runner.execution", "reuse.sql")
logger = logging.getLogger(__name__)
FILE_LIMIT: Final = 16 << 20  # bytes: larger results are not reused, as hashing them blocks the loop

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Reuse:
    """The index of results by a hash of the settings that made them.

    The settings are the pipeline, the stage, the whole configuration with its seed, and the `identity` of the pipeline
    right before the job. A result is indexed only if the pipeline confirms right after the job that it was made by
    them, and reused only if all of its files still exist with the same content.
    """

    def __init__(self, log: Log, store: JobStore, root: Path) -> None:
        """Create the table if needed; `root` is the output folder."""
        self._log, self._store, self._root = log, store, root
        self._keys: dict[str, bytes] = {}  # of the jobs that run
        self._confirmed: set[str] = set()  # those of them whose result was made by the settings of their key
        log.create_tables("reuse", SQL)
        if rows := log.damaged_rows("reuse"):
            with log.transaction() as tx:
                log.mark_repaired(tx, rows)  # what they named is made again

    def find(self, record: NormalizedJobRecord, identity: str) -> JobResult | None:
        """Return the result of an earlier job with the settings of one that is about to run, None if there is none."""
        key = hashlib.sha256(_encode(_settings(record, identity))).digest()
        self._keys[record.job_id] = key
        rows = self._log.query(SQL["select_reusable"], (key,))
        earlier = self._store.intact(rows[0][0]) if rows else None
        result = unmeasured(earlier.result, scored_metrics(earlier)) if earlier and earlier.result else None
        if earlier is None or result is None or not result.success or not self._is_intact(result):
            return None
        self.confirm(record.job_id)
        seconds = result.seconds
        if (
            seconds is None
            and not result.untimed
            and earlier.started_at is not None
            and earlier.finished_at is not None
        ):
            seconds = max(0.0, earlier.finished_at - earlier.started_at)
        return replace(result, seconds=seconds, reused_from=result.reused_from or earlier.job_id)

    def confirm(self, job_id: str) -> None:
        """Let `note_ends` index the result of this job."""
        self._confirmed.add(job_id)

    def note_ends(self, tx: Transaction, records: Iterable[NormalizedJobRecord]) -> None:
        """Index the results of jobs in the transaction of their end, where they are confirmed."""
        for record in records:
            key, confirmed = self._keys.pop(record.job_id, None), record.job_id in self._confirmed
            self._confirmed.discard(record.job_id)
            if key is None or record.result is None:
                continue
            if record.result.success and record.result.images:
                if confirmed:
                    tx.execute(SQL["upsert_reusable"], (key, record.job_id))
            elif not record.result.cancelled:
                tx.execute(SQL["delete_reusable"], (key,))

    def forget(self, tx: Transaction, job_ids: list[str]) -> None:
        """Remove jobs from the index, in the transaction that removes the jobs themselves."""
        tx.executemany(SQL["delete_reusable_of"], [(job_id,) for job_id in job_ids])

    def _is_intact(self, result: JobResult) -> bool:
        for image in result.images:
            try:
                part = safe_paths.read_part(self._root, image.path, 0, FILE_LIMIT)
            except OSError:
                return False
            if part.size > FILE_LIMIT or hashlib.sha256(part.data).hexdigest() != image.sha256:
                return False
        return bool(result.images)


def _settings(record: NormalizedJobRecord, identity: str) -> list[object]:
    """Return what decides a result; the time is part of it, and is another one where nothing else runs."""
    alone = ["exclusive"] if record.exclusive else []
    return [record.pipeline, record.stage, identity, record.config, *alone]


def identity_of(pipeline: Pipeline | None, job: NormalizedJobRecord) -> str | None:
    """Ask a pipeline what decides the result of a job; None for a job of no experiment, and if it fails to say."""
    if pipeline is None or job.learning_context is None:
        return None
    try:
        return pipeline.identity(job.stage, job.config)
    except Exception:
        logger.exception("pipeline %s cannot say what decides its results", job.pipeline)
        return None


def is_confirmed(pipeline: Pipeline | None, job: NormalizedJobRecord, identity: str) -> bool:
    """Ask a pipeline whether a job that has just run was made by what it said before; False if it fails to say."""
    try:
        return pipeline is not None and pipeline.confirm(job, identity)
    except Exception:
        logger.exception("pipeline %s cannot say what has decided its result", job.pipeline)
        return False
