"""Cancels experiments: jobs without a runner at once, all others through their runners."""

import time
from collections.abc import Sequence

from bus.contracts.experiments import ExperimentCancelParams, ExperimentView
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.server import MethodServer
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.dispatch.requests import is_known
from learning_service.experiments import variants
from learning_service.experiments.model import experiment_view
from learning_service.planning.adaptive import AdaptiveSearch
from learning_service.storage.job_rows import JobRow
from learning_service.storage.store import UNASSIGNED, LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


class Cancellation:
    """Stores what each runner has to cancel; the dispatcher sends the requests until they are done."""

    def __init__(
        self, log: Log, store: LearningStore, dispatcher: Dispatcher, search: AdaptiveSearch, runners: Sequence[str]
    ) -> None:
        """`runners` are those that are followed: any of them may have jobs of a discovered experiment."""
        self._log, self._store, self._dispatcher = log, store, dispatcher
        self._search, self._runners = search, runners

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.cancel", ExperimentCancelParams, self._cancel)

    def cancel_unsent(self, rows: Sequence[JobRow]) -> None:
        """Cancel jobs of cancelled experiments that no runner has yet, for example because its queue is full."""
        by_experiment: dict[str, list[JobRow]] = {}
        for row in rows:
            by_experiment.setdefault(row.experiment_id, []).append(row)
        for experiment_id, mine in by_experiment.items():
            self._cancel_unsent(experiment_id, mine)

    def _cancel(self, params: ExperimentCancelParams) -> ExperimentView:
        experiment = self._store.get(params.experiment_id)
        if experiment.has_ended:
            raise ControlError("conflict", f"{params.experiment_id} has ended already: {experiment.status}")
        runners = self._runners if experiment.discovered else self._runners_of(params.experiment_id)
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, self._store)
            for runner in (UNASSIGNED, *runners):
                self._store.write_cancel(tx, params.experiment_id, runner, finish_running=params.finish_running)
            self._search.end(work, experiment, "it was cancelled")
        self._dispatcher.pump()
        return experiment_view(self._store.get(params.experiment_id))

    def _runners_of(self, experiment_id: str) -> list[str]:
        away = self._dispatcher.departures
        return [one for one in self._store.runners_of(experiment_id) if not away.has_nothing(one, experiment_id)]

    def _cancel_unsent(self, experiment_id: str, rows: Sequence[JobRow]) -> None:
        # a job in another phase has reached a runner after all: its own end is counted
        known = [row for row in rows if is_known(self._store, row)]
        unsent = [row for row in rows if not is_known(self._store, row)]
        by_variant: dict[int, list[str]] = {}
        for row in unsent:
            by_variant.setdefault(row.planned.variant_index, []).append(row.job_id)
        now = time.time()
        with self._log.transaction() as tx:
            work = UnitOfWork(tx, self._store)
            draft = work.draft(experiment_id)
            for index, names in by_variant.items():
                work.put(draft, variants.cancelled(draft.variants[index], names, now), now)
            self._store.withdraw(tx, unsent)
            self._store.acknowledge(tx, known)
