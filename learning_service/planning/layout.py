"""Lays an experiment out: gives each planned job the row that is sent to a runner, some milliseconds' worth at a time.

A plan of 100,000 jobs is written in one short transaction, as the state of its variants. The rows follow from that, in
many transactions; those that are there already are left as they are, so a layout that was cut off begins again, and so
does one whose experiment gets more jobs meanwhile. Until it has ended, a cancel does not count as done. The results of
jobs that were replaced by retries go in the same way.
"""

import logging
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Final

from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.retry import retry_later
from bus.transport.steps import Steps
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import PlannedJob, parse_job_id
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore

AT_ONCE: Final = 2000  # rows in one transaction, at most
logger = logging.getLogger(__name__)


class Layout:
    """Lays experiments out in the background; one that was under way at the last stop begins again."""

    def __init__(self, log: Log, loop: Loop, store: LearningStore, dispatcher: Dispatcher) -> None:
        """Go on with those that were not finished."""
        self._log, self._loop, self._store, self._dispatcher = log, loop, store, dispatcher
        self._newest: dict[str, object] = {}  # experiment -> its newest layout, which has all jobs of earlier ones
        for experiment_id, by_value in store.layouts.unfinished().items():
            self._start(experiment_id, by_value=by_value)

    def begin(self, tx: Transaction, experiment_id: str, *, by_value: bool) -> None:
        """Lay an experiment out once the plan in this transaction is on disk."""
        self._store.layouts.begin(tx, experiment_id, by_value=by_value)
        tx.after_commit(partial(self._start, experiment_id, by_value=by_value))

    def _start(self, experiment_id: str, *, by_value: bool) -> None:
        layout = self._newest[experiment_id] = object()
        self._loop.start(self._lay_out(experiment_id, layout, by_value=by_value))

    def _lay_out(self, experiment_id: str, layout: object, *, by_value: bool) -> Steps[None]:
        try:
            for _ in self._write(experiment_id, by_value=by_value):
                yield None
                if self._newest.get(experiment_id) is not layout:
                    return
            with self._log.transaction() as tx:
                self._store.layouts.end(tx, experiment_id)
        except StorageError as error:
            retry_later(self._loop, error, partial(self._start, experiment_id, by_value=by_value))
        else:
            del self._newest[experiment_id]
            self._loop.call(self._dispatcher.pump)

    def _write(self, experiment_id: str, *, by_value: bool) -> Steps[None]:
        """Remove the results of replaced jobs, and write the rows of those that wait."""
        experiment = self._store.find(experiment_id)
        replaced: list[tuple[str, PlannedJob]] = []
        groups: dict[int, list[tuple[str, PlannedJob]]] = {}
        for variant in list(experiment.variants.values()) if experiment else ():
            for name, job in waiting_jobs(variant):
                groups.setdefault(job.variant_index if by_value else job.repeat_index, []).append((name, job))
            replaced += _in_phase(variant, "replaced")
            yield None
        pace, gone = Pace(AT_ONCE), iter(replaced)
        while some := list(islice(gone, pace.count)):
            with pace.timed(len(some)), self._log.transaction() as tx:
                self._store.results.remove(tx, experiment_id, some)
            yield None
        pace, jobs = Pace(AT_ONCE), chain.from_iterable(groups[place] for place in sorted(groups))
        while rows := list(islice(jobs, pace.count)):
            with pace.timed(len(rows)), self._log.transaction() as tx:
                if current := self._store.find(experiment_id):
                    self._store.add_jobs(tx, current, rows)
            yield None


def waiting_jobs(variant: Variant) -> Iterator[tuple[str, PlannedJob]]:
    """Yield the jobs of a variant that no runner has, with their names."""
    return _in_phase(variant, "planned")


def _in_phase(variant: Variant, wanted: JobPhase) -> Iterator[tuple[str, PlannedJob]]:
    return ((name, parse_job_id(name)) for name, phase in variant.jobs.items() if phase == wanted)
