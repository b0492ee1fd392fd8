"""An experiment in memory: its plan, its variants, its jobs, and what is published of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from bus.messages import ExperimentDefinition, ExperimentStatus, LearningContext, Totals, VariantState, VariantStatus
from learning_service.variants import ENDED, Variant

JobPhase = Literal["planned", "queued", "running", "ended"]
ONE_STATE: Final[tuple[VariantState, ...]] = ("pending", "completed", "failed", "cancelled")
_NOTHING: Final = Variant(index=0, value=0, planned=0)  # before a variant is added


class Experiment:
    """One experiment. It changes in memory first; if the transaction fails, it is read again from the store.

    Its counts are kept up to date with every change, so that an event costs the same in a plan of any size.
    """

    def __init__(
        self,
        experiment_id: str,
        definition: ExperimentDefinition,
        variants: Iterable[Variant] = (),
        jobs: Mapping[str, JobPhase] | None = None,
        *,
        created_at: float,
        discovered: bool = False,
    ) -> None:
        """`discovered`: adopted from a context, so that its plan is what was seen of it."""
        self.experiment_id, self.definition = experiment_id, definition
        self.created_at, self.discovered = created_at, discovered
        self.updated_at = created_at
        self.started_at: float | None = None  # of the first job that started
        self.revision = 0
        self.progress: dict[str, tuple[int, float]] = {}  # variant and fraction of each running job; not stored
        self.variants: dict[int, Variant] = {}
        self.jobs: dict[str, JobPhase] = {}
        self._states: Counter[VariantState] = Counter()
        self._planned = self._completed = self._failed = self._cancelled = self._running = 0
        for variant in variants:
            self.put(variant)
        for job_id, phase in (jobs or {}).items():
            self.move_job(job_id, phase)

    def put(self, variant: Variant) -> None:
        """Add a variant, or replace its state."""
        before = self.variants.get(variant.index, _NOTHING)
        self.variants[variant.index] = variant
        if before is _NOTHING or before.status != variant.status:
            self._states[variant.status] += 1
            self._states[before.status] -= before is not _NOTHING
        self._planned += variant.planned - before.planned
        self._completed += variant.completed - before.completed
        self._failed += variant.failed - before.failed
        self._cancelled += variant.cancelled - before.cancelled

    def move_job(self, job_id: str, phase: JobPhase) -> None:
        """Add a job, or note how far it is."""
        self._running += (phase == "running") - (self.jobs.get(job_id) == "running")
        self.jobs[job_id] = phase
        self.progress.pop(job_id, None)

    @property
    def status(self) -> VariantState:
        """Follow from the variants: all in one state, all ended, or on the way."""
        present = {state for state, count in self._states.items() if count}
        for state in ONE_STATE:
            if present == {state}:
                return state
        if present <= ENDED:
            return "partial" if present & {"completed", "partial"} else "failed"
        return "queued" if present <= {"pending", "queued"} else "running"

    @property
    def has_ended(self) -> bool:
        """Has every planned job ended?"""
        return self.status in ENDED

    @property
    def totals(self) -> Totals:
        """Count variants and jobs."""
        return Totals(
            variants=len(self.variants),
            jobs=self._planned,
            running=self._running,
            completed=self._completed,
            failed=self._failed,
            cancelled=self._cancelled,
        )


def experiment_status(experiment: Experiment) -> ExperimentStatus:
    """Give what is published of an experiment."""
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
    )


def variant_status(experiment: Experiment, variant: Variant) -> VariantStatus:
    """Give what is published of a variant: its whole state."""
    means = {name: total / count for name, (total, count) in variant.metric_sums.items()}
    return VariantStatus(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.definition.name,
        variant_index=variant.index,
        variable_under_test=experiment.definition.variable.name,
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
    )


def variant_fraction(experiment: Experiment, context: LearningContext) -> float:
    """Give how far a variant is, 0..1, counting running jobs by their own progress."""
    variant = experiment.variants[context.variant_index]
    running = sum(fraction for index, fraction in experiment.progress.values() if index == variant.index)
    return min(1.0, (variant.ended + running) / max(1, variant.planned))


def _eta(experiment: Experiment, counts: Totals) -> float | None:
    """Estimate the seconds left from the rate at which jobs have ended so far; None before the first one has."""
    ended = counts.completed + counts.failed + counts.cancelled
    left = counts.jobs - ended
    if left == 0:
        return 0.0
    if experiment.started_at is None or not ended:
        return None
    return max(0.0, experiment.updated_at - experiment.started_at) / ended * left
