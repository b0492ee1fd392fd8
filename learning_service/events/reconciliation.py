"""Asks runners for the ends of jobs whose events were removed from their logs or damaged."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from bus.contracts.jobs import JobParams, JobView
from bus.contracts.messages import JobCompleted, JobResult
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.loop import Loop
from bus.transport.retry import RETRY_SECONDS, retry_later
from learning_service.runners.reaching import Client, Runners
from learning_service.storage.store import LearningStore

ASK_SECONDS: Final = 3.0
logger = logging.getLogger(__name__)


class Reconciler:
    """Asks for all jobs that have not ended, one after another, and continues after a restart."""

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        runners: Runners,
        apply: Callable[[JobCompleted], None],
        lost: Callable[[], list[str]],
    ) -> None:
        """`apply` handles the end of a job like its event; applying a known end is idempotent.

        `lost` returns the jobs that are asked for though they have ended: their results were lost.
        """
        self._log, self._store, self._loop, self._runners, self._apply = log, store, loop, runners, apply
        self._lost = lost
        self._rounds: dict[str, _Round] = {}
        self._noted: set[str] = set()  # runners whose round is about to begin
        for runner in store.reconciles():
            if runner in runners.addresses:  # otherwise it is not followed now, and may be later
                self._begin(runner)

    def ask(self, runner: str) -> bool:
        """Ask a runner how its jobs ended, after a gap that it cannot fill. Several notices start one round.

        Return whether that is noted on disk; if not, it is tried again.
        """
        if runner in self._noted:
            return True
        try:
            with self._log.transaction() as tx:
                self._store.begin_reconcile(tx, runner)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self._ask_again(runner))
            return False
        self._noted.add(runner)
        self._loop.call(lambda: self._begin(runner))
        return True

    def _ask_again(self, runner: str) -> None:
        self.ask(runner)

    def close(self) -> None:
        """Stop; the next start continues."""
        for one in self._rounds.values():
            one.close()

    def _begin(self, runner: str) -> None:
        self._noted.discard(runner)
        try:
            jobs = self._store.unended() + self._lost()
        except StorageError as error:
            retry_later(self._loop, error, lambda: self._begin(runner))
            return
        if before := self._rounds.pop(runner, None):
            before.close()
        logger.warning("runner %s may have ended jobs that are not known to have ended; asking it", runner)
        client = self._runners.client(self._loop, runner)
        one = _Round(self._loop, client, jobs, self._apply, self._finish)
        self._rounds[runner] = one
        one.next()

    def _finish(self, runner: str) -> None:
        with self._log.transaction() as tx:
            self._store.finish_reconcile(tx, runner)
        self._rounds.pop(runner).close()


class _Round:
    """The requests to one runner."""

    def __init__(
        self,
        loop: Loop,
        client: Client,
        jobs: list[str],
        apply: Callable[[JobCompleted], None],
        finish: Callable[[str], None],
    ) -> None:
        self._loop, self._client, self._apply, self._finish = loop, client, apply, finish
        self._jobs = deque(jobs)
        self._closed = False

    def next(self) -> None:
        """Ask for the next job; a transient error is retried."""
        if self._closed:
            return
        try:
            if self._jobs:
                params = JobParams(job_id=self._jobs[0])
                self._client.ask("job.show", params, JobView, self._answered, self._failed, ASK_SECONDS)
            else:
                self._finish(self._client.address)
        except StorageError as error:
            self._again(str(error))

    def close(self) -> None:
        """Stop."""
        self._closed = True
        self._client.close()

    def _answered(self, job: JobView) -> None:
        completed = as_event(job)
        try:
            if completed:
                self._apply(completed)
        except StorageError as error:
            self._again(str(error))
        else:
            self._jobs.popleft()
            self.next()

    def _failed(self, error: ControlError) -> None:
        if error.code == "not_found":  # it belongs to another runner, or was never sent
            self._jobs.popleft()
            self.next()
        else:
            self._jobs.rotate(-1)  # if it is this job whose answer cannot be read, the others are not kept waiting
            self._again(error.message)

    def _again(self, reason: str) -> None:
        logger.warning("runner %s: %s; asking again", self._client.address, reason)
        self._loop.later(RETRY_SECONDS, self.next)


def as_event(job: JobView) -> JobCompleted | None:
    """Return the event of the end of a job; None if it has not ended."""
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
