"""The index of results by the hash of their content: tables in the same file as the runner's log."""

import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from bus.contracts.outputs import OutputOwner, OutputView
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import Value, checked
from bus.eventlog.transaction import Transaction
from bus.transport.steps import Steps
from pipeline_runner.outputs import safe_paths
from pipeline_runner.queue.jobs import NormalizedJobRecord

SQL: Final = sql.load("pipeline_runner.outputs", "index.sql")
COPIES: Final = 100  # files with the same hash that are tried where some are missing
MATCHES: Final = 10
USAGE_AT_ONCE: Final = 5000  # files that are counted in one step: some milliseconds
logger = logging.getLogger(__name__)
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Copy(NamedTuple):
    """A file with some content."""

    path: str
    media_type: str


class Made(NamedTuple):
    """The results of one job; two jobs of a variant may have made the same file."""

    sha256: str
    path: str
    job_id: str
    bytes: int


class Taken(NamedTuple):
    """The rows that were removed; `more` if the limit was reached."""

    made: list[Made]
    jobs: list[str]
    more: bool


class OutputIndex:
    """Reads and writes the results of jobs; every write happens in a transaction of the log."""

    def __init__(self, log: Log, root: Path) -> None:
        """Create the tables if they are not there; `root` is the output folder."""
        self._log, self._root = log, root
        log.create_tables("outputs", SQL)
        self.begins_at = self._begin()  # unix seconds; older files may belong to jobs that it does not know

    def usage(self) -> Steps[tuple[int, int]]:
        """Return how many files jobs have made, and their bytes, some in each step."""
        files, taken, last = 0, 0, ("", "")
        while rows := self._log.query(SQL["select_sizes"], (*last, USAGE_AT_ONCE)):
            files += len(rows)
            taken += sum(size for _, _, size in rows)
            last = rows[-1][:2]
            yield None
        return files, taken

    def repair(self, jobs: Iterable[NormalizedJobRecord]) -> None:
        """Make up for damaged rows from all jobs that have ended."""
        rows = self._log.damaged_rows("outputs")
        if rows:
            with self._log.transaction(sync=True) as tx:
                self.add(tx, jobs)
                self._log.mark_repaired(tx, rows)
            logger.warning("%d damaged rows of the index of results were made anew from the jobs", len(rows))

    def _begin(self) -> float:
        """Return when the current epoch of the log was first seen: a power cut or a restore may lose older rows."""
        rows = self._log.query(SQL["select_since"], (self._log.epoch,))
        if rows:
            return float(rows[0][0])
        now = float(int(time.time()))  # clocks of file systems are a little behind
        with self._log.transaction() as tx:
            tx.execute(SQL["delete_since"])
            tx.execute(SQL["insert_since"], (self._log.epoch, now))
        return now

    def add(self, tx: Transaction, records: Iterable[NormalizedJobRecord]) -> None:
        """Add the ends of jobs with their results, without paths outside the output folder: a plug-in may name any."""
        ended: list[tuple[Value, ...]] = []
        for record in records:
            owner, at = _owner(record), float(record.finished_at or 0)
            ended.append((record.job_id, owner, at))
            for image in record.result.images if record.result else ():
                if not _HASH.fullmatch(image.sha256) or not image.path.rpartition("/")[2].startswith(image.sha256):
                    continue
                try:
                    size = safe_paths.look_at(self._root, image.path).st_size
                except OSError:
                    continue
                row = (image.sha256, image.path, record.job_id, owner, image.media_type, size, at)
                tx.execute(SQL["insert_output"], row)
        tx.insert(SQL["insert_ended"], checked("ended_jobs", ended))

    def copies(self, sha256: str) -> list[Copy]:
        """Return the files with a hash."""
        return [Copy(*row) for row in self._log.query(SQL["select_copies"], (sha256, COPIES))]

    def find(self, prefix: str) -> list[OutputView]:
        """Return results whose hash starts with a prefix, in the order of hashes."""
        end = prefix + "g"  # behind every digit
        return [
            OutputView(sha256=sha256, media_type=media_type, size=size, job_id=job_id, experiment_id=owner)
            for sha256, media_type, size, job_id, owner, _ in self._log.query(
                SQL["select_matches"], (prefix, end, MATCHES)
            )
        ]

    def owners(self, before: float, after: str, limit: int) -> list[str]:
        """Return experiments with jobs that ended before a time, in order, behind one of them."""
        params = {"before": before, "after": after, "limit": limit}
        return [owner for (owner,) in self._log.query(SQL["select_owners"], params)]

    def summary(self, owner: str | None, before: float) -> OutputOwner:
        """Count an owner's jobs that ended before a time, and their results."""
        ((jobs,),) = self._log.query(SQL["count_jobs"], (owner, before))
        ((files, size),) = self._log.query(SQL["count_files"], (owner, before))
        return OutputOwner(experiment_id=owner, jobs=jobs, files=files, bytes=size)

    def is_at_work(self, experiment_id: str) -> bool:
        """Return whether an experiment has a job that is queued or running."""
        return bool(self._log.query(SQL["select_unended"], (experiment_id,)))

    def is_running(self) -> bool:
        """Return whether any job is running."""
        return bool(self._log.query(SQL["select_running_job"]))

    def busy(self) -> tuple[set[str], set[str]]:
        """Return the experiments with jobs that are queued or running, and those jobs that belong to none."""
        experiments = self._log.query(SQL["select_busy_experiments"])
        jobs = self._log.query(SQL["select_busy_jobs"])
        return {experiment_id for (experiment_id,) in experiments}, {job_id for (job_id,) in jobs}

    def take(self, tx: Transaction, owner: str | None, before: float, limit: int) -> Taken:
        """Remove the rows of an owner's jobs that ended before a time: their results first."""
        made = [Made(*row) for row in tx.execute(SQL["select_removable"], (owner, before, limit))]
        tx.executemany(SQL["delete_output"], [(one.sha256, one.path, one.job_id) for one in made])
        if len(made) == limit:
            return Taken(made, [], more=True)
        jobs = tx.execute(SQL["select_removable_jobs"], (owner, before, limit)).fetchall()
        tx.executemany(SQL["delete_ended"], jobs)
        tx.executemany(SQL["delete_job"], jobs)
        return Taken(made, [job_id for (job_id,) in jobs], more=len(jobs) == limit)

    def paths(self, sha256: str) -> set[str]:
        """Return all files with a hash."""
        return {path for (path,) in self._log.query(SQL["select_paths"], (sha256,))}


def _owner(record: NormalizedJobRecord) -> str | None:
    return record.learning_context.experiment_id if record.learning_context else None
