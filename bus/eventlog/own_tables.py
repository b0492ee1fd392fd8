"""The log's own tables after damage: what their lost rows said is found again, or is no longer needed."""

import logging
import sqlite3
from contextlib import closing
from typing import Final

from bus.eventlog import damage, sql
from bus.eventlog.pages import checksum
from bus.eventlog.reader import Reader, is_damage
from bus.eventlog.tables import transaction
from bus.eventlog.versions import OWN

SQL: Final = sql.load("bus.eventlog", "own_tables.sql")
logger = logging.getLogger(__name__)


def clear(db: sqlite3.Connection) -> None:
    """Remove what a creation that was cut off has left."""
    with transaction(db):
        for (name,) in db.execute(SQL["select_tables"]).fetchall():
            db.execute(f'DROP TABLE "{name}"')
        db.execute("PRAGMA user_version = 0")


def repair(db: sqlite3.Connection, reader: Reader, head: int, noted_epoch: int | None) -> None:
    """Make up for the log's own rows that were set aside; `noted_epoch` is the newest one, by the head file.

    Without its row `closing` the log counts as not closed, and without its row `scopes` the tables of a store are
    compared with those of the present version. The others are written anew here.
    """
    rows = damage.waiting(db, OWN)
    indexed = db.execute(SQL["select_indexed"]).fetchone()
    if not rows and indexed:
        return
    tables = {row.table for row in rows}
    with transaction(db):
        if "latest" in tables or not indexed:
            _rebuild_latest(db, reader, head)
        if "epochs" in tables and noted_epoch:
            # Its start is unknown: that of an earlier one is safe, as consumers then read more again.
            db.execute(SQL["restore_epoch"], {"epoch": noted_epoch})
        damage.mark_repaired(db, rows)


def _rebuild_latest(db: sqlite3.Connection, reader: Reader, head: int) -> None:
    """Find the newest record of each topic by reading all of them."""
    newest = {
        topic.decode(): offset
        for offset, topic, time_ns, body, crc in db.execute(SQL["select_kept"])
        if checksum(offset, topic, time_ns, body) == crc
    }
    newest |= {topic: offset for offset, topic in reader.topics(0, head)}
    db.execute(SQL["delete_latest"])
    db.executemany(SQL["insert_latest"], newest.items())
    db.execute(SQL["upsert_indexed"], (head,))


def settle_first(db: sqlite3.Connection, head: int) -> int:
    """Return the oldest offset that retention has left; if its own row is lost, that of the oldest sound record."""
    if row := db.execute(SQL["select_removed"]).fetchone():
        return int(row[0]) + 1
    with closing(db.execute(SQL["select_all"])) as records:
        first = next((record[0] for record in records if checksum(*record[:4]) == record[4]), head + 1)
    db.execute(SQL["insert_removed"], (first - 1,))
    return int(first)


def settle_head(db: sqlite3.Connection, noted: int) -> tuple[int, bool]:
    """Return the newest offset, and whether SQLite's counter says the same as the records; correct the counter.

    When retention has emptied the log, it has noted up to where. Where they differ, one of them is damaged, and
    `noted`, the offset in the head file, decides, together with that up to which the newest records are known.
    """
    (indexed,) = db.execute(SQL["select_indexed"]).fetchone() or (0,)
    noted = max(noted, indexed)
    counter = next((seq for (seq,) in db.execute(SQL["select_counter"]) if isinstance(seq, int)), 0)
    (removed,) = db.execute(SQL["select_removed"]).fetchone() or (counter,)
    try:
        (last,) = db.execute(SQL["select_last"]).fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return counter, True  # the records cannot say anything
    if counter == (removed if last is None else last):
        return counter, True
    with transaction(db):
        rows = db.execute(SQL["select_behind"], (max(counter, noted),)).fetchall()
        strangers = [(row[0],) for row in rows if checksum(*row[:4]) != row[4]]  # a damaged key, in its own place
        db.executemany(SQL["delete_record"], strangers)
        (last,) = db.execute(SQL["select_last"]).fetchone()
        last = last or 0
        head = counter if last <= counter <= last + len(strangers) else max(last, removed, min(counter, noted))
        logger.error("the newest record is %d, the counter says %d; the log continues after %d", last, counter, head)
        for (offset,) in strangers:
            logger.error("a damaged record claims the offset %d, which was never given out; it is removed", offset)
        db.execute(SQL["delete_counter"])
        db.execute(SQL["insert_counter"], (head,))
    return head, False
