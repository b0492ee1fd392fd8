"""The tables and the output folder of a runner, for tests of what removes results."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bus.contracts.messages import JobResult, JobState, LearningContext
from bus.eventlog.log import Log
from pipeline_runner.outputs import safe_paths
from pipeline_runner.outputs.cleaning import UNREFERENCED_SECONDS, Cleaner
from pipeline_runner.outputs.files import Outputs, sidecar_path, thumbnail_path
from pipeline_runner.outputs.index import OutputIndex
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import JobStore
from tests.support.factories import record_of

LATER: Final = 2 * UNREFERENCED_SECONDS
ENDED: Final[tuple[JobState, ...]] = ("completed", "failed", "cancelled")


class RunnerStorage:
    """The tables and the output folder of a runner, without its loop; its clock is hours ahead of the files."""

    def __init__(self, folder: Path) -> None:
        """Begin with nothing."""
        self.root = folder / "outputs"
        self.outputs = Outputs(self.root)
        self.log = Log(folder / "runner.db")
        self.store = JobStore(self.log)
        self.index = OutputIndex(self.log, self.root)
        self.ahead = LATER
        self.removed: list[str] = []
        self.cleaner = Cleaner(
            self.log,
            self.index,
            self.root,
            lambda _tx, jobs: self.removed.extend(jobs),
            lambda: time.time() + self.ahead,
        )

    def job(
        self,
        name: str,
        mark: LearningContext | None = None,
        *data: bytes,
        state: JobState = "completed",
        ended: float = 100.0,
    ) -> NormalizedJobRecord:
        """Add a job that has made something, whether or not it has ended, and return it."""
        running = record_of(name, mark=mark)
        images = tuple(
            self.outputs.save(running, one, suffix=".bin", media_type="image/png", size=(1, 1), seed=1) for one in data
        )
        for one in images:  # what is no picture has no thumbnail, so that one is made up
            small = self.root / thumbnail_path(one.sha256)
            small.parent.mkdir(parents=True, exist_ok=True)
            small.write_bytes(b"small")
        record = replace(running, state=state, finished_at=ended, result=JobResult(success=True, images=images))
        with self.log.transaction() as tx:
            self.store.insert(tx, [record])
            if state in ENDED:
                self.index.add(tx, [record])
        return record

    def names(self) -> set[str]:
        """Return the paths of all files."""
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}

    def folders(self) -> set[str]:
        """Return the paths of all folders but those of thumbnails."""
        found = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_dir()}
        return {one for one in found if not one.startswith(".thumbnails")}

    def jobs(self) -> list[str]:
        """Return the ids of all jobs."""
        return [name for (name,) in self.log.query("SELECT job_id FROM jobs ORDER BY job_id")]

    def check(self, only: Sequence[str] | None = None) -> None:
        """See that every file that a row (of some jobs only) names is there, whole, with sidecar and thumbnail."""
        for sha256, path, job_id in self.log.query("SELECT sha256, path, job_id FROM outputs"):
            if only is not None and job_id not in only:
                continue
            part = safe_paths.read_part(self.root, path, 0, 1000)
            assert hashlib.sha256(part.data).hexdigest() == sha256
            for beside in (sidecar_path(path, sha256, job_id), thumbnail_path(sha256)):
                assert (self.root / beside).exists(), beside

    def expected(self) -> set[str]:
        """Return the paths of all files that rows stand for."""
        rows = self.log.query("SELECT sha256, path, job_id FROM outputs")
        return {path for row in rows for path in (row[1], sidecar_path(*_order(row)), thumbnail_path(row[0]))}

    def sweep(self, limit: int = 1000, *, dry_run: bool = False) -> tuple[int, int]:
        """Go through the whole folder and return files and bytes."""
        files = size = 0
        after: str | None = ""
        while after is not None:
            swept = self.cleaner.sweep(after, limit, dry_run=dry_run)
            files, size, after = files + swept.files, size + swept.bytes, swept.after
        return files, size

    def remove(self, owners: list[str | None], before: float = 1000.0, limit: int = 1000) -> tuple[int, int, int]:
        """Remove all that the request names and return files, bytes and jobs."""
        files = size = jobs = 0
        more = True
        while more:
            gone = self.cleaner.remove(owners, before, limit)
            assert gone.files <= limit
            assert gone.jobs <= limit
            files, size, jobs, more = files + gone.files, size + gone.bytes, jobs + gone.jobs, gone.more
        return files, size, jobs


def _order(row: Any) -> tuple[str, str, str]:
    sha256, path, job_id = row
    return path, sha256, job_id
