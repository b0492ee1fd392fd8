"""Which version of each store's tables is in a file."""

import sqlite3
from typing import Final

from bus.eventlog import sql

SQL: Final = sql.load("bus.eventlog", "versions.sql")
OWN: Final = "log"  # the log's own tables, whose version is that of the file


def version_in(db: sqlite3.Connection, store: str) -> int | None:
    """Return the version of a store's tables; None if there are none."""
    statement, params = ("PRAGMA user_version", ()) if store == OWN else (SQL["select_scope"], (store,))
    row = db.execute(statement, params).fetchone()
    return row[0] or None if row else None


def set_version(db: sqlite3.Connection, store: str, version: int) -> None:
    """Note the version of a store's tables, in the caller's transaction."""
    if store == OWN:
        db.execute(f"PRAGMA user_version = {version}")
    else:
        db.execute(SQL["upsert_scope"], (store, version))
