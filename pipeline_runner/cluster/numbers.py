"""The numbers of the ends of one epoch: all up to some number are in the cluster. No clock, no storage."""

from collections.abc import Iterable


class Numbers:
    """Gives numbers without a gap: one whose end was refused is used again."""

    def __init__(self, last: int, waiting: Iterable[int] = (), free: Iterable[int] = ()) -> None:
        """Go on after `last`; `waiting` are those that are not acknowledged, `free` those of ends that were refused."""
        self._last = last
        self._waiting, self._free = set(waiting), set(free)

    @property
    def complete(self) -> int:
        """The number up to which all ends were acknowledged."""
        return min(self._waiting | self._free, default=self._last + 1) - 1

    def upcoming(self, count: int) -> list[int]:
        """Return the numbers of the next ends; `take` them once they are written."""
        free = sorted(self._free)[:count]
        return free + list(range(self._last + 1, self._last + 1 + count - len(free)))

    def take(self, numbers: Iterable[int]) -> None:
        """Note that ends wait which have these numbers, or wait again."""
        for number in numbers:
            self._free.discard(number)
            self._waiting.add(number)
            self._last = max(self._last, number)

    def note(self, number: int, *, won: bool) -> None:
        """Note that an end was acknowledged, or that its job has another one."""
        self._waiting.discard(number)
        if not won:
            self._free.add(number)
