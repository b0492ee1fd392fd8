"""Checksums of the rows of state tables: SQLite does not notice a flipped bit in a stored value.

A table is checked if it has a column `crc`: the CRC-32 of its name and of all its other columns, in their order.
Triggers write it, so that no statement can forget it. They are temporary, because only a connection of this program has
the function. They cost time, so there are none where all statements that write a table do it themselves.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

Value = int | float | str | bytes | None
Row = tuple[Value, ...]
RECORDS: Final = {"log", "kept"}  # whose rows have the checksum of their record (see pages.py)
_encode = msgspec.msgpack.Encoder().encode


class Table(NamedTuple):
    """A checked table."""

    name: str
    columns: tuple[str, ...]  # but for crc
    key: tuple[str, ...]  # what names a row


def row_crc(*values: Value) -> int:
    """Return the CRC-32 of the name of a table and the values of a row; also a function in SQL.

    The values have to be those that SQLite stores: in a REAL column 5 becomes 5.0, and -0.0 becomes 0.0. Triggers see
    them so; a statement writes `?1 + 0.0` for such a column.
    """
    return crc32(_encode(values))


def checked(name: str, rows: Iterable[tuple[Value, ...]]) -> list[tuple[Value, ...]]:
    """Return rows of a table, each with its checksum last: for frequent statements, as a function in SQL costs more.

    The values are all columns in their order. A float must not be -0.0 or not a number.
    """
    return [(*row, crc32(_encode((name, *row)))) for row in rows]


def register(db: sqlite3.Connection) -> None:
    """Give a connection the function `row_crc`."""
    db.create_function("row_crc", -1, row_crc, deterministic=True)


def describe(db: sqlite3.Connection, name: str) -> Table | None:
    """Return a table as it is in the file; None if it is not checked."""
    columns = db.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    names = tuple(column for column, _ in columns)
    if "crc" not in names or name in RECORDS:
        return None
    key = sorted((place, column) for column, place in columns if place)
    return Table(name, tuple(one for one in names if one != "crc"), tuple(column for _, column in key) or ("rowid",))


def needs_triggers(name: str, statements: Iterable[str]) -> bool:
    """Return whether some of a store's statements that write a table forget the checksum, or none of them writes it."""
    writes = re.compile(rf"\b(INTO|UPDATE) {name}\b")
    found = [text for text in statements if writes.search(text)]
    forgets = any(
        ("SET" in text and "crc =" not in text) or ("INSERT" in text and "crc)" not in text) for text in found
    )
    return forgets or not found


def add_triggers(db: sqlite3.Connection, table: Table) -> None:
    """Let each row be given its checksum whenever a statement has not done so."""
    same = " AND ".join(f"{column} = NEW.{column}" for column in map(_quoted, table.key))
    update = f'BEGIN UPDATE "{table.name}" SET crc = {crc_of(table, "NEW.")} WHERE {same}; END'  # noqa: S608 - our names
    for name, event, unset in (
        ("inserted", "INSERT", "NEW.crc IS NULL"),
        ("updated", "UPDATE", "NEW.crc IS OLD.crc"),
    ):
        trigger = f'"{table.name}_{name}" AFTER {event} ON main."{table.name}" WHEN {unset}'
        db.execute(f"CREATE TEMP TRIGGER IF NOT EXISTS {trigger} {update}")


def renew(db: sqlite3.Connection, table: Table) -> None:
    """Compute the checksums of all rows, in the caller's transaction: the columns have changed."""
    db.execute(f'UPDATE "{table.name}" SET crc = {crc_of(table)}')  # noqa: S608 - a name of our own


def crc_of(table: Table, prefix: str = "") -> str:
    """Return the SQL of a row's checksum; `prefix` is what stands before each column."""
    return f"row_crc('{table.name}', {_list(table.columns, prefix)})"


def rows(db: sqlite3.Connection, table: Table) -> Iterator[tuple[tuple[Value, ...], bool]]:
    """Yield the values of each row with its crc last, and whether that is right.

    Text that is no UTF-8 comes with surrogates.
    """
    with _any_text(db):
        cursor = db.execute(f'SELECT {_list(table.columns)}, crc FROM "{table.name}"')  # noqa: S608 - names of our own
        for row in cursor:
            yield row, _is_intact(table.name, row)


def _is_intact(name: str, row: tuple[Value, ...]) -> bool:
    try:
        return row_crc(name, *row[:-1]) == row[-1]
    except UnicodeEncodeError:
        return False


@contextmanager
def _any_text(db: sqlite3.Connection) -> Iterator[None]:
    """Let text be read that is no UTF-8."""
    before, db.text_factory = db.text_factory, partial(str, encoding="utf-8", errors="surrogateescape")
    try:
        yield
    finally:
        db.text_factory = before


def _list(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{_quoted(column)}" for column in columns)


def _quoted(column: str) -> str:
    return column if column == "rowid" else f'"{column}"'
