"""Files that a configuration names, read within bounds whatever is in their place.

A job is checked in the runner's loop, so a pipe must not be waited for there, and a device has no end.
"""

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from bus.eventlog.disk_faults import disk_fault
from bus.eventlog.errors import StorageError
from bus.protocol.validation import InvalidInputError

FILE_BYTES: Final = 64 << 20  # of a picture, or whatever else a configuration names


class FileVersion(NamedTuple):
    """A file as it is now: while this is the same, so is its content."""

    path: Path
    changed_ns: int
    size: int


def find_file(where: str, path: Path) -> FileVersion:
    """Look at a file without reading it.

    Raises:
        InvalidInputError: naming the field: it is not there, no regular file, or too large.
        StorageError: it cannot be read only for now.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL
        raise _unreadable(where, path, error) from None
    _check(where, path, found)
    return FileVersion(path, found.st_mtime_ns, found.st_size)


def read_file(where: str, path: Path) -> bytes:
    """Read a file.

    Raises:
        InvalidInputError, StorageError: as for `find_file`.
    """
    try:
        # a regular file is read as ever, and a pipe is not waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            _check(where, path, found)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(found.st_size)
        finally:
            os.close(descriptor)
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(where, path, error) from None


def _check(where: str, path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_BYTES:
        raise InvalidInputError(f"{where}: {path.absolute()} is no file of at most {FILE_BYTES >> 20} MiB")


def _unreadable(where: str, path: Path, error: Exception) -> InvalidInputError | StorageError:
    """Return what to raise: the file is at fault, unless the machine lacks something only for now."""
    fault = disk_fault(error, path) if isinstance(error, OSError) else None
    if isinstance(fault, StorageError):
        return StorageError(f"{where}: {path} cannot be read now: {error}")
    reason = getattr(error, "strerror", None) or str(error)
    hint = "" if path.is_absolute() else "; write an absolute path, as the runner was started elsewhere"
    return InvalidInputError(f"{where}: {path.absolute()} cannot be read by the runner: {reason}{hint}")
