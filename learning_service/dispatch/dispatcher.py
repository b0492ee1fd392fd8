"""Sends jobs until their runner has stored them, and cancel requests until they are done.

A job is assigned to one runner, durably, before it is sent. A repeated submission adds nothing there, and no second
runner ever gets it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Final

from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobCheckReply,
    JobRequest,
    PipelinesReply,
    SubmitReply,
    SubmittersReply,
)
from bus.contracts.messages import JobCompleted
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError, InfoReply
from bus.protocol.validation import InvalidInputError
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.retry import log_transient
from bus.transport.steps import Steps, wait
from learning_service.dispatch import departures, sharing
from learning_service.dispatch.departures import Departures
from learning_service.dispatch.links import BATCH, RunnerLink, kinds_taken, offered_together, share_out
from learning_service.dispatch.requests import fitting, is_known, refusal, request_of
from learning_service.dispatch.resending import Resending
from learning_service.dispatch.sharing import Sharing
from learning_service.runners.reaching import Runners
from learning_service.storage.confirmations import LogMark
from learning_service.storage.job_rows import JobRow
from learning_service.storage.store import UNASSIGNED, LearningStore, RunnerPipelines

PUMP_SECONDS: Final = 1.0  # what could not be sent or written is tried again as often
POLL_SECONDS: Final = 2.0  # what a runner offers, and how long its queue is
POLLS_AN_ANNOUNCEMENT: Final = 2
CANCELS_AT_ONCE: Final = 500  # jobs that no runner has, at most
ASK_SECONDS: Final = 3.0
CHECK_SECONDS: Final = 1.5  # whoever wants to plan something waits meanwhile
CHECKED: Final = 1000  # jobs of a plan that are looked at before: one of each variant
JOB_FAULTS: Final = ("invalid_request", "too_large", "internal")  # errors that one job of a request may be to blame for
NOT_THERE: Final = ("not_found", "conflict", "invalid_request")  # errors of a cancel that leave nothing to be done
HELP: Final = {
    "variantbus_jobs_unassigned": "Planned jobs for which no runner has been chosen yet.",
    "variantbus_runner_up": "1 while a runner answers the learning service.",
    "variantbus_runner_unfollowed": "1 for a runner that has unended jobs but is not followed by the learning service.",
    **departures.HELP,
    **sharing.HELP,
}
logger = logging.getLogger(__name__)


class Dispatcher:
    """Assigns the stored jobs to runners and sends them, and the cancel requests."""

    def __init__(  # noqa: PLR0913 - what it works with, and whom it tells
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        runners: Runners,
        *,
        refused: Callable[[JobCompleted], None],
        unsent: Callable[[list[JobRow]], None],
        reconcile: Callable[[str], None],
        control: str,
    ) -> None:
        """Connect to the runners in the background.

        `refused` is called with the end of a job that a runner does not take, `unsent` with jobs that were cancelled
        before a runner had them, `reconcile` with a runner that has to be asked how its jobs ended. `control` is our
        own address, for other learning services.
        """
        self._log, self._store, self._loop = log, store, loop
        self._refused, self._unsent, self._reconcile = refused, unsent, reconcile
        self._sharing = Sharing(store, control)
        self._resending = Resending(log, store, loop, self.pump)
        self._cancel_pace = Pace(CANCELS_AT_ONCE)
        known = store.runners()
        self._links = [RunnerLink(address, known.get(address, {})) for address in runners.addresses]
        self.departures = Departures(log, store, loop, self._links, self._resending, self.pump)
        self.on_change: Callable[[], None] = lambda: None  # called when a runner answers again, or no longer
        self._clients = {address: runners.client(loop, address) for address in runners.addresses}
        self._timers = [loop.every(PUMP_SECONDS, self.pump), loop.every(POLL_SECONDS, self._poll)]
        self._poll()

    def pipelines(self) -> RunnerPipelines:
        """Return the pipelines of all runners together."""
        return offered_together(self._links)

    def offered(self, pipeline: str) -> RunnerPipelines:
        """Return the pipelines of all runners together, of which a new plan needs this one.

        Raises:
            ControlError: no runner that ever answered offers it, and another one has not answered yet (`unavailable`).
        """
        offered = self.pipelines()
        silent = ", ".join(link.address for link in self._links if not link.pipelines)
        if not offered:
            raise ControlError("unavailable", f"no runner has answered yet at {silent}; start one and try again")
        if silent and pipeline not in offered:
            text = f"pipeline: {pipeline!r} is offered by no runner that has answered; start the one at {silent}"
            raise ControlError("unavailable", f"{text} and try again")
        return offered

    def at_once(self, kind: str, *, alone: bool) -> int:
        """Return how many jobs of a kind all runners that answer run at once; `alone`: nothing runs beside one."""
        return sum(link.at_once(kind, alone=alone) for link in self._links)

    def check(self, kind: str, jobs: Iterable[JobRequest]) -> Steps[None]:
        """Ask a runner to check jobs of a kind before they are planned: only the runner sees its files and its server.

        This takes a short time at most. If no runner can answer now, jobs are checked when they are submitted.

        Raises:
            InvalidInputError: the reason of the runner for the first job that it would refuse.
        """
        link = next((one for one in self._links if one.alive and kind in one.available), None)
        if link is None:
            return
        try:
            params = {"jobs": fitting(islice(jobs, CHECKED))}
            client = self._clients[link.address]
            yield from wait(client.answer("job.check", params, JobCheckReply, CHECK_SECONDS))
        except ControlError as error:
            if error.code == "invalid_request":
                raise InvalidInputError(error.message) from None
            logger.info("runner %s cannot check a plan now: %s", link.address, error.message)

    def pump(self) -> None:
        """Assign jobs that have no runner, and send each runner what is to be sent."""
        self._store.trim()
        with _retrying_on_full_disk():
            if self.departures.step() or self._withdraw():
                self._loop.call(self.pump)  # other callbacks run before the next batch
                return
            if self._assign():
                self._loop.call(self._send_all)  # in the next turn
            else:
                self._send_all()

    def resend(self, runner: str) -> None:
        """Send a runner its unfinished jobs again: its log was replaced or has lost its end."""
        self._resending.resend(runner)

    def points(self) -> Iterator[Point]:
        """Return the metrics: which runners answer, and how many jobs have no runner."""
        for link in self._links:
            yield "variantbus_runner_up", {"runner": link.address}, int(link.alive)
        yield from self.departures.points()
        yield "variantbus_jobs_unassigned", {}, self._store.count_unassigned()
        yield from self._sharing.points()

    def close(self) -> None:
        """Stop; jobs that were not sent stay in the store."""
        for timer in self._timers:
            timer.cancel()
        for client in self._clients.values():
            client.close()

    def _poll(self) -> None:
        for link in self._links:
            if not link.is_asking:
                self._ask(link)

    def _ask(self, link: RunnerLink) -> None:
        """Ask a runner which log it has, and only then what it offers: so it is sent nothing before that is known."""

        def informed(info: InfoReply) -> None:
            link.is_asking = self._compare(link, info)
            if link.is_asking:
                self._clients[link.address].ask("pipelines", {}, PipelinesReply, answered, failed, ASK_SECONDS)

        def answered(reply: PipelinesReply) -> None:
            link.is_asking = False
            link.note_queue(reply)
            if link.pipelines != reply.pipelines:
                with _retrying_on_full_disk(), self._log.transaction() as tx:
                    self._store.write_runner(tx, link.address, reply.pipelines)
                link.offer(reply.pipelines)
            if not link.alive:
                logger.info("runner %s offers %s", link.address, ", ".join(sorted(reply.pipelines)))
                link.alive = True
                self.on_change()
            self.departures.note_answer(link.address)
            self._announce(link)
            self.pump()

        def failed(error: ControlError) -> None:
            link.is_asking = False
            if link.alive:
                logger.warning("runner %s: %s; its jobs wait", link.address, error.message)
                link.alive = False
                self.on_change()
            self.departures.note_silence(link.address)

        link.is_asking = True
        self._clients[link.address].ask("info", {}, InfoReply, informed, failed, ASK_SECONDS)

    def _compare(self, link: RunnerLink, info: InfoReply) -> bool:
        """Compare the log of a runner with the one that has confirmed its jobs; False if that cannot be done now."""
        try:
            self.departures.adopt(link.address, info)
            self._resending.compare(link.address, LogMark(info.epoch, info.head), confirms=link.has_confirmed)
        except StorageError as error:
            log_transient(error)
            return False
        link.has_confirmed = False
        return True

    def _note_confirmation(self, link: RunnerLink) -> None:
        """Ask a runner up to where its log has what it has just confirmed; without an answer, the next poll does."""
        link.has_confirmed = True

        def informed(info: InfoReply) -> None:
            self._compare(link, info)

        self._clients[link.address].ask("info", {}, InfoReply, informed, lambda _: None, ASK_SECONDS)

    def _announce(self, link: RunnerLink) -> None:
        """Tell a runner now and then whose jobs it gets; one of an older version does not know the method."""
        if link.announces == 0:
            with _retrying_on_full_disk():
                params, noted = self._sharing.announcement(), partial(self._sharing.note, link.address)
                client = self._clients[link.address]
                client.ask("job.submitters", params, SubmittersReply, noted, lambda _: None, ASK_SECONDS)
        link.announces = (link.announces + 1) % POLLS_AN_ANNOUNCEMENT

    def _withdraw(self) -> bool:
        """Withdraw some jobs that were cancelled before a runner had them; return whether there may be others."""
        for address in (UNASSIGNED, *(link.address for link in self._links if not link.busy)):
            if rows := self._store.cancelled_unsent(address, self._cancel_pace.count):
                with self._cancel_pace.timed(len(rows)):
                    self._unsent(rows)
                return True
        while cancel := self._store.next_cancel(UNASSIGNED):
            self._finish_cancel(UNASSIGNED, *cancel)
        return False

    def _assign(self) -> bool:
        """Choose runners for some jobs that have none; return whether there were any."""
        # a runner that does not answer gets no job: it may never come back, and an assignment is never changed
        remaining = {
            link: link.remaining(self._store.unacknowledged(link.address, BATCH, but=link.blocked))
            for link in self._links
            if link.alive
        }
        chosen = share_out(self._store.unassigned(kinds_taken(remaining), BATCH), remaining)
        if chosen:
            # synced: after a power cut a job must not go to a second runner
            with self._log.transaction(sync=True) as tx:
                for link, mine in chosen.items():
                    self._store.assign(tx, mine, link.address)
        return bool(chosen)

    def _send_all(self) -> None:
        with _retrying_on_full_disk():
            for link in self._links:
                if link.alive and not link.busy:
                    self._send(link)

    def _send(self, link: RunnerLink) -> None:
        if withdrawals := self.departures.next_withdrawals(link.address):
            self._drop(link, withdrawals)
            return
        while rows := self._store.unacknowledged(link.address, link.batch, but=link.blocked):
            known = [row for row in rows if is_known(self._store, row)]
            if not known:
                self._submit(link, link.fitting(rows))
                return
            with self._log.transaction() as tx:
                self._store.acknowledge(tx, known)  # its reply was lost, or the job has ended: not sent again
        if link.knew_jobs:
            link.knew_jobs = False
            self._reconcile(link.address)
        if cancel := self._store.next_cancel(link.address):
            self._cancel(link, *cancel)

    def _submit(self, link: RunnerLink, waiting: list[JobRow]) -> None:
        jobs = fitting(request_of(self._store, row) for row in waiting)
        rows = waiting[: len(jobs)]

        def accepted(reply: SubmitReply) -> None:
            link.busy, link.batch = False, BATCH
            self._note_confirmation(link)
            link.capacity |= reply.rooms
            with _retrying_on_full_disk():
                with self._log.transaction() as tx:
                    self._store.acknowledge(tx, rows)
                    if reply.known:  # it may have ended them before the events that are read
                        self._store.begin_reconcile(tx, link.address)
                link.knew_jobs = link.knew_jobs or reply.known > 0
                self._loop.call(self.pump)  # in the next turn

        def failed(error: ControlError) -> None:
            link.busy = False
            if error.code in JOB_FAULTS:
                self._on_refused(link, error, rows)
            elif "pipeline" in error.details:  # another client has filled the queue
                link.capacity[error.details["pipeline"]] = 0  # until the next reply
            else:
                logger.warning("runner %s: %s; trying again", link.address, error.message)

        link.busy = True
        self._clients[link.address].ask("job.submit", {"jobs": jobs}, SubmitReply, accepted, failed, ASK_SECONDS)

    def _on_refused(self, link: RunnerLink, error: ControlError, rows: list[JobRow]) -> None:
        """Fail the one job for which a request was refused, or narrow the search for it."""
        row = link.find_refused(error, rows)
        if row and error.code == "internal" and not link.gives_up(row):
            logger.warning("runner %s: %s; trying again", link.address, error.message)
            link.busy = True  # nothing is sent before the retry
            self._loop.later(PUMP_SECONDS, lambda: self._retry(link))
            return
        with _retrying_on_full_disk():
            if row and not is_known(self._store, row):
                logger.error("job %s was refused: %s", row.job_id, error.message)
                self._refused(refusal(request_of(self._store, row), error.message))  # which ends it: not sent again
            self.pump()

    def _retry(self, link: RunnerLink) -> None:
        link.busy = False
        self.pump()

    def _cancel(self, link: RunnerLink, experiment_id: str, finish_running: bool) -> None:
        def done(_reply: CancelReply) -> None:
            link.busy = False
            self._note_confirmation(link)
            with _retrying_on_full_disk():
                self._finish_cancel(link.address, experiment_id, finish_running)
                self.pump()

        def failed(error: ControlError) -> None:
            link.busy = False
            logger.warning("runner %s: %s; trying again", link.address, error.message)

        link.busy = True
        params = CancelParams(experiment_id=experiment_id, finish_running=finish_running)
        self._clients[link.address].ask("job.cancel", params, CancelReply, done, failed, ASK_SECONDS)

    def _drop(self, link: RunnerLink, withdrawals: Sequence[tuple[int, str]]) -> None:
        """Have a runner that was forgotten, and came back, drop jobs: they were given to another one, or cancelled."""
        dropped: list[int] = []
        problems: list[ControlError] = []

        def ended(number: int, answer: CancelReply | ControlError) -> None:
            if isinstance(answer, CancelReply) or answer.code in NOT_THERE:
                dropped.append(number)
            else:
                problems.append(answer)
            if len(dropped) + len(problems) == len(withdrawals):
                link.busy = False
                self._dropped(link, dropped, problems)

        link.busy = True
        for number, job_id in withdrawals:
            params, told = CancelParams(job_id=job_id), partial(ended, number)
            self._clients[link.address].ask("job.cancel", params, CancelReply, told, told, ASK_SECONDS)

    def _dropped(self, link: RunnerLink, dropped: Sequence[int], problems: Sequence[ControlError]) -> None:
        if problems:
            logger.warning("runner %s: %s; trying again", link.address, problems[0].message)
        with _retrying_on_full_disk():
            self.departures.finish_withdrawals(link.address, dropped)
            if not problems:
                self.pump()

    def _finish_cancel(self, address: str, experiment_id: str, finish_running: bool) -> None:
        with self._log.transaction() as tx:
            self._store.finish_cancel(tx, experiment_id, address, finish_running=finish_running)


@contextmanager
def _retrying_on_full_disk() -> Iterator[None]:
    """Continue when the disk is full: what could not be stored is sent again, which is idempotent at the runner."""
    try:
        yield
    except StorageError as error:
        log_transient(error)
