"""The log's own tables after damage: what their lost rows said is found again, or is no longer needed."""

import logging
import sqlite3
from contextlib import closing
from typing import Final

from bus.eventlog import damage, sql
from bus.eventlog.pages import checksum, topic_text
from bus.eventlog.tables import OWN, transaction

SQL: Final = sql.load("bus.eventlog", "own_tables.sql")
logger = logging.getLogger(__name__)


def clear(db: sqlite3.Connection) -> None:
    """Remove what a creation that was cut off has left."""
    with transaction(db):
        for (name,) in db.execute(SQL["select_tables"]).fetchall():
            db.execute(f'DROP TABLE "{name}"')
        db.execute("PRAGMA user_version = 0")


def repair(db: sqlite3.Connection, head: int, noted_epoch: int | None) -> None:
    """Make up for the log's own rows that were set aside; `noted_epoch` is the newest one, by the head file.

    Without its row `closing` the log counts as not closed, and without its row `scopes` the tables of a store are
    compared with those of the present version. The others are written anew here.
    """
    rows = damage.waiting(db, OWN)
    has_indexed, has_removed = db.execute(SQL["count_single"]).fetchone()
    if not rows and has_indexed and has_removed:
        return
    tables = {row.table for row in rows}
    with transaction(db):
        if "latest" in tables or not has_indexed:
            _rebuild_latest(db, head)
        if not has_removed:
            db.execute(SQL["insert_removed"], (_first(db, head) - 1,))
        if "epochs" in tables and noted_epoch is not None:
            # Its start is unknown: that of an earlier one is safe, as consumers then read more again.
            db.execute(SQL["restore_epoch"], {"epoch": noted_epoch})
        damage.mark_repaired(db, rows)


def _rebuild_latest(db: sqlite3.Connection, head: int) -> None:
    """Find the newest record of each topic by reading all of them."""
    newest: dict[str, int] = {}
    for offset, topic, time_ns, body, crc in db.execute(SQL["select_records"]):
        if checksum(offset, topic, time_ns, body) == crc:
            newest[topic_text(topic)] = max(offset, newest.get(topic_text(topic), 0))
    db.execute(SQL["delete_latest"])
    db.executemany(SQL["insert_latest"], newest.items())
    db.execute(SQL["upsert_indexed"], (head,))


def _first(db: sqlite3.Connection, head: int) -> int:
    """Return the offset of the oldest record that is intact; head + 1 if none is."""
    with closing(db.execute(SQL["select_all"])) as records:
        return next((row[0] for row in records if checksum(*row[:4]) == row[4]), head + 1)


def settle_head(db: sqlite3.Connection, noted: int) -> tuple[int, bool]:
    """Return the newest offset, and whether SQLite's counter says the same as the records; correct the counter.

    When retention has emptied the log, the counter alone knows. Otherwise, where they differ, one of them is damaged,
    and `noted`, the offset in the head file, decides.
    """
    counter = next((seq for (seq,) in db.execute(SQL["select_counter"]) if isinstance(seq, int)), 0)
    (last,) = db.execute(SQL["select_last"]).fetchone()
    if last in (None, counter):
        return counter, True
    with transaction(db):
        rows = db.execute(SQL["select_behind"], (max(counter, noted),)).fetchall()
        strangers = [(row[0],) for row in rows if checksum(*row[:4]) != row[4]]  # a damaged key, in its own place
        db.executemany(SQL["delete_record"], strangers)
        (last,) = db.execute(SQL["select_last"]).fetchone()
        last = last or 0
        head = counter if last <= counter <= last + len(strangers) else max(last, min(counter, noted))
        logger.error("the newest record is %d, the counter says %d; the log continues after %d", last, counter, head)
        for (offset,) in strangers:
            logger.error("a damaged record claims the offset %d, which was never given out; it is removed", offset)
        db.execute(SQL["delete_counter"])
        db.execute(SQL["insert_counter"], (head,))
    return head, False
