"""Reads the records of a log by their offsets, and trusts nothing but their checksums.

Offsets have no holes, so it is known which records must be there. A bit in a page of the table can hide rows, move
them to other keys, or make SQLite give up; each offset that no sound row has is damaged, and the others are read.
For the same reason rows are chosen by their topic here and not by SQLite: a damaged topic would hide its record.
"""

import logging
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Final

from msgspec import Raw

from bus.config.limits import Limits
from bus.eventlog import sql
from bus.eventlog.pages import Listing, Page, checksum, record_of
from bus.protocol.frames import Record

SQL: Final = sql.load("bus.eventlog", "reader.sql")
SINGLES: Final = 1000  # records that are looked up one by one for one question
SCAN_BYTES: Final = 4 << 20  # of bodies that one page looks at
EXAMINED: Final = 500  # records that are examined at a time, in less than a millisecond
LAST_AT_ONCE: Final = 20  # of the newest records, which are read from the end
LAST_BYTES: Final = 64 << 20  # of their bodies
NO_TOPIC: Final = "~"  # no topic begins so
DAMAGED_LIMIT: Final = 10_000  # damaged records that are counted
Row = tuple[int, bytes, int, bytes, int]  # offset, topic, time_ns, body, checksum
_PRIMARY: Final = 0xFF  # the part of an extended code that names the kind of error
_UNREADABLE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG}
logger = logging.getLogger(__name__)


class Reader:
    """Reads records of one log; `damaged` has the offsets of those that were found to be damaged."""

    def __init__(self, db: sqlite3.Connection, limits: Limits, first: int) -> None:
        """Read from an open database; `first` is the oldest offset that retention has left."""
        self._db, self._limits = db, limits
        self.first = first
        self.damaged: set[int] = set()
        self._examined = 0

    def page(self, prefix: str, after: int, until: int, limit: int) -> Page:
        """Return the records with a prefix and an offset in (after, until], at most `limit` and about a page of them.

        At most `scan_events` records are looked at. Every damaged one is listed: its topic is not known.
        """
        at = after = max(after, self.first - 1)
        until = min(until, after + self._limits.scan_events)
        start = prefix.encode()
        records, damaged, room, unread = [], [], self._limits.page_bytes, SCAN_BYTES
        with closing(self.rows(after, until)) as rows:
            for at, row in rows:
                if row is None:
                    damaged.append(at)
                    limit -= 1
                else:
                    offset, topic, time_ns, body, _ = row
                    unread -= len(body)
                    if topic.startswith(start):
                        records.append(Record(offset, topic.decode("ascii"), time_ns, Raw(body)))
                        room -= len(body)
                        limit -= 1
                if limit <= 0 or room <= 0 or unread <= 0:
                    break
        self._note(damaged)
        return Page(records, at, damaged)

    def examine(self, until: int) -> None:
        """Read the next records, up to an offset, so that damage is known before anybody asks for what is lost."""
        at = max(self._examined, self.first - 1)
        if at < until:
            self._examined = self.page(NO_TOPIC, at, min(until, at + EXAMINED), EXAMINED).next

    def listing(self, newest: Iterable[tuple[str, int]], limit: int) -> Listing:
        """Return the newest records of topics, of which topic and offset are given, at most about a page of them.

        They are in the log, or retention has kept them. `limit`: how many topics were asked for; that many are no end.
        """
        found, size = Listing([], "", []), 0
        for seen, (topic, offset) in enumerate(newest, 1):
            row = self.row(offset) if offset >= self.first else self._kept(topic)
            if row and row[:2] == (offset, topic.encode()):
                found.records.append(record_of(*row[:4]))
                size += len(row[3])
            else:
                found.damaged.append(offset)
            if size >= self._limits.page_bytes or seen == limit:
                found = found._replace(next=topic)
                break
        self._note(found.damaged)
        return found

    def topics(self, after: int, until: int) -> Iterator[tuple[int, str]]:
        """Yield each offset in (after, until] with its topic; "" where the record is damaged."""
        at = max(after, self.first - 1)
        while at < until:
            for offset, row in self.rows(at, until):
                at = offset
                yield offset, row[1].decode() if row else ""

    def last_topics(self, after: int, until: int) -> list[tuple[int, str]]:
        """Return those of `topics` behind the last damaged record; fewer if their bodies are large."""
        found: list[tuple[int, str]] = []
        begin, at, unread = max(after, self.first - 1), until, LAST_BYTES
        while at > begin and unread > 0:
            start = max(begin, at - LAST_AT_ONCE)
            for offset, row in reversed(list(self.rows(start, at))):
                if row is None:
                    return found[::-1]
                found.append((offset, row[1].decode()))
                unread -= len(row[3])
            at = start
        return found[::-1]

    def rows(self, after: int, until: int) -> Generator[tuple[int, Row | None]]:
        """Yield each offset in (after, until], in order, with its row; None where the record is damaged."""
        at = after
        try:
            with closing(self._db.execute(SQL["select_behind"], (at,))) as cursor:
                for row in cursor:
                    offset, topic, time_ns, body, crc = row
                    if offset != at + 1 or at >= until or checksum(offset, topic, time_ns, body) != crc:
                        break
                    at = offset
                    yield at, row
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        if at < until:
            yield from self._rows_amid_damage(at, until)

    def _rows_amid_damage(self, after: int, until: int) -> Generator[tuple[int, Row | None]]:
        """Yield what `rows` does, though rows are missing or cannot be read.

        Of those that are missing, at most `SINGLES` are searched for one by one; then it ends early.
        """
        at, singles = after, SINGLES
        for row in chain(self._sound_rows(after, until), (_behind(until),)):
            while at + 1 < row[0] and at < until:
                if not singles:
                    return
                singles -= 1
                at += 1
                yield at, self.row(at)
            if row[0] <= until:
                at = row[0]
                yield at, row

    def _sound_rows(self, at: int, until: int) -> Iterator[Row]:
        """Yield the sound rows behind `at`, with growing offsets, to the first one at or behind `until`.

        Rows that are not sound are passed over, and so is what SQLite cannot read: at most `SINGLES` of both.
        """
        tries = SINGLES
        while tries and at < until:
            try:
                with closing(self._db.execute(SQL["select_behind"], (at,))) as cursor:
                    for row in cursor:
                        offset, topic, time_ns, body, crc = row
                        if checksum(offset, topic, time_ns, body) != crc:
                            tries -= 1
                            if not tries:
                                return
                        elif offset > at:
                            at = offset
                            yield row
                            if offset >= until:
                                return
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                tries -= 1
                at += 1
            else:
                return

    def row(self, offset: int) -> Row | None:
        """Return one row; None if it is missing or fails its checksum."""
        return self._sound("select", offset)

    def _kept(self, topic: str) -> Row | None:
        return self._sound("select_kept", topic)

    def _sound(self, statement: str, key: str | int) -> Row | None:
        try:
            row: Row | None = self._db.execute(SQL[statement], (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return None
        return row if row and checksum(*row[:4]) == row[4] else None

    def _note(self, damaged: list[int]) -> None:
        """Count and log damaged records that were not known before."""
        if new := [offset for offset in damaged if offset not in self.damaged]:
            what = f"record {new[0]} is" if len(new) == 1 else f"{len(new)} records from {new[0]} to {new[-1]} are"
            logger.error("%s damaged or missing, and cannot be delivered", what)
            self.damaged.update(new[: max(0, DAMAGED_LIMIT - len(self.damaged))])


def _behind(until: int) -> Row:
    """Return what stands for the first row behind a range."""
    return until + 1, b"", 0, b"", 0


def is_damage(error: BaseException | None) -> bool:
    """Return whether SQLite says that a page or a record of a table makes no sense."""
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _UNREADABLE
