"""Changes to a planned experiment: more values and seeds, retries of failed jobs, another name."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import ExperimentView, ExtendParams, RenameParams, RetryParams
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.pipeline_specs import check_text
from bus.contracts.values import cited, identity
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError, near_miss
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments import variants
from learning_service.experiments.axes import axes_of, axis_values
from learning_service.experiments.model import Experiment, SearchState, experiment_view
from learning_service.experiments.plan import (
    MAX_JOBS,
    PlannedJob,
    check_plan,
    check_seeds,
    first_jobs,
    is_slow,
    job_id,
    parse_job_id,
    plan_space,
)
from learning_service.experiments.settings import parts_of
from learning_service.experiments.space import Space
from learning_service.experiments.variants import Variant
from learning_service.planning.layout import Layout
from learning_service.storage.job_rows import job_kind
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


class Revisions:
    """Changes plans, one after another. What was planned before is kept, and each change is one transaction."""

    def __init__(
        self, log: Log, store: LearningStore, dispatcher: Dispatcher, layout: Layout, max_variants: int
    ) -> None:
        """Wire the parts."""
        self._log, self._store, self._dispatcher, self._layout = log, store, dispatcher, layout
        self._max_variants = max_variants
        self.turns = OneByOne()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.extend", ExtendParams, self._extend)
        methods.add_steps("experiment.retry", RetryParams, self._retry)
        methods.add_steps("experiment.rename", RenameParams, self._rename)

    def plan_more(
        self, experiment_id: str, jobs: Sequence[tuple[VariantValue, int]], *, search: SearchState, spent: int
    ) -> Steps[None]:
        """Plan the next jobs of a search, each of a known or new value with its repeat, and write how far it is.

        Nothing is planned if the search has ended meanwhile, or other jobs were planned than the `spent` ones.

        Raises:
            InvalidInputError: a runner refuses a new value.
        """
        yield from self.turns.run(self._plan_more(experiment_id, jobs, search, spent))

    def _plan_more(
        self, experiment_id: str, jobs: Sequence[tuple[VariantValue, int]], search: SearchState, spent: int
    ) -> Steps[None]:
        experiment = self._store.find(experiment_id)
        if experiment and experiment.is_searching and experiment.spent == spent:
            wanted = [(value, (repeat,)) for value, repeat in jobs]
            yield from self._plan(experiment_id, experiment.definition, wanted, search=search, if_searching=True)

    def _extend(self, params: ExtendParams) -> Steps[ExperimentView]:
        return (yield from self.turns.run(self._extend_alone(params)))

    def _extend_alone(self, params: ExtendParams) -> Steps[ExperimentView]:
        experiment = self._changeable(params.experiment_id)
        pipelines = self._dispatcher.offered(experiment.definition.pipeline)
        is_search = experiment.definition.mode == "adaptive"
        space = plan_space(experiment.definition, pipelines) if is_search else None
        definition = extended_definition(experiment, params.values, params.jobs_per_variant, space)
        planned = [variant.value for variant in experiment.variants.values()]
        values = check_plan(definition, pipelines, self._max_variants, planned)
        search = None
        if definition.mode == "adaptive":
            # more values are more to choose from, so the search goes on; more seeds are for those that were tried
            seeds = params.jobs_per_variant
            values = planned if seeds else []
            search = SearchState("searching")
        slow = is_slow(definition, pipelines)
        wanted = [(value, range(definition.repeats)) for value in values]
        yield from self._plan(params.experiment_id, definition, wanted, slow=slow, search=search)
        return experiment_view(self._store.get(params.experiment_id))

    def _plan(
        self,
        experiment_id: str,
        definition: ExperimentDefinition,
        wanted: Sequence[tuple[VariantValue, Iterable[int]]],
        *,
        slow: bool = False,
        search: SearchState | None = None,
        if_searching: bool = False,
    ) -> Steps[None]:
        """Plan those repeats of values that are missing; `if_searching`: unless a search has ended meanwhile."""
        added = new_values(self._changeable(experiment_id), [value for value, _ in wanted])
        if added:
            kind = job_kind(definition.pipeline, definition.stage)
            yield from self._dispatcher.check(kind, first_jobs(experiment_id, definition, added))
        yield None
        experiment = self._changeable(experiment_id)  # it may have been cancelled, and jobs may have ended
        more = yield from missing_jobs(experiment, wanted, added)
        check_budget(experiment, definition, sum(map(len, more.values())))
        now = time.time()

        def grown(present: Experiment, index: int) -> Variant:
            before = present.variants.get(index) or Variant(index=index, value=added[index], jobs={})
            return variants.planned_more(before, more[index], now)

        experiment, changed = yield from self._changed(experiment_id, more, grown)
        if experiment.is_searching or not if_searching:
            self._write(experiment, definition, changed, now, search=search, by_value=slow)

    def _retry(self, params: RetryParams) -> Steps[ExperimentView]:
        return (yield from self.turns.run(self._retry_alone(params)))

    def _retry_alone(self, params: RetryParams) -> Steps[ExperimentView]:
        experiment_id = params.experiment_id
        experiment = self._changeable(experiment_id)
        by_variant: dict[int, dict[str, str]] = {}
        for page in self._store.results.pages(experiment_id):
            for old in (row.job_id for row in page if row.state == "failed"):
                job = parse_job_id(old)
                # one that was replaced has a row that goes soon
                if is_meant(params, job) and experiment.variants[job.variant_index].jobs[old] != "replaced":
                    again = job_id(experiment_id, job._replace(round=job.round + 1))
                    by_variant.setdefault(job.variant_index, {})[old] = again
            yield None
        experiment = self._changeable(experiment_id)
        failed = sum(map(len, by_variant.values()))
        if not failed:
            which = "none of these jobs" if params.variants or params.repeats else "no job"
            raise ControlError("conflict", f"{which} of {experiment_id} has failed; there is nothing to retry")
        check_budget(experiment, experiment.definition, failed)
        now = time.time()

        def retried(present: Experiment, index: int) -> Variant:
            return variants.retried(present.variants[index], by_variant[index], now)

        experiment, changed = yield from self._changed(experiment_id, sorted(by_variant), retried)
        self._write(experiment, experiment.definition, changed, now)
        yield None
        return experiment_view(experiment)

    def _rename(self, params: RenameParams) -> Steps[ExperimentView]:
        return (yield from self.turns.run(self._rename_alone(params)))

    def _rename_alone(self, params: RenameParams) -> Steps[ExperimentView]:
        experiment = self._store.get(params.experiment_id)
        check_text("name", params.name)
        now = time.time()
        renamed = [
            replace(variant, revision=variant.revision + 1, updated_at=now) for variant in experiment.variants.values()
        ]
        self._write(experiment, replace(experiment.definition, name=params.name), renamed, now, by_value=None)
        yield None
        return experiment_view(experiment)

    def _changed(
        self, experiment_id: str, indices: Iterable[int], change: Callable[[Experiment, int], Variant]
    ) -> Steps[tuple[Experiment, list[Variant]]]:
        """Change some variants in steps; return the experiment, and them, anew where one was changed meanwhile."""
        experiment = self._changeable(experiment_id)
        ready: dict[int, tuple[Variant | None, Variant]] = {}
        for index in indices:
            ready[index] = experiment.variants.get(index), change(experiment, index)
            yield None
        present = self._changeable(experiment_id)  # it may have been cancelled, and jobs may have ended
        seen = present.variants
        return present, [
            after if seen.get(index) is before else change(present, index) for index, (before, after) in ready.items()
        ]

    def _changeable(self, experiment_id: str) -> Experiment:
        self._store.trim()
        experiment = self._store.get(experiment_id)
        if experiment.discovered:
            advice = "plan one of your own with `variantbus experiment run FILE`, or adopt more pictures"
            raise ControlError(
                "conflict", f"{experiment_id} was not planned by this service, so it cannot add to it; {advice}"
            )
        if experiment.archived:
            text = f"{experiment_id} is archived; take it out with `variantbus experiment unarchive {experiment_id}`"
            raise ControlError("conflict", text)
        if waiting := self._store.cancelling(experiment_id):
            raise ControlError("conflict", f"{experiment_id} is still being cancelled{self._when_again(waiting)}")
        return experiment

    def _when_again(self, runners: Sequence[str]) -> str:
        """Return what to do about an experiment that some runners have still to cancel ('': jobs without a runner)."""
        away = [runner for runner in runners if runner and self._dispatcher.departures.is_away(runner)]
        if not away:
            return "; try again in a moment"
        return f" at {away[0]}, which does not answer; if it never comes back: `variantbus runner-forget {away[0]}`"

    def _write(
        self,
        experiment: Experiment,
        definition: ExperimentDefinition,
        changed: Iterable[Variant],
        now: float,
        *,
        by_value: bool | None = False,
        search: SearchState | None = None,
    ) -> None:
        """Write and publish the changed variants in one transaction.

        Their new jobs are laid out then: by value or by seed, or not at all (None) where there are none.
        """
        name, store = experiment.experiment_id, self._store
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, store)
            draft = work.draft(name)
            if definition != experiment.definition:
                draft.definition = definition
                store.write_definition(tx, draft)
            draft.search = search or experiment.search
            store.stale.mark(tx, [name])  # there may be more candidates, or fewer scores
            if by_value is not None:  # which goes on after a cancel; another name does not
                store.forget_cancels(tx, name)
                self._layout.begin(tx, name, by_value=by_value)
            work.publish(draft, now)
            for variant in changed:
                work.put(draft, variant, now)


def is_meant(params: RetryParams, job: PlannedJob) -> bool:
    """Return whether a job is one of those that a retry names; without any names, all are."""
    named = ((params.variants, job.variant_index), (params.repeats, job.repeat_index))
    return all(not wanted or place in wanted for wanted, place in named)


def extended_definition(
    experiment: Experiment,
    more: Mapping[str, Sequence[Scalar]],
    jobs_per_variant: int | None,
    space: Space | None = None,
) -> ExperimentDefinition:
    """Return the definition with more values and seeds; ranges and `all` become the lists that they stood for.

    `space` is what a search chooses from: what it has not tried yet stays one of its values.

    Raises:
        InvalidInputError: a variable is not one of the experiment's, or fewer seeds than now are wanted.
    """
    definition = experiment.definition
    names = [knob.name for knob in definition.knobs]
    for name in more:
        if name not in names:
            raise InvalidInputError(f"values.{name}: no variable of this experiment; {near_miss(name, names)}")
    seeds = jobs_per_variant or definition.jobs_per_variant
    check_seeds(replace(definition, jobs_per_variant=seeds))
    if seeds < definition.jobs_per_variant:
        text = f"{definition.jobs_per_variant} are planned already; give more"
        raise InvalidInputError(f"jobs_per_variant: {text}")
    chosen_from = {axis.name: axis.values for axis in space.axes} if space else {}
    knobs = tuple(
        _extended_variable(experiment, where, knob, more.get(knob.name, ()), chosen_from.get(knob.name, ()))
        for where, knob in axes_of(definition)
    )
    changed = replace(definition, jobs_per_variant=seeds)
    changed = replace(changed, variable=knobs[0]) if definition.variable else replace(changed, variables=knobs)
    return replace(changed, sample=_grown_sample(experiment, changed))


def _grown_sample(experiment: Experiment, changed: ExperimentDefinition) -> int | None:
    """Return how many combinations to plan: the same share of the grid, so that each value is there as often."""
    before = experiment.definition
    if before.sample is None or before.mode == "adaptive":
        return before.sample
    count = float(len(experiment.variants))
    for (where, old), new in zip(axes_of(before), changed.knobs, strict=True):
        if new is not old:
            count *= len(new.values or ()) / len(_present_values(experiment, where, old, ()))
    return round(count)


def _extended_variable(
    experiment: Experiment,
    where: str,
    knob: Variable,
    more: Sequence[Scalar],
    untried: Sequence[Scalar],
) -> Variable:
    """Return a variable with more values; where it gets none, it stays as a person wrote it."""
    if not more:
        return knob
    present = _present_values(experiment, where, knob, untried)
    known = {identity(value) for value in present}
    new = {identity(value): value for value in more if identity(value) not in known}
    for value in new.values() if knob.settings else ():
        text = f"{cited(value)} is no named value of {where}; named are {', '.join(knob.settings)}"
        raise InvalidInputError(f"values.{knob.name}: {text}")
    return replace(knob, values=[*present, *new.values()], start=None, stop=None, step=None)


def _present_values(experiment: Experiment, where: str, knob: Variable, untried: Sequence[Scalar]) -> list[Scalar]:
    """Return the values of a variable so far; of `all`, those that are planned or may still be tried."""
    if knob.values != "all":
        return axis_values(where, knob, MAX_JOBS)
    planned = (parts_of(experiment.definition, one.value)[knob.name] for one in experiment.variants.values())
    return list({identity(part): part for part in (*planned, *untried)}.values())


def new_values(experiment: Experiment, values: Sequence[VariantValue]) -> dict[int, VariantValue]:
    """Return those values that the experiment does not have yet, by the indices that their variants get."""
    known = {identity(variant.value) for variant in experiment.variants.values()}
    new = {identity(value): value for value in values if identity(value) not in known}
    return dict(enumerate(new.values(), max(experiment.variants, default=-1) + 1))


def missing_jobs(
    experiment: Experiment, wanted: Iterable[tuple[VariantValue, Iterable[int]]], added: Mapping[int, VariantValue]
) -> Steps[dict[int, list[str]]]:
    """Return the ids of the missing jobs of values, by variant; `added` are the values that are new."""
    indices = {identity(variant.value): index for index, variant in experiment.variants.items()}
    indices |= {identity(value): index for index, value in added.items()}
    found: dict[int, list[str]] = {}
    for value, repeats in wanted:
        index = indices[identity(value)]
        variant = experiment.variants.get(index)
        present = {parse_job_id(name).repeat_index for name in variant.jobs} if variant else set()
        jobs = [PlannedJob(index, repeat) for repeat in repeats if repeat not in present]
        if jobs:
            found.setdefault(index, []).extend(job_id(experiment.experiment_id, job) for job in jobs)
        yield None
    return found


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
