"""Adaptive experiments: whenever a job can run, the next one is planned, until the search ends."""

import logging
import time
from collections.abc import Callable, Collection
from functools import partial

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentParams, ExperimentView
from bus.contracts.fields import VariantValue
from bus.contracts.media import AskedAbout
from bus.contracts.pipeline_specs import Pipelines
from bus.eventlog.errors import LogError, StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.loop import Loop
from bus.transport.retry import log_transient, retry_later
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps, in_thread, wait
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.failures import Failures, reason_of
from learning_service.experiments.model import Experiment, SearchState, experiment_view
from learning_service.experiments.plan import parse_job_id, plan_space, runs_alone
from learning_service.experiments.space import first_round
from learning_service.experiments.variants import Variant
from learning_service.planning.revisions import Revisions
from learning_service.recommendation.evidence import judged_variants
from learning_service.recommendation.lazy import load_statistics
from learning_service.recommendation.observations import observe
from learning_service.recommendation.obstacles import problem_of
from learning_service.recommendation.service import Recommender
from learning_service.search.situation import (
    More,
    Situation,
    nothing_to_compare,
    room_for,
    unjudged_pictures,
    waits_text,
)
from learning_service.storage.job_rows import job_kind
from learning_service.storage.results import image_of, picture_of
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)


class AdaptiveSearch:
    """Continues an adaptive experiment whenever its recommendation was updated.

    The jobs that it plans and the count that is held against the budget are written in one transaction, so the budget
    holds even if the service is killed in between.
    """

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        *,
        dispatcher: Dispatcher,
        revisions: Revisions,
        recommender: Recommender,
    ) -> None:
        """Resume the searches that were under way at the last stop."""
        self._log, self._store, self._loop = log, store, loop
        self._dispatcher, self._revisions, self._recommender = dispatcher, revisions, recommender
        self._turns = OneByOne()
        self.failures = Failures()
        self._retrying: set[str] = set()  # experiments with a timer
        recommender.on_made = lambda experiment, _made: self._look(experiment.experiment_id)
        dispatcher.on_change = self._look_at_all  # others may go on, and more or fewer jobs run at once
        self._look_at_all()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.stop", ExperimentParams, self._stop)

    def begin(
        self, definition: ExperimentDefinition, pipelines: Pipelines
    ) -> Steps[tuple[list[VariantValue], SearchState]]:
        """Return the values of the first round, and the state that the search begins with.

        Raises:
            ControlError: what a search needs is not installed (code `unavailable`).
        """
        yield from wait(in_thread(load_decide, "import"))
        firsts = first_round(plan_space(definition, pipelines), definition.sample, definition.seed)
        return firsts, SearchState("searching")

    def end(self, work: UnitOfWork, experiment: Experiment, reason: str) -> None:
        """Stop a running search."""
        if experiment.is_searching:
            self._stage(work, experiment, SearchState("stopped", reason))

    def _stop(self, params: ExperimentParams) -> ExperimentView:
        experiment = self._store.get(params.experiment_id)
        if experiment.search is None:
            text = f"{params.experiment_id} has no search to stop; `experiment cancel` ends its jobs"
            raise ControlError("conflict", text)
        if not experiment.is_searching:
            state = experiment.search.state
            raise ControlError("conflict", f"{params.experiment_id}: its search has ended already: {state}")
        self._note(params.experiment_id, SearchState("stopped", "a person stopped it"), sync=True)
        return experiment_view(experiment)

    def _look_at_all(self) -> None:
        for experiment_id in self._store.searches.searching():
            self._loop.call(partial(self._look, experiment_id))

    def _look(self, experiment_id: str) -> None:
        """Plan the next jobs or end the search, once the recommendation is current."""
        self._loop.start(self._turns.run(self._look_alone(experiment_id)))

    def _look_alone(self, experiment_id: str) -> Steps[None]:
        self._store.trim()
        try:
            experiment = self._store.find(experiment_id)
            if experiment is None or not experiment.is_searching:
                self.failures.forget(experiment_id)
                return
            if self._store.stale.has(experiment_id):
                return  # it is updated soon, and then this is called again
            try:
                yield from self._go_on(experiment)
            except InvalidInputError as error:  # a runner no longer accepts a value
                self._note(experiment_id, SearchState("stopped", str(error)))
            self.failures.forget(experiment_id)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self._look(experiment_id))
        except (LogError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - it is told, and tried again
            self._fail(experiment_id, error)

    def _fail(self, experiment_id: str, error: Exception) -> None:
        """Tell that the search does not go on now, and try again, later each time."""
        failure = self.failures.note(experiment_id, reason_of(error))
        if failure.tries == 1 and not isinstance(error, ControlError):
            logger.error("the search of %s does not go on", experiment_id, exc_info=error)
        if experiment_id not in self._retrying:
            self._retrying.add(experiment_id)
            self._loop.later(failure.seconds, lambda: self._retry(experiment_id))
        try:
            self._note(experiment_id, SearchState("searching", f"cannot go on: {failure.why}; it is tried again"))
        except StorageError as full:
            log_transient(full)

    def _retry(self, experiment_id: str) -> None:
        self._retrying.discard(experiment_id)
        self._look(experiment_id)

    def _go_on(self, experiment: Experiment) -> Steps[None]:
        decide = yield from wait(in_thread(load_decide, "import"))
        situation = yield from self._situation(experiment)
        name = experiment.experiment_id
        decision = yield from wait(in_thread(partial(decide, situation), f"search {name}"))
        now = self._store.find(name)  # another object, if memory was needed for others
        if (
            now is None
            or not now.is_searching
            or (now.definition, now.spent) != (situation.definition, situation.spent)
        ):
            return  # a person has stopped it, set another objective or planned more, after which it is looked at again
        if isinstance(decision, More):
            going = SearchState("searching", decision.reason)
            yield from self._revisions.plan_more(name, decision.jobs, search=going, spent=situation.spent)
        elif decision:
            self._note(name, decision)

    def _situation(self, experiment: Experiment) -> Steps[Situation]:
        """Return what the next decision depends on, in steps."""
        name, definition, spent = experiment.experiment_id, experiment.definition, experiment.spent
        in_flight = sum(variant.planned - variant.ended for variant in experiment.variants.values())
        seen = yield from observe(experiment, self._store.results, self._store.judgements)
        shown = AskedAbout(image_of)
        for page in self._store.results.picture_pages(name) if seen.objective.kind != "metric" else ():
            shown.add(page)
            yield None
        pictures = [picture_of(row) for row in shown.results]
        rated = {row.sha256 for row in self._store.judgements.ratings(name)}
        unjudged = unjudged_pictures(seen.objective, pictures, rated, self._store.judgements.count_comparisons(name))
        space = plan_space(definition, self._dispatcher.pipelines())
        judged = judged_variants(seen.seen) | {one.variant_index for one in pictures}
        find = space.finder()
        points = {index: point for index, one in experiment.variants.items() if (point := find(one.value)) is not None}
        stranded = self._dispatcher.departures.stranded(name)
        kind = job_kind(definition.pipeline, definition.stage)
        workers = self._dispatcher.at_once(kind, alone=runs_alone(definition))
        return Situation(
            experiment_id=name,
            definition=definition,
            space=space,
            objective=seen.objective,
            points=points,
            planned={point: planned_repeats(experiment.variants[index]) for index, point in points.items()},
            hopeless={point for index, point in points.items() if is_hopeless(experiment.variants[index], judged)},
            seen=seen.seen,
            times=seen.times,
            waits=waits_text(seen.objective, unjudged),
            pending=in_flight + unjudged,
            stranded=stranded,
            room=room_for(seen.objective, workers, in_flight, unjudged, stranded),
            spent=spent,
            problem=problem_of(name, seen.objective, len(seen.seen), seen.reported)
            or nothing_to_compare(seen.objective, pictures),
        )

    def _note(self, experiment_id: str, search: SearchState, *, sync: bool = False) -> None:
        """Write and publish the state of a search if it has changed, unless it has ended meanwhile."""
        experiment = self._store.find(experiment_id)
        if experiment is None or not experiment.is_searching or search == experiment.search:
            return
        with self._log.transaction(sync=sync) as tx:
            work = UnitOfWork(tx, self._store)
            self._stage(work, experiment, search)
        logger.info("experiment %s: %s: %s", experiment.experiment_id, search.state, search.reason)

    def _stage(self, work: UnitOfWork, experiment: Experiment, search: SearchState) -> None:
        draft = work.draft(experiment.experiment_id)
        draft.search = search
        work.publish(draft, time.time())


def load_decide() -> Callable[[Situation], More | SearchState | None]:
    """Import what a search needs, which takes a second; return what decides.

    Raises:
        ControlError: the statistics are not installed (code `unavailable`).
    """
    load_statistics()
    from learning_service.search.policy import decide  # noqa: PLC0415 - it needs numpy and scipy

    return decide


def planned_repeats(variant: Variant) -> frozenset[int]:
    """Return the repeats of a variant that were ever planned, however they ended."""
    return frozenset(parse_job_id(name).repeat_index for name in variant.jobs)


def is_hopeless(variant: Variant, judged: Collection[int]) -> bool:
    """Return whether all jobs of a variant have ended, and none with anything to judge it by."""
    return variant.ended >= variant.planned and variant.index not in judged
