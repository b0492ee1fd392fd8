"""Asking a runner for what its log can no longer tell: the end of jobs whose events were removed or damaged."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from bus.log import StorageError
from bus.loop import Loop
from bus.messages import JobCompleted, JobResult
from bus.requester import Requester
from bus.requests import JobParams, JobView
from bus.wire import ControlError

ASK_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class Reconciler:
    """Asks for jobs one after another; a runner that does not answer is asked again until it does."""

    def __init__(self, loop: Loop, requester: Requester, apply: Callable[[JobCompleted], None]) -> None:
        """`apply` takes the end of a job as if its event had come; an end that is known already changes nothing."""
        self._loop, self._requester, self._apply = loop, requester, apply
        self._jobs: deque[str] = deque()
        self._asking = False

    def ask(self, job_ids: list[str]) -> None:
        """Ask for the state of jobs."""
        self._jobs += [job_id for job_id in job_ids if job_id not in set(self._jobs)]
        self._next()

    def close(self) -> None:
        """Stop; the next notice asks again."""
        self._requester.close()

    def _next(self) -> None:
        if self._jobs and not self._asking:
            self._asking = True
            params = JobParams(job_id=self._jobs[0])
            self._requester.ask("job.show", params, JobView, self._answered, self._failed, ASK_SECONDS)

    def _answered(self, job: JobView) -> None:
        self._asking = False
        completed = as_event(job)
        if completed:
            try:
                self._apply(completed)
            except StorageError as error:
                logger.error("cannot write: %s; trying again", error)  # noqa: TRY400 - no bug of ours
                self._loop.later(RETRY_SECONDS, self._next)
                return
        self._jobs.popleft()
        self._next()

    def _failed(self, error: ControlError) -> None:
        self._asking = False
        if error.code == "not_found":  # it is another runner's, or was never sent
            self._jobs.popleft()
            self._next()
        else:
            logger.warning("runner %s: %s; asking again", self._requester.address, error.message)
            self._loop.later(RETRY_SECONDS, self._next)


def as_event(job: JobView) -> JobCompleted | None:
    """Give the event that said how a job ended; None for one that has not."""
    if job.state not in ("completed", "failed", "cancelled") or job.finished_at is None:
        return None
    return JobCompleted(
        job_id=job.job_id,
        stage=job.stage,
        pipeline=job.pipeline,
        attempt=job.attempt,
        learning_context=job.learning_context,
        config=job.config,
        result=job.result or JobResult(success=False, cancelled=job.state == "cancelled"),
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
