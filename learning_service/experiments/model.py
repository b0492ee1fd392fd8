"""An experiment in memory: its plan, its variants, and what is published of them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct
from msgspec.structs import asdict

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import (
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


class _PackedStatus(VariantStatus, frozen=True, gc=False, omit_defaults=True, tag="variant.status"):
    """A status whose pictures are encoded."""

    images: Raw  # type: ignore[assignment]  # it is encoded only, to the same bytes


class SearchState(NamedTuple):
    """The state of a search, with a few words: what it tries, why it waits, or why it has ended."""

    state: SearchProgress
    reason: str = ""


class Busy(Struct, frozen=True, gc=False):
    """The time in which at least one job of an experiment ran, as far as ended jobs tell.

    What passes while none of them runs is none of it: a night, a pause, or the days before an experiment is extended.
    """

    seconds: float = 0.0
    jobs: int = 0  # that have ended after they had run
    until: float = 0.0  # unix seconds: the newest end

    def after(self, started: float, finished: float) -> "Busy":
        """Return the busy time with one more job that ran; what others ran beside it counts once."""
        until = max(self.until, finished)
        return Busy(self.seconds + max(0.0, until - max(self.until, started)), self.jobs + 1, until)


class Summary(Struct, frozen=True, gc=False):
    """What lists tell of an experiment beside its definition; stored with it, so that a list reads no variants."""

    totals: Totals
    spent: int  # jobs ever planned
    busy: Busy


class Listed(NamedTuple):
    """An experiment as lists show it, without its variants."""

    experiment_id: str
    definition: ExperimentDefinition
    created_at: float
    updated_at: float
    revision: int
    search: SearchState | None
    damage: tuple[str, ...]
    status: VariantState
    seconds: float  # what its completed jobs took together
    summary: Summary
    archived: bool


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
        self.busy = Busy()
        self.search: SearchState | None = None  # of an adaptive one
        self.damage: tuple[str, ...] = ()  # what was lost by damage, in words
        self.archived = False
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

    def note_run(self, started: float | None, finished: float) -> None:
        """Record from when to when a job ran that has ended, in unix seconds; None: it never ran."""
        if started is not None:
            self.busy = self.busy.after(started, finished)

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
        """The number of jobs ever planned, retried ones included."""
        return self.counts.jobs + self.counts.replaced

    @property
    def totals(self) -> Totals:
        """The numbers of variants and jobs."""
        return self.counts.totals()

    @property
    def seconds(self) -> float:
        """What its completed jobs took together."""
        return self.counts.seconds

    @property
    def summary(self) -> Summary:
        """What lists tell of it beside its definition."""
        return Summary(self.totals, self.spent, self.busy)


def experiment_status(experiment: Experiment | Listed) -> ExperimentStatus:
    """Return the published status of an experiment."""
    summary = experiment.summary
    return ExperimentStatus(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.definition.name,
        status=experiment.status,
        definition=experiment.definition,
        totals=summary.totals,
        eta_seconds=seconds_left(summary, experiment.seconds),
        created_at=experiment.created_at,
        updated_at=experiment.updated_at,
        revision=experiment.revision,
        search=_search_status(experiment, summary),
        damage=experiment.damage,
        archived=experiment.archived,
    )


def _search_status(experiment: Experiment | Listed, summary: Summary) -> SearchStatus | None:
    if experiment.search is None:
        return None
    budget = experiment.definition.budget or 0
    return SearchStatus(
        state=experiment.search.state, budget=budget, spent=summary.spent, reason=experiment.search.reason
    )


def experiment_view(experiment: Experiment, recommendation: RecommendationUpdated | None = None) -> ExperimentView:
    """Return the full view of an experiment."""
    return ExperimentView(
        **asdict(experiment_status(experiment)),
        variants=[packed_status(experiment, variant) for variant in experiment.variants.values()],
        recommendation=recommendation,
    )


def variant_status(experiment: Experiment, variant: Variant) -> VariantStatus:
    """Return the published status of a variant: its whole state."""
    return _status(VariantStatus, experiment, variant, variant.images)


def packed_status(experiment: Experiment, variant: Variant) -> VariantStatus:
    """Return the status of a variant to be encoded only: its pictures are encoded already."""
    return _status(_PackedStatus, experiment, variant, variant.packed)


def _status(kind: type[VariantStatus], experiment: Experiment, variant: Variant, images: Any) -> VariantStatus:
    means = {name: total / count for name, (total, count) in variant.metric_sums.items()}
    return kind(
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
        images=images,
        error=variant.error,
        rating=variant.rating,
        metrics=means,
        duration_mean=variant.duration_sum / variant.completed if variant.duration_sum else None,  # 0: nobody knows
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


def seconds_left(summary: Summary, seconds: float) -> float | None:
    """Return the seconds that the rest of the jobs takes; None before the first one has run.

    A job takes the busy time so far, divided by the number of jobs that ran in it: so those that run at the same time,
    and what is prepared before a job, are counted as they were. `seconds` is what the completed jobs took together.
    The times are those of the runners' wall clocks, which may have been set while a job ran: a job is not taken to
    occupy the runners for longer than `MOST_WAITING` times the mean of what they took. Where no times are known, as of
    imported jobs, that mean counts.
    """
    totals, busy = summary.totals, summary.busy
    left = totals.jobs - totals.completed - totals.failed - totals.cancelled
    if left == 0:
        return 0.0
    mean = seconds / totals.completed if totals.completed else None
    if not busy.jobs:
        return None if mean is None else mean * left
    a_job = busy.seconds / busy.jobs
    if mean is not None:
        a_job = min(a_job, max(mean, LEAST_SECONDS) * MOST_WAITING)
    return a_job * left
