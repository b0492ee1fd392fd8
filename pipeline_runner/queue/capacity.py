"""Which pipelines may start jobs now, and how many: plain bookkeeping, told the time, without clock or queue.

A pipeline's part of the queue is its lane. A lane is held up by a pause, by a rest after a fault of its server, or by
a server that does not answer; none of these holds up another lane.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from bus.contracts.requests import LaneView
from pipeline_runner.queue.retries import rest_seconds

SMOOTHING: Final = 0.2  # how much the newest job counts for the mean
ALL: Final = ""  # as the name of a pipeline that is paused
PAUSED: Final = "paused; `variantbus job resume` goes on"


class Lane:
    """One pipeline's part of the queue."""

    def __init__(self, concurrency: int, most: int) -> None:
        """Start open and empty; `concurrency` is how many jobs run at a time, `most` how many may wait."""
        self.concurrency, self.most = concurrency, most
        self.waiting: Counter[int] = Counter()  # jobs that wait, by priority
        self.running = 0
        self.paused = False
        self.away = ""  # why its server cannot be reached, "" if it can
        self._faults = 0  # of its server, in a row
        self._rest_until = 0.0
        self._rest_reason = ""
        self.mean_seconds: float | None = None  # of its jobs, the newest ones counting most

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return self.waiting.total()

    def note_fault(self, now: float, reason: str) -> float:
        """Rest after a fault of the server, the longer the more of them came in a row; give the seconds."""
        self._faults += 1
        seconds = rest_seconds(self._faults)
        self._rest_until, self._rest_reason = now + seconds, reason
        return seconds

    def note_answer(self) -> None:
        """Forget the faults: the server has done what it is there for, or said why it does not."""
        self._faults = 0

    def note_duration(self, seconds: float) -> None:
        """Learn from a job that ended well how long they take."""
        mean = seconds if self.mean_seconds is None else self.mean_seconds
        self.mean_seconds = mean + SMOOTHING * (seconds - mean)

    def rests(self, now: float) -> float:
        """Give the seconds until its rest is over; 0 if it does not rest."""
        return max(0.0, self._rest_until - now)

    def waits_for(self, now: float) -> str:
        """Say why nothing is started, "" if it is."""
        if self.paused:
            return PAUSED
        if self.away:
            return self.away
        rest = self.rests(now)
        return f"rests for {rest:.0f} s after: {self._rest_reason}" if rest else ""

    @property
    def room(self) -> int:
        """How many more jobs may wait."""
        return max(0, self.most - self.queued)

    def free(self, now: float) -> int:
        """Say how many jobs may be started."""
        return 0 if self.waits_for(now) else max(0, self.concurrency - self.running)

    def ahead(self, priority: int, behind: int) -> int:
        """Say how many jobs run before a waiting one, if it and `behind` others of its priority are the last."""
        higher = sum(count for other, count in self.waiting.items() if other > priority)
        return higher + max(0, self.waiting[priority] - behind - 1)

    def eta(self, ahead: int, now: float) -> float | None:
        """Estimate the seconds until the end of a queued job with so many others before it; None if unknown."""
        if self.mean_seconds is None or self.paused or self.away:
            return None
        return self.rests(now) + ((ahead + self.running) // self.concurrency + 1) * self.mean_seconds


class Lanes:
    """The lanes by pipeline; of one that is not installed any more, too, as its jobs have to come to an end."""

    def __init__(self, concurrencies: Mapping[str, int], workers: int, most: int) -> None:
        """`workers` is the concurrency where nothing else is said, `most` how many jobs may wait in each."""
        self._workers, self._most = workers, most
        self._pauses: AbstractSet[str] = frozenset()
        self._lanes = {name: Lane(concurrency, most) for name, concurrency in concurrencies.items()}

    def __getitem__(self, pipeline: str) -> Lane:
        """Give a lane."""
        if pipeline not in self._lanes:
            self._lanes[pipeline] = Lane(self._workers, self._most)
            self.set_pauses(self._pauses)
        return self._lanes[pipeline]

    @property
    def paused(self) -> bool:
        """Are all lanes paused together?"""
        return ALL in self._pauses

    def set_pauses(self, pauses: AbstractSet[str]) -> None:
        """Say which pipelines are paused; ALL may be among them."""
        self._pauses = pauses
        for name, lane in self._lanes.items():
            lane.paused = not pauses.isdisjoint((ALL, name))

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return sum(lane.queued for lane in self._lanes.values())

    @property
    def running(self) -> int:
        """How many jobs run."""
        return sum(lane.running for lane in self._lanes.values())

    def open(self, now: float) -> dict[str, int]:
        """Give the pipelines of which jobs wait and may be started, with how many."""
        return {name: free for name, lane in self._lanes.items() if lane.queued and (free := lane.free(now))}

    def views(self, now: float) -> dict[str, LaneView]:
        """Tell of each lane."""
        return {
            name: LaneView(
                queued=lane.queued,
                running=lane.running,
                concurrency=lane.concurrency,
                room=lane.room,
                paused=lane.paused,
                waits_for=lane.waits_for(now),
            )
            for name, lane in self._lanes.items()
        }
