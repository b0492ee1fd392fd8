"""The copy of a log for a backup: of one moment, whatever is written meanwhile, and it begins a new epoch."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from bus.eventlog import backups, verification
from bus.eventlog.backups import back_up
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log

pytestmark = pytest.mark.fault(item="F118")
ITEMS = {"schema": "CREATE TABLE items (number INTEGER PRIMARY KEY, crc INTEGER);"}


class Note(Struct):
    """A message."""

    number: int
    padding: str = ""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write state and messages in another thread, a row and a message in each transaction."""
    ready, stop = threading.Event(), threading.Event()

    def write() -> None:
        log = Log(path)
        log.create_tables("items", ITEMS)
        number = 0
        while not stop.is_set():
            with log.transaction() as tx:
                tx.execute("INSERT INTO items (number) VALUES (?)", (number,))
                tx.append("a.", Note(number=number, padding="x" * 2000))
            number += 1
            if number == 200:
                ready.set()
        log.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_copy_under_load_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row has its message, whenever the copy was made, also if it is made in many steps; verify finds nothing."""
    monkeypatch.setattr(backups, "PAGES_AT_ONCE", 8)
    path = tmp_path / "log.db"
    with writing(path):
        for number in range(5):
            copy = tmp_path / str(number) / "log.db"
            copy.parent.mkdir()
            snapshot = back_up(path, copy)
            with verification.opened(copy) as db:
                assert list(verification.verify(db, copy, {"items": ITEMS})) == []
                assert db.execute("SELECT count(*) FROM items").fetchone() == (snapshot.head,)
                assert db.execute('SELECT max("offset") FROM log').fetchone() == (snapshot.head,)
            assert snapshot.tables.keys() == {"log", "items"}
            assert [one.name for one in copy.parent.iterdir() if one.suffix != ".lock"] == ["log.db"]


def test_a_log_from_a_copy_begins_a_new_epoch(tmp_path: Path) -> None:
    """Also on the same boot, and whether it was closed in good order or not: others were told more since."""
    path = tmp_path / "log.db"
    log = Log(path)
    with log.transaction() as tx:
        tx.append("a.", Note(number=1))
    epoch, copies = log.epoch, [tmp_path / "running" / "log.db", tmp_path / "closed" / "log.db"]
    copies[0].parent.mkdir()
    assert back_up(path, copies[0])[:2] == (epoch, 1)
    log.close()
    copies[1].parent.mkdir()
    back_up(path, copies[1])
    for copy in copies:
        restored = Log(copy)
        assert restored.head == 1
        assert restored.epochs == [(epoch, 0), (restored.epoch, 1)]
        restored.close()
    again = Log(path)
    assert again.epoch == epoch  # the copied one is as it was
    again.close()


def test_an_empty_log_can_be_copied(tmp_path: Path) -> None:
    """There is no newest event yet."""
    log = Log(tmp_path / "log.db")
    assert back_up(log.path, tmp_path / "copy.db").head == 0
    log.close()


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    """The sentence names the file."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(LogError, match=r"other.db is no variantbus log"):
        back_up(path, tmp_path / "copy.db")
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(LogError, match=r"cannot open .*other.db"):
        back_up(path, tmp_path / "copy.db")


def test_a_copy_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The sentence names the copy, not the log."""
    log = Log(tmp_path / "log.db")
    (tmp_path / "copy.db").mkdir()
    with pytest.raises(LogError, match=r"copy.db cannot be written"):
        back_up(log.path, tmp_path / "copy.db")
    log.close()
