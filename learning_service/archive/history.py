"""Answers requests for the history over all experiments of a service, page by page."""

from typing import Final

from bus.contracts.archive import HistoryParams, HistoryReply
from bus.transport.pace import Pace
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from learning_service.experiments.history import Looked, look_back
from learning_service.experiments.judgements import Pictures
from learning_service.experiments.model import Experiment
from learning_service.storage.store import LearningStore

JOBS_A_PAGE: Final = 3000  # of the experiments of one page, as all of their variants are read: some 10 ms
JOBS_AT_ONCE: Final = 10_000  # whose pictures are counted in one step, at most


class History:
    """Looks back over the experiments, those of one variable or pipeline perhaps."""

    def __init__(self, store: LearningStore) -> None:
        """Wire the parts."""
        self._store = store
        self._pace = Pace(JOBS_AT_ONCE)

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("history", HistoryParams, self._history, role="read")

    def _history(self, params: HistoryParams) -> Steps[HistoryReply]:
        chosen, before = self._store.catalogue.chosen(
            params.before, params.limit, variable=params.variable, pipeline=params.pipeline
        )
        looked: list[Looked] = []
        jobs = 0
        for number, experiment_id in chosen:
            if jobs >= JOBS_A_PAGE:
                break
            if experiment := self._store.peek(experiment_id):
                looked.append(Looked(experiment, (yield from self._pictures(experiment))))
                jobs += experiment.spent
            last = number
        if len(looked) < len(chosen):
            before = last
        yield None
        return look_back(reversed(looked), before)

    def _pictures(self, experiment: Experiment) -> Steps[dict[int, Pictures]]:
        """Return how the pictures of each variant are rated; some variants at a time, as each job may have several."""
        found: dict[int, Pictures] = {}
        first, jobs = 0, 0
        # discovered ones are kept as they came
        variants = sorted(experiment.variants.values(), key=lambda one: one.index)
        for place, variant in enumerate(variants):
            jobs += len(variant.jobs)
            if jobs >= self._pace.count or place == len(variants) - 1:
                with self._pace.timed(jobs):
                    found |= self._store.judgements.counts(experiment.experiment_id, first, variant.index)
                first, jobs = variant.index + 1, 0
                yield None
        return found
