"""Requests to the runner about its jobs, each as one function."""

from collections.abc import Iterator

from bus.contracts.jobs import JobListParams, JobListReply
from bus.contracts.messages import JobState
from bus.transport.client import request
from bus.transport.keys import Keys


def listed_jobs(
    runner: str, keys: Keys | None = None, *, state: JobState | None = None, page: int = 1000
) -> Iterator[JobListReply]:
    """Yield all jobs, newest first, page by page as needed; each page names all damaged ones."""
    before: int | None = None
    while True:
        params = JobListParams(state=state, before=before, limit=page)
        reply = request(runner, "job.list", params, JobListReply, keys=keys)
        yield reply
        if reply.before is None:
            return
        before = reply.before
