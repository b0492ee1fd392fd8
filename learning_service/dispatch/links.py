"""Which runner gets which jobs, and which job of a refused request is at fault. No socket, no file, no clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bus.contracts.fields import INT64_MAX
from bus.contracts.jobs import PipelinesReply
from bus.protocol.control import ControlError
from learning_service.storage.confirmations import LogMark
from learning_service.storage.job_rows import JobRow, job_kind
from learning_service.storage.store import RunnerPipelines

BATCH: Final = 1000  # jobs in one request
TRIES: Final = 5  # of a job at which the runner fails; a passing fault of the runner must not fail jobs


class RunnerLink:
    """The state of one runner, as the dispatcher knows it."""

    def __init__(self, address: str, pipelines: RunnerPipelines) -> None:
        """Start with what the runner offered when it last answered."""
        self.address = address
        self.alive = False
        self.busy = False  # a submission or a cancel is pending, or a retry is scheduled
        self.is_asking = False  # a request for its log and its pipelines is pending
        self.has_confirmed = False  # something since it last told how far its log reaches
        self.knew_jobs = False  # it had jobs already that were sent to it: they may have ended unnoticed
        self.announces = 0  # times that it was asked until it is told which experiments are submitted
        self.batch = BATCH  # jobs in the next request
        self.load = 0  # jobs in its queue, running, or assigned to it since then
        self.capacity: dict[str, int] = {}  # how many more jobs each pipeline takes; older runners do not report it
        self._tried, self._tries = 0, 0  # the job at which it failed last, and how often
        self.workers: dict[str, int] = {}  # how many jobs of each pipeline it runs at once; as above
        self.offer(pipelines)

    def offer(self, pipelines: RunnerPipelines) -> None:
        """Record its pipelines."""
        self.pipelines = pipelines
        specs = {job_kind(name, stage): (name, spec) for name, of in pipelines.items() for stage, spec in of.items()}
        self._kinds = {kind: name for kind, (name, _) in specs.items()}
        # without the pipelines that it cannot check now, because their server has never answered
        self.available = {kind: name for kind, (name, spec) in specs.items() if not spec.unavailable}

    def offers(self, kind: str) -> bool:
        """Return whether it offers a kind of jobs, be its server away for now."""
        return kind in self._kinds

    def note_queue(self, reply: PipelinesReply) -> None:
        """Record the length of its queue."""
        self.load = reply.queued + reply.running
        self.capacity = {name: lane.room for name, lane in reply.lanes.items()}
        self.workers = {name: lane.concurrency for name, lane in reply.lanes.items()}

    def at_once(self, kind: str, *, alone: bool) -> int:
        """Return how many jobs of a kind it runs at once, 0 if it offers none now; `alone`: nothing runs beside one."""
        if not self.alive or kind not in self.available:
            return 0
        return 1 if alone else self.workers.get(self.available[kind], 1)

    @property
    def blocked(self) -> set[str]:
        """The kinds of jobs that it offers but has no capacity for now."""
        return {kind for kind, name in self._kinds.items() if kind not in self.available or self._capacity(name) < 1}

    def remaining(self, unsent: Sequence[JobRow]) -> Counter[str]:
        """Return the capacity of each pipeline that is left after the jobs still to be sent."""
        if len(unsent) >= BATCH:
            return Counter()  # it has enough work, and another runner may be free earlier
        left = Counter({name: self._capacity(name) for name in self.pipelines})
        left.subtract(self._kinds[row.kind] for row in unsent if row.kind in self._kinds)
        return left

    def fitting(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """Return the jobs within its capacity, and those of pipelines that it no longer offers, for it to refuse."""
        counts = Counter[str]()
        fitting = []
        for row in rows:
            name = self._kinds.get(row.kind)
            if name is not None:
                counts[name] += 1
            if name is None or counts[name] <= self._capacity(name):
                fitting.append(row)
        return fitting

    def find_refused(self, error: ControlError, rows: Sequence[JobRow]) -> JobRow | None:
        """Return the job for which a request was refused; a request is accepted as a whole or not at all.

        None if that is not known yet: if the runner does not name the job, the requests are halved until one job
        is left.
        """
        number = _job_number(error, len(rows))
        if number is not None:
            self.batch = number or BATCH  # those before it are good
            return rows[number]
        self.batch = max(1, len(rows) // 2)
        return rows[0] if len(rows) == 1 else None

    def gives_up(self, row: JobRow) -> bool:
        """Count a failure of the runner at a job; return whether the last retry is used up."""
        self._tries = self._tries + 1 if self._tried == row.number else 1
        self._tried = row.number
        return self._tries >= TRIES

    def _capacity(self, pipeline: str) -> int:
        return self.capacity.get(pipeline, INT64_MAX)


def has_lost(confirmed: LogMark | None, now: LogMark) -> bool:
    """Return whether a runner may have lost what it confirmed: its log is another one now, or ends before that.

    A new epoch counts as another log, though most begin after an ordinary power cut, which takes nothing that was
    confirmed: a log that dropped damaged rows begins one, too.
    """
    return confirmed is None or confirmed.epoch != now.epoch or now.head < confirmed.head


def kinds_taken(remaining: Mapping[RunnerLink, Counter[str]]) -> set[str]:
    """Return the kinds of jobs for which some runner has capacity now."""
    return {kind for link, left in remaining.items() for kind, name in link.available.items() if left[name] > 0}


def share_out(rows: Iterable[JobRow], remaining: Mapping[RunnerLink, Counter[str]]) -> dict[RunnerLink, list[JobRow]]:
    """Return the jobs of each runner, filling the shortest queue with capacity first. Update `remaining`."""
    chosen: dict[RunnerLink, list[JobRow]] = {}
    for row in rows:
        able = [link for link, left in remaining.items() if left[link.available.get(row.kind, "")] > 0]
        if able:
            link = min(able, key=lambda one: one.load)
            link.load += 1
            remaining[link][link.available[row.kind]] -= 1
            chosen.setdefault(link, []).append(row)
    return chosen


def offered_together(links: Iterable[RunnerLink]) -> RunnerPipelines:
    """Return the pipelines of all runners together; of equal stages an available one is preferred."""
    offered: RunnerPipelines = {}
    for link in links:
        for name, stages in link.pipelines.items():
            together = offered.setdefault(name, {})
            for stage, spec in stages.items():
                if stage not in together or together[stage].unavailable:
                    together[stage] = spec
    return offered


def _job_number(error: ControlError, count: int) -> int | None:
    """Return which job of a request an error names, None if it names none; the details are not trusted."""
    text = error.details.get("job", "")
    return int(text) if text in map(str, range(count)) else None
