"""Small requests to the learning service about experiments, each as one function."""

from collections.abc import Iterator
from typing import Final

from bus.contracts.experiments import ExperimentListParams, ExperimentListReply, ExperimentParams, ExperimentView
from bus.contracts.messages import ExperimentStatus, RecommendationUpdated
from bus.transport.client import request
from bus.transport.keys import Keys

STATISTICS_SECONDS: Final = 30.0  # the service loads its statistics at the first request that needs them


def shown(learning: str, experiment_id: str, keys: Keys | None = None) -> ExperimentView:
    """Return an experiment with all its variants."""
    params = ExperimentParams(experiment_id=experiment_id)
    return request(learning, "experiment.show", params, ExperimentView, keys=keys)


def ask_recommendation(learning: str, experiment_id: str, keys: Keys | None = None) -> RecommendationUpdated:
    """Return the present recommendation of the learning service."""
    params = ExperimentParams(experiment_id=experiment_id)
    return request(learning, "experiment.recommend", params, RecommendationUpdated, STATISTICS_SECONDS, keys=keys)


def listed(
    learning: str, keys: Keys | None = None, *, search: str = "", page: int = 1000, archived: bool | None = None
) -> Iterator[list[ExperimentStatus]]:
    """Yield all experiments with the words of a search, newest first, page by page as needed; some may be empty.

    `archived`: only those that are, or only the others.
    """
    before: int | None = None
    while True:
        params = ExperimentListParams(before=before, limit=page, search=search, archived=archived)
        reply = request(learning, "experiment.list", params, ExperimentListReply, keys=keys)
        yield reply.experiments
        if reply.before is None:
            return
        before = reply.before
