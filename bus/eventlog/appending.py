"""Appends records to the table of a log."""

import sqlite3
from typing import Final

from msgspec import Raw

from bus.eventlog import sql
from bus.eventlog.inserting import insert_rows
from bus.eventlog.pages import checksum
from bus.eventlog.reader import Reader, is_damage
from bus.protocol.frames import Record

SQL: Final = sql.load("bus.eventlog", "appending.sql")
NEIGHBOURS: Final = 8  # newest records that one more must leave as they are
TRIAL: Final = bytes(64)


def append(db: sqlite3.Connection, head: int, messages: list[tuple[str, int, Raw]]) -> list[Record]:
    """Give topics, times and bodies the offsets behind `head`, and write them in the caller's transaction."""
    if not messages:
        return []
    records = [Record(head + n, *message) for n, message in enumerate(messages, 1)]
    rows = [
        (one.offset, one.topic, one.time_ns, one.body, checksum(one.offset, one.topic.encode(), one.time_ns, one.body))
        for one in records
    ]
    insert_rows(db, SQL["insert"], rows)
    return records


def can_append(db: sqlite3.Connection, reader: Reader, head: int) -> bool:
    """Return whether a record can be appended without harm to those before: their page may be damaged.

    One is appended, read with its neighbours, and taken back.
    """
    before = _sound(reader, head - NEIGHBOURS, head)
    db.execute("BEGIN IMMEDIATE")
    try:
        append(db, head, [("", 0, Raw(TRIAL))])
        return _sound(reader, head - NEIGHBOURS, head + 1) == [*before, head + 1]
    except sqlite3.DatabaseError as error:
        if not (is_damage(error) or isinstance(error, sqlite3.IntegrityError)):
            raise
        return False
    finally:
        if db.in_transaction:  # SQLite may have rolled back by itself
            db.execute("ROLLBACK")


def _sound(reader: Reader, after: int, until: int) -> list[int]:
    return [offset for offset in range(max(after, 0) + 1, until + 1) if reader.row(offset)]
