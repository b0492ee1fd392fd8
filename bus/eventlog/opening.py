"""What is looked at before a log is opened, and what is said if it cannot be."""

import logging
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from bus.eventlog import own_tables, schemas
from bus.eventlog.disk_faults import database_fault
from bus.eventlog.errors import LogError, StorageError
from bus.eventlog.files import LogFile
from bus.eventlog.reader import is_damage

_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
logger = logging.getLogger(__name__)


def check_files(path: Path) -> bool:
    """Return whether a database is there; check that its files can be opened, of which SQLite would not say which.

    Nobody has it open: to close a file releases the locks that SQLite has on it in the same process.

    Raises:
        LogError: one of them is no file, or may not be read and written.
    """
    for one in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        try:
            mode = one.stat().st_mode
            if not stat.S_ISREG(mode):
                what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                raise LogError(f"{one} is {what}; move it away, or choose another --data-dir")
            os.close(os.open(one, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            if one == path:
                return False
        except OSError as error:
            text = (
                f"cannot open {one}: {error.strerror}; it has to be readable and writable for the user of this process"
            )
            raise LogError(text) from error
    return True


def is_new(db: sqlite3.Connection, file: LogFile, schema: str, *, absent: bool) -> bool:
    """Return whether a file is being created (also one whose creation was cut off), and not foreign or emptied."""
    tables = {name for (name,) in db.execute(own_tables.SQL["select_tables"])}
    unknown = absent or file.read_head()[0] is None  # an empty file where a log was is no new log
    return unknown and tables <= set(schemas.tables_of(schema))


def refusal(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> LogError:
    """Return what is said if a database cannot be opened, with what to do about it."""
    if isinstance(error, UnicodeDecodeError):
        advice = "move it away, or restore it from a backup"
    elif isinstance(database_fault(error, path), StorageError):
        locked = error.sqlite_errorcode in _LOCKED
        advice = "end what uses it, and start again" if locked else "make room, or make it writable, and start again"
    elif is_damage(error) or type(error) is sqlite3.DatabaseError:  # the latter: no database at all
        advice = "move it away, or restore it from a backup"
    else:
        advice = "check its disk, and restore it from a backup if that does not help"
    return LogError(f"cannot open {path}: {error}; {advice}")


def not_a_log(db: sqlite3.Connection, path: Path, file: LogFile) -> LogError:
    """Return what is said of a database that is no log of ours, or was one before it was emptied."""
    head_file, (epoch, head) = path.with_suffix(".head"), file.read_head()
    if epoch is None or db.execute(own_tables.SQL["select_tables"]).fetchone():
        return LogError(f"{path} is no variantbus log; move it away (to begin a new one) or restore it")
    return LogError(
        f"{path} is empty, so no variantbus log, but {head_file} says that one with {head} events was here; "
        "restore it from a backup, or move both away to begin a new one"
    )


def report_lost_end(path: Path, head: int, noted_epoch: int | None, noted_head: int, *, replaced: bool) -> None:
    """Log an error if the file is shorter than its head file says, or another one, or if that cannot be told."""
    if noted_epoch == 0:
        logger.error("%s is damaged: it does not tell whether the log has lost its end", path.with_suffix(".head"))
    elif noted_head > head or replaced:
        what = "is not the file that was here before" if replaced else "has lost its end"
        before = "that one reached" if replaced else "once it reached"
        logger.error("%s %s: it ends at %d, %s %d", path, what, head, before, noted_head)
