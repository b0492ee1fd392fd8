"""Which pipelines may start jobs now, and how many: decisions that are given the time, without a clock or storage.

Each pipeline has a queue of its own. A queue is held by a pause, by a back-off after a fault of its server, or by a
server that does not answer. None of these holds another queue.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from bus.contracts.jobs import LaneView
from pipeline_runner.queue.retries import rest_seconds

SMOOTHING: Final = 0.2  # weight of the newest job in the moving average
NONE_FREED: Final[Mapping[str, int]] = {}
ALL: Final = ""  # as the name of a pipeline that is paused
PAUSED: Final = "paused; resume with `variantbus job resume`"


class PipelineQueue:
    """The counts of one pipeline's queue, and what holds it."""

    def __init__(self, concurrency: int, limit: int) -> None:
        """Start open and empty; `concurrency` is how many jobs run at a time, `limit` how many may wait."""
        self.concurrency, self.limit = concurrency, limit
        self.waiting: Counter[int] = Counter()  # waiting jobs by priority
        self.running = 0
        self.paused = False
        self.held = ""  # why no job of any pipeline is started
        self.unreachable = ""  # why its server cannot be reached, "" if it can
        self._faults = 0  # of its server, in a row
        self._rest_until = 0.0
        self._rest_reason = ""
        self._resting_for: frozenset[str] = frozenset()  # job that met the fault, and its experiment
        self.mean_seconds: float | None = None  # moving average of how long its jobs take

    @property
    def queued(self) -> int:
        """The number of waiting jobs."""
        return self.waiting.total()

    def note_fault(self, now: float, reason: str, met_by: frozenset[str]) -> float:
        """Rest after a fault of the server, longer with each fault in a row; return the seconds.

        `met_by` are the ids of the job that met it and of its experiment.
        """
        self._faults += 1
        seconds = rest_seconds(self._faults)
        self._rest_until, self._rest_reason, self._resting_for = now + seconds, reason, met_by
        return seconds

    def end_rest(self) -> None:
        """Start jobs again, if nothing else holds them."""
        self._rest_until = 0.0

    def end_rest_after(self, cancelled: str) -> None:
        """End the rest if the job or the experiment that has caused it is cancelled."""
        if cancelled in self._resting_for:
            self.end_rest()

    def note_answer(self) -> None:
        """Reset the count of faults: the server did the job, or refused it for a reason of the job."""
        self._faults = 0

    def note_duration(self, seconds: float) -> None:
        """Update the moving average with the duration of a completed job."""
        mean = seconds if self.mean_seconds is None else self.mean_seconds
        self.mean_seconds = mean + SMOOTHING * (seconds - mean)

    def rest_left(self, now: float) -> float:
        """Return the seconds until the rest after a fault is over; 0 if there is none."""
        return max(0.0, self._rest_until - now)

    def waits_for(self, now: float) -> str:
        """Return why no job is started, "" if jobs are started."""
        if self.paused:
            return PAUSED
        if self.held:
            return self.held
        if self.unreachable:
            return self.unreachable
        rest = self.rest_left(now)
        return f"rests for {rest:.0f} s after: {self._rest_reason}" if rest else ""

    @property
    def capacity_left(self) -> int:
        """The number of jobs that may still be queued."""
        return max(0, self.limit - self.queued)

    def startable(self, now: float, freed: int = 0) -> int:
        """Return how many jobs may be started once so many of those that run have ended."""
        return 0 if self.waits_for(now) else max(0, self.concurrency - self.running + freed)

    def ahead(self, priority: int, behind: int) -> int:
        """Return how many jobs run before a waiting one that has `behind` others of its priority after it."""
        higher = sum(count for other, count in self.waiting.items() if other > priority)
        return higher + max(0, self.waiting[priority] - behind - 1)

    def eta(self, ahead: int, now: float) -> float | None:
        """Estimate the seconds until the end of a queued job with `ahead` jobs before it; None if unknown."""
        if self.mean_seconds is None or self.paused or self.held or self.unreachable:
            return None
        return self.rest_left(now) + ((ahead + self.running) // self.concurrency + 1) * self.mean_seconds


class PipelineQueues:
    """The queues by pipeline; also of a pipeline that is no longer installed, as its jobs must still end."""

    def __init__(self, concurrencies: Mapping[str, int], workers: int, limit: int) -> None:
        """`workers` is the concurrency of pipelines that are not listed, `limit` how many jobs may wait in each."""
        self._workers, self._limit = workers, limit
        self._pauses: AbstractSet[str] = frozenset()
        self._held = ""
        self.draining = False  # nothing starts until something changes: a job runs alone, or is about to
        self._queues = {name: PipelineQueue(concurrency, limit) for name, concurrency in concurrencies.items()}

    def __getitem__(self, pipeline: str) -> PipelineQueue:
        """Return the queue of a pipeline."""
        if pipeline not in self._queues:
            self._queues[pipeline] = PipelineQueue(self._workers, self._limit)
            self.set_pauses(self._pauses)
            self.hold(self._held)
        return self._queues[pipeline]

    @property
    def paused(self) -> bool:
        """Whether all queues are paused together."""
        return ALL in self._pauses

    def set_pauses(self, pauses: AbstractSet[str]) -> None:
        """Replace the set of paused pipelines; ALL may be in it."""
        self._pauses = pauses
        self.draining = False  # the job that was about to run alone may be one of these
        for name, queue in self._queues.items():
            queue.paused = not pauses.isdisjoint((ALL, name))

    def hold(self, reason: str) -> None:
        """Start no job of any pipeline for a reason; "" ends that."""
        self._held = reason
        for queue in self._queues.values():
            queue.held = reason

    def end_rest_after(self, cancelled: str) -> None:
        """End the rest that a job, or one of an experiment, has caused: it is cancelled."""
        for queue in self._queues.values():
            queue.end_rest_after(cancelled)

    def all(self) -> list[tuple[str, PipelineQueue]]:
        """Return the queues with their pipelines."""
        return list(self._queues.items())

    @property
    def queued(self) -> int:
        """The number of waiting jobs of all pipelines."""
        return sum(queue.queued for queue in self._queues.values())

    @property
    def running(self) -> int:
        """The number of running jobs of all pipelines."""
        return sum(queue.running for queue in self._queues.values())

    def startable(self, now: float, freed: Mapping[str, int] = NONE_FREED) -> dict[str, int]:
        """Return how many jobs may be started, for each pipeline that has waiting jobs and may start some.

        `freed` is how many of those that run, by pipeline, have ended by then.
        """
        if self.draining and not freed:
            return {}
        queues = self._queues.items()
        return {
            name: free for name, queue in queues if queue.queued and (free := queue.startable(now, freed.get(name, 0)))
        }

    def free(self, now: float) -> dict[str, int]:
        """Return how many jobs of each pipeline could start at once if they came now, beside those that wait."""
        if self.draining:
            return {}
        queues = self._queues.items()
        return {name: free for name, queue in queues if (free := queue.startable(now) - queue.queued) > 0}

    def views(self, now: float, end_awaited: str) -> dict[str, LaneView]:
        """Return the state of each queue as it goes over the wire; `end_awaited` is for whose end all of them wait."""
        return {
            name: LaneView(
                queued=queue.queued,
                running=queue.running,
                concurrency=queue.concurrency,
                room=queue.capacity_left,
                paused=queue.paused,
                waits_for=queue.waits_for(now) or (end_awaited if queue.queued else ""),
            )
            for name, queue in self._queues.items()
        }
