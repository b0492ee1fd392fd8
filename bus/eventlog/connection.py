"""How a log's database is used."""

import sqlite3
from typing import Final

PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # while opening; see Log._set_synchronous
    "journal_size_limit = 67108864",
    "wal_autocheckpoint = 4000",  # 16 MiB: pages that change often are written once for many commits
    "busy_timeout = 5000",
    "cache_size = -16000",
    "mmap_size = 0",  # a stray pointer or a truncated file would be a crash instead of an error
    "temp_store = MEMORY",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "foreign_keys = ON",
)


def configure(db: sqlite3.Connection) -> None:
    """Set all that SQLite lets be chosen."""
    for pragma in PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
