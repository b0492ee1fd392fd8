"""Removal of results: their files go before the transaction that removes their rows is committed.

So a crash in between leaves rows whose files are gone, and the same request, which is repeated, goes on with them. The
files of a job that died before its end have no row; `sweep` finds them.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from pipeline_runner.outputs import safe_paths
from pipeline_runner.outputs.files import THUMBNAILS, UNFINISHED, id_name, sidecar_path, thumbnail_path
from pipeline_runner.outputs.index import Made, OutputIndex

UNREFERENCED_SECONDS: Final = 3600.0  # a file without a row may belong to a job that is about to end
BUSY_SECONDS: Final = 60.0  # for which the list of owners with unended jobs is kept
JOBS: Final = "jobs"  # the folder of jobs of no experiment
_OURS: Final = re.compile(r"(?P<sha256>[0-9a-f]{64})(?:\..*)?", re.DOTALL)
logger = logging.getLogger(__name__)


class Removed(NamedTuple):
    """What was removed: results with their bytes, and jobs; `more` if there is more to do.

    `busy` are those of the owners that stay whole, as jobs of them have not ended.
    """

    files: int
    bytes: int
    jobs: int
    more: bool
    busy: list[str]


class Swept(NamedTuple):
    """Which unreferenced files were removed; `after` is the last one checked, None at the end."""

    files: int
    bytes: int
    after: str | None


class Cleaner:
    """Removes results in steps, in the runner's loop, so that no job can start or end during a step."""

    def __init__(
        self,
        log: Log,
        index: OutputIndex,
        root: Path,
        removed: Callable[[Transaction, list[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the output folder; `clock` returns unix seconds.

        `removed` is called with jobs in the transaction that removes them, so that it can remove more.
        """
        self._log, self._index, self._root, self._clock = log, index, root, clock
        self._removed = removed
        self._busy: tuple[set[str], set[str]] = set(), set()
        self._busy_at = 0.0  # when they were read

    def remove(self, owners: list[str | None], before: float, limit: int) -> Removed:
        """Remove jobs that ended before a time, and their results; an experiment with unended jobs stays whole."""
        made: list[Made] = []
        jobs: list[str] = []
        busy: list[str] = []
        more = False
        with self._log.transaction() as tx:
            for owner in owners:
                if owner is not None and self._index.is_at_work(owner):
                    busy.append(owner)
                    continue
                taken = self._index.take(tx, owner, before, limit - max(len(made), len(jobs)))
                made += taken.made
                jobs += taken.jobs
                more = taken.more
                if more:
                    break
            self._removed(tx, jobs)
            files, size = self._remove_files(made)
        return Removed(files, size, len(jobs), more, busy)

    def sweep(self, after: str, limit: int, *, dry_run: bool) -> Swept:
        """Remove files named like results that no row refers to and that have not changed for an hour.

        At most `limit` files behind the path `after` are looked at. Files from before the index began are left alone:
        a database that was put away, restored or cut short knew them, and the learning service may do so still.
        """
        busy = self._busy_names(anew=not after)
        files = size = seen = 0
        for folder in self._folders(after):
            if _is_busy(folder, *busy):
                continue
            for path in self._paths(folder, after):
                if seen == limit:
                    return Swept(files, size, after)
                seen, after = seen + 1, path
                found = self._unreferenced(path)
                if found and (dry_run or self._unlink(path)):
                    files, size = files + 1, size + found.st_size
            if not dry_run:
                self._remove_empty(folder)
        return Swept(files, size, None)

    def _busy_names(self, *, anew: bool) -> tuple[set[str], set[str]]:
        """Return the folders of experiments and jobs that are unended, or were within the last minute.

        A long queue takes its time to be read. What was queued since has no file yet that is an hour old.
        """
        now = self._clock()
        if anew or not self._busy_at <= now < self._busy_at + BUSY_SECONDS:
            experiments, jobs = self._index.busy()
            self._busy = {id_name(one) for one in experiments}, {id_name(one) for one in jobs}
            self._busy_at = now
        return self._busy

    def _remove_files(self, made: list[Made]) -> tuple[int, int]:
        """Remove files of removed rows, except those that another row still refers to; return how many, and bytes."""
        files = size = 0
        is_idle = not self._index.is_running()  # a job may have found a young thumbnail there that it needs
        for one in made:
            self._unlink(sidecar_path(one.path, one.sha256, one.job_id))
        for one in {one.path: one for one in made}.values():
            left = self._index.paths(one.sha256)
            if one.path not in left and self._unlink(one.path):
                files, size = files + 1, size + one.bytes
            small = thumbnail_path(one.sha256)
            if not left and (is_idle or self._old(small)):
                self._unlink(small)
        for folder in {one.path.rpartition("/")[0] for one in made}:
            self._remove_empty(folder)
        return files, size

    def _folders(self, after: str) -> Iterator[str]:
        """Return the folders that results can be in, in the order of their names, from that of a path on."""
        start = tuple(after.split("/")[:2])
        for outer in _names(self._root, folders=True):
            if (outer,) < start[:1] or (outer.startswith(".") and outer != THUMBNAILS):
                continue  # .work is the command pipeline's
            for inner in _names(self._root / outer, folders=True):
                if (outer, inner) >= start:
                    yield f"{outer}/{inner}"

    def _paths(self, folder: str, after: str) -> Iterator[str]:
        start = tuple(after.split("/"))
        for name in _names(self._root / folder, folders=False):
            if (*folder.split("/"), name) > start:
                yield f"{folder}/{name}"

    def _unreferenced(self, path: str) -> os.stat_result | None:
        """Return the status of a file if it is named like a result, old enough and unreferenced.

        A file with the name of a referenced result stays, as does any other name: a person may have written it.
        """
        folder, _, name = path.rpartition("/")
        match = _OURS.fullmatch(name)
        if match:
            paths = self._index.paths(match["sha256"])
            if paths if folder.startswith(THUMBNAILS) else folder in {one.rpartition("/")[0] for one in paths}:
                return None
        elif not UNFINISHED.fullmatch(name):
            return None
        return self._old(path)

    def _old(self, path: str) -> os.stat_result | None:
        """Return the status of a file that is newer than the index and has not changed for an hour, else None."""
        try:
            found = safe_paths.look_at(self._root, path)
        except OSError:
            return None
        return found if self._index.begins_at <= found.st_mtime < self._clock() - UNREFERENCED_SECONDS else None

    def _unlink(self, path: str) -> bool:
        try:
            safe_paths.unlink(self._root, path)
        except FileNotFoundError:
            return False
        except OSError as error:
            logger.warning("cannot remove %s: %s", path, error)
            return False
        return True

    def _remove_empty(self, folder: str) -> None:
        """Remove a folder of ours that is empty; `jobs` and `.thumbnails` stay, as a worker may be about to write."""
        outer, _, inner = folder.partition("/")
        if outer == JOBS:
            safe_paths.remove_empty(self._root, folder)
        elif inner.startswith("variant-") and safe_paths.remove_empty(self._root, folder):
            safe_paths.remove_empty(self._root, outer)


def _names(folder: Path, *, folders: bool) -> list[str]:
    """Return the names of the real folders or of the files in a folder, in order; it need not be there."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) == folders]
    except OSError:
        return []
    # our names are ASCII; another one may be no text, and could not be told as the place to go on
    return sorted(name for name in found if name.isascii())


def _is_busy(folder: str, experiments: set[str], jobs: set[str]) -> bool:
    """Return whether an unended job may write into a folder."""
    outer, _, inner = folder.partition("/")
    return outer in experiments or (outer == JOBS and inner in jobs)
