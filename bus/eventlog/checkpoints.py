"""Copies what was committed from the write-ahead log into the database itself, in a thread of its own.

SQLite would do that within a commit, which then takes some 10 ms of processor time and, for its syncs, several times as
long on the clock. In the thread, commits go on meanwhile. The write-ahead log begins anew once all of it is copied, but
while commits go on, the thread never has all. So the last few pages are copied in the log's own thread, when much is
there. Should that not happen either, or no thread be had, SQLite copies by itself in a commit (`wal_autocheckpoint`).
"""

import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final

CHANGES: Final = 500  # rows that were written since the last time; few of them can wait for the next start
REST_SECONDS: Final = 0.1  # after the last time, so that pages that change often are written once for many commits
MANY_PAGES: Final = 2000  # 8 MiB of 4 KiB each
FEW_PAGES: Final = 500  # some milliseconds in the log's own thread
TRIES: Final = 5
COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"  # waits for nobody


class Checkpoints:
    """Begins to copy whenever enough was written."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Open the thread's connection now, as another file may be at the path later.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self._db = db
        self._own = sqlite3.connect(path, isolation_level=None, check_same_thread=False)  # first here, then there
        self._own.execute("SELECT 1 FROM sqlite_schema").fetchall()  # opens the write-ahead log as well
        self._due = db.total_changes + CHANGES
        self._thread = ThreadPoolExecutor(1, "checkpoint")  # which starts with the first work for it
        self._work: Future[None] | None = None
        self._is_whole = False  # the next copy is to be completed here
        self._has_rest = False  # the thread is done, and the rest is to be copied here
        self._rest_until = 0.0  # monotonic

    def go_on(self) -> None:
        """Do what is due; called after each commit, and now and then."""
        if self._has_rest or self._db.total_changes >= self._due:
            self._begin()

    def hurry(self) -> None:
        """Copy all of it soon: only then a file that has less in it becomes smaller."""
        self._is_whole, self._due, self._rest_until = True, 0, 0.0
        self._begin()

    def wait(self) -> None:
        """Wait until the thread has nothing to do."""
        if self._work:
            wait([self._work])

    def close(self) -> None:
        """Wait for the thread, and close its connection."""
        self._thread.shutdown()
        self._own.close()

    def _begin(self) -> None:
        if self._work and not self._work.done():
            return
        if self._has_rest:
            self._has_rest = False
            _copy(self._db)
        elif time.monotonic() >= self._rest_until:
            self._due = self._db.total_changes + CHANGES
            is_whole, self._is_whole = self._is_whole, False
            with suppress(RuntimeError):  # the system allows no further thread now: a later one does it, or SQLite
                self._work = self._thread.submit(self._copy_in_thread, is_whole)

    def _copy_in_thread(self, is_whole: bool) -> None:
        pages, _ = _copy(self._own)
        if pages > MANY_PAGES or is_whole:
            self._has_rest = self._is_nearly_whole(pages)
        self._rest_until = time.monotonic() + REST_SECONDS

    def _is_nearly_whole(self, pages: int) -> bool:
        """Copy again what was committed meanwhile, each time less, and return whether few pages are left.

        While another process reads an earlier state, as a backup does, many are left, however few are new.
        """
        for _ in range(TRIES):
            before, (pages, copied) = pages, _copy(self._own)
            if pages - before <= FEW_PAGES:
                return pages - copied <= FEW_PAGES
        return False


def _copy(db: sqlite3.Connection) -> tuple[int, int]:
    """Return how many pages the write-ahead log has, and how many of them are copied.

    Both are 0 if that cannot be done now: nothing is lost.
    """
    with suppress(sqlite3.Error):
        ((_busy, pages, copied),) = db.execute(COPY).fetchall()
        return int(pages), int(copied)
    return 0, 0
