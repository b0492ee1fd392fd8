"""A job service whose file is opened again and again, and what its jobs and its log say."""

from collections.abc import Callable
from typing import Final

from bus.contracts.messages import JobCompleted, JobQueued, JobStarted
from bus.eventlog.log import Log
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.service import JobService
from tests.support.factories import messages

ONE: Final = {"embedded": 1}  # room for one job
Open = Callable[[], tuple[JobService, Log]]


def told(log: Log) -> list[tuple[str, str, int]]:
    """Return topic, job and attempt of every message in the log."""
    found = []
    for record, message in zip(log.fetch("", 0).records, messages(log.fetch("", 0).records), strict=True):
        assert isinstance(message, JobQueued | JobStarted | JobCompleted)
        found.append((record.topic, message.job_id, message.attempt))
    return found


def states(service: JobService, *names: str) -> list[str]:
    """Return the states of jobs."""
    return [record_in(service, name).state for name in names]


def record_in(service: JobService, name: str) -> NormalizedJobRecord:
    """Return a job that is there."""
    record = service.store.get(name)
    assert record is not None
    return record


def claimed(service: JobService) -> NormalizedJobRecord:
    """Claim the one job that is next."""
    (job,) = service.claim(ONE)
    return job
