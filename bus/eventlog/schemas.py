"""The schema of a store as this program knows it, and whether a file still has it."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from typing import Final

OBJECTS: Final = "SELECT name, type, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_MIGRATION: Final = re.compile(r"migration_([0-9]+)")
_DROPPED: Final = re.compile(r"\bDROP TABLE (\w+)")
_COMMENT: Final = re.compile(r"--[^\n]*")
_SPACE: Final = re.compile(r"\s*([(),])\s*|\s+")
Objects = dict[str, tuple[str, str, str]]  # name → type, table, SQL without comments and needless spaces


def version_of(statements: Mapping[str, str]) -> int:
    """Return the version of a store's schema: that of its last migration, 1 if it has none."""
    return max((int(found[1]) for name in statements if (found := _MIGRATION.fullmatch(name))), default=1)


def without(statements: Mapping[str, str]) -> list[str]:
    """Return the statements of a store that are no part of its schema."""
    return [text for name, text in statements.items() if name != "schema" and not _MIGRATION.fullmatch(name)]


def split(script: str) -> Iterator[str]:
    """Yield the statements of a script: Python's `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


@cache
def objects_of(script: str) -> Objects:
    """Return the tables and indexes that a script creates."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        return objects_in(db)


def objects_in(db: sqlite3.Connection) -> Objects:
    """Return the tables and indexes of a database."""
    return {name: (kind, table, _plain(text)) for name, kind, table, text in db.execute(OBJECTS)}


def tables_of(script: str) -> list[str]:
    """Return the tables that a script creates."""
    return [name for name, (kind, _, _) in objects_of(script).items() if kind == "table"]


def dropped_by(statements: Mapping[str, str]) -> list[str]:
    """Return the tables that migrations of a store remove: an older file may still have them."""
    return [
        table for name, text in statements.items() if _MIGRATION.fullmatch(name) for table in _DROPPED.findall(text)
    ]


def difference(script: str, found: Objects) -> str | None:
    """Return the first table or index that a file has not as the script would create it; None if it has all."""
    return next((name for name, one in objects_of(script).items() if found.get(name) != one), None)


def _plain(text: str | None) -> str:
    """Return a CREATE statement without comments and needless spaces: they may change without a migration."""
    return _SPACE.sub(lambda space: space[1] or " ", _COMMENT.sub(" ", text or "")).strip()
