"""The priorities that people give to what waits: to a job, or to an experiment with the jobs that are still to come."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.transport.pace import Pace
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import JobStore

SQL: Final = sql.load("pipeline_runner.queue", "priorities.sql")
MOVED_AT_ONCE: Final = 1000  # jobs in one transaction, at most
KEPT: Final = 1000  # experiments whose priority is remembered: those that were given one last
logger = logging.getLogger(__name__)
Moved = Callable[[Sequence[NormalizedJobRecord], Sequence[NormalizedJobRecord]], None]


class Priorities:
    """Gives jobs another place in the queue. A request is synced to disk, and what is left of it goes on after a crash.

    An experiment keeps its priority: a search, or a learning service that holds jobs back, submits more of them later.
    """

    def __init__(self, log: Log, store: JobStore, moved: Moved) -> None:
        """Call `moved` with jobs as they were and as they are now, after each commit."""
        self._log, self._store, self._moved = log, store, moved
        log.create_tables("priorities", SQL)
        if damaged := log.damaged_rows("priorities"):
            logger.error("damaged and lost: the priorities of %d experiments; give them again", len(damaged))
            with log.transaction(sync=True) as tx:
                log.mark_repaired(tx, damaged)
        rows: list[tuple[str, int, int]] = log.query(SQL["select_priorities"])
        self._of = {experiment_id: priority for experiment_id, priority, _ in rows}
        # experiments with waiting jobs that do not have their priority yet, and up to which number they have
        self._left = {experiment_id: 0 for experiment_id, _, done in rows if not done}
        self._pace = Pace(MOVED_AT_ONCE)

    def applied(self, record: NormalizedJobRecord) -> NormalizedJobRecord:
        """Return the record of a new job with the priority that its experiment was given, if it was."""
        if not self._of or record.learning_context is None:
            return record
        return replace(record, priority=self._of.get(record.learning_context.experiment_id, record.priority))

    def prioritize_job(self, record: NormalizedJobRecord, priority: int) -> None:
        """Give a waiting job another priority.

        Raises:
            IllegalTransitionError: it does not wait.
        """
        if record.state != "queued":
            raise IllegalTransitionError(f"{record.job_id} is {record.state}; only a job that waits has a place")
        after = replace(record, priority=priority)
        with self._log.transaction(sync=True) as tx:
            self._store.reprioritize(tx, [(self._store.number_of(record.job_id), after)])
        self._moved([record], [after])

    def prioritize_experiment(self, experiment_id: str, priority: int) -> int:
        """Give the jobs of an experiment another priority; return how many wait. `move_some` moves them."""
        running = self._store.unended(experiment_id, "running")  # one that is put back gets its new place
        after = [replace(record, priority=priority) for record in running]
        with self._log.transaction(sync=True) as tx:
            tx.execute(SQL["write_priority"], (experiment_id, priority, time.time()))
            self._store.reprioritize(tx, [(self._store.number_of(record.job_id), record) for record in after])
            old = [name for (name,) in tx.execute(SQL["select_old"], (KEPT,))]
            tx.executemany(SQL["delete_priority"], [(name,) for name in old])
        self._moved(running, after)
        self._of[experiment_id] = priority
        self._left[experiment_id] = 0
        for name in old:
            self._of.pop(name, None)
            self._left.pop(name, None)
        return self._store.count_unended(experiment_id) - len(running)

    def move_some(self) -> bool:
        """Move the next batch of waiting jobs to their new places; return whether more may be left."""
        if not self._left:
            return False
        experiment_id, number = next(iter(self._left.items()))
        priority, pace = self._of[experiment_id], self._pace
        found = self._store.waiting_of(experiment_id, number, pace.count)
        before = [(number, record) for number, record in found if record.priority != priority]
        after = [(number, replace(record, priority=priority)) for number, record in before]
        is_last = len(found) < pace.count
        with pace.timed(len(found)), self._log.transaction() as tx:
            self._store.reprioritize(tx, after)
            if is_last:
                tx.execute(SQL["finish_priority"], (experiment_id,))
        self._moved([record for _, record in before], [record for _, record in after])
        if is_last:
            del self._left[experiment_id]
        else:
            self._left[experiment_id] = found[-1][0]
        return bool(self._left)
