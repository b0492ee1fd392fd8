"""The newest record of each topic: a table that may lag behind the log, and in memory what it lacks.

A row for every message would cost more than the message itself, and most are overwritten at once. So the table is
updated now and then, many topics at a time; after a crash the lag is read from the end of the log.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from bus.eventlog import sql
from bus.eventlog.inserting import insert_rows
from bus.eventlog.row_checksums import checked
from bus.protocol import topics

SQL: Final = sql.load("bus.eventlog", "newest.sql")
LAG_RECORDS: Final = 10_000  # read from the log when it is opened
LAG_TOPICS: Final = 4_096  # written at once: some milliseconds


class NewestIndex:
    """Knows the offset of the newest record of each topic."""

    def __init__(self, db: sqlite3.Connection, records: Iterable[tuple[int, str]]) -> None:
        """Continue where the table ends; `records` are the (offset, topic) behind `indexed(db)`, in order.

        The topic of a damaged record is not known: it is "", which counts as the newest of every prefix.
        """
        self._db = db
        self._end = self._written = indexed(db)
        self._lag: dict[str, int] = {}
        self.note(records)

    def note(self, records: Iterable[tuple[int, str]]) -> None:
        """Add committed records."""
        for offset, topic in records:
            self._lag[topic] = self._end = offset

    @property
    def due(self) -> bool:
        """Whether the table should be written now."""
        return len(self._lag) >= LAG_TOPICS or self._end - self._written >= LAG_RECORDS

    def write(self) -> None:
        """Bring the table up to date, in the caller's transaction; `written` is called after its commit."""
        rows = sorted(self._lag.items())  # in the order of the table, which is faster
        if rows:
            insert_rows(self._db, SQL["upsert"], checked("latest", rows))
            if self._db.execute(SQL["select_any_kept"]).fetchone()[0]:
                self._db.executemany(SQL["delete_kept"], ((topic,) for topic, _ in rows))
            self._db.execute(SQL["set_indexed"], (self._end,))

    def written(self) -> None:
        """Drop from memory what the table now has."""
        self._lag.clear()
        self._written = self._end

    def forget(self, prefix: str, limit: int) -> int:
        """Drop topics with a prefix, at most `limit`, in the caller's transaction; return how many. It writes, too.

        Their records may still be in the log, and are missed by a subscriber that has not got them: the newest of them
        counts as one of an unknown topic, as it does where a record is damaged.
        """
        self.write()
        found = self._db.execute(SQL["select_page"], {"after_topic": "", "limit": limit, **_range(prefix)}).fetchall()
        if found:
            gone = [(topic,) for topic, _ in found]
            self._db.executemany(SQL["delete"], gone)
            self._db.executemany(SQL["delete_kept"], gone)
            self._db.execute(SQL["upsert_unknown"], (max(offset for _, offset in found),))
        return len(found)

    def newest(self, prefix: str) -> int:
        """Return the newest offset with a prefix, 0 if there is none."""
        written = self._db.execute(SQL["select_newest"], _range(prefix)).fetchone()[0]
        lag = (offset for topic, offset in self._lag.items() if topic.startswith(prefix) or not topic)
        return max(lag, default=written)

    def page(self, prefix: str, after_topic: str, limit: int) -> list[tuple[str, int]]:
        """Return topics with a prefix and their newest offsets, in topic order, after `after_topic`."""
        params = {"after_topic": after_topic, "limit": limit, **_range(prefix)}
        found = dict(self._db.execute(SQL["select_page"], params))
        found |= {
            topic: offset for topic, offset in self._lag.items() if topic > after_topic and topic.startswith(prefix)
        }
        return sorted(found.items())[:limit]


def indexed(db: sqlite3.Connection) -> int:
    """Return the offset up to which the table of newest records is complete."""
    return int(db.execute(SQL["select_indexed"]).fetchone()[0])


def _range(prefix: str) -> dict[str, str]:
    return {"low": prefix, "high": topics.after_prefix(prefix)}
