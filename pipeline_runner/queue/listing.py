"""What waits in the queue, in the order in which it will run, as people think of it: by experiments."""

import time
from typing import Final

from bus.contracts.queues import WaitingJobs
from bus.transport.pace import Pace
from bus.transport.steps import Steps
from pipeline_runner.queue.capacity import PipelineQueues
from pipeline_runner.queue.store import DamagedJobError, JobStore

ROWS_AT_ONCE: Final = 5000  # of a queue of a hundred thousand in one step, at most


class Group:
    """The waiting jobs of one experiment, or one job of none."""

    def __init__(self, pipeline: str, priority: int, experiment_id: str | None, first: str) -> None:
        """Begin with none."""
        self.pipeline, self.priority, self.experiment_id, self.first = pipeline, priority, experiment_id, first
        self.jobs = 0


class Listing:
    """Reads the queue, some rows in each step."""

    def __init__(self, store: JobStore, queues: PipelineQueues) -> None:
        """Wire the parts."""
        self._store, self._queues = store, queues
        self._pace = Pace(ROWS_AT_ONCE)

    def waiting(self, limit: int) -> Steps[tuple[list[WaitingJobs], int]]:
        """Return the first groups of all pipelines, at most so many, and how many jobs are in none of them."""
        groups, left = yield from self._grouped(limit)
        now, before = time.monotonic(), dict.fromkeys((group.pipeline for group in groups), 0)
        found = []
        for group in groups:
            yield None  # the job from which a name comes may be large
            before[group.pipeline] += group.jobs
            found.append(
                WaitingJobs(
                    pipeline=group.pipeline,
                    priority=group.priority,
                    jobs=group.jobs,
                    job_id=group.first,
                    eta_seconds=self._queues[group.pipeline].eta(before[group.pipeline] - 1, now),
                    experiment_id=group.experiment_id,
                    experiment_name=self._name_of(group),
                )
            )
        return found, left

    def _grouped(self, limit: int) -> Steps[tuple[list[Group], int]]:
        groups: dict[tuple[str, int, str], Group] = {}
        left = 0
        for pipeline, queue in self._queues.all():
            for priority in sorted((one for one, count in queue.waiting.items() if count > 0), reverse=True):
                after, is_last = 0, False
                while not is_last:
                    some = self._pace.count
                    with self._pace.timed(some):
                        rows = self._store.waiting_in(pipeline, priority, after, some)
                        for _, job_id, experiment_id in rows:
                            key = pipeline, priority, experiment_id or f"job {job_id}"
                            if key not in groups and len(groups) >= limit:
                                left += 1
                                continue
                            group = groups.setdefault(key, Group(pipeline, priority, experiment_id, job_id))
                            group.jobs += 1
                    is_last = len(rows) < some
                    after = rows[-1][0] if rows else after
                    yield None
        return list(groups.values()), left

    def _name_of(self, group: Group) -> str | None:
        if group.experiment_id is None:
            return None
        try:
            job = self._store.get(group.first)
        except DamagedJobError:
            return None
        return job.learning_context.experiment_name if job and job.learning_context else None
