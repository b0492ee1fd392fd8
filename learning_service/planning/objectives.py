"""Changes what decides an experiment, also after its end: the recommendation is made anew, and a search goes on."""

import time
from typing import Final

from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentView, SetParams
from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.scoring import check_score, merged_score
from bus.eventlog.log import Log
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.model import SearchState, experiment_view
from learning_service.experiments.plan import SCORE_BYTES, check_objective, check_size, metric_of
from learning_service.search.situation import NOTHING_TO_GO_BY
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

UNLIMITED: Final = "none"  # in the place of a limit of the time


class Objectives:
    """Changes objectives; what jobs reported and people said is kept, and counts under each."""

    def __init__(self, log: Log, store: LearningStore, dispatcher: Dispatcher, turns: OneByOne) -> None:
        """`turns` are those of everything that changes definitions."""
        self._log, self._store, self._dispatcher, self._turns = log, store, dispatcher, turns

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.set", SetParams, self._set)

    def _set(self, params: SetParams) -> Steps[ExperimentView]:
        return (yield from self._turns.run(self._set_alone(params)))

    def _set_alone(self, params: SetParams) -> Steps[ExperimentView]:
        self._store.trim()
        experiment = self._store.get(params.experiment_id)
        definition = decided_by(experiment.definition, params)
        offered = self._dispatcher.pipelines().get(definition.pipeline, {})
        spec = offered.get(definition.stage, StageSpec())
        if params.score and definition.score:
            check_score(params.score, spec.metrics or ())
            check_score(definition.score, spec.metrics or ())
            check_size("score", definition.score, SCORE_BYTES)
        check_objective(definition, spec)
        if definition != experiment.definition:
            with self._log.transaction(sync=True) as tx:
                work = UnitOfWork(tx, self._store)
                draft = work.draft(params.experiment_id)
                draft.definition = definition
                if is_judged_anew(experiment.definition, definition):
                    draft.search = resumed(experiment.search)
                self._store.write_definition(tx, draft)
                self._store.stale.mark(tx, [params.experiment_id])
                work.publish(draft, time.time())
        yield None
        return experiment_view(self._store.get(params.experiment_id))


def decided_by(definition: ExperimentDefinition, params: SetParams) -> ExperimentDefinition:
    """Return the definition with another objective, goal or limit of the time, and with more scorers.

    The goal stays from one metric to another, as where a name is mended; else an objective has its own default.

    Raises:
        InvalidInputError: nothing is given.
    """
    if params.objective is None and params.goal is None and params.within is None and params.score is None:
        raise InvalidInputError("objective: missing; give it, or goal, or within")
    if params.score:
        definition = replace(definition, score=merged_score(definition.score, params.score))
    if params.within:
        definition = replace(definition, within=None if params.within == UNLIMITED else params.within)
    if params.objective is None or params.objective == definition.objective:
        return replace(definition, goal=params.goal or definition.goal)
    other = replace(definition, objective=params.objective)
    kept = definition.goal if metric_of(definition) and metric_of(other) else None
    return replace(other, goal=params.goal or kept)


def is_judged_anew(before: ExperimentDefinition, after: ExperimentDefinition) -> bool:
    """Return whether something else decides; more scorers alone change no answer."""
    return (before.objective, before.minimizes, before.slack) != (after.objective, after.minimizes, after.slack)


def resumed(search: SearchState | None) -> SearchState | None:
    """Return the state of a search under another objective: its end no longer holds, unless somebody stopped it."""
    if search is None or (search.state == "stopped" and not search.reason.startswith(NOTHING_TO_GO_BY)):
        return search
    return SearchState("searching")
