"""Lets runners remove the jobs and pictures of deleted experiments, until each of them has done so."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Final

from bus.contracts.jobs import CancelParams, CancelReply
from bus.contracts.outputs import OutputRemoveParams, OutputRemoveReply
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.retry import log_transient
from learning_service.runners.reaching import Client, Runners
from learning_service.storage.store import LearningStore

PURGE_SECONDS: Final = 2.0  # a runner that was away, or still had jobs to end, is asked as often
ASK_SECONDS: Final = 10.0  # for a step on a slow disk
EXPERIMENTS_AT_ONCE: Final = 20
EVER: Final = 2.0**40  # unix seconds: no job ends later
HELP: Final = {
    "variantbus_experiments_to_purge": "Deleted experiments whose jobs and pictures a runner has still to remove.",
}
logger = logging.getLogger(__name__)


class Purging:
    """Asks each runner in steps; repeated requests remove nothing twice, and a restart continues."""

    def __init__(self, log: Log, store: LearningStore, loop: Loop, runners: Runners) -> None:
        """Ask those that are followed."""
        self._log, self._store, self._loop, self._reached = log, store, loop, runners
        self._runners = {address: _Runner() for address in runners.addresses}
        self._timer = loop.every(PURGE_SECONDS, self.pump)

    def close(self) -> None:
        """Stop; the next start continues."""
        self._timer.cancel()
        for runner in self._runners.values():
            if runner.client:
                runner.client.close()

    def points(self) -> Iterator[Point]:
        """Return the metrics: what each runner has still to remove."""
        for address, count in self._store.deletions.count_purges().items():
            yield "variantbus_experiments_to_purge", {"runner": address}, count

    def pump(self) -> None:
        """Ask each runner that has something to remove, and is not being asked."""
        for address, runner in self._runners.items():
            if not runner.is_asked:
                try:
                    self._ask(address, runner)
                except StorageError as error:  # nothing can be read now
                    log_transient(error)

    def _ask(self, address: str, runner: "_Runner") -> None:
        names = self._store.deletions.purges(address, runner.after, EXPERIMENTS_AT_ONCE)
        if not names:
            runner.after = ""  # the timer begins again with those that had jobs
            return
        runner.client = runner.client or self._reached.client(self._loop, address)
        runner.is_asked = True
        params = OutputRemoveParams(ended_before=EVER, experiment_ids=names)
        runner.client.ask(
            "output.remove",
            params,
            OutputRemoveReply,
            partial(self._removed, address, names),
            partial(self._failed, address),
            ASK_SECONDS,
        )

    def _removed(self, address: str, names: list[str], reply: OutputRemoveReply) -> None:
        runner = self._runners[address]
        runner.is_asked = runner.has_failed = False
        if not reply.more:
            for name in reply.busy:  # of a discovered experiment: somebody else has submitted them
                self._cancel(runner, name)
            try:
                with self._log.transaction() as tx:
                    self._store.deletions.finish_purges(tx, address, set(names) - set(reply.busy))
            except StorageError as error:  # it is asked again, which is idempotent
                log_transient(error)
                return
            runner.after = names[-1]
        self._loop.call(self.pump)

    def _cancel(self, runner: "_Runner", experiment_id: str) -> None:
        if runner.client:
            params = CancelParams(experiment_id=experiment_id)
            runner.client.ask("job.cancel", params, CancelReply, _ignore, _ignore, ASK_SECONDS)

    def _failed(self, address: str, error: ControlError) -> None:
        runner = self._runners[address]
        runner.is_asked = False
        if not runner.has_failed:
            text = "runner %s: %s; the jobs and pictures of deleted experiments are removed as soon as it can"
            logger.warning(text, address, error.message)
        runner.has_failed = True


def _ignore(_reply: object) -> None:
    """Do nothing: the next round shows what became of it."""


class _Runner:
    """What is known of one runner."""

    def __init__(self) -> None:
        self.client: Client | None = None  # made when there is something to ask for
        self.is_asked = self.has_failed = False
        self.after = ""  # the experiments up to here were looked at
