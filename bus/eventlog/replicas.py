"""What a transaction has changed, as an entry from which another file of the same log does the same.

A log that has a replicator passes it an entry just before each COMMIT; without one, nothing is recorded. What a log
writes for itself is in no entry: each file has its own index of newest records, retention and epochs. That the newest
records of some topics were forgotten is: that is what the service wants.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

from msgspec import Raw, Struct

from bus.eventlog.errors import LogError
from bus.eventlog.transaction import Transaction

Way = Literal["one", "many", "insert"]
PLAIN: Final = frozenset({int, float, str, bytes, bool, type(None)})


class Step(Struct, frozen=True, array_like=True, gc=False):
    """A statement that was run: once with `params`, or for each row that they are."""

    way: Way
    statement: str
    params: Any


class Entry(Struct, frozen=True, array_like=True, tag="transaction", gc=False):
    """All that one transaction has changed, behind the newest offset `head`."""

    head: int
    steps: Sequence[Step]
    messages: Sequence[tuple[str, int, Raw]]  # topic, time and body
    forgotten: str = ""  # `latest` no longer returns topics that begin so


class Replicator(Protocol):
    """Takes the entries of a log, in order."""

    def send(self, entry: Entry, tx: Transaction) -> None:
        """Make an entry safe, or raise, which rolls the transaction back; `tx` can note with it that it was sent."""

    def committed(self) -> None:
        """Note that the entry sent last is in the file, too."""


class Recorder(Transaction):
    """A transaction that remembers what it was told to do."""

    def __init__(self, replicator: Replicator, db: sqlite3.Connection, body_limit: int) -> None:
        """Made by `Log.transaction` once there is a replicator."""
        super().__init__(db, body_limit)
        self._replicator = replicator
        self._steps: list[Step] = []

    def execute(self, statement: str, params: Any = ()) -> sqlite3.Cursor:
        """Run one statement; one that only reads is not recorded."""
        cursor = super().execute(statement, params)
        if cursor.description is None or "RETURNING" in statement:
            self._steps.append(Step("one", statement, _plain(params)))
        return cursor

    def executemany(self, statement: str, rows: Any) -> None:
        """Run one statement for many rows."""
        self._many("many", statement, list(rows))

    def insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run an INSERT for many rows."""
        self._many("insert", statement, rows)

    def pass_on(self, head: int) -> None:
        """Pass on what was done, at the end of the transaction; nothing if nothing was."""
        if self._steps or self.appended or self.forgotten:
            entry = Entry(head, self._steps, self.appended, self.forgotten)
            self._replicator.send(entry, Transaction(self._db, self._body_limit))
            self.committed.insert(0, self._replicator.committed)  # first of all: others may begin the next transaction

    def _many(self, way: Way, statement: str, rows: Sequence[Any]) -> None:
        if rows:
            run_many(self, way, statement, rows)
            self._steps.append(Step(way, statement, [_plain(row) for row in rows]))


def run_many(tx: Transaction, way: Way, statement: str, rows: Sequence[Any]) -> None:
    """Run a statement for many rows in one of two ways."""
    if way == "insert":
        Transaction.insert(tx, statement, rows)
    else:
        Transaction.executemany(tx, statement, rows)


def replay(tx: Transaction, entry: Entry, head: int) -> None:
    """Do what an entry says in a transaction of a log whose newest offset is `head`; `forgotten` is left to others.

    Raises:
        LogError: the file is not as that of the entry was.
    """
    if entry.head != head:
        raise LogError(f"the next entry is behind the offset {entry.head}, and the newest offset is {head}")
    for way, statement, params in ((step.way, step.statement, step.params) for step in entry.steps):
        if way == "one":
            tx.execute(statement, params)
        else:
            run_many(tx, way, statement, params)
    tx.appended.extend(entry.messages)


def _plain(params: Any) -> Any:
    """Return parameters as values that can be encoded: what SQLite makes of each."""
    if isinstance(params, dict):
        return {name: value if type(value) in PLAIN else _value(value) for name, value in params.items()}
    return [value if type(value) in PLAIN else _value(value) for value in params]


def _value(value: Any) -> Any:
    for kind in (int, float, str):
        if isinstance(value, kind):
            return getattr(kind, "__str__" if kind is str else f"__{kind.__name__}__")(value)
    return bytes(memoryview(value))
