"""One transaction of a log, for the service that owns it."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw, Struct

from bus.eventlog.errors import BodyTooLargeError
from bus.eventlog.inserting import insert_rows
from bus.protocol import topics
from bus.protocol.frames import encode


class Transaction:
    """State and messages that become durable together, or not at all."""

    def __init__(self, db: sqlite3.Connection, body_limit: int) -> None:
        """Made by `Log.transaction`."""
        self._db = db
        self._body_limit = body_limit
        self.appended: list[tuple[str, int, Raw]] = []
        self.forgotten = ""  # a prefix of topics; see `Log.forget`
        self.committing: list[Callable[[], None]] = []  # callbacks of `before_commit`
        self.committed: list[Callable[[], None]] = []  # callbacks of `after_commit`

    def execute(self, statement: str, params: Any = ()) -> sqlite3.Cursor:
        """Run one statement of the service's own tables."""
        return self._db.execute(statement, params)

    def executemany(self, statement: str, rows: Any) -> None:
        """Run one statement for many rows."""
        self._db.executemany(statement, rows)

    def insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run an INSERT of one row, `VALUES (?, ?)`, for many rows: faster than `executemany`."""
        insert_rows(self._db, statement, rows)

    def before_commit(self, callback: Callable[[], None]) -> None:
        """Call back at the end of the block, within this transaction; an exception rolls it back."""
        self.committing.append(callback)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once this transaction is on disk and its messages are sent; not at all if it fails."""
        self.committed.append(callback)

    def release(self) -> None:
        """Forget the callbacks: those who made them refer to this transaction, and a cycle would keep all messages."""
        self.committing.clear()
        self.committed.clear()

    def append(self, topic: str, message: Struct) -> None:
        """Publish a message when this transaction commits.

        Raises:
            BodyTooLargeError: the encoded message is over the limit; the transaction can go on without it.
            TopicError: the topic breaks the rules.
        """
        topics.check(topic)
        body = encode(message)
        if len(body) > self._body_limit:
            raise BodyTooLargeError(f"message of {len(body)} bytes on {topic}: the limit is {self._body_limit}")
        self.appended.append((topic, time.time_ns(), Raw(body)))
