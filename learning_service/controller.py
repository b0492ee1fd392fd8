"""The router: which event concerns which variant, and what becomes of it. No socket, no file, no clock.

| event | outcome |
|---|---|
| no learning context | ignored |
| an experiment or variant that this service does not follow (`--experiment`, `--variants`) | ignored |
| unknown experiment | rejected (adopted with `--discover`) |
| index negative, too large, not in the plan | rejected |
| variable or value differs from the plan | rejected |
| a job id that is not in the plan of this variant | rejected (added where the experiment was discovered) |
| the job has ended already | ignored |
| the variant has ended already | late: kept in the history, state unchanged |
| handler raises | rejected with the error; the service goes on |
| else | applied |
"""

from collections.abc import Callable, Collection
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bus.lifecycle import IllegalTransitionError
from bus.messages import (
    ExperimentDefinition,
    JobCompleted,
    JobProgress,
    JobQueued,
    JobStarted,
    LearningContext,
    Variable,
)
from learning_service import variants
from learning_service.experiments import Experiment, JobPhase
from learning_service.variants import Variant

JobEvent = JobQueued | JobStarted | JobCompleted
Kind = Literal["applied", "ignored", "rejected", "late"]
Find = Callable[[str], Experiment | None]
ORDER: Final[dict[JobPhase, int]] = {"planned": 0, "queued": 1, "running": 2, "ended": 3}


class Outcome(Struct, frozen=True):
    """What became of an event. Applied: experiment, variant, and whether the job is new to the plan."""

    kind: Kind
    reason: str = ""
    detail: str = ""
    experiment: Experiment | None = None
    variant: Variant | None = None
    adopted: bool = False  # the experiment was discovered by this event
    added: bool = False  # the job was


class LearningController:
    """Routes the events of runners to the variants of experiments."""

    def __init__(
        self,
        find: Find,
        *,
        experiments: Collection[str] = (),
        variant_indices: Collection[int] = (),
        discover: bool = False,
    ) -> None:
        """Look experiments up by `find`; follow only some of them, or some variants, where any are named."""
        self._find = find
        self._experiments = frozenset(experiments)
        self._indices = frozenset(variant_indices)
        self._discover = discover

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
        if experiment is None or experiment.jobs.get(event.job_id) != "running":
            return None
        experiment.progress[event.job_id] = (context.variant_index, event.fraction)
        return experiment

    def follows(self, context: LearningContext) -> bool:
        """Is this one of the experiments and variants that this service follows?"""
        return (not self._experiments or context.experiment_id in self._experiments) and (
            not self._indices or context.variant_index in self._indices
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
        refused = _compare(experiment, context)
        if refused:
            return refused
        added = event.job_id not in experiment.jobs
        if not experiment.discovered and (added or not _is_of(event.job_id, context)):
            return Outcome("rejected", "unplanned_job", event.job_id)
        if added:
            _add_job(experiment, context, event)
        return _apply(experiment, context, event, adopted=adopted, added=added)


def _is_of(job_id: str, context: LearningContext) -> bool:
    """Is this the id of a job of the variant that the context names? See `plan.job_id`."""
    return job_id.startswith(f"{context.experiment_id}.{context.variant_index}.")


def _compare(experiment: Experiment, context: LearningContext) -> Outcome | None:
    """Compare a context with the plan; an outcome only if they differ."""
    index, name = context.variant_index, context.variable_under_test
    if name != experiment.definition.variable.name:
        return Outcome("rejected", "variable_differs", f"{name!r} instead of {experiment.definition.variable.name!r}")
    if index < 0:
        return Outcome("rejected", "index_out_of_range", f"{index} is negative")
    variant = experiment.variants.get(index)
    if variant is None:
        if experiment.discovered:
            return None
        return Outcome("rejected", "index_out_of_range", f"{index} is not in 0..{len(experiment.variants) - 1}")
    same = context.variant_value == variant.value and isinstance(context.variant_value, bool) == isinstance(
        variant.value, bool
    )
    if not same:
        return Outcome("rejected", "value_differs", f"{context.variant_value!r} instead of {variant.value!r}")
    return None


def _apply(experiment: Experiment, context: LearningContext, event: JobEvent, *, adopted: bool, added: bool) -> Outcome:
    phase, now = _phase_and_time(event)
    before = experiment.jobs[event.job_id]
    if before == "ended":
        return Outcome("ignored", "job_already_applied", event.job_id)
    variant = experiment.variants[context.variant_index]
    try:
        if isinstance(event, JobCompleted):
            changed = variants.job_ended(variant, event)
        elif isinstance(event, JobStarted):
            changed = variants.started(variant, now)
        else:
            changed = variants.queued(variant, now)
    except IllegalTransitionError as error:
        return Outcome("late", "variant_has_ended", str(error), experiment, variant)
    # a job that runs again after its runner died is queued once more; that takes nothing back
    experiment.move_job(event.job_id, phase if phase == "queued" or ORDER[phase] > ORDER[before] else before)
    experiment.put(changed)
    experiment.updated_at = max(experiment.updated_at, now)
    if phase != "queued" and experiment.started_at is None:
        experiment.started_at = now
    return Outcome("applied", experiment=experiment, variant=changed, adopted=adopted, added=added)


def _phase_and_time(event: JobEvent) -> tuple[JobPhase, float]:
    match event:
        case JobQueued():
            return "queued", event.queued_at
        case JobStarted():
            return "running", event.started_at
        case JobCompleted():
            return "ended", event.finished_at


def _adopt(event: JobEvent, context: LearningContext) -> Experiment:
    """Make an experiment of what a context tells."""
    definition = ExperimentDefinition(
        name=context.experiment_name or context.experiment_id,
        pipeline=event.pipeline,
        stage=event.stage,
        variable=Variable(name=context.variable_under_test, values=[]),
    )
    now = _phase_and_time(event)[1]
    return Experiment(context.experiment_id, definition, created_at=now, discovered=True)


def _add_job(experiment: Experiment, context: LearningContext, event: JobEvent) -> None:
    """Add a job, and if need be its variant, to the plan of a discovered experiment."""
    now = _phase_and_time(event)[1]
    variant = experiment.variants.get(context.variant_index)
    if variant is None:
        variant = Variant(index=context.variant_index, value=context.variant_value, planned=1, updated_at=now)
    else:
        # the event that adds the job makes the one new revision of this change
        variant = replace(variants.extended(variant, 1, now), revision=variant.revision)
    experiment.put(variant)
    experiment.move_job(event.job_id, "planned")
