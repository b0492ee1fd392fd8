"""Files that cannot be opened: one sentence that names the file and what to do, and the lock is released."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.eventlog import connection
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from tests.support.helpers import append

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


def folder(path: Path) -> None:
    """Put a folder there."""
    path.mkdir()


def device(path: Path) -> None:
    """Put a link to a device there."""
    path.symlink_to("/dev/null")


def pipe(path: Path) -> None:
    """Put a pipe there, which would block who opens it."""
    os.mkfifo(path)


def loop(path: Path) -> None:
    """Put a link to itself there."""
    path.symlink_to(path)


@pytest.mark.fault(item="F58")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (folder, "is a folder; move it away"),
        (device, "is no regular file; move it away"),
        (pipe, "is no regular file; move it away"),
        (loop, "Too many levels of symbolic links; it has to be readable"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_what_is_no_file_is_named(path: Path, make: Callable[[Path], None], reason: str, suffix: str) -> None:
    """Once it is out of the way, the log opens: nothing was left locked."""
    Log(path).close()
    kept = path.with_name("kept.db")
    victim = path.with_name(f"{path.name}{suffix}")
    if not suffix:
        path.rename(kept)
    make(victim)

    for _ in range(2):
        with pytest.raises(LogError, match=reason) as refused:
            Log(path)
        assert str(victim) in str(refused.value)

    victim.rmdir() if victim.is_dir() else victim.unlink()
    if not suffix:
        kept.rename(path)
    Log(path).close()


@pytest.mark.fault(item="F58")
def test_a_database_that_may_not_be_opened_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operating system refuses it to another user than root, who may open everything."""
    Log(path).close()
    opened = os.open

    def refuse(name: Path, *args: int) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied", name)
        return opened(name, *args)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LogError, match=f"cannot open {path}: Permission denied; it has to be readable and writable"):
        Log(path)

    monkeypatch.undo()
    Log(path).close()


@pytest.mark.fault(item="F58")
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_IOERR_READ, "check its disk"),
        (sqlite3.SQLITE_CANTOPEN, "check its disk"),
        (sqlite3.SQLITE_FULL, "make room"),
        (sqlite3.SQLITE_BUSY, "end what uses it"),
    ],
)
def test_an_error_of_the_database_while_it_is_opened_is_one_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    """The advice fits the reason: who moves away the data because the disk is full has lost it for nothing."""
    Log(path).close()

    def fail(_db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("some reason")
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(connection, "configure", fail)
        with pytest.raises(LogError, match=f"^cannot open {path}: some reason; {advice}"):
            Log(path)

    Log(path).close()


@pytest.mark.fault(item="F58")
def test_a_young_log_whose_write_ahead_log_is_lost_is_an_older_state(
    open_log: OpenLog, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From its creation on, the main file alone is a log."""
    log = open_log(path)
    append(log, ("a.", 1), ("a.", 2))
    log.sync_head()
    copy = tmp_path / "copy"
    copy.mkdir()
    for one in (path, path.with_suffix(".head")):
        shutil.copy(one, copy)
    log.close()

    log = open_log(copy / path.name)

    assert log.head == 0
    assert len(log.epochs) == 2
    assert "has lost its end: it ends at 0, once it reached 2" in caplog.text


@pytest.mark.fault(item="F58")
def test_an_empty_file_where_a_log_was_says_what_was_there(open_log: OpenLog, path: Path) -> None:
    """Its head file knows; somebody has to decide."""
    log = open_log(path)
    append(log, ("a.", 1), ("a.", 2))
    log.close()
    path.write_bytes(b"")

    with pytest.raises(LogError, match=r"is empty, .*test\.head says that one with 2 events was here; restore it"):
        open_log(path)

    path.unlink()
    path.with_suffix(".head").unlink()
    assert open_log(path).head == 0


@pytest.mark.fault(item="F52")
@pytest.mark.parametrize("word", [b"AUTOINCREMENT", b"CREATE", b"removed"])
def test_a_schema_that_is_no_text_any_more_is_refused(open_log: OpenLog, path: Path, word: bytes) -> None:
    """SQLite quotes the damaged word in its error, and Python cannot decode it."""
    open_log(path).close()
    content = bytearray(path.read_bytes())
    content[content.index(word)] ^= 0x80
    path.write_bytes(content)

    with pytest.raises(LogError, match=f"^cannot open {path}: .*; move it away, or restore it from a backup$"):
        Log(path)

    assert path.read_bytes() == content
