"""Retention: what is too old, or too much, leaves the log at its oldest end, in steps of some milliseconds.

The newest record of a status topic is the whole state of something. It is kept whatever its age, and `latest` gives it.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bus import sql, topics

SQL: Final = sql.load("bus", "retention.sql")
STEP: Final = 500  # records removed in one transaction
CLOCK_SLACK: Final = 60.0  # seconds
CLOCK_PAUSE: Final = 3600.0  # seconds in which a clock that was set may be set right again
BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first counts a suspend too
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a log keeps; None is no limit. The size is that of all tables in the file, in bytes.

    The `newest` so many messages stay whatever their age and size, so that a clock that is wrong cannot empty a log.
    """

    seconds: float | None = None
    bytes: int | None = None
    newest: int = 1_000


class Clock:
    """Tells the time of day, and whether it can be trusted: one that was set while we run may be wrong."""

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
        """Give unix seconds; None for an hour after the clock was set."""
        wall, steady = self._wall(), self._steady()
        jump = wall - steady - self._difference
        if abs(jump) > CLOCK_SLACK:
            logger.warning("the clock was set by %+.0f s; nothing is removed for its age for an hour", jump)
            self._difference = wall - steady
            self._trusted_from = steady + CLOCK_PAUSE
        return wall if steady >= self._trusted_from else None


class Trimmer:
    """Removes records from one log; the index of newest records has to be complete up to where it cuts."""

    def __init__(self, db: sqlite3.Connection, retention: Retention, clock: Clock) -> None:
        """Nothing is removed before `step`."""
        self._db, self._retention, self._clock = db, retention, clock
        db.create_function("is_status", 1, topics.is_status, deterministic=True)

    def cut(self, head: int) -> int:
        """Give the offset up to which the next step removes, 0 if there is nothing to remove."""
        seconds, size = self._retention.seconds, self._retention.bytes
        if seconds is None and size is None:
            return 0
        oldest = self._db.execute(SQL["select_oldest"], (STEP,)).fetchall()
        removable = [(offset, time_ns) for offset, time_ns in oldest if offset <= head - self._retention.newest]
        if removable and size is not None and self._size() > size:
            return int(removable[-1][0])
        now = self._clock.now() if seconds is not None else None
        if seconds is None or now is None:
            return 0
        cut = 0
        for offset, time_ns in removable:
            if time_ns / 1e9 >= now - seconds:
                break
            cut = offset
        return cut

    def remove(self, cut: int) -> int:
        """Remove records up to an offset, in the caller's transaction; give how many."""
        self._db.execute(SQL["keep"], (cut,))
        self._db.execute(SQL["delete_latest"], {"cut": cut})
        return self._db.execute(SQL["delete"], (cut,)).rowcount

    def _size(self) -> int:
        """Give the bytes in use; the file does not shrink, its free pages are used again."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
