"""Errors of the database while a log is used: what may be gone soon, what ends the process, and what is a bug."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bus.eventlog import appending, reader
from bus.eventlog.errors import DiskError, LogError, StorageError
from bus.eventlog.log import Log
from tests.support.helpers import append
from tests.support.log_files import fill, tamper

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


def failure(code: int) -> sqlite3.Error:
    """Return an error as SQLite gives it."""
    error = sqlite3.OperationalError("some reason")
    error.sqlite_errorcode = code
    return error


class FailingDatabase:
    """A connection of which every statement fails."""

    def __init__(self, code: int) -> None:
        """Fail with this code."""
        self._code = code

    def execute(self, *_args: Any) -> NoReturn:
        """Fail."""
        raise failure(self._code)


@pytest.mark.fault(item="F55")
@pytest.mark.parametrize(
    ("code", "kind"), [(sqlite3.SQLITE_BUSY, StorageError), (sqlite3.SQLITE_IOERR_READ, DiskError)]
)
@pytest.mark.parametrize(
    "read",
    [
        lambda log: log.fetch("", 0),
        lambda log: log.latest("", 10),
        lambda log: log.query("SELECT 1"),
        lambda log: log.query_page("SELECT 1", (), 1),
        lambda log: log.examine(),
        lambda log: log.newest("a."),
    ],
    ids=["fetch", "latest", "query", "query_page", "examine", "newest"],
)
def test_an_error_while_reading_is_said_as_what_it_means(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Log], object], code: int, kind: type
) -> None:
    """Nobody may take it for an event that makes no sense, or for a record that is lost."""
    log = open_log(path)
    append(log, ("a.", 1))
    log.close()
    log = open_log(path)  # what is there at the start is examined
    with monkeypatch.context() as patch:
        for owner in (log, log._reader, log._index):
            patch.setattr(owner, "_db", FailingDatabase(code))
        with pytest.raises(kind, match=r"test\.db .*some reason"):
            read(log)

    assert [record.offset for record in log.fetch("", 0).records] == [1]
    assert log.damaged == 0


@pytest.mark.fault(item="F55")
def test_a_record_that_cannot_be_read_now_is_not_called_damaged(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and the next try reads it."""
    log = open_log(path)
    append(log, ("a.", 1))
    monkeypatch.setattr(log._reader, "_db", FailingDatabase(sqlite3.SQLITE_BUSY))

    with pytest.raises(StorageError):
        log.latest("", 10)


def test_a_statement_that_is_wrong_stays_a_bug(open_log: OpenLog, path: Path) -> None:
    """It is no fault of the disk, and to try it again does not help."""
    log = open_log(path)

    with pytest.raises(sqlite3.ProgrammingError):
        log.query("SELECT ?")
    with pytest.raises(sqlite3.ProgrammingError):
        log.query_page("SELECT ?", (), 1)


@pytest.mark.fault(item="F55")
def test_retention_that_meets_a_failing_disk_ends_the_process(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no damage that one could go around."""
    log = open_log(path)

    def fail(_head: int) -> NoReturn:
        raise failure(sqlite3.SQLITE_IOERR_READ)

    monkeypatch.setattr(log._trimmer, "cut", fail)

    with pytest.raises(DiskError):
        log.trim()


@pytest.mark.fault(item="F58")
def test_a_disk_that_is_full_when_the_log_is_opened_is_said_to_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that the log is damaged; also while a store opens its tables."""
    log = Log(path)

    def fail(*_args: object) -> NoReturn:
        raise failure(sqlite3.SQLITE_FULL)

    with monkeypatch.context() as patch:
        patch.setattr(log._tables, "open", fail)
        with pytest.raises(LogError, match="some reason; make room"):
            log.create_tables("store", {})
    log.close()
    with monkeypatch.context() as patch:
        patch.setattr(appending, "append", fail)
        with pytest.raises(LogError, match="some reason; make room"):
            Log(path)
    Log(path).close()


@pytest.mark.fault(item="F56")
def test_many_damaged_rows_are_looked_at_some_at_a_time(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows without end that fail their checksums do not keep others waiting."""
    monkeypatch.setattr(reader, "SINGLES", 5)
    log = open_log(path)
    fill(log, 30)
    log.close()
    tamper(path, 'UPDATE log SET crc = crc + 1 WHERE "offset" > 10')
    log = open_log(path)

    with caplog.at_level(logging.ERROR):
        pages = [log.fetch("", 0), log.fetch("", 15)]

    assert [(len(page.records), page.damaged) for page in pages] == [
        (10, [11, 12, 13, 14, 15]),
        (0, [16, 17, 18, 19, 20]),
    ]
    assert "5 records from 11 to 15 are damaged or missing" in caplog.text
