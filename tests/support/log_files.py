"""What tests of the log do to its file: fill it, list it, change it without the log."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bus.eventlog.log import Log
from tests.support.helpers import append


def fill(log: Log, count: int, topic: str = "a.") -> None:
    """Log `count` messages in one transaction."""
    append(log, *((topic, n) for n in range(count)))


def offsets(log: Log, prefix: str = "", after: int = 0) -> list[int]:
    """Return the offsets of all records with a prefix."""
    return [record.offset for record in log.fetch(prefix, after).records]


def remove_oldest(log: Log, until: int) -> None:
    """Let retention take the records up to an offset."""
    log._trimming.remove(until)


def tamper(path: Path, statement: str, params: tuple[object, ...] = ()) -> None:
    """Change the file behind the log's back."""
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, params)
    db.close()


def spoil_page(path: Path, name: str) -> None:
    """Change the number of entries in the first page of a table or index."""
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    whole = bytearray(path.read_bytes())
    whole[(page - 1) * 4096 + 4] ^= 1
    path.write_bytes(whole)


def round_of(path: Path) -> bytes:
    """Return which time it is that the write-ahead log is written from its beginning: a number in its header."""
    with path.with_name(f"{path.name}-wal").open("rb") as file:
        return file.read(16)[12:]


def checkpoint(log: Log, mode: str = "TRUNCATE") -> None:
    """Copy the write-ahead log into the database now; while the log's own thread does so, that would be refused."""
    log._checkpoints.wait()
    log.query(f"PRAGMA wal_checkpoint({mode})")
