"""Runners that do not answer or were forgotten: since when, and what is left to be done about their jobs."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.transport.pace import Pace
from bus.transport.steps import Steps
from learning_service.experiments.plan import PlannedJob

SQL: Final = sql.load("learning_service.storage", "departures.sql")


class HeldJob(NamedTuple):
    """A job that was given to a runner."""

    number: int
    job_id: str
    experiment_id: str
    kind: str
    planned: PlannedJob


class HeldJobs(NamedTuple):
    """How many jobs of a runner have not ended: of one kind, of an experiment that it is to cancel or of another."""

    kind: str
    cancelled: bool
    jobs: int


class Departures:
    """Reads and writes them; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        log.create_tables("departures", SQL)

    def absences(self) -> dict[str, float]:
        """Return since when each runner has not answered, in unix seconds."""
        return dict(self._log.query(SQL["select_absences"]))

    def begin_absence(self, tx: Transaction, runner: str, since: float) -> None:
        """Record that a runner does not answer any more."""
        tx.execute(SQL["insert_absence"], (runner, since))

    def end_absence(self, tx: Transaction, runner: str) -> None:
        """Record that a runner answers, or that nobody waits for it any more."""
        tx.execute(SQL["delete_absence"], (runner,))

    def begin(self, tx: Transaction, runner: str) -> None:
        """Record that the jobs of a runner are to be given to others, and that it offers nothing."""
        tx.execute(SQL["insert_forgotten"], (runner,))
        tx.execute(SQL["forget_runner"], (runner,))

    def finish(self, tx: Transaction, runner: str) -> None:
        """Record that they are, and that it has nothing to cancel."""
        for name in ("delete_forgotten", "forget_cancels", "forget_reconcile", "delete_absence"):
            tx.execute(SQL[name], (runner,))

    def forgotten(self) -> str | None:
        """Return a runner whose jobs are to be given to others."""
        return next((runner for (runner,) in self._log.query(SQL["select_forgotten"])), None)

    def held(self, runner: str, low: int, high: int) -> list[HeldJob]:
        """Return the jobs of a runner with a number in (low, high], of experiments that have not ended."""
        rows = self._log.query(SQL["select_some"], {"runner": runner, "low": low, "high": high})
        return [HeldJob(number, name, whose, kind, PlannedJob(*job)) for number, name, whose, kind, *job in rows]

    def last_number(self) -> int:
        """Return the number of the newest job."""
        return int(self._log.query(SQL["select_last"])[0][0])

    def is_cancelled(self, experiment_id: str, runner: str) -> bool:
        """Return whether a runner is to cancel an experiment, or has done so."""
        return bool(self._log.query(SQL["is_cancelled"], (experiment_id, runner)))

    def count_held(self, pace: Pace) -> Steps[dict[str, list[HeldJobs]]]:
        """Return how many jobs of each runner have not ended, of each experiment and kind, some in each step."""
        found: dict[str, list[HeldJobs]] = {}
        for (experiment_id,) in self._log.query(SQL["select_open"]):
            after, is_last = "", False
            while not is_last:
                some = pace.count
                with pace.timed(some):
                    rows = self._log.query(SQL["count_unended"], (experiment_id, after, some))
                for runner, kind, cancelled, count, _, _ in rows:
                    if count:
                        found.setdefault(runner, []).append(HeldJobs(kind, bool(cancelled), count))
                is_last = sum(row[4] for row in rows) < some
                after = max((row[5] for row in rows), default="")
                yield None
        return found

    def has_unended(self, experiment_id: str, runner: str) -> bool:
        """Return whether a runner has a job of an experiment that has not ended."""
        return self._count_of(experiment_id, runner, 1) > 0

    def count_of(self, experiment_id: str, runner: str) -> int:
        """Return how many jobs a runner has of an experiment that have not ended."""
        return self._count_of(experiment_id, runner, -1)

    def _count_of(self, experiment_id: str, runner: str, most: int) -> int:
        return int(self._log.query(SQL["count_of"], (experiment_id, runner, most))[0][0])

    def count_cancels(self) -> Counter[str]:
        """Return how many experiments each runner has still to cancel."""
        return Counter(dict(self._log.query(SQL["count_cancels"])))

    def withdraw(self, tx: Transaction, runner: str, jobs: Iterable[tuple[int, str]]) -> None:
        """Take jobs from a runner, which has to drop them when it comes back."""
        taken = list(jobs)
        tx.executemany(SQL["insert_withdrawal"], [(runner, *job) for job in taken])
        tx.executemany(SQL["delete_job"], [(number,) for number, _ in taken])

    def next_withdrawals(self, runner: str, limit: int) -> list[tuple[int, str]]:
        """Return the jobs that a runner has to drop next, with their numbers."""
        return self._log.query(SQL["select_withdrawals"], (runner, limit))

    def finish_withdrawals(self, tx: Transaction, runner: str, numbers: Iterable[int]) -> None:
        """Record that a runner has dropped jobs, or does not have them."""
        tx.executemany(SQL["delete_withdrawal"], [(runner, number) for number in numbers])

    def count_withdrawals(self) -> Counter[str]:
        """Return how many jobs each runner has to drop."""
        return Counter(dict(self._log.query(SQL["count_withdrawals"])))

    def move(self, tx: Transaction, old: str, new: str) -> None:
        """Record that a runner is found at another address: what the old one has to do is the new one's."""
        for name in ("move_jobs", "move_cancels", "move_purges", "move_confirmation", "move_withdrawals"):
            tx.execute(SQL[name], {"old": old, "new": new})
        self.finish(tx, old)
