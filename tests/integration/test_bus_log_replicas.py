"""What a transaction has changed is passed on before its commit, and another file of the log becomes the same."""

from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from bus.eventlog.replicas import Entry, replay
from bus.eventlog.transaction import Transaction
from bus.protocol.frames import Record
from tests.support.helpers import job

TABLES = {"schema": "CREATE TABLE things (number INTEGER PRIMARY KEY AUTOINCREMENT, name ANY, crc INTEGER);"}
ADD = "INSERT INTO things (name) VALUES (?)"
ALL = "SELECT number, name, typeof(name), crc FROM things ORDER BY number"


class Name(StrEnum):
    """A text that is more than a text."""

    ONE = "one"


class Number(IntEnum):
    """A number that is more than a number."""

    SEVEN = 7


class RefusedError(Exception):
    """What the replicator of a test raises."""


class Copy:
    """Writes each entry into another file, as if it had travelled."""

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.log = Log(path)
        self.log.create_tables("things", TABLES)
        self.entries: list[Entry] = []
        self.commits = 0
        self.refuses = False
        self.beside: Callable[[Transaction], None] = lambda _: None

    def send(self, entry: Entry, tx: Transaction) -> None:
        """Take an entry, or refuse it."""
        if self.refuses:
            raise RefusedError
        self.beside(tx)
        self.entries.append(msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Entry))

    def committed(self) -> None:
        """Count commits."""
        self.commits += 1

    def apply(self) -> None:
        """Do what the entries say."""
        for entry in self.entries:
            while entry.forgotten and self.log.forget(entry.forgotten, 1):
                pass
            with self.log.transaction() as tx:
                replay(tx, entry, self.log.head)
        self.entries.clear()


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    """Return the copy of a log."""
    made = Copy(tmp_path / "copy.db")
    yield made
    made.log.close()


@pytest.fixture
def log(tmp_path: Path, copy: Copy) -> Any:
    """Return a log with a copy."""
    made = Log(tmp_path / "log.db")
    made.create_tables("things", TABLES)
    made.replicate(copy)
    yield made
    made.close()


def test_a_copy_has_the_same_rows_and_the_same_records(log: Log, copy: Copy) -> None:
    """Rows with their numbers and checksums, and records with their offsets and times, whatever values are given."""
    with log.transaction() as tx:
        tx.execute(ADD, (Name.ONE,))
        tx.execute("INSERT INTO things (name) VALUES (:name)", {"name": Number.SEVEN})
        tx.executemany(ADD, ((one,) for one in (0.5, -0.0, float("inf"), None, b"\0\xff", "é", 2**63 - 1, True)))
        tx.insert(ADD, [(Raw(b"\x01"),), *((bytearray([n]),) for n in range(40)), (memoryview(b"abc"),)])
        tx.append("a.b.", job("j1"))
        tx.append("a.c.", job("j2"))
    with suppress(ZeroDivisionError), log.transaction() as tx:
        tx.execute(ADD, ("never",))
        raise ZeroDivisionError
    with log.transaction() as tx:
        tx.execute("DELETE FROM things WHERE number = ?", (2,))
        assert tx.execute("UPDATE things SET name = 'new' WHERE number = 1 RETURNING number").fetchall() == [(1,)]
        tx.append("a.b.", job("j3"))
    published: list[Record] = []
    copy.log.on_commit(published.extend)
    copy.apply()

    assert copy.commits == 2
    assert copy.log.query(ALL) == log.query(ALL)
    assert copy.log.fetch("", 0).records == log.fetch("", 0).records == published
    assert [one.offset for one in published] == [1, 2, 3]


def test_what_changes_nothing_is_not_passed_on(log: Log, copy: Copy) -> None:
    """A transaction that only reads is no entry, nor is what the log does for itself."""
    with log.transaction() as tx:
        tx.execute(ALL)
        tx.executemany(ADD, [])
        tx.insert(ADD, [])
    log._write_index()
    assert not log.trim()

    assert copy.entries == []
    assert copy.commits == 0


def test_what_cannot_be_passed_on_is_not_committed(log: Log, copy: Copy) -> None:
    """Neither its rows nor its records are there, nothing is published, and no callback comes."""
    called: list[object] = []
    log.on_commit(called.append)
    copy.refuses = True
    with suppress(RefusedError), log.transaction() as tx:
        tx.execute(ADD, ("one",))
        tx.append("a.", job("j1"))
        tx.after_commit(lambda: called.append("committed"))
    copy.refuses = False

    assert log.query(ALL) == []
    assert (log.head, copy.commits, called) == (0, 0, [])
    with log.transaction() as tx:
        tx.execute(ADD, ("two",))
    assert log.query(ALL)[0][:2] == (1, "two")


def test_the_replicator_notes_in_the_same_transaction_what_it_has_sent(log: Log, copy: Copy) -> None:
    """What it writes is in the file with the transaction, and in no entry."""
    copy.beside = lambda tx: tx.executemany(ADD, [("sent",)])
    with log.transaction() as tx:
        tx.execute(ADD, ("one",))

    assert [row[1] for row in log.query(ALL)] == ["one", "sent"]
    assert [step.params for step in copy.entries[0].steps] == [["one"]]


def test_a_transaction_that_begins_after_a_commit_comes_after_it(log: Log, copy: Copy) -> None:
    """The replicator hears of a commit before anybody who may write next."""
    commits: list[int] = []

    def next_one() -> None:
        commits.append(copy.commits)
        with log.transaction() as tx:
            tx.execute(ADD, ("two",))

    with log.transaction() as tx:
        tx.execute(ADD, ("one",))
        tx.after_commit(next_one)
    copy.apply()

    assert commits == [1]
    assert copy.log.query(ALL) == log.query(ALL)


def test_topics_are_forgotten_in_the_copy_too(log: Log, copy: Copy) -> None:
    """However many there are, and however they were counted there."""
    with log.transaction() as tx:
        for number in range(5):
            tx.append(f"a.{number}.", job("j"))
        tx.append("b.", job("j"))
    copy.apply()
    assert len(copy.log.latest("", 10).records) == 6
    assert not log.forget("a.", 10)
    copy.apply()

    for one in (log, copy.log):
        assert [record.topic for record in one.latest("", 10).records] == ["b."]


def test_an_entry_of_another_state_is_refused(log: Log, copy: Copy) -> None:
    """Offsets have to be the same: an entry that was left out is noticed, and nothing of the next one is written."""
    for name in ("one", "two"):
        with log.transaction() as tx:
            tx.execute(ADD, (name,))
            tx.append("a.", job("j1"))
    del copy.entries[0]

    with pytest.raises(LogError, match="behind the offset 1, and the newest offset is 0"):
        copy.apply()
    assert copy.log.query(ALL) == []
