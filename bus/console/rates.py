"""Rates by topic, for `top`: counted in buckets of one second, so that memory is bounded."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

KEY_TOKENS: Final = 2  # of a topic: what kind of event it is
KEYS_LIMIT: Final = 1000  # more kinds than these are counted together
OTHERS: Final = "(others)"
WINDOW_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """One kind of event. Rates are of whole seconds that are over."""

    topic: str
    count: int  # since the start
    per_second: int  # in the last second
    mean_per_second: float  # over the last ten seconds, or as long as there is something to measure
    bytes_per_second: float  # likewise; of topics and bodies
    idle_seconds: float  # since the last one


@dataclass(slots=True)
class _Counter:
    """The events of one kind: all, and those of each of the last seconds, as (second, events, bytes)."""

    last_seen: float
    count: int = 0
    buckets: deque[list[int]] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS + 1))


class Rates:
    """Counts events by the first two tokens of their topic. `clock` gives seconds that never step back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin to measure now."""
        self._clock = clock
        self._start = clock()
        self._counters: dict[str, _Counter] = {}

    def take(self, topic: str, size: int) -> None:
        """Count one event of so many bytes."""
        now = self._clock()
        key = ".".join(topic.split(".", KEY_TOKENS)[:KEY_TOKENS]).rstrip(".") + "."
        if key not in self._counters and len(self._counters) >= KEYS_LIMIT:
            key = OTHERS
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter(now)
        second = self._second(now)
        if not counter.buckets or counter.buckets[-1][0] != second:
            counter.buckets.append([second, 0, 0])
        counter.buckets[-1][1] += 1
        counter.buckets[-1][2] += size
        counter.count += 1
        counter.last_seen = now

    def rates(self) -> list[Rate]:
        """Return the present rates, by topic."""
        now = self._clock()
        second = self._second(now)
        measured = min(WINDOW_SECONDS, second)
        return [self._rate(topic, self._counters[topic], now, second, measured) for topic in sorted(self._counters)]

    @staticmethod
    def _rate(topic: str, counter: _Counter, now: float, second: int, measured: int) -> Rate:
        whole = [bucket for bucket in counter.buckets if second - measured <= bucket[0] < second]
        return Rate(
            topic=topic,
            count=counter.count,
            per_second=sum(bucket[1] for bucket in whole if bucket[0] == second - 1),
            mean_per_second=sum(bucket[1] for bucket in whole) / max(1, measured),
            bytes_per_second=sum(bucket[2] for bucket in whole) / max(1, measured),
            idle_seconds=now - counter.last_seen,
        )

    def _second(self, now: float) -> int:
        """Number the seconds from the start."""
        return math.floor(now - self._start)
