"""Changes to a planned experiment: more values and seeds, retries of failed jobs, another name."""

import time
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from bus.contracts.experiments import ExperimentParams, ExperimentView, ExtendParams, RenameParams
from bus.contracts.messages import ExperimentDefinition, Scalar, Variable, VariantValue
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError, near_miss
from bus.transport.server import MethodServer
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments import variants
from learning_service.experiments.axes import axes_of, axis_values, identity
from learning_service.experiments.model import Experiment, SearchState, experiment_view
from learning_service.experiments.plan import (
    MAX_JOBS,
    PlannedJob,
    check_plan,
    is_slow,
    job_id,
    job_request,
    parse_job_id,
    settings,
)
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore, job_kind
from learning_service.storage.unit_of_work import UnitOfWork


class Revisions:
    """Changes plans. What was planned before is kept, and each change is one transaction."""

    def __init__(self, log: Log, store: LearningStore, dispatcher: Dispatcher, max_variants: int) -> None:
        """Wire the parts."""
        self._log, self._store, self._dispatcher, self._max_variants = log, store, dispatcher, max_variants

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.extend", ExtendParams, self._extend)
        methods.add("experiment.retry", ExperimentParams, self._retry)
        methods.add("experiment.rename", RenameParams, self._rename)

    def plan_more(
        self,
        experiment_id: str,
        values: Sequence[VariantValue],
        jobs_per_variant: int | None = None,
        *,
        search: SearchState | None = None,
    ) -> Experiment:
        """Plan the missing jobs of known or new values, up to so many seeds each; write the state of a search too.

        Raises:
            InvalidInputError: it would be more than the budget of the experiment, or than any may have.
        """
        experiment = self._changeable(experiment_id)
        seeds = jobs_per_variant or experiment.definition.jobs_per_variant
        self._plan(experiment, experiment.definition, values, seeds, search=search)
        return experiment

    def _extend(self, params: ExtendParams) -> ExperimentView:
        experiment = self._changeable(params.experiment_id)
        pipelines = self._dispatcher.pipelines()
        if not pipelines:
            raise ControlError("unavailable", "no runner has answered yet; start one and try again")
        definition = extended_definition(experiment, params.values, params.jobs_per_variant)
        values = check_plan(definition, pipelines, self._max_variants)
        search = None
        if definition.mode == "adaptive":
            # more values are more to choose from, so the search goes on; more seeds are for those that were tried
            values = [variant.value for variant in experiment.variants.values()]
            search = SearchState("searching")
        slow = is_slow(definition, pipelines)
        self._plan(experiment, definition, values, definition.jobs_per_variant, slow=slow, search=search)
        return experiment_view(experiment)

    def _plan(
        self,
        experiment: Experiment,
        definition: ExperimentDefinition,
        values: Sequence[VariantValue],
        jobs_per_variant: int,
        *,
        slow: bool = False,
        search: SearchState | None = None,
    ) -> None:
        jobs, added = missing_jobs(experiment, values, jobs_per_variant)
        check_budget(experiment, definition, len(jobs))
        kind = job_kind(definition.pipeline, definition.stage)
        firsts = (
            job_request(experiment.experiment_id, definition, value, PlannedJob(index, 0))
            for index, value in added.items()
        )
        if added:
            self._dispatcher.check(kind, firsts)
        now = time.time()
        changed = [Variant(index=index, value=value, jobs={}) for index, value in added.items()]
        by_index = dict(experiment.variants) | {variant.index: variant for variant in changed}
        touched = [by_index[index] for index in dict.fromkeys(job.variant_index for job in jobs)]
        mine: dict[int, list[str]] = {}
        for job in jobs:
            mine.setdefault(job.variant_index, []).append(job_id(experiment.experiment_id, job))
        grown = [variants.planned_more(variant, mine[variant.index], now) for variant in touched]
        self._write(experiment, definition, grown, sorted(jobs) if slow else jobs, now, search=search)

    def _retry(self, params: ExperimentParams) -> ExperimentView:
        experiment = self._changeable(params.experiment_id)
        failed = [row.job_id for row in self._store.results.all(params.experiment_id) if row.state == "failed"]
        if not failed:
            raise ControlError("conflict", f"no job of {params.experiment_id} has failed; there is nothing to retry")
        check_budget(experiment, experiment.definition, len(failed))
        jobs: list[PlannedJob] = []
        by_variant: dict[int, dict[str, str]] = {}
        for old in failed:
            job = parse_job_id(old)
            again = job._replace(round=job.round + 1)
            jobs.append(again)
            by_variant.setdefault(job.variant_index, {})[old] = job_id(params.experiment_id, again)
        now = time.time()
        retried = [variants.retried(experiment.variants[index], pairs, now) for index, pairs in by_variant.items()]
        self._write(experiment, experiment.definition, retried, jobs, now, forgotten=failed)
        return experiment_view(experiment)

    def _rename(self, params: RenameParams) -> ExperimentView:
        experiment = self._store.get(params.experiment_id)
        now = time.time()
        renamed = [
            replace(variant, revision=variant.revision + 1, updated_at=now) for variant in experiment.variants.values()
        ]
        self._write(experiment, replace(experiment.definition, name=params.name), renamed, [], now)
        return experiment_view(experiment)

    def _changeable(self, experiment_id: str) -> Experiment:
        self._store.trim()
        experiment = self._store.get(experiment_id)
        if experiment.discovered:
            raise ControlError("conflict", f"{experiment_id} was not planned by this service; plan one with it")
        if self._store.is_cancelling(experiment_id):
            raise ControlError("conflict", f"{experiment_id} is still being cancelled; try again in a moment")
        return experiment

    def _write(
        self,
        experiment: Experiment,
        definition: ExperimentDefinition,
        changed: Iterable[Variant],
        jobs: list[PlannedJob],
        now: float,
        *,
        forgotten: Iterable[str] = (),
        search: SearchState | None = None,
    ) -> None:
        """Write and publish the changed variants with their new jobs, in one transaction of any size."""
        name, store = experiment.experiment_id, self._store
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, store)
            draft = work.draft(name)
            if definition != experiment.definition:
                draft.definition = definition
                store.write_definition(tx, draft)
            draft.search = search or experiment.search
            store.stale.mark(tx, [name])  # there may be more candidates, or fewer scores
            store.results.remove(tx, name, forgotten)
            store.add_jobs(tx, draft, [(job_id(name, job), job) for job in jobs])
            if jobs:  # which go on after a cancel; another name does not
                store.forget_cancels(tx, name)
            work.publish(draft, now)
            for variant in changed:
                work.put(draft, variant, now)
        self._dispatcher.pump()


def extended_definition(
    experiment: Experiment, more: Mapping[str, Sequence[Scalar]], jobs_per_variant: int | None
) -> ExperimentDefinition:
    """Return the definition with more values and seeds; ranges and `all` become the lists that they stood for.

    Raises:
        InvalidInputError: a variable is not one of the experiment's, or fewer seeds than now are wanted.
    """
    definition = experiment.definition
    names = [knob.name for knob in definition.knobs]
    for name in more:
        if name not in names:
            raise InvalidInputError(f"values.{name}: no variable of this experiment; {near_miss(name, names)}")
    seeds = jobs_per_variant or definition.jobs_per_variant
    if seeds < definition.jobs_per_variant:
        text = f"{definition.jobs_per_variant} are planned already; give more"
        raise InvalidInputError(f"jobs_per_variant: {text}")
    knobs = tuple(
        _extended_variable(experiment, where, knob, more.get(knob.name, ())) for where, knob in axes_of(definition)
    )
    if definition.variable:
        return replace(definition, variable=knobs[0], jobs_per_variant=seeds)
    return replace(definition, variables=knobs, jobs_per_variant=seeds)


def _extended_variable(experiment: Experiment, where: str, knob: Variable, more: Sequence[Scalar]) -> Variable:
    """Return a variable with more values; where it gets none, it stays as a person wrote it."""
    if not more:
        return knob
    if knob.values == "all":
        parts = (settings(experiment.definition, one.value)[knob.name] for one in experiment.variants.values())
        present = list({identity(part): part for part in parts}.values())
    else:
        present = axis_values(where, knob, MAX_JOBS)
    known = {identity(value) for value in present}
    new = {identity(value): value for value in more if identity(value) not in known}
    return Variable(name=knob.name, values=[*present, *new.values()])


def missing_jobs(
    experiment: Experiment, values: Sequence[VariantValue], jobs_per_variant: int
) -> tuple[list[PlannedJob], dict[int, VariantValue]]:
    """Return the missing jobs of values, repeat by repeat, and the new variants by their indices."""
    indices = {identity(variant.value): index for index, variant in experiment.variants.items()}
    following = max(indices.values(), default=-1) + 1
    added: dict[int, VariantValue] = {}
    for value in values:
        if identity(value) not in indices:
            indices[identity(value)] = following
            added[following] = value
            following += 1
    wanted = [indices[identity(value)] for value in values]
    present = {
        index: {parse_job_id(name).repeat_index for name in experiment.variants[index].jobs}
        for index in wanted
        if index in experiment.variants
    }
    jobs = [
        PlannedJob(index, repeat)
        for repeat in range(jobs_per_variant)
        for index in wanted
        if repeat not in present.get(index, ())
    ]
    return jobs, added


def check_budget(experiment: Experiment, definition: ExperimentDefinition, more: int) -> None:
    """Refuse more jobs than an experiment may have; those that were retried count too.

    Raises:
        InvalidInputError: saying how many there may be.
    """
    spent = experiment.spent
    limit = MAX_JOBS if definition.budget is None else min(MAX_JOBS, definition.budget)
    if spent + more > limit:
        what = "budget" if definition.budget is not None else "jobs_per_variant"
        raise InvalidInputError(f"{what}: {more} more jobs after {spent} are more than {limit}")
