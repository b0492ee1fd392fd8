"""How many events a subscriber takes at a time: a decision without a clock."""

from typing import Final

FIRST: Final = 256  # before it is known how long they take
LEAST: Final = 32
QUICK_SECONDS: Final = 0.02
SLOW_SECONDS: Final = 0.04  # a service looks at its sockets every 50 ms


class Pace:
    """Adapts the number to how long whoever gets the events works on them: more at a time cost less each."""

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
