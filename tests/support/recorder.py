"""A subscriber as a process: it stores each event together with its position, so that it can be killed at any time.

Usage: recorder.py DATABASE START PREFIX ADDRESS...

With STALL_SECONDS in its environment it is a slow one: after each batch it does nothing for up to so long, until
SIGUSR1 comes.
"""

import os
import random
import signal
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from bus.subscriber.sync import Delivery, Position, Start, Subscriber

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, source TEXT, epoch INTEGER, "offset" INTEGER, topic TEXT, body BLOB
);
CREATE TABLE IF NOT EXISTS positions (
    source TEXT, prefix TEXT, epoch INTEGER, "offset" INTEGER, PRIMARY KEY (source, prefix)
);
"""
READY_SECONDS: Final = 60.0


class Recorded(NamedTuple):
    """One event as the recorder got it."""

    source: str
    offset: int
    topic: str
    body: bytes


def read(database: Path) -> list[Recorded]:
    """Return what a recorder has stored, in the order in which it came."""
    with sqlite3.connect(database) as db:
        rows = db.execute('SELECT source, "offset", topic, body FROM events ORDER BY number').fetchall()
    db.close()
    return [Recorded(*row) for row in rows]


def store(db: sqlite3.Connection, batch: Iterable[Delivery]) -> None:
    """Write events and positions in one transaction; what is ephemeral has no position and is left out."""
    logged = [one for one in batch if one.offset]
    db.execute("BEGIN")
    db.executemany(
        'INSERT INTO events (source, epoch, "offset", topic, body) VALUES (?, ?, ?, ?, ?)',
        [(one.source, one.epoch, one.offset, one.topic, bytes(one.body)) for one in logged],
    )
    db.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
        [(one.source, one.prefix, one.epoch, one.offset) for one in logged],
    )
    db.execute("COMMIT")


def stall(seconds: float) -> float:
    """Do nothing for up to so long and return for how long to do so again: no more if the signal came."""
    chance = random.SystemRandom().uniform(seconds / 6, seconds) if seconds else 0.0
    return 0.0 if chance and signal.sigtimedwait([signal.SIGUSR1], chance) else seconds


def main(database: str, start: str, prefix: str, *addresses: str) -> None:
    """Record until killed; go on where the last recorder with this database stopped."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    seconds = float(os.environ.get("STALL_SECONDS", "0"))
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(SCHEMA)
    rows = db.execute('SELECT source, prefix, epoch, "offset" FROM positions').fetchall()
    positions = {(source, prefix): Position(epoch, offset) for source, prefix, epoch, offset in rows}
    with Subscriber(addresses, [prefix], start=Start(start), positions=positions) as subscriber:
        if subscriber.wait_ready(READY_SECONDS):
            print("ready", flush=True)  # noqa: T201 - what the test waits for
        while True:
            store(db, subscriber.receive())
            seconds = stall(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
