"""The write-ahead log is copied into the database by a thread, so that no commit waits for the disk."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from bus.eventlog import checkpoints
from bus.eventlog.log import Log
from tests.support.helpers import append, wait_until
from tests.support.invariants import WAL_BOUND
from tests.support.log_files import round_of

pytestmark = pytest.mark.fault(item="F138")
OpenLog = Callable[..., Log]
MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


def fill(log: Log, megabytes: int) -> None:
    """Write as many records of 1,000 bytes."""
    for number in range(megabytes * 5):
        append(log, *(("a.", f"{number} {event} {'x' * 1000}") for event in range(200)))


def test_what_was_committed_reaches_the_database_without_another_commit(open_log: OpenLog, path: Path) -> None:
    """SQLite alone would copy it in a later commit."""
    log = open_log(path)
    before = path.stat().st_size

    fill(log, 2)

    wait_until(lambda: path.stat().st_size > before + MIB // 4)
    assert log.head == 2_000


def test_the_write_ahead_log_begins_anew_although_commits_never_pause(open_log: OpenLog, path: Path) -> None:
    """Whoever copies the last pages: its size has a bound."""
    log = open_log(path)
    fill(log, 1)
    first = round_of(path)

    def begun_anew() -> bool:
        fill(log, 1)
        return round_of(path) != first

    wait_until(begun_anew, longest_poll=0.0)
    assert path.with_name("test.db-wal").stat().st_size < WAL_BOUND
    assert [record.offset for record in log.fetch("", log.head - 3).records] == [log.head - 2, log.head - 1, log.head]


def test_the_last_pages_are_copied_after_a_commit(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While commits go on, the thread never has all of the write-ahead log, so it could not begin anew."""
    monkeypatch.setattr(checkpoints, "MANY_PAGES", 10)
    log = open_log(path)

    def has_rest() -> bool:
        fill(log, 1)
        log._checkpoints.wait()
        return log._checkpoints._has_rest

    wait_until(has_rest)
    first = round_of(path)

    append(log, ("a.", "copies the rest"))
    append(log, ("a.", "begins anew"))

    assert round_of(path) != first


def test_much_is_never_copied_after_a_commit(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where commits are faster than the disk, the thread goes on with it the next time."""
    monkeypatch.setattr(checkpoints, "MANY_PAGES", 10)
    monkeypatch.setattr(checkpoints, "FEW_PAGES", -1)  # there is always more
    log = open_log(path)
    fill(log, 1)
    log._checkpoints.wait()
    log._checkpoints.hurry()  # however little was left
    log._checkpoints.wait()

    assert log._checkpoints._work, "it has begun"
    assert not log._checkpoints._has_rest


def test_what_waits_for_a_long_read_is_never_copied_by_a_commit(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup may have read for hours: the thread copies all of that, and only then the last pages are few."""
    monkeypatch.setattr(checkpoints, "MANY_PAGES", 10)
    monkeypatch.setattr(checkpoints, "FEW_PAGES", 100)
    log = open_log(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT max(offset) FROM log").fetchall()
        fill(log, 2)
        log._checkpoints.wait()
        log._checkpoints.hurry()
        log._checkpoints.wait()
        assert not log._checkpoints._has_rest

    log._checkpoints.hurry()
    log._checkpoints.wait()
    assert log._checkpoints._has_rest


def test_an_error_of_the_copy_costs_nothing(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed is in the write-ahead log, and the next time copies it."""
    log = open_log(path)
    monkeypatch.setattr(checkpoints, "COPY", "no statement: an error")
    fill(log, 2)
    log._checkpoints.wait()
    size = path.stat().st_size
    monkeypatch.undo()

    def is_copied() -> bool:
        fill(log, 1)
        return path.stat().st_size > size + MIB // 4

    wait_until(is_copied)


@pytest.mark.fault(item="F161")
def test_commits_go_on_where_the_system_allows_no_further_thread(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit fails for it, after it is on disk; as soon as there is a thread, it copies."""
    log = open_log(path)
    before = path.stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refused)
        fill(log, 2)
        assert path.stat().st_size < before + MIB // 4

    assert log.head == 2_000
    fill(log, 1)
    wait_until(lambda: path.stat().st_size > before + MIB // 4)


def refused(_thread: Thread) -> None:
    """Start no thread."""
    raise RuntimeError("can't start new thread")


def test_a_closed_log_has_no_thread_and_no_write_ahead_log(open_log: OpenLog, path: Path) -> None:
    """Also if it is closed in the midst of a copy."""
    log = open_log(path)
    fill(log, 2)
    log.close()

    assert not path.with_name("test.db-wal").exists()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        log._checkpoints.go_on()
