"""How much is done at a time, so that the loop soon looks at its sockets again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FIRST: Final = 64  # before it is known how long they take
LEAST: Final = 16
QUICK_SECONDS: Final = 0.01
SLOW_SECONDS: Final = 0.02


class Pace:
    """Adapts the number of things that are done at a time to how long they take: more at a time cost less each.

    The processor time of this thread counts: to wait for the disk, or for other programs, takes as long with few.
    """

    def __init__(self, most: int) -> None:
        """Take at most so many."""
        self._most = most
        self.count = min(FIRST, most)

    def note(self, taken: int, seconds: float) -> None:
        """Take half as many after a batch that was slow, and twice as many after a full one that was quick."""
        if seconds > SLOW_SECONDS:
            self.count = max(min(LEAST, self._most), min(self.count, taken) // 2)
        elif seconds < QUICK_SECONDS and taken >= self.count:
            self.count = min(self._most, 2 * self.count)

    @contextmanager
    def timed(self, taken: int) -> Iterator[None]:
        """Note how long a block takes that does so many."""
        began = time.thread_time()
        yield
        self.note(taken, time.thread_time() - began)
