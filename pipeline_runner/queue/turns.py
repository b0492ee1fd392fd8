"""Whose turn it is where some jobs have to run alone: a decision without a clock or storage.

A job that is timed runs while no other job of the runner does. Before it, what runs comes to its end and nothing else
is started, so it waits for one round of others at most. After it, the other queues have a round, so they wait for one
such job at most, however many there are.
"""

from collections.abc import Collection, Mapping, Sequence

from pipeline_runner.queue.jobs import NormalizedJobRecord


class Turns:
    """Chooses among the next jobs of each queue those that start now."""

    def __init__(self) -> None:
        """No job has run alone yet."""
        self._is_owed = False  # the others have waited for a job that ran alone

    def choose(
        self, waiting: Mapping[str, Sequence[NormalizedJobRecord]], running: Collection[NormalizedJobRecord]
    ) -> list[NormalizedJobRecord]:
        """Return the jobs that start now; `waiting` has the next ones of each queue, as many as may run there."""
        if [job for job in running if job.exclusive]:  # a list, as every job that starts comes by here
            return []
        if not [job for jobs in waiting.values() for job in jobs if job.exclusive]:
            self._is_owed = False
            return [job for jobs in waiting.values() for job in jobs]
        heads = [jobs[0] for jobs in waiting.values() if jobs and jobs[0].exclusive]
        others = [job for jobs in waiting.values() for job in _before_exclusive(jobs)]
        if not heads or (self._is_owed and others):
            self._is_owed = False
            return others
        if running:
            return []
        self._is_owed = True
        return [min(heads, key=lambda job: (-job.priority, job.queued_at))]


def end_awaited(running: Collection[NormalizedJobRecord]) -> str:
    """Return in a sentence for whose end everything waits before a job that runs alone; "" while that one runs."""
    if not running or any(job.exclusive for job in running):
        return ""
    oldest = min(running, key=lambda job: job.started_at or 0.0)
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    return f"the next job runs alone, so job {oldest.job_id}{more} must end first (or be cancelled)"


def _before_exclusive(jobs: Sequence[NormalizedJobRecord]) -> Sequence[NormalizedJobRecord]:
    place = next((at for at, job in enumerate(jobs) if job.exclusive), len(jobs))
    return jobs[:place]
