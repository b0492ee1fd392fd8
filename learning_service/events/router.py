"""The router: which event concerns which variant, and what becomes of it. No socket, no file, no clock.

| event | outcome |
|---|---|
| no learning context | ignored |
| an experiment or variant that this service does not follow (`--experiment`, `--variants`, `--shard`) | ignored |
| unknown experiment | rejected (adopted with `--discover`) |
| index negative, too large, not in the plan | rejected |
| variable or value differs from the plan | rejected |
| a job id that is not in the plan of this variant | rejected (added where the experiment was discovered) |
| more jobs of a discovered variant than it may have | rejected |
| the job has ended already | ignored |
| the variant has ended already | late: kept in the history, state unchanged |
| handler raises | rejected with the error; the service goes on |
| else | applied |
"""

from collections.abc import Callable, Collection
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import (
    ExperimentDefinition,
    JobCompleted,
    JobProgress,
    JobQueued,
    JobStarted,
    LearningContext,
    Variable,
)
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment
from learning_service.experiments.sharding import ALL, Shard
from learning_service.experiments.variants import Variant

JobEvent = JobQueued | JobStarted | JobCompleted
Kind = Literal["applied", "ignored", "rejected", "late"]
Find = Callable[[str], Experiment | None]
DISCOVERED_JOBS: Final = 10_000  # of one variant; a planned one has at most 256


class Outcome(Struct, frozen=True, gc=False):
    """What became of an event. Applied: the experiment, and the variant as it is now."""

    kind: Kind
    reason: str = ""
    detail: str = ""
    experiment: Experiment | None = None
    variant: Variant | None = None
    told: bool = False  # its status says something new, and is published
    adopted: bool = False  # the experiment was discovered by this event


class LearningController:
    """Routes the events of runners to the variants of experiments."""

    def __init__(
        self,
        find: Find,
        *,
        experiments: Collection[str] = (),
        variant_indices: Collection[int] = (),
        discover: bool = False,
        shard: Shard = ALL,
    ) -> None:
        """Look experiments up by `find`; follow those of a shard, and only some, or some variants, if any are named."""
        self._find = find
        self._experiments = frozenset(experiments)
        self._indices = frozenset(variant_indices)
        self._discover, self._shard = discover, shard

    def handle(self, event: JobEvent) -> Outcome:
        """Apply an event to the experiment that it belongs to; whatever happens, the outcome says so."""
        try:
            return self._route(event)
        except Exception as error:  # noqa: BLE001 - one bad event never stops the service; the outcome is published
            return Outcome("rejected", "handler_error", f"{type(error).__name__}: {error}"[:500])

    def note_progress(self, event: JobProgress) -> Experiment | None:
        """Remember how far a running job is; None if it concerns no variant that runs."""
        context = event.learning_context
        if context is None or not self.follows(context):
            return None
        experiment = self._find(context.experiment_id)
        variant = experiment.variants.get(context.variant_index) if experiment else None
        if experiment is None or variant is None or variant.jobs.get(event.job_id) != "running":
            return None
        experiment.progress[event.job_id] = (context.variant_index, event.fraction)
        return experiment

    def follows(self, context: LearningContext) -> bool:
        """Is this one of the experiments and variants that this service follows?"""
        return (
            (not self._experiments or context.experiment_id in self._experiments)
            and (not self._indices or context.variant_index in self._indices)
            and self._shard.owns(context.experiment_id)
        )

    def _route(self, event: JobEvent) -> Outcome:
        context = event.learning_context
        if context is None:
            return Outcome("ignored", "no_learning_context")
        if not self.follows(context):
            return Outcome("ignored", "not_followed")
        experiment = self._find(context.experiment_id)
        adopted = experiment is None and self._discover
        if experiment is None:
            if not adopted:
                return Outcome("rejected", "unknown_experiment", context.experiment_id)
            experiment = _adopt(event, context)
        return _place(experiment, context, event, adopted=adopted)


def _place(experiment: Experiment, context: LearningContext, event: JobEvent, *, adopted: bool) -> Outcome:
    """Find the variant and the job of an event in a plan."""
    known = experiment.variants.get(context.variant_index)
    refused = _compare(experiment, known, context)
    if refused:
        return refused
    if known and event.job_id in known.jobs:
        return _apply(experiment, known, event)
    extended = _extended(experiment, known, context, event)
    if isinstance(extended, Outcome):
        return extended
    return _apply(experiment, extended, event, grown=True, adopted=adopted)


def _compare(experiment: Experiment, variant: Variant | None, context: LearningContext) -> Outcome | None:
    """Compare a context with the plan; an outcome only if they differ."""
    index, name = context.variant_index, context.variable_under_test
    if name != experiment.definition.variable_name:
        return Outcome("rejected", "variable_differs", f"{name!r} instead of {experiment.definition.variable_name!r}")
    if index < 0:
        return Outcome("rejected", "index_out_of_range", f"{index} is negative")
    if variant is None:
        if experiment.discovered:
            return None
        return Outcome("rejected", "index_out_of_range", f"{index} is not in 0..{len(experiment.variants) - 1}")
    told, planned = context.variant_value, variant.value
    if told != planned or isinstance(told, bool) != isinstance(planned, bool):  # True == 1
        return Outcome("rejected", "value_differs", f"{told!r} instead of {planned!r}")
    return None


def _apply(
    experiment: Experiment, variant: Variant, event: JobEvent, *, grown: bool = False, adopted: bool = False
) -> Outcome:
    """Apply an event to a variant, whose plan may have `grown` by it."""
    job_id = event.job_id
    if variant.jobs[job_id] in variants.GONE:
        return Outcome("ignored", "job_already_applied", job_id)
    try:
        if isinstance(event, JobCompleted):
            now, changed = event.finished_at, variants.job_ended(variant, event)
        elif isinstance(event, JobStarted):
            now, changed = event.started_at, variants.started(variant, job_id, event.started_at)
        else:
            now, changed = event.queued_at, variants.queued(variant, job_id, event.queued_at)
    except IllegalTransitionError as error:
        return Outcome("late", "variant_has_ended", str(error), experiment, variant)
    if grown and changed.revision == variant.revision:
        changed = replace(changed, revision=changed.revision + 1)
    experiment.put(changed)
    experiment.progress.pop(job_id, None)
    experiment.updated_at = max(experiment.updated_at, now)
    if experiment.started_at is None and not isinstance(event, JobQueued):
        experiment.started_at = now
    told = changed.revision != variant.revision
    return Outcome("applied", experiment=experiment, variant=changed, told=told, adopted=adopted)


def _adopt(event: JobEvent, context: LearningContext) -> Experiment:
    """Make an experiment of what a context tells."""
    definition = ExperimentDefinition(
        name=context.experiment_name or context.experiment_id,
        pipeline=event.pipeline,
        stage=event.stage,
        variable=Variable(name=context.variable_under_test, values=[]),
    )
    return Experiment(context.experiment_id, definition, created_at=_time(event), discovered=True)


def _extended(
    experiment: Experiment, variant: Variant | None, context: LearningContext, event: JobEvent
) -> Variant | Outcome:
    """Give a variant of a discovered experiment with the job of an event in its plan; a plan of ours does not grow."""
    if not experiment.discovered:
        return Outcome("rejected", "unplanned_job", event.job_id)
    if variant is None:
        return Variant(index=context.variant_index, value=context.variant_value, jobs={event.job_id: "planned"})
    if variant.planned >= DISCOVERED_JOBS:
        return Outcome("rejected", "too_many_jobs", f"{variant.planned} jobs have been seen of this variant")
    return variants.extended(variant, event.job_id)


def _time(event: JobEvent) -> float:
    match event:
        case JobQueued():
            return event.queued_at
        case JobStarted():
            return event.started_at
        case JobCompleted():
            return event.finished_at
