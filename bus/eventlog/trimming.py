"""Retention at work: what it decides is done some milliseconds at a time, and freed space is given back to the disk."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from bus.eventlog import space
from bus.eventlog.checkpoints import Checkpoints
from bus.eventlog.newest import NewestIndex
from bus.eventlog.reader import Reader
from bus.eventlog.retention import Trimmer
from bus.eventlog.transaction import Transaction

TRIM_SECONDS: Final = 0.01  # at a time, so that publishing never waits for long


class Trimming:
    """Removes from one log what its retention does not allow."""

    def __init__(
        self,
        db: sqlite3.Connection,
        trimmer: Trimmer,
        reader: Reader,
        index: NewestIndex,
        transaction: Callable[[], AbstractContextManager[Transaction]],
        checkpoints: Checkpoints,
    ) -> None:
        """Remove nothing yet."""
        self._db, self._trimmer, self._reader, self._index = db, trimmer, reader, index
        self._transaction, self._checkpoints = transaction, checkpoints
        self._shrinkable = space.is_shrinkable(db)
        self._stopped = False
        self.removed: Counter[str] = Counter()  # events since the start, by reason

    def stop(self) -> None:
        """Remove nothing more: the file is damaged where the oldest records are."""
        self._stopped = True

    def run(self, head: int) -> bool:
        """Work for some milliseconds; return whether there is more to do."""
        until = time.monotonic() + TRIM_SECONDS
        self._checkpoints.go_on()
        while not self._stopped and self._step(head, until):
            if time.monotonic() >= until:
                return True
        return False

    def remove(self, cut: int) -> int:
        """Remove the records up to an offset; return how many there were."""
        with self._transaction():
            self._index.write()  # the newest records decide which are kept
            removed, size = self._trimmer.remove(cut)
        self._index.written()
        self._reader.first = cut + 1
        self._trimmer.forget(size)
        return removed

    def _step(self, head: int, until: float) -> bool:
        """Count, remove, or give back until a monotonic time at most; return whether there was anything to do."""
        counting = self._trimmer.count(head)
        if found := self._trimmer.cut(head):
            cut, reason = found
            self.removed[reason] += self.remove(cut)
        return bool(found) or counting or self._give_back(until)

    def _give_back(self, until: float) -> bool:
        if not self._shrinkable or not space.has_surplus(self._db):
            return False
        with self._transaction():
            space.give_back(self._db, until)
        if space.has_surplus(self._db):
            return True
        self._checkpoints.hurry()  # then the file itself becomes smaller
        return False
