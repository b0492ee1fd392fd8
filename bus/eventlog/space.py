"""The room that a database takes: what fills it, and how free pages are given back to the disk.

SQLite keeps the pages of removed rows for later rows. In a file made with `auto_vacuum = INCREMENTAL` some of them at
a time can be cut off its end; a file of an earlier version is written again once, when it is opened.
"""

import logging
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from bus.eventlog import damage, sql

SQL: Final = sql.load("bus.eventlog", "space.sql")
SPARE: Final = 1 << 20  # bytes of free pages that stay: the next events need them
PAGES_AT_ONCE: Final = 16  # given back between two looks at the time, in less than a millisecond
INCREMENTAL: Final = 2  # of `auto_vacuum`
logger = logging.getLogger(__name__)


class Space(NamedTuple):
    """The bytes of a database file's pages: those in use, and those that are free."""

    used: int
    free: int


def space_of(db: sqlite3.Connection) -> Space:
    """Return what the pages of a database hold."""
    pages, free, size = (_pragma(db, name) for name in ("page_count", "freelist_count", "page_size"))
    return Space((pages - free) * size, free * size)


def is_shrinkable(db: sqlite3.Connection) -> bool:
    """Return whether free pages of a file can be given back some at a time."""
    return _pragma(db, "auto_vacuum") == INCREMENTAL


def has_surplus(db: sqlite3.Connection) -> bool:
    """Return whether a file has free pages that it should give back."""
    return space_of(db).free > SPARE


def give_back(db: sqlite3.Connection, until: float) -> None:
    """Cut free pages off the end of a file, some or until a monotonic time, in the caller's transaction.

    The file itself is cut when the write-ahead log is merged into it.
    """
    while has_surplus(db):
        db.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        if time.monotonic() >= until:
            return


def begin_shrinkable(db: sqlite3.Connection) -> None:
    """Let the free pages of a new file be given back; before anything is written into it."""
    db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")


def make_shrinkable(db: sqlite3.Connection, path: Path) -> None:
    """Write a file of an earlier version again, so that its free pages can be given back; all of it, or nothing.

    Where that is not possible, the log goes on without it, and the next start tries again.
    """
    compact = path.with_name(f"{path.name}.compact")
    compact.unlink(missing_ok=True)  # an earlier try was cut off
    if is_shrinkable(db):
        return
    size = sum(space_of(db))
    try:
        if damage.wrong_in(db):  # what cannot be read would be lost
            return
        if shutil.disk_usage(path.parent).free < 2 * size:
            logger.warning("%s stays as large as it is: to shrink, it needs %d MiB of free space", path, 2 * size >> 20)
            return
        logger.info("%s is written again, so that freed space can be given back: %d MiB", path, size >> 20)
        begin_shrinkable(db)  # what is written next
        db.execute(SQL["copy"], (str(compact),))
        with closing(sqlite3.connect(compact)) as source:
            source.backup(db)  # one transaction
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (OSError, sqlite3.Error) as error:
        logger.warning("%s stays as large as it is: %s", path, error)
    finally:
        compact.unlink(missing_ok=True)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
