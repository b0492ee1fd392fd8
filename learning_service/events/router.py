"""The router: which variant an event belongs to, and its outcome. No socket, no file, no clock.

`LearningController.decide` gets the state that it needs, so an error in it comes from the event and that state alone:
it would come again, and rejects the event. Looking the state up is no part of it: an error of `find` says nothing about
the event, and passes through `handle`.

| event | outcome |
|---|---|
| no learning context | ignored |
| an experiment or variant that this service does not follow (`--experiment`, `--variants`, `--shard`) | ignored |
| a deleted experiment | ignored, also with `--discover` |
| unknown experiment | rejected (adopted with `--discover`) |
| index negative, too large, not in the plan | rejected |
| variable or value differs from the plan | rejected |
| a job id that is not in the plan of this variant | rejected (added where the experiment was discovered) |
| more jobs of a discovered variant than it may have | rejected |
| the job has ended already | ignored |
| the variant has ended already | late: kept in the history, state unchanged |
| measures of a job of this variant, whatever its state | scored: they become part of its result, if it has completed |
| the decision raises | rejected with the error; the service continues and asks the runner how its jobs ended |
| else | applied |
"""

from collections.abc import Callable, Collection
from typing import ClassVar, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobCompleted, JobProgress, JobQueued, JobScored, JobStarted, LearningContext
from bus.contracts.values import cited, is_same
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment
from learning_service.experiments.sharding import ALL, Shard
from learning_service.experiments.variants import Variant

JobEvent = JobQueued | JobStarted | JobCompleted
RunnerEvent = JobEvent | JobScored
Kind = Literal["applied", "ignored", "rejected", "late"]
Label = tuple[Kind, str]  # the outcome of an event, and the reason
Find = Callable[[str], Experiment | None]
IsDeleted = Callable[[str], bool]
HANDLER_ERROR: Final = "handler_error"
DISCOVERED_JOBS: Final = 10_000  # of one variant; a planned one has at most 256
ERROR_LIMIT: Final = 500  # characters


class Applied(Struct, frozen=True, gc=False):
    """The event changes a variant. `experiment` is the known one, or the one adopted from the event."""

    label: ClassVar[Label] = ("applied", "")
    event: JobEvent
    experiment: Experiment
    variant: Variant  # its new state
    time: float  # when it happened
    is_news: bool  # the variant's status has changed, and is published
    is_adopted: bool = False


class Ignored(Struct, frozen=True, gc=False):
    """The event belongs to no experiment of this service, to a deleted one, or is known."""

    reason: str

    @property
    def label(self) -> Label:
        """What became of the event, and why."""
        return "ignored", self.reason


class Rejected(Struct, frozen=True, gc=False):
    """The event contradicts the plan, or cannot be handled; that is published."""

    reason: str
    detail: str

    @property
    def label(self) -> Label:
        """What became of the event, and why."""
        return "rejected", self.reason


class Late(Struct, frozen=True, gc=False):
    """The event arrived after its variant had ended."""

    label: ClassVar[Label] = ("late", "variant_has_ended")
    experiment_id: str
    variant_index: int


class Scored(Struct, frozen=True, gc=False):
    """The event has measures of a job; they count if its result is there."""

    label: ClassVar[Label] = ("applied", "")
    event: JobScored


Outcome = Applied | Ignored | Rejected | Late | Scored


class LearningController:
    """Decides the outcome of the events of runners; it changes nothing itself."""

    def __init__(
        self,
        *,
        experiments: Collection[str] = (),
        variant_indices: Collection[int] = (),
        discover: bool = False,
        shard: Shard = ALL,
    ) -> None:
        """Follow the experiments of a shard, or only the named experiments and variants."""
        self._experiments = frozenset(experiments)
        self._indices = frozenset(variant_indices)
        self._discover, self._shard = discover, shard

    def handle(self, event: RunnerEvent, find: Find, is_deleted: IsDeleted = lambda _: False) -> Outcome:
        """Return the outcome of an event; the two look up the state of experiments, and nothing else may raise."""
        context = event.learning_context
        if context is None:
            return Ignored("no_learning_context")
        if not self.follows(context):
            return Ignored("not_followed")
        experiment = find(context.experiment_id)
        if experiment is None and is_deleted(context.experiment_id):
            return Ignored("deleted")
        return self.decide(event, context, experiment)

    def decide(self, event: RunnerEvent, context: LearningContext, experiment: Experiment | None) -> Outcome:
        """Return the outcome of an event with this context, in this state of its experiment. Pure."""
        try:
            return self._decide(event, context, experiment)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad event never stops the service; the outcome is published
            return failure(error)

    def find_running(self, event: JobProgress, find: Find) -> Experiment | None:
        """Return the experiment of a running job, None if the event concerns none."""
        context = event.learning_context
        if context is None or not self.follows(context):
            return None
        experiment = find(context.experiment_id)
        variant = experiment.variants.get(context.variant_index) if experiment else None
        return experiment if variant and variant.jobs.get(event.job_id) == "running" else None

    def follows(self, context: LearningContext) -> bool:
        """Return whether this is one of the experiments and variants that this service follows."""
        return (
            (not self._experiments or context.experiment_id in self._experiments)
            and (not self._indices or context.variant_index in self._indices)
            and self._shard.owns(context.experiment_id)
        )

    def _decide(self, event: RunnerEvent, context: LearningContext, experiment: Experiment | None) -> Outcome:
        if experiment is None:
            if not self._discover:
                return Rejected("unknown_experiment", context.experiment_id)
            if isinstance(event, JobScored):
                return Ignored("unknown_job")  # its end was never seen
            return _grow(_adopted(event, context), None, context, event)
        variant = experiment.variants.get(context.variant_index)
        if isinstance(event, JobScored):
            return _scored(experiment, variant, context, event)
        if variant and event.job_id in variant.jobs:
            return difference(experiment, variant, context) or _advance(experiment, variant, event)
        return _grow(experiment, variant, context, event)


def failure(error: Exception) -> Rejected:
    """Return the outcome of an event that cannot be handled."""
    return Rejected(HANDLER_ERROR, f"{type(error).__name__}: {error}"[:ERROR_LIMIT])


def difference(experiment: Experiment, variant: Variant | None, context: LearningContext) -> Rejected | None:
    """Return how a context differs from the plan, None if it does not."""
    index, name = context.variant_index, context.variable_under_test
    if name != experiment.definition.variable_name:
        return Rejected("variable_differs", f"{name!r} instead of {experiment.definition.variable_name!r}")
    if index < 0:
        return Rejected("index_out_of_range", f"{index} is negative")
    if variant is None:
        if experiment.discovered:
            return None
        return Rejected("index_out_of_range", f"{index} is not in 0..{len(experiment.variants) - 1}")
    reported, planned = context.variant_value, variant.value
    if not is_same(reported, planned):
        return Rejected("value_differs", f"{cited(reported)} instead of {cited(planned)}")
    return None


def _scored(experiment: Experiment, variant: Variant | None, context: LearningContext, event: JobScored) -> Outcome:
    """Return the outcome of measures."""
    if different := difference(experiment, variant, context):
        return different
    if variant is None or event.job_id not in variant.jobs:
        return Ignored("unknown_job") if experiment.discovered else Rejected("unplanned_job", event.job_id)
    return Scored(event)


def _advance(experiment: Experiment, variant: Variant, event: JobEvent) -> Outcome:
    """Return the outcome of an event of a planned job: its variant in the next state."""
    if variant.jobs[event.job_id] in variants.GONE:
        return Ignored("job_already_applied")
    try:
        return _applied(experiment, variant, event)
    except IllegalTransitionError:
        return Late(experiment.experiment_id, variant.index)


def _applied(experiment: Experiment, variant: Variant, event: JobEvent) -> Applied:
    time = variants.time_of(event)
    if isinstance(event, JobCompleted):
        changed = variants.job_ended(variant, event)
    elif isinstance(event, JobStarted):
        changed = variants.started(variant, event.job_id, time)
    else:
        changed = variants.queued(variant, event.job_id, time)
    return Applied(event, experiment, changed, time, changed.revision != variant.revision)


def _grow(experiment: Experiment, variant: Variant | None, context: LearningContext, event: JobEvent) -> Outcome:
    """Return the outcome of an unplanned job: a discovered experiment grows by it; a plan of ours does not."""
    if different := difference(experiment, variant, context):
        return different
    if not experiment.discovered:
        return Rejected("unplanned_job", event.job_id)
    if variant is None:
        grown = Variant(index=context.variant_index, value=context.variant_value, jobs={event.job_id: "planned"})
    elif variant.planned >= DISCOVERED_JOBS:
        return Rejected("too_many_jobs", f"{variant.planned} jobs have been seen of this variant")
    else:
        grown = variants.extended(variant, event.job_id)
    outcome = _applied(experiment, grown, event)
    # one more job in the plan is news
    revised = outcome.variant if outcome.is_news else replace(outcome.variant, revision=grown.revision + 1)
    return replace(outcome, variant=revised, is_news=True, is_adopted=not experiment.variants)


def _adopted(event: JobEvent, context: LearningContext) -> Experiment:
    """Return an experiment made from a context, without variants yet; over several variables if its value has these."""
    names = list(context.variant_value) if isinstance(context.variant_value, dict) else []
    is_grid = " x ".join(names) == context.variable_under_test
    knobs = tuple(Variable(name=name, values=[]) for name in names) if is_grid else ()
    definition = ExperimentDefinition(
        name=context.experiment_name or context.experiment_id,
        pipeline=event.pipeline,
        stage=event.stage,
        variable=None if is_grid else Variable(name=context.variable_under_test, values=[]),
        variables=knobs,
    )
    return Experiment(context.experiment_id, definition, created_at=variants.time_of(event), discovered=True)
