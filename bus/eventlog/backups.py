"""The copy of a log's database for a backup: the state of one moment, while its service runs or not."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from bus.eventlog import sql
from bus.eventlog.errors import LogError
from bus.eventlog.files import sync
from bus.eventlog.log import APPLICATION_ID
from bus.eventlog.opening import refusal
from bus.eventlog.versions import OWN

SQL: Final = sql.load("bus.eventlog", "backups.sql")
PAGES_AT_ONCE: Final = 4096  # so that Ctrl-C is answered
BUSY_SECONDS: Final = 5.0


class Snapshot(NamedTuple):
    """What a copy holds: the epoch and the newest offset of its log, and the version of each store's tables."""

    epoch: int
    head: int
    tables: dict[str, int]


def back_up(path: Path, target: Path) -> Snapshot:
    """Copy a database to a new file, synced; a log that is opened from the copy begins a new epoch.

    One read transaction spans the whole copy, so it is of one moment, and its service goes on writing meanwhile. Only
    the write-ahead log grows until the end, as it cannot be merged into the database before.

    Raises:
        LogError: the database cannot be read, is no log, or the copy cannot be written.
    """
    try:
        with closing(_connect(path, "rw")) as db:
            if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise LogError(f"{path} is no variantbus log; move it away, or name another data folder")
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            snapshot = _look_at(db)
            _copy(db, target)
    except sqlite3.Error as error:
        raise refusal(error, path) from error
    return snapshot


def _look_at(db: sqlite3.Connection) -> Snapshot:
    """Return what a database holds; this begins the read transaction."""
    epoch, head = db.execute(SQL["select_end"]).fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return Snapshot(epoch or 0, head or 0, {OWN: version, **dict(db.execute(SQL["select_scopes"]))})


def _copy(db: sqlite3.Connection, target: Path) -> None:
    """Copy a database within its read transaction."""
    try:
        with closing(_connect(target, "rwc")) as copy:
            db.backup(copy, pages=PAGES_AT_ONCE)
            # It counts as not closed in good order, wherever and however it is put back: what others were told since
            # is not in it.
            copy.execute(SQL["delete_closing"])
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which no other has to go with
        sync(target)
    except (OSError, sqlite3.Error) as error:
        raise LogError(f"{target} cannot be written: {error}; make room, or choose another folder") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
