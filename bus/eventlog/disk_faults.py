"""What an error of the disk means, judged once for every file that a service writes or reads.

*Transient*: there is no room, or the file system is read-only for now. What was to be written waits and is tried
again. *Fatal*: the device fails. Nobody knows what is on the disk, so the process ends, and its next start reads it
anew. *Neither*: a missing file, no permission, a folder where a file should be … is a fault of what was asked for.
"""

import errno
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

from bus.eventlog.errors import DiskError, StorageError


def _numbers(*names: str) -> frozenset[int]:
    """Return the numbers of those errors that this operating system has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


# The machine lacks descriptors or memory only for now, and no job is to blame for that.
_TRANSIENT: Final = _numbers("ENOSPC", "EDQUOT", "EROFS", "ENOMEM", "EMFILE", "ENFILE")
# A device that fails or is gone, and file systems that find themselves damaged or were replaced at their server.
_FATAL: Final = _numbers("EIO", "EUCLEAN", "EBADMSG", "ENODEV", "ENXIO", "EREMOTEIO", "ESTALE", "ENOMEDIUM")

_SQLITE_TRANSIENT: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }
)
# Everywhere else than at the end of the write-ahead log, SQLite gives a full disk, a used-up quota or a lack of
# descriptors one of these codes and drops the number of the error; so the folder is tried.
_SQLITE_UNCLEAR: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_LOCK,
    }
)
PROBE: Final = bytes(1 << 16)
LOW_BYTE: Final = 0xFF  # the primary code of an extended one


def disk_fault(error: OSError, path: Path) -> StorageError | DiskError | None:
    """Return what to raise for an error of reading or writing a file: wait, end, or None if the disk is not at fault.

    `path` is what could not be written; the sentence names it. With None, the error is about the path or the content
    that was asked for, and the caller knows what that means.
    """
    if error.errno in _TRANSIENT:
        return StorageError(f"{path} cannot be written: {error.strerror}")
    if error.errno in _FATAL:
        return DiskError(f"{path} failed: {error.strerror}; start again, which reads what is on the disk")
    return None


def database_fault(error: sqlite3.Error, path: Path) -> StorageError | DiskError | None:
    """Return what to raise for an error of a database, as `disk_fault` does; None for a mistake in a statement.

    Where SQLite does not tell whether there is room, a file is written beside the database, and removed.
    """
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _MISTAKES):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # Python's own errors have none
        primary = code & LOW_BYTE
        transient = primary in _SQLITE_TRANSIENT or code == sqlite3.SQLITE_IOERR_NOMEM
        unclear = code in _SQLITE_UNCLEAR or primary == sqlite3.SQLITE_CANTOPEN
        if transient or (unclear and isinstance(probe(path.parent), StorageError)):
            return StorageError(f"{path} cannot be written: {error}")
        return DiskError(f"{path} failed: {error}; start again, which reads what is on the disk")
    return None


def probe(folder: Path) -> StorageError | DiskError | None:
    """Return what a new file of 64 KiB in a folder meets now, None if it can be written; it is removed at once."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return disk_fault(error, folder)
    return None


_MISTAKES: Final = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.NotSupportedError)
