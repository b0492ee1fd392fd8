"""Rows of state that fail their checksum: set aside when a store is opened, so that each costs itself alone."""

import logging
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from bus.eventlog import row_checksums, sql
from bus.eventlog.errors import LogError
from bus.eventlog.row_checksums import Table, Value
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("bus.eventlog", "damage.sql")
DERIVED: Final = {"latest"}  # from the records, so that it can be made anew
# What the integrity check says of indexes and of rows, and not of the pages of the table.
OF_INDEXES: Final = re.compile(r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index")
_OF_ROWS: Final = re.compile(
    rf"{OF_INDEXES.pattern}|row not in PRIMARY KEY order|CHECK constraint failed|(NULL|NUMERIC|TEXT|non-\w+) value in"
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
logger = logging.getLogger(__name__)


class DamagedRow(NamedTuple):
    """A row that was set aside; any of its values may be wrong, missing, or of another type."""

    number: int
    table: str
    values: dict[str, Any]  # by column, without the checksum; text that is no UTF-8 comes as bytes


def set_aside(db: sqlite3.Connection, store: str, name: str) -> int:
    """Check a table, move its damaged rows to `damaged_rows`, in the caller's transaction; return how many there were.

    Damaged indexes are made anew.

    Raises:
        LogError: pages of the table are damaged, so that rows may be missing without a trace.
    """
    table = row_checksums.describe(db, name)
    problems = _problems(db, name)
    if any(_of_pages(problems)):
        logger.error("%s: %s; its indexes are made anew", name, problems[0])
        _renew_indexes(db, name)
        problems = _problems(db, name)
        if any(_of_pages(problems)) and name in DERIVED:
            return _renew_table(db, store, name)
        if found := [*_of_pages(problems), *_of_pages(_problems(db))]:  # what was dropped may have had others' pages
            raise LogError(f"the table {name} is damaged: {found[0]}")
    damaged = [values for values, intact in row_checksums.rows(db, table) if not intact] if table else []
    if table and (damaged or problems):
        if wrong := wrong_across_tables(db):  # writing it again would free pages of others
            raise LogError(f"the table {name} is damaged: {wrong}")
        if problems:
            logger.error("%s: %s; the table and its indexes are written again", name, problems[0])
        for values in damaged:
            _note(db, store, table, values)
        _rebuild(db, table)
        problems = _problems(db, name)
    if problems:
        raise LogError(f"the table {name} is damaged: {problems[0]}")
    return len(damaged)


def wrong_across_tables(db: sqlite3.Connection) -> str | None:
    """Return what is wrong with the pages of a file, but with those of no table alone; None if nothing is.

    A page that belongs to two tables, or to none, means that rows of one may be missing, and nothing else shows it.
    """
    found = list(_of_pages(_problems(db)))
    names = [name for (name,) in db.execute(SQL["select_tables"])] if found else []
    alone = any(any(_of_pages(_problems(db, name))) for name in names)
    return found[0] if found and not alone else None


def wrong_in(db: sqlite3.Connection) -> str | None:
    """Return what SQLite finds wrong with a file, in any of its pages; None if nothing is."""
    return next(iter(_problems(db)), None)


def waiting(db: sqlite3.Connection, store: str | None) -> list[DamagedRow]:
    """Return the rows of a store (None: of all) that were set aside and not repaired yet, oldest first."""
    found = db.execute(SQL["select_waiting"], {"store": store})
    return [DamagedRow(number, name, _values(row)) for number, name, row in found]


def mark_repaired(db: sqlite3.Connection | Transaction, rows: Iterable[DamagedRow]) -> None:
    """Note, in the caller's transaction, that rows are repaired or no longer needed."""
    db.executemany(SQL["set_repaired"], [(time.time(), row.number) for row in rows])


def _problems(db: sqlite3.Connection, name: str = "") -> list[str]:
    """Return what SQLite finds wrong with a table and its indexes, or with the whole file, one line each."""
    try:
        found = db.execute(f'PRAGMA integrity_check("{name}")' if name else "PRAGMA integrity_check").fetchall()
    except sqlite3.OperationalError:
        raise  # the disk fails
    except sqlite3.DatabaseError as error:
        return [str(error)]
    lines = [line for (text,) in found for line in text.splitlines() if not line.startswith("***")]
    return [] if lines == ["ok"] else lines


def _of_pages(problems: list[str]) -> Iterator[str]:
    """Yield those that are about pages."""
    return (problem for problem in problems if not _OF_ROWS.match(problem))


def _renew_table(db: sqlite3.Connection, store: str, name: str) -> int:
    """Make a table anew, empty; the log will find out what stood there."""
    (statement,) = db.execute(SQL["select_table"], (name,)).fetchone()
    db.execute(f'DROP TABLE "{name}"')
    db.execute(statement)
    if found := list(_of_pages(_problems(db))):
        raise LogError(f"the table {name} is damaged: {found[0]}")
    db.execute(SQL["insert"], (store, name, "", _encode({}), time.time()))
    logger.error("the table %s is damaged; it is made anew from the log", name)
    return 1


def _renew_indexes(db: sqlite3.Connection, name: str) -> None:
    """Make the indexes of a table anew, and not the table: REINDEX alone would write a table WITHOUT ROWID again."""
    indexes = db.execute(SQL["select_indexes"], (name,)).fetchall()
    for index, _ in indexes:
        db.execute(f'DROP INDEX "{index}"')
    if db.execute(SQL["has_rowid"], (name,)).fetchone():
        db.execute(f'REINDEX "{name}"')  # those of UNIQUE
    for _, statement in indexes:
        db.execute(statement)


def key_of(table: Table, values: tuple[Value, ...]) -> str:
    """Return what names a row, to be printed."""
    row = _named(table, values)
    return ", ".join(f"{row.get(column)!r:.80}" for column in table.key)


def _named(table: Table, values: tuple[Value, ...]) -> dict[str, Value]:
    return {column: _plain(value) for column, value in zip(table.columns, values, strict=False)}


def _note(db: sqlite3.Connection, store: str, table: Table, values: tuple[Value, ...]) -> None:
    """Keep a damaged row, and log its key."""
    row, key = _named(table, values), key_of(table, values)
    logger.error("a row of the table %s fails its checksum and is set aside: %s", table.name, key)
    db.execute(SQL["insert"], (store, table.name, key, _encode(row), time.time()))


def _rebuild(db: sqlite3.Connection, table: Table) -> None:
    """Empty a table and write its intact rows again: a damaged key may stand where no search would find it."""
    columns = ", ".join(f'"{column}"' for column in (*table.columns, "crc"))
    db.execute(SQL["create_intact"].replace("COLUMNS", columns))
    marks = ", ".join("?" * (len(table.columns) + 1))
    intact = (values for values, good in row_checksums.rows(db, table) if good)
    db.executemany(f"INSERT INTO intact VALUES ({marks})", intact)  # noqa: S608 - as many marks as there are columns
    db.execute(f'DELETE FROM "{table.name}"')  # noqa: S608 - a name of our own, as below
    db.execute(f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM intact')  # noqa: S608
    db.execute("DROP TABLE intact")


def _plain(value: Value) -> Value:
    """Return a value that msgpack can write: text that is no UTF-8 as bytes."""
    if isinstance(value, str) and not value.isascii():
        raw = value.encode("utf-8", "surrogateescape")
        with suppress(UnicodeDecodeError):
            return raw.decode()
        return raw
    return value


def _values(row: bytes) -> dict[str, Any]:
    """Return the values of a row that was set aside; none if what was kept of it is damaged, too."""
    try:
        found = _decode(row)
    except (msgspec.DecodeError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
