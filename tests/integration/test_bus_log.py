"""The log on disk: what is written together, what is refused, and who may open it."""

import contextlib
import gc
import sqlite3
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.config.limits import Limits
from bus.eventlog.errors import BodyTooLargeError, LogError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.frames import Record
from tests.support.helpers import job
from tests.support.log_files import fill, offsets, remove_oldest

OpenLog = Callable[..., Log]
STATE = "CREATE TABLE state (value INTEGER NOT NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


def test_state_and_messages_commit_together(open_log: OpenLog, path: Path) -> None:
    """What a transaction writes and what it publishes are both there after reopening."""
    log = open_log(path)
    log.create_tables("test", {"schema": STATE})
    with log.transaction() as tx:
        tx.execute("INSERT INTO state VALUES (?)", (1,))
        tx.executemany("INSERT INTO state VALUES (?)", [(2,), (3,)])
        tx.append("a.", job("j1"))
        tx.append("b.", job("j2"))
    log.close()

    log = open_log(path)

    assert log.query("SELECT value FROM state") == [(1,), (2,), (3,)]
    assert [(record.offset, record.topic) for record in log.fetch("", 0).records] == [(1, "a."), (2, "b.")]


def test_a_rolled_back_transaction_leaves_no_message_and_no_hole(open_log: OpenLog, path: Path) -> None:
    """An exception undoes state and messages, tells nobody, and the next message gets the next offset."""
    log = open_log(path)
    log.create_tables("test", {"schema": STATE})
    committed: list[Record] = []
    log.on_commit(committed.extend)
    fill(log, 1)

    def fail() -> None:
        with log.transaction() as tx:
            tx.execute("INSERT INTO state VALUES (1)")
            tx.append("a.", job("lost"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    fill(log, 1, "b.")

    assert log.query("SELECT count(*) FROM state") == [(0,)]
    assert offsets(log) == [1, 2]
    assert [record.offset for record in committed] == [1, 2]
    assert log.head == 2


def test_a_statement_that_fails_rolls_all_back(open_log: OpenLog, path: Path) -> None:
    """A broken constraint undoes the transaction, and the log goes on."""
    log = open_log(path)
    log.create_tables("test", {"schema": STATE})

    def fail() -> None:
        with log.transaction() as tx:
            tx.append("a.", job("lost"))
            tx.execute("INSERT INTO state VALUES (NULL)")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    fill(log, 1)

    assert offsets(log) == [1]


def test_records_are_announced_after_their_commit_and_in_order(open_log: OpenLog, path: Path) -> None:
    """Whoever registers sees each record once, and it is in the log already."""
    log = open_log(path)
    seen: list[int] = []

    def committed(records: list[Record]) -> None:
        assert log.fetch("", records[0].offset - 1).records == records
        seen.extend(record.offset for record in records)

    log.on_commit(committed)
    fill(log, 3)
    with log.transaction():
        pass
    fill(log, 2)

    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.fault(item="F37")
def test_offsets_are_never_given_out_again(open_log: OpenLog, path: Path) -> None:
    """Also after retention has emptied the log and it was reopened, offsets go on."""
    log = open_log(path)
    fill(log, 3)
    remove_oldest(log, 3)
    assert (log.first, log.head) == (4, 3)
    log.close()

    log = open_log(path)
    assert (log.first, log.head) == (4, 3)
    fill(log, 1)

    assert offsets(log) == [4]
    assert (log.first, log.head) == (4, 4)


@pytest.mark.fault(item="F22")
def test_a_second_opening_is_refused_while_the_first_lasts(open_log: OpenLog, path: Path) -> None:
    """One log has one writer; afterwards the next may open it."""
    log = open_log(path)
    with pytest.raises(LogError, match="in use by process"):
        open_log(path)
    fill(log, 1)
    log.close()

    assert open_log(path).head == 1


def test_a_folder_that_cannot_be_made_is_a_log_error(open_log: OpenLog, tmp_path: Path) -> None:
    """The error says where it wanted to write."""
    (tmp_path / "file").touch()

    with pytest.raises(LogError, match="cannot write to"):
        open_log(tmp_path / "file" / "test.sqlite")


@pytest.mark.fault(item="F42")
def test_a_body_over_the_limit_is_refused_and_the_transaction_can_go_on(open_log: OpenLog, path: Path) -> None:
    """The caller can publish something smaller instead."""
    log = open_log(path, limits=Limits(body_bytes=200))

    with log.transaction() as tx:
        with pytest.raises(BodyTooLargeError, match="the limit is 200"):
            tx.append("a.", job("x" * 200))
        tx.append("a.", job("small"))

    assert offsets(log) == [1]


def test_tables_of_a_store_are_made_once_and_their_version_is_kept(open_log: OpenLog, path: Path) -> None:
    """Those of a newer program are refused instead of misread."""
    log = open_log(path)
    log.create_tables("test", {"schema": STATE, "migration_2": "SELECT 1;"})
    log.create_tables("test", {"schema": STATE, "migration_2": "SELECT 1;"})

    with pytest.raises(LogError, match="has version 2 of the test tables, this program knows 1: a newer program wrote"):
        log.create_tables("test", {"schema": STATE})


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
def test_durability_is_what_was_asked_for(open_log: OpenLog, path: Path, durability: str, level: int) -> None:
    """`normal` commits survive the process, `full` ones a power cut, and `sync` makes one transaction full."""
    log = open_log(path, durability=durability)

    def synchronous(*, sync: bool) -> int:
        with log.transaction(sync=sync):
            found: int = log.query("PRAGMA synchronous")[0][0]
            return found

    assert [synchronous(sync=False), synchronous(sync=True), synchronous(sync=False)] == [level, 2, level]


class Writer:
    """Writes at the end of a transaction: they refer to each other."""

    def __init__(self, tx: Transaction) -> None:
        """Register with it."""
        self.tx = tx
        tx.before_commit(self.write)
        tx.after_commit(self.write)

    def write(self) -> None:
        """Write nothing."""


@pytest.mark.fault(item="F69")
@pytest.mark.parametrize("fails", [False, True])
def test_a_transaction_that_is_over_keeps_nothing_in_memory(open_log: OpenLog, path: Path, *, fails: bool) -> None:
    """Its messages would wait for the garbage collector, which counts objects and not what they hold."""
    log = open_log(path)
    gc.disable()
    try:
        with contextlib.suppress(ZeroDivisionError), log.transaction() as tx:
            writer = weakref.ref(Writer(tx))
            tx.append("a.", job("j1"))
            if fails:
                raise ZeroDivisionError
        del tx

        assert writer() is None
    finally:
        gc.enable()
