"""The copy of a database that is made before it is migrated; that of the last migration is kept."""

import logging
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from bus.eventlog.errors import LogError
from bus.eventlog.files import sync
from bus.eventlog.versions import version_in

HEAD: Final = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0)"
PAGES_AT_ONCE: Final = 4096
logger = logging.getLogger(__name__)


def copy_before_migration(db: sqlite3.Connection, path: Path, store: str, version: int) -> None:
    """Copy a database to `NAME.before-migration-HEAD`, with the newest offset in its log, and remove earlier copies.

    `store` of `version` is what will be migrated. The steps of one migration, also one that was cut off, make one copy:
    where there is one in which that store has that version, it stays.

    Raises:
        LogError: there is no room for the copy, or it cannot be written.
    """
    (head,) = db.execute(HEAD).fetchone()
    copy = path.with_name(f"{path.name}.before-migration-{head}")
    if copy.exists() and _version_in(copy, store) == version:
        return
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    try:
        if shutil.disk_usage(path.parent).free < 2 * pages * size:  # the copy, and the rows that are written again
            raise _no_copy(path, f"it needs {(2 * pages * size >> 10) + 1} KiB of free space")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(unfinished)) as target:
            db.backup(target, pages=PAGES_AT_ONCE)
        sync(unfinished)
        unfinished.rename(copy)
        sync(path.parent)
        for earlier in path.parent.glob(f"{path.name}.before-migration-*"):
            if earlier != copy:
                earlier.unlink()
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise _no_copy(path, str(error)) from error
    logger.info("%s was copied to %s, as this version changes its tables", path, copy)


def _version_in(copy: Path, store: str) -> int | None:
    """Return which version of a store's tables is in a copy; None if that cannot be read."""
    try:
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?immutable=1", uri=True)) as db:
            return version_in(db, store)
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def _no_copy(path: Path, why: str) -> LogError:
    return LogError(f"{path} was not changed, as no copy of it can be made first: {why}; make room and start again")
