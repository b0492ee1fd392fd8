"""An experiment in memory: its plan, its variants, its jobs, and what is published of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from bus.messages import ExperimentDefinition, ExperimentStatus, LearningContext, Totals, VariantState, VariantStatus
from learning_service.variants import ENDED, Variant

JobPhase = Literal["planned", "queued", "running", "ended"]
ONE_STATE: Final[tuple[VariantState, ...]] = ("pending", "completed", "failed", "cancelled")


@dataclass(slots=True)
class Experiment:
    """One experiment. It changes in memory first; if the transaction fails, it is read again from the store."""

    experiment_id: str
    definition: ExperimentDefinition
    variants: dict[int, Variant]
    jobs: dict[str, JobPhase]
    created_at: float
    discovered: bool = False  # adopted from a context: its plan is what was seen of it
    started_at: float | None = None  # of the first job that started
    updated_at: float = 0.0
    revision: int = 0
    progress: dict[str, float] = field(default_factory=dict)  # fraction of each running job; not stored

    @property
    def status(self) -> VariantState:
        """Follow from the variants: all in one state, all ended, or on the way."""
        states = Counter(variant.status for variant in self.variants.values())
        for state in ONE_STATE:
            if states[state] == len(self.variants):
                return state
        if all(state in ENDED for state in states):
            return "partial" if states["completed"] or states["partial"] else "failed"
        return "queued" if set(states) <= {"pending", "queued"} else "running"

    @property
    def has_ended(self) -> bool:
        """Has every planned job ended?"""
        return self.status in ENDED


def totals(experiment: Experiment) -> Totals:
    """Count variants and jobs."""
    variants = experiment.variants.values()
    return Totals(
        variants=len(variants),
        jobs=sum(variant.planned for variant in variants),
        running=sum(phase == "running" for phase in experiment.jobs.values()),
        completed=sum(variant.completed for variant in variants),
        failed=sum(variant.failed for variant in variants),
        cancelled=sum(variant.cancelled for variant in variants),
    )


def experiment_status(experiment: Experiment) -> ExperimentStatus:
    """Give what is published of an experiment."""
    counts = totals(experiment)
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
    prefix = f"{experiment.experiment_id}.{variant.index}."
    running = sum(fraction for job_id, fraction in experiment.progress.items() if job_id.startswith(prefix))
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
