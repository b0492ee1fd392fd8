"""Reuse of results: a job of an experiment with the settings of an earlier job gets the result of that job."""

import hashlib
import logging
from collections.abc import Mapping
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
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import DamagedJobError, JobStore

SQL: Final = sql.load("pipeline_runner.execution", "reuse.sql")
logger = logging.getLogger(__name__)
FILE_LIMIT: Final = 16 << 20  # bytes: larger results are not reused, as hashing them blocks the loop

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Reuse:
    """The index of results by a hash of the settings that made them.

    The settings are the pipeline, the stage, the whole configuration with its seed, and the `identity` of the pipeline.
    A result is reused only if all of its files still exist with the same content.
    """

    def __init__(self, log: Log, store: JobStore, pipelines: Mapping[str, Pipeline], root: Path) -> None:
        """Create the table if needed; `root` is the output folder."""
        self._log, self._store, self._pipelines, self._root = log, store, pipelines, root
        self._keys: dict[str, bytes] = {}  # of the jobs that run
        log.create_tables("reuse", SQL)
        if rows := log.damaged_rows("reuse"):
            with log.transaction() as tx:
                log.mark_repaired(tx, rows)  # what they named is made again

    def find(self, record: NormalizedJobRecord) -> JobResult | None:
        """Return the result of an earlier job with the settings of one that is about to run, None if there is none."""
        key = self._key(record) if record.learning_context else None
        if key is None:
            return None
        self._keys[record.job_id] = key
        rows = self._log.query(SQL["select_reusable"], (key,))
        try:
            earlier = self._store.get(rows[0][0]) if rows else None
        except DamagedJobError:
            earlier = None
        result = earlier.result if earlier else None
        if earlier is None or result is None or not result.success or not self._is_intact(result):
            return None
        seconds = result.seconds
        if seconds is None and earlier.started_at is not None and earlier.finished_at is not None:
            seconds = max(0.0, earlier.finished_at - earlier.started_at)
        return replace(result, seconds=seconds, reused_from=result.reused_from or earlier.job_id)

    def note_end(self, tx: Transaction, record: NormalizedJobRecord) -> None:
        """Index the result of a job in the transaction of its end, unless `identity` changed during the run."""
        key = self._keys.pop(record.job_id, None)
        if key is None or record.result is None:
            return
        if record.result.success and record.result.images and key == self._key(record):
            tx.execute(SQL["upsert_reusable"], (key, record.job_id))
        elif not record.result.cancelled:
            tx.execute(SQL["delete_reusable"], (key,))

    def _key(self, record: NormalizedJobRecord) -> bytes | None:
        pipeline = self._pipelines.get(record.pipeline)
        try:
            identity = pipeline.identity(record.stage, record.config) if pipeline else None
        except Exception:
            logger.exception("pipeline %s cannot say what decides its results", record.pipeline)
            identity = None
        if identity is None:
            return None
        return hashlib.sha256(_encode([record.pipeline, record.stage, identity, record.config])).digest()

    def _is_intact(self, result: JobResult) -> bool:
        for image in result.images:
            try:
                part = safe_paths.read_part(self._root, image.path, 0, FILE_LIMIT)
            except OSError:
                return False
            if part.size > FILE_LIMIT or hashlib.sha256(part.data).hexdigest() != image.sha256:
                return False
        return bool(result.images)
