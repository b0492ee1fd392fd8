"""Sending jobs to runners until each has them on disk, and cancels until they are done.

A job is assigned to one runner, durably, before it is sent: a repeated submission adds nothing there, and no second
runner ever gets it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Raw

from bus import wire
from bus.keys import Keys, towards
from bus.log import Log, StorageError
from bus.loop import Loop
from bus.metrics import Point
from bus.requester import Requester
from bus.requests import CancelParams, CancelReply, JobRequest, PipelinesReply, SubmitReply
from bus.wire import ControlError
from learning_service.store import JobRow, LearningStore, RunnerPipelines, job_kind

BATCH: Final = 500  # jobs in one request
BATCH_BYTES: Final = 2 << 20  # of them together; it stays below the limit of a request
RETRY_SECONDS: Final = 1.0
POLL_SECONDS: Final = 2.0  # what a runner offers, and how long its queue is
ASK_SECONDS: Final = 3.0
logger = logging.getLogger(__name__)


class RunnerLink:
    """One runner as the service that sends it jobs sees it."""

    def __init__(self, requester: Requester, pipelines: RunnerPipelines) -> None:
        """Start with what the runner offered when it last answered."""
        self.requester = requester
        self.address = requester.address
        self.pipelines = pipelines
        self.alive = False
        self.busy = False  # a submission or a cancel is on its way
        self.asked = False  # its pipelines are
        self.batch = BATCH  # jobs in the next request
        self.load = 0  # jobs in its queue, running, or assigned to it since it told
        self.room = 0  # jobs that its queue takes

    @property
    def kinds(self) -> set[str]:
        """The kinds of jobs that it offers to do, also those that it cannot do now."""
        return {job_kind(pipeline, stage) for pipeline, stages in self.pipelines.items() for stage in stages}

    @property
    def unavailable(self) -> set[str]:
        """Those that it cannot check now, as it has never heard of their server: they wait, and no others."""
        return {
            job_kind(pipeline, stage)
            for pipeline, stages in self.pipelines.items()
            for stage, spec in stages.items()
            if spec.unavailable
        }


class Submitter:
    """Sends what the store says is to be sent."""

    def __init__(  # noqa: PLR0913 - what it is wired to
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        addresses: list[str],
        *,
        request_of: Callable[[JobRow], JobRequest],
        has_ended: Callable[[JobRow], bool],
        refused: Callable[[list[JobRow], str], None],
        unsent: Callable[[list[JobRow]], None],
        keys: Keys | None = None,
    ) -> None:
        """Connect to the runners in the background.

        `request_of` gives what is sent of a job, unless it `has_ended`; `refused` is told when a runner does not want
        jobs, and `unsent` when jobs were cancelled before their runner had them.
        """
        self._log, self._store = log, store
        self._request_of, self._has_ended, self._refused, self._unsent = request_of, has_ended, refused, unsent
        known = store.runners()
        self._links = [
            RunnerLink(Requester(loop, address, towards(keys, address)), known.get(address, {}))
            for address in addresses
        ]
        self._strangers = store.runners_with_work() - set(addresses)  # no more can come: none but ours are assigned to
        for stranger in self._strangers:
            logger.warning("%s has jobs that have not ended, and is not followed: name it with --runner", stranger)
        self._timers = [loop.every(RETRY_SECONDS, self.pump), loop.every(POLL_SECONDS, self._poll)]
        self._poll()

    def pipelines(self) -> RunnerPipelines:
        """Give what the runners offer together."""
        offered: RunnerPipelines = {}
        for link in self._links:
            for name, stages in link.pipelines.items():
                offered[name] = {**offered.get(name, {}), **stages}
        return offered

    def pump(self) -> None:
        """Assign jobs that have no runner, and send each runner what is to be sent."""
        self._store.trim()
        with _tried_again():
            self._assign()
            for link in self._links:
                if link.busy:
                    continue
                if unsent := self._store.cancelled_unsent(link.address):
                    self._unsent(unsent)
                if link.alive:
                    self._send(link)

    def points(self) -> Iterator[Point]:
        """Tell for the metrics which runners answer, and what waits for one."""
        for link in self._links:
            yield "variantbus_runner_up", {"runner": link.address}, int(link.alive)
        self._strangers = self._strangers and self._strangers & self._store.runners_with_work()
        for stranger in self._strangers:
            yield "variantbus_runner_unfollowed", {"runner": stranger}, 1
        yield "variantbus_jobs_unassigned", {}, self._store.count_unassigned()

    def close(self) -> None:
        """Stop; what was not sent stays in the store."""
        for timer in self._timers:
            timer.cancel()
        for link in self._links:
            link.requester.close()

    def _poll(self) -> None:
        for link in self._links:
            if not link.asked:
                self._ask_pipelines(link)

    def _ask_pipelines(self, link: RunnerLink) -> None:
        def answered(reply: PipelinesReply) -> None:
            link.asked = False
            link.load = reply.queued + reply.running
            link.room = reply.room
            if link.pipelines != reply.pipelines:
                with _tried_again(), self._log.transaction() as tx:
                    self._store.write_runner(tx, link.address, reply.pipelines)
                link.pipelines = reply.pipelines
            if not link.alive:
                logger.info("runner %s offers %s", link.address, ", ".join(sorted(reply.pipelines)))
                link.alive = True
            self.pump()

        def failed(error: ControlError) -> None:
            link.asked = False
            if link.alive:
                logger.warning("runner %s: %s; its jobs wait", link.address, error.message)
            link.alive = False

        link.asked = True
        link.requester.ask("pipelines", {}, PipelinesReply, answered, failed, ASK_SECONDS)

    def _assign(self) -> None:
        """Choose for waiting jobs the runner that offers their pipeline and has the shortest queue."""
        # one that does not answer gets nothing: it may never come back, and a job stays where it was assigned
        alive = [link for link in self._links if link.alive and link.room]
        offered = {kind for link in alive for kind in link.kinds}
        chosen: dict[RunnerLink, list[JobRow]] = {}
        for row in self._store.unassigned(offered, BATCH) if offered else []:
            link = min((one for one in alive if row.kind in one.kinds), key=lambda one: one.load)
            link.load += 1
            chosen.setdefault(link, []).append(row)
        if chosen:
            # synced: after a power cut a job must not go to a second runner
            with self._log.transaction(sync=True) as tx:
                for link, mine in chosen.items():
                    self._store.assign(tx, mine, link.address)

    def _send(self, link: RunnerLink) -> None:
        limit, but = min(link.batch, link.room), link.unavailable
        while rows := self._store.unacknowledged(link.address, limit, but=but):
            if left := [row for row in rows if not self._has_ended(row)]:
                self._submit(link, left)
                return
            with self._log.transaction() as tx:
                self._store.acknowledge(tx, rows)  # refused, or the reply to it was lost: nothing is left to send
        if cancel := self._store.next_cancel(link.address):
            self._cancel(link, *cancel)

    def _submit(self, link: RunnerLink, waiting: list[JobRow]) -> None:
        rows, jobs = self._fitting(waiting)

        def accepted(reply: SubmitReply) -> None:
            link.busy, link.batch, link.room = False, BATCH, reply.room
            with _tried_again():
                with self._log.transaction() as tx:
                    self._store.acknowledge(tx, rows)
                self.pump()

        def failed(error: ControlError) -> None:
            link.busy = False
            if error.code == "invalid_request":
                # a request is taken whole or not at all: alone, each job shows whether it is the one
                link.batch = 1
                with _tried_again():
                    if len(rows) == 1:
                        self._refused(rows, error.message)  # it has ended: it is not sent again
                    self.pump()
            elif "room" in error.details:  # somebody else was faster
                link.room = 0
            else:
                logger.warning("runner %s: %s; trying again", link.address, error.message)

        link.busy = True
        link.requester.ask("job.submit", {"jobs": jobs}, SubmitReply, accepted, failed, ASK_SECONDS)

    def _fitting(self, rows: list[JobRow]) -> tuple[list[JobRow], list[Raw]]:
        """Give the first of some jobs, as many as fit into a request, and what is sent of them."""
        jobs: list[Raw] = []
        size = 0
        for row in rows:
            jobs.append(Raw(wire.encode(self._request_of(row))))
            size += len(jobs[-1])
            if size > BATCH_BYTES:
                break
        return rows[: len(jobs)], jobs

    def _cancel(self, link: RunnerLink, experiment_id: str, finish_running: bool) -> None:
        def done(_reply: CancelReply) -> None:
            link.busy = False
            with _tried_again():
                with self._log.transaction() as tx:
                    self._store.finish_cancel(tx, experiment_id, link.address, finish_running=finish_running)
                self.pump()

        def failed(error: ControlError) -> None:
            link.busy = False
            logger.warning("runner %s: %s; trying again", link.address, error.message)

        link.busy = True
        params = CancelParams(experiment_id=experiment_id, finish_running=finish_running)
        link.requester.ask("job.cancel", params, CancelReply, done, failed, ASK_SECONDS)


@contextmanager
def _tried_again() -> Iterator[None]:
    """Go on when the disk is full: what could not be noted is done once more, and adds nothing at the runner."""
    try:
        yield
    except StorageError as error:
        logger.error("cannot write: %s; trying again", error)  # noqa: TRY400 - no bug of ours
