"""What takes room in a log's file: retention counts what it can remove, and freed space goes back to the disk."""

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.config.limits import Limits
from bus.eventlog import space, trimming
from bus.eventlog.log import Log
from tests.support.helpers import append, job, wait_until
from tests.support.log_files import checkpoint, offsets

OpenLog = Callable[..., Log]
STATE = {"schema": "CREATE TABLE things (name INTEGER PRIMARY KEY, body BLOB NOT NULL);"}
MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


def trim(log: Log) -> None:
    """Trim to the end."""
    while log.trim():
        pass


def add_state(log: Log, mib: int) -> None:
    """Write state of a size, some KiB a row."""
    log.create_tables("test", STATE)
    with log.transaction() as tx:
        tx.executemany("INSERT INTO things (body) VALUES (?)", ((os.urandom(1 << 12),) for _ in range(mib << 8)))


def add_events(log: Log, count: int, size: int = 1000) -> None:
    """Publish events of a size."""
    with log.transaction() as tx:
        for number in range(count):
            tx.append("a.", job(f"{number}{'x' * size}"))


def size_in(log: Log) -> int:
    """Return what the events take, added up anew."""
    ((size,),) = log.query("SELECT coalesce(sum(length(topic) + length(body)), 0) FROM log")
    return int(size)


@pytest.mark.fault(item="F81")
def test_a_large_state_costs_no_event_and_no_alarm(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be removed: the limit is for the events."""
    limits = Limits(retain_days=0, retain_bytes=MIB, retain_newest_events=10)
    log = open_log(path, limits=limits)
    add_state(log, 3)
    add_events(log, 500)

    for _ in range(3):
        trim(log)

    assert log.first == 1
    assert caplog.text == ""
    add_events(log, 1500)
    trim(log)
    assert MIB - 3 * 500 * 1200 < log.size == size_in(log) <= MIB
    assert 1 < log.first < log.head - 10
    assert log.query("SELECT count(*) FROM things") == [(3 << 8,)]
    assert caplog.text == ""


@pytest.mark.fault(item="F81")
def test_newest_events_that_are_too_large_are_said_once(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And once more when it was different in between."""
    log = open_log(path, limits=Limits(retain_bytes=100_000, retain_newest_events=100))
    add_events(log, 100, 2000)
    for _ in range(5):
        trim(log)
    assert caplog.text.count("raise that, or lower retain_newest_events") == 1
    assert log.first == 1

    add_events(log, 100, 1)
    trim(log)
    assert log.size < 100_000
    add_events(log, 100, 2000)
    trim(log)
    assert caplog.text.count("raise that, or lower retain_newest_events") == 2


def test_the_size_is_counted_in_steps_and_stays_right(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a start, while events come and go, and if retention by age removes what was not counted yet."""
    monkeypatch.setattr("bus.eventlog.retention.COUNTED", 100)
    monkeypatch.setattr(trimming, "TRIM_SECONDS", 0.0)
    log = open_log(path)
    add_events(log, 1000)
    assert log.size == 0
    assert log.trim()
    assert 0 < log.size < size_in(log)
    trim(log)
    assert log.size == size_in(log)

    log.close()
    log = open_log(path)
    log.trim()
    log._trimming.remove(50)
    log.trim()
    log._trimming.remove(700)
    assert log.size == 0
    add_events(log, 30)
    trim(log)
    assert log.size == size_in(log) > 0


def test_what_damage_hides_is_not_counted(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting goes on behind it, and so does retention; another error is told."""
    monkeypatch.setattr("bus.eventlog.retention.COUNTED", 100)
    log = open_log(path)
    add_events(log, 300)
    whole, sums = size_in(log), log._trimmer._size

    class Database:
        """Fails for one range, as SQLite does at a damaged page."""

        code = sqlite3.SQLITE_CORRUPT

        def execute(self, _statement: str, params: tuple[int, int]) -> sqlite3.Cursor:
            if params[0] == 100:
                error = sqlite3.DatabaseError("database disk image is malformed")
                error.sqlite_errorcode = self.code
                raise error
            return log._db.execute(_statement, params)

    monkeypatch.setattr(log._trimmer, "_db", Database())
    while log._trimmer.count(log.head):
        pass
    assert whole / 2 < log.size < whole
    Database.code = sqlite3.SQLITE_IOERR
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        sums(100, 200)


@pytest.mark.fault(item="F82")
@pytest.mark.parametrize("what", ["events", "state"])
def test_freed_space_goes_back_to_the_disk_in_small_steps(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever has freed it; what the next events need stays in the file."""
    log = open_log(path, limits=Limits(retain_bytes=MIB, retain_newest_events=10))
    if what == "events":
        add_events(log, 5_000)
    else:
        add_state(log, 6)
        with log.transaction() as tx:
            tx.execute("DELETE FROM things WHERE name > 10")
    checkpoint(log, "PASSIVE")
    assert path.stat().st_size > 5 * MIB
    monkeypatch.setattr(trimming, "TRIM_SECONDS", 0.0)  # one step at a time

    steps = 0
    before = log.space
    while log.trim():
        after = log.space
        assert before.free - after.free <= space.PAGES_AT_ONCE * 4096
        before, steps = after, steps + 1

    assert steps > 50
    assert log.space.free <= space.SPARE
    wait_until(lambda: not log.trim() and path.stat().st_size <= 4 * MIB, what="a smaller file")
    if what == "state":
        assert log.query("SELECT count(*), min(length(body)) FROM things") == [(10, 1 << 12)]


@pytest.mark.fault(item="F82")
def test_a_step_takes_no_longer_than_it_should(open_log: OpenLog, path: Path) -> None:
    """It looks at the time between pages."""
    log = open_log(path)
    add_state(log, 10)
    with log.transaction() as tx:
        tx.execute("DELETE FROM things")
    free = log.space.free
    with log.transaction():
        space.give_back(log._db, time.monotonic() - 1)
    assert 0 < free - log.space.free <= space.PAGES_AT_ONCE * 4096


def old_file(path: Path) -> None:
    """Make a log as earlier versions did, whose file cannot shrink."""
    log = Log(path)
    add_events(log, 300)
    add_state(log, 1)
    log.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
        assert not space.is_shrinkable(db)


@pytest.mark.fault(item="F82")
def test_a_file_that_cannot_shrink_is_written_again_once(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it is there, and an earlier try that was cut off has left nothing."""
    caplog.set_level(logging.INFO)
    old_file(path)
    left = path.with_name(f"{path.name}.compact")
    left.write_bytes(b"left by a crash")

    for _ in range(2):
        log = open_log(path)
        log.create_tables("test", STATE)
        assert space.is_shrinkable(log._db)
        assert offsets(log) == list(range(1, 301))
        assert log.query("SELECT count(*) FROM things") == [(1 << 8,)]
        log.close()

    assert caplog.text.count("is written again, so that freed space can be given back") == 1
    assert not left.exists()


@pytest.mark.fault(item="F82")
@pytest.mark.parametrize("fault", ["no room", "an error", "a damaged page"])
def test_where_it_cannot_be_written_again_it_goes_on_as_it_is(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Nothing is lost, and the next start tries again."""
    old_file(path)
    with monkeypatch.context() as broken:
        if fault == "no room":
            broken.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        elif fault == "an error":
            path.with_name(f"{path.name}.compact").symlink_to("/nowhere/at/all")
            broken.setattr(Path, "unlink", lambda *_, **__: None)
        else:
            broken.setattr("bus.eventlog.damage.wrong_in", lambda _: "row 3 missing from index")
        log = open_log(path)
        assert log._db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        append(log, ("a.", 1))
        trim(log)
        log.close()
    assert ("stays as large as it is" in caplog.text) == (fault != "a damaged page")
    path.with_name(f"{path.name}.compact").unlink(missing_ok=True)

    log = open_log(path)

    assert space.is_shrinkable(log._db)
    assert offsets(log) == list(range(1, 302))
