"""Answers requests for the history over all experiments of a service, page by page."""

from typing import Final

from bus.contracts.archive import HistoryParams, HistoryReply
from bus.transport.server import MethodServer
from learning_service.experiments.history import Looked, look_back
from learning_service.storage.store import LearningStore

JOBS_A_PAGE: Final = 3000  # of the experiments of one page, as all of their variants are read: some 10 ms


class History:
    """Looks back over the experiments, those of one variable or pipeline perhaps."""

    def __init__(self, store: LearningStore) -> None:
        """Wire the parts."""
        self._store = store

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("history", HistoryParams, self._history, role="read")

    def _history(self, params: HistoryParams) -> HistoryReply:
        chosen, before = self._store.catalogue.chosen(
            params.before, params.limit, variable=params.variable, pipeline=params.pipeline
        )
        looked: list[Looked] = []
        jobs = 0
        for number, experiment_id in chosen:
            if jobs >= JOBS_A_PAGE:
                break
            if experiment := self._store.peek(experiment_id):
                looked.append(Looked(experiment, self._store.judgements.counts(experiment_id)))
                jobs += experiment.spent
            last = number
        if len(looked) < len(chosen):
            before = last
        return look_back(reversed(looked), before)
