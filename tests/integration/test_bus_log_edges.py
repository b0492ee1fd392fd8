"""The log at its edges: no boot id, files that cannot be used, pages of a store, an index that is ahead."""

import logging
import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.config.limits import Limits
from bus.eventlog.errors import LogError
from bus.eventlog.files import boot_id, is_locked, take_lock
from bus.eventlog.log import Log
from bus.eventlog.points import log_points
from tests.support.helpers import append

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


def test_where_the_boot_is_not_known_every_opening_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; a new epoch is safe where an old one might not be."""

    def refuse(*_args: object, **_options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    one, other = boot_id.__wrapped__(), boot_id.__wrapped__()

    assert uuid.UUID(one) != uuid.UUID(other)


def test_a_head_file_that_cannot_be_opened_is_refused_and_the_lock_released(path: Path) -> None:
    """The sentence names the file; once the obstacle is gone, the log opens."""
    path.with_suffix(".head").mkdir()
    with pytest.raises(LogError, match=f"^cannot write to {path.with_suffix('.head')}: Is a directory$"):
        Log(path)

    path.with_suffix(".head").rmdir()
    Log(path).close()


def test_a_head_file_that_is_no_file_is_named(path: Path) -> None:
    """A pipe has no place to read from, and a device no end."""
    os.mkfifo(path.with_suffix(".head"))
    with pytest.raises(LogError, match=f"^cannot write to {path.with_suffix('.head')}: it is no regular file; move it"):
        Log(path)

    path.with_suffix(".head").unlink()
    Log(path).close()


@pytest.mark.parametrize(
    ("limit", "page_bytes", "count", "more"), [(9, 1 << 20, 4, False), (3, 1 << 20, 3, True), (9, 2048, 2, True)]
)
def test_a_page_of_a_table_ends_at_either_bound(
    open_log: OpenLog, path: Path, limit: int, page_bytes: int, count: int, *, more: bool
) -> None:
    """So many rows, or so many bytes in their last columns, and whether to ask again."""
    log = open_log(path, limits=Limits(page_bytes=page_bytes))
    log.create_tables("notes", {"schema": "CREATE TABLE note (number INTEGER, body BLOB)"})
    with log.transaction() as tx:
        tx.executemany("INSERT INTO note VALUES (?, ?)", [(number, bytes(1024)) for number in range(4)])

    rows, has_more = log.query_page("SELECT number, body FROM note WHERE number >= ?", (0,), limit)

    assert [number for number, _ in rows] == list(range(count))
    assert has_more is more


def test_a_topic_whose_newest_record_is_gone_is_named(open_log: OpenLog, path: Path) -> None:
    """Somebody deleted it by hand: it is missing, and the others are listed all the same."""
    log = open_log(path)
    append(log, ("a.", 1), ("b.", 2))
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM log WHERE topic = 'b.'")

    listing = log.latest("", 10)

    assert ([record.topic for record in listing.records], listing.next, listing.damaged) == (["a."], "", [2])


def test_metrics_say_why_events_were_removed(open_log: OpenLog, path: Path) -> None:
    """By age or by size."""
    log = open_log(path)
    log.removed["age"] += 3

    assert ("variantbus_log_removed_events_total", {"reason": "age"}, 3) in list(log_points(log))


def test_a_log_that_cannot_be_closed_cleanly_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was committed is safe all the same, and the file can be opened again."""
    log = Log(path)
    append(log, ("a.", 1))
    log._db.close()

    with caplog.at_level(logging.ERROR):
        log.close()

    assert f"{path} was not closed cleanly" in caplog.text
    with_it = Log(path)
    assert [record.topic for record in with_it.fetch("", 0).records] == ["a."]
    with_it.close()


@pytest.mark.fault(item="F50")
def test_a_process_that_has_not_opened_a_log_does_not_close_it(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a forked child of the one that did, which goes on."""
    log = open_log(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 0)
        log.close()

    append(log, ("a.", 1))
    assert log.query("SELECT clean FROM closing") == [(0,)]


def test_a_lock_is_held_as_long_as_its_process_has_it(tmp_path: Path) -> None:
    """And a file that is not there, or was left by a process that has ended, holds nothing."""
    path = tmp_path / "some.lock"
    assert not is_locked(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    assert not is_locked(path)

    take_lock(descriptor)
    assert is_locked(path)
    os.close(descriptor)

    assert not is_locked(path)
