"""What an error of the disk means: wait, end, or neither."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from bus.eventlog import disk_faults
from bus.eventlog.disk_faults import database_fault, disk_fault, probe
from bus.eventlog.errors import DiskError, StorageError
from bus.eventlog.opening import refusal

PATH = Path("data") / "some.file"


def os_error(number: int) -> OSError:
    """Return the error as the operating system gives it."""
    return OSError(number, os.strerror(number))


def sqlite_error(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """Return an error as SQLite gives it; Python's own have no code."""
    error = kind("some text")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.fault(item="F55")
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "ENOMEM", "EMFILE", "ENFILE"])
def test_a_lack_of_room_is_waited_for(name: str) -> None:
    """The sentence names the file and the reason."""
    fault = disk_fault(os_error(getattr(errno, name)), PATH)

    assert isinstance(fault, StorageError)
    assert str(fault) == f"{PATH} cannot be written: {os.strerror(getattr(errno, name))}"


@pytest.mark.fault(item="F55")
@pytest.mark.parametrize("name", ["EIO", "EUCLEAN", "EBADMSG", "ENODEV", "ENXIO", "ESTALE"])
def test_a_device_that_fails_ends_the_process(name: str) -> None:
    """Nobody knows what is on it."""
    fault = disk_fault(os_error(getattr(errno, name)), PATH)

    assert isinstance(fault, DiskError)
    assert str(fault).startswith(f"{PATH} failed: {os.strerror(getattr(errno, name))}; start again")


@pytest.mark.fault(item="F55")
@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "EISDIR", "ENAMETOOLONG", "EFBIG", "ELOOP", "EPERM"])
def test_what_is_wrong_with_the_path_is_neither(name: str) -> None:
    """Whoever asked for it is to be told."""
    assert disk_fault(os_error(getattr(errno, name)), PATH) is None


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_READONLY_CANTLOCK,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR_NOMEM,
    ],
)
def test_a_database_that_cannot_be_written_now_is_waited_for(code: int) -> None:
    """Also where SQLite gives one of the finer codes."""
    assert isinstance(database_fault(sqlite_error(code), PATH), StorageError)


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_IOERR_FSYNC),
        sqlite_error(sqlite3.SQLITE_IOERR_READ),
        sqlite_error(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError),
        sqlite_error(sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError),
        sqlite_error(sqlite3.SQLITE_CORRUPT_VTAB, sqlite3.DatabaseError),
        sqlite_error(sqlite3.SQLITE_INTERNAL, sqlite3.InternalError),
        sqlite_error(None),
    ],
)
def test_any_other_error_of_a_database_ends_the_process(error: sqlite3.Error) -> None:
    """Its next start reads what is there."""
    assert isinstance(database_fault(error, PATH), DiskError)


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_CONSTRAINT, sqlite3.IntegrityError),
        sqlite_error(sqlite3.SQLITE_TOOBIG, sqlite3.DataError),
        sqlite_error(None, sqlite3.ProgrammingError),
        sqlite_error(None, sqlite3.InterfaceError),
    ],
)
def test_a_mistake_in_a_statement_is_no_fault_of_the_disk(error: sqlite3.Error) -> None:
    """It is a bug, which is not to be taken for a full disk."""
    assert database_fault(error, PATH) is None


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN_ISDIR]
)
@pytest.mark.parametrize(
    ("room", "expected"), [(errno.EDQUOT, StorageError), (errno.EIO, DiskError), (None, DiskError)]
)
def test_where_sqlite_does_not_say_whether_there_is_room_the_folder_is_tried(
    monkeypatch: pytest.MonkeyPatch, code: int, room: int | None, expected: type[Exception]
) -> None:
    """A used-up quota is `disk I/O error` to it, and so is a full disk when the index of its log grows."""

    def try_folder(folder: Path) -> StorageError | DiskError | None:
        assert folder == PATH.parent
        return disk_fault(os_error(room), folder) if room else None

    monkeypatch.setattr(disk_faults, "probe", try_folder)

    assert isinstance(database_fault(sqlite_error(code), PATH), expected)


def test_a_folder_that_has_room_is_left_as_it_is(tmp_path: Path) -> None:
    """The probe leaves nothing behind; in a folder that is not there nothing can be learned."""
    assert probe(tmp_path) is None
    assert probe(tmp_path / "none") is None
    assert not list(tmp_path.iterdir())


def test_text_that_is_no_text_any_more_is_damage() -> None:
    """Such as that of a schema with a flipped bit."""
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert "move it away, or restore it from a backup" in str(refusal(error, PATH))
