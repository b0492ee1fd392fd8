"""Requests that read experiments without changing them."""

from bus.contracts.experiments import ExperimentListParams, ExperimentListReply, ExperimentParams, ExperimentView
from bus.contracts.finding import FindParams, FindReply
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from learning_service.experiments.model import experiment_status, experiment_view
from learning_service.recommendation.service import Recommender
from learning_service.storage.store import LearningStore


class Queries:
    """Shows one experiment, or lists all."""

    def __init__(self, store: LearningStore, recommender: Recommender) -> None:
        """Wire the parts."""
        self._store, self._recommender = store, recommender

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.show", ExperimentParams, self._show, role="read")
        methods.add("experiment.list", ExperimentListParams, self._list, role="read")
        methods.add("experiment.find", FindParams, self._find, role="read")

    def _show(self, params: ExperimentParams) -> Steps[ExperimentView]:
        self._store.trim()
        recommendation = yield from self._recommender.current(self._store.get(params.experiment_id))
        return experiment_view(self._store.get(params.experiment_id), recommendation)  # it may have changed meanwhile

    def _find(self, params: FindParams) -> FindReply:
        return FindReply(ids=self._store.catalogue.ids(params.prefix, params.limit))

    def _list(self, params: ExperimentListParams) -> ExperimentListReply:
        page, before = self._store.page(params.before, params.limit, params.search, archived=params.archived)
        return ExperimentListReply(experiments=[experiment_status(one) for one in page], before=before)
