"""An experiment in memory: its plan, its variants, and what is published of them."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec.structs import asdict

from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import (
    ExperimentDefinition,
    ExperimentStatus,
    LearningContext,
    RecommendationUpdated,
    SearchProgress,
    SearchStatus,
    Totals,
    VariantState,
    VariantStatus,
)
from learning_service.experiments.counts import Counts
from learning_service.experiments.variants import ENDED, Variant

ONE_STATE: Final[tuple[VariantState, ...]] = ("pending", "completed", "failed", "cancelled")
MOST_WAITING: Final = 20  # times the mean duration of a job, in an estimate
LEAST_SECONDS: Final = 1.0  # of a mean duration there


class SearchState(NamedTuple):
    """The state of a search, with a few words: what it tries, why it waits, or why it has ended."""

    state: SearchProgress
    reason: str = ""


class Experiment:
    """One experiment as last committed; uncommitted changes are in a `Draft`."""

    def __init__(
        self,
        experiment_id: str,
        definition: ExperimentDefinition,
        variants: Iterable[Variant] = (),
        *,
        created_at: float,
        discovered: bool = False,
    ) -> None:
        """`discovered`: adopted from a context, so its plan grows with the jobs that are seen."""
        self.experiment_id, self.definition = experiment_id, definition
        self.created_at, self.discovered = created_at, discovered
        self.updated_at = created_at
        self.started_at: float | None = None  # of the first job that started
        self.revision = 0
        self.search: SearchState | None = None  # of an adaptive one
        self.damage: tuple[str, ...] = ()  # what was lost by damage, in words
        self.progress: dict[str, tuple[int, float]] = {}  # variant and fraction of each running job; not stored
        self.counts = Counts()
        self.changed: dict[int, Variant] = {}  # the variants put here; in a draft, those that differ from its base
        self.variants: Mapping[int, Variant] = self.changed
        for variant in variants:
            self.put(variant)

    def put(self, variant: Variant) -> None:
        """Add a variant, or replace its state."""
        self.counts.change(self.variants.get(variant.index), variant)
        self.changed[variant.index] = variant

    def note_event(self, now: float, *, has_started: bool) -> None:
        """Record when an event of a job happened; the first job that has started starts the experiment."""
        self.updated_at = max(self.updated_at, now)
        if has_started and self.started_at is None:
            self.started_at = now

    @property
    def status(self) -> VariantState:
        """Follow from the variants: all in one state, all ended, or on the way; a search is so between rounds."""
        state = self._state_of_variants()
        return "running" if self.is_searching and state in ENDED else state

    def _state_of_variants(self) -> VariantState:
        present = self.counts.states.keys()
        for state in ONE_STATE:
            if present == {state}:
                return state
        if present <= ENDED:
            return "partial" if present & {"completed", "partial"} else "failed"
        return "queued" if present <= {"pending", "queued"} else "running"

    @property
    def has_ended(self) -> bool:
        """Whether every planned job has ended, and no more will be planned."""
        return self.status in ENDED

    @property
    def is_idle(self) -> bool:
        """Whether every planned job has ended."""
        return self._state_of_variants() in ENDED

    @property
    def is_searching(self) -> bool:
        """Whether an adaptive search still plans more jobs."""
        return self.search is not None and self.search.state == "searching"

    @property
    def spent(self) -> int:
        """The number of jobs ever planned, replaced ones included."""
        return sum(len(variant.jobs) for variant in self.variants.values())

    @property
    def totals(self) -> Totals:
        """The numbers of variants and jobs."""
        return self.counts.totals()


def experiment_status(experiment: Experiment) -> ExperimentStatus:
    """Return the published status of an experiment."""
    counts = experiment.totals
    return ExperimentStatus(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.definition.name,
        status=experiment.status,
        definition=experiment.definition,
        totals=counts,
        eta_seconds=_eta(experiment, counts),
        created_at=experiment.created_at,
        updated_at=experiment.updated_at,
        revision=experiment.revision,
        search=_search_status(experiment),
        damage=experiment.damage,
    )


def _search_status(experiment: Experiment) -> SearchStatus | None:
    if experiment.search is None:
        return None
    budget = experiment.definition.budget or 0
    return SearchStatus(
        state=experiment.search.state, budget=budget, spent=experiment.spent, reason=experiment.search.reason
    )


def experiment_view(experiment: Experiment, recommendation: RecommendationUpdated | None = None) -> ExperimentView:
    """Return the full view of an experiment."""
    return ExperimentView(
        **asdict(experiment_status(experiment)),
        variants=[variant_status(experiment, variant) for variant in experiment.variants.values()],
        recommendation=recommendation,
    )


def variant_status(experiment: Experiment, variant: Variant) -> VariantStatus:
    """Return the published status of a variant: its whole state."""
    means = {name: total / count for name, (total, count) in variant.metric_sums.items()}
    return VariantStatus(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.definition.name,
        variant_index=variant.index,
        variable_under_test=experiment.definition.variable_name,
        variant_value=variant.value,
        status=variant.status,
        planned=variant.planned,
        completed=variant.completed,
        failed=variant.failed,
        cancelled=variant.cancelled,
        images=variant.images,
        error=variant.error,
        rating=variant.rating,
        metrics=means,
        duration_mean=variant.duration_sum / variant.completed if variant.completed else None,
        revision=variant.revision,
        updated_at=variant.updated_at,
        warned=variant.warned,
        warning=variant.warning,
        reused=variant.reused,
    )


def variant_fraction(experiment: Experiment, context: LearningContext) -> float:
    """Return the progress of a variant, 0..1, with running jobs counted by their own progress."""
    variant = experiment.variants[context.variant_index]
    running = sum(fraction for index, fraction in experiment.progress.values() if index == variant.index)
    return min(1.0, (variant.ended + running) / max(1, variant.planned))


def _eta(experiment: Experiment, counts: Totals) -> float | None:
    """Return the seconds left, by the rate at which jobs have ended so far; None before the first one has.

    The rate is by the wall clock of the runners, which may have been set since the first job: a job is not taken to
    occupy the runners for longer than `MOST_WAITING` times the mean of what they took.
    """
    ended = counts.completed + counts.failed + counts.cancelled
    left = counts.jobs - ended
    if left == 0:
        return 0.0
    if experiment.started_at is None or not ended:
        return None
    a_job = max(0.0, experiment.updated_at - experiment.started_at) / ended
    if counts.completed:
        mean = experiment.counts.seconds / counts.completed
        a_job = min(a_job, max(mean, LEAST_SECONDS) * MOST_WAITING)
    return a_job * left
