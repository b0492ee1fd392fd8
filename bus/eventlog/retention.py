"""Retention: removes the oldest records by age or size, in steps of some milliseconds.

The size that counts is that of the events alone, as nothing else can be removed. It is counted after the start, in
steps, too, so nothing has to be stored with each event.

Of some topics, the newest record is the whole state of something. It is kept whatever its age: `latest` returns it.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, Literal

from bus.config.limits import Limits
from bus.eventlog import sql
from bus.eventlog.reader import Reader, is_damage

SQL: Final = sql.load("bus.eventlog", "retention.sql")
STEP: Final = 500  # records removed in one transaction
STEP_BYTES: Final = 1 << 20  # of their bodies
COUNTED: Final = 2_000  # records whose sizes are added up at a time, in some milliseconds
DAY: Final = 86_400.0  # seconds
CLOCK_SLACK: Final = 60.0  # seconds
CLOCK_PAUSE: Final = 3600.0  # seconds in which a wrong clock may be corrected again
BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first counts a suspend too
logger = logging.getLogger(__name__)


class Clock:
    """The wall clock, and whether it can be trusted: after it was set while we run, it may be wrong."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = lambda: time.clock_gettime(BOOT_CLOCK),
    ) -> None:
        """Trust the clock as it is now."""
        self._wall, self._steady = wall, steady
        self._difference = wall() - steady()
        self._trusted_from = 0.0

    def now(self) -> float | None:
        """Return unix seconds; None for an hour after the clock was set."""
        wall, steady = self._wall(), self._steady()
        jump = wall - steady - self._difference
        if abs(jump) > CLOCK_SLACK:
            logger.warning("the clock was set by %+.0f s; nothing is removed for its age for an hour", jump)
            self._difference = wall - steady
            self._trusted_from = steady + CLOCK_PAUSE
        return wall if steady >= self._trusted_from else None


class Trimmer:
    """Removes records from one log; the index of newest records has to be complete up to where it cuts."""

    def __init__(
        self, db: sqlite3.Connection, reader: Reader, limits: Limits, clock: Clock, keep_newest: tuple[str, ...]
    ) -> None:
        """Remove nothing yet; `keep_newest`: the beginnings of topics whose newest record stays."""
        self._db, self._reader, self._limits, self._clock = db, reader, limits, clock
        self._limit = 0  # records from before are old, in nanoseconds
        self._old = 0  # the offset up to which all are old
        self._seen = 0  # the offset up to which none is known to be young
        self._counted = 0  # the offset up to which sizes are counted
        self._told = False  # that the newest events alone are too large
        self.size = 0  # bytes of the topics and bodies of the records up to there
        db.create_function("is_kept", 1, lambda topic: topic.startswith(keep_newest), deterministic=True)

    def cut(self, head: int) -> tuple[int, Literal["age", "size"]] | None:
        """Return the offset up to which the next step removes, and why; None if there is nothing to remove."""
        limits = self._limits
        too_large = bool(limits.retain_bytes) and self.size > limits.retain_bytes
        until = head - limits.retain_newest_events
        cut = self._step(until if too_large else self._find_old(until))
        if too_large and not cut and not self._told:
            text = (
                "the newest %d events take %d bytes, more than retain_bytes; raise that, or lower retain_newest_events"
            )
            logger.warning(text, limits.retain_newest_events, self.size)
        self._told = too_large and not cut
        return (cut, "size" if too_large else "age") if cut else None

    def count(self, head: int) -> bool:
        """Add the sizes of some records that are not counted yet; return whether there are more."""
        after = max(self._counted, self._reader.first - 1)
        self._counted = min(head, after + COUNTED)
        self.size += self._size(after, self._counted)
        return self._counted < head

    def _find_old(self, until: int) -> int:
        """Return the offset, at most `until`, up to which all records are old; look at those of one step.

        A time in the future is not believed, and a damaged record has none: what follows shows whether they are old.
        """
        now = self._clock.now()
        if not self._limits.retain_days or now is None:
            return 0
        limit = int((now - self._limits.retain_days * DAY) * 1e9)
        if limit < self._limit:  # the clock was set back: what was old may be young
            self._old = self._seen = 0
        self._limit, size = limit, 0
        start = max(self._seen, self._reader.first - 1)
        with closing(self._reader.rows(start, min(until, start + STEP))) as rows:
            for offset, row in rows:
                if row and limit <= row[2] <= (now + CLOCK_SLACK) * 1e9:
                    break
                self._seen = offset
                if row and row[2] < limit:
                    self._old = offset
                size += len(row[3]) if row else 0
                if size > STEP_BYTES:
                    break
        return self._old

    def _step(self, until: int) -> int:
        """Return the offset, at most `until`, up to which one transaction removes; 0 if there is nothing."""
        first, size = self._reader.first, 0
        cut = min(until, first + STEP - 1)
        if cut < first:
            return 0
        with closing(self._db.execute(SQL["select_sizes"], (first - 1, cut))) as sizes:
            for offset, length in sizes:
                size += length
                if size > STEP_BYTES:
                    return int(offset)
        return cut

    def remove(self, cut: int) -> tuple[int, int]:
        """Remove records up to an offset, in the caller's transaction; return how many, and the bytes to `forget`."""
        size = self._size(self._reader.first - 1, min(cut, self._counted))
        self._db.execute(SQL["keep"], (cut,))
        self._db.execute(SQL["delete_latest"], {"cut": cut})
        self._db.execute(SQL["set_removed"], (cut,))
        return self._db.execute(SQL["delete"], (cut,)).rowcount, size

    def forget(self, size: int) -> None:
        """Count bytes no more, once their records are gone."""
        self.size = max(0, self.size - size)

    def _size(self, after: int, until: int) -> int:
        """Return the bytes of the records in a range, 0 if it is damaged."""
        try:
            return int(self._db.execute(SQL["sum_sizes"], (after, until)).fetchone()[0])
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return 0
