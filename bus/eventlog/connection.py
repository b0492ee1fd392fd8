"""How a log's database is used."""

import sqlite3
from typing import Final

PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # while opening; see Log._set_synchronous
    "journal_size_limit = 67108864",
    "wal_autocheckpoint = 16000",  # 64 MiB: only where `Checkpoints` cannot; it would keep a commit waiting
    "busy_timeout = 5000",
    "cache_size = -16000",
    "mmap_size = 0",  # a stray pointer or a truncated file would be a crash instead of an error
    "temp_store = MEMORY",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "foreign_keys = ON",
    "secure_delete = FAST",  # zeros over what is removed only where a page is written anyway; Debian's default is ON
)


def configure(db: sqlite3.Connection) -> None:
    """Set all that SQLite lets be chosen; the first one reads the schema.

    Raises:
        sqlite3.Error: the file cannot be used.
    """
    try:
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError(undecoded(error)) from error


def undecoded(error: UnicodeDecodeError) -> str:
    """Return what SQLite says of a damaged schema: it quotes the text, and Python gives up where that is no UTF-8."""
    return error.object.decode("utf-8", "backslashreplace")
