"""What the middle process of every peer does with events: the very decisions of the learning service.

Only transport and durability are the peer's own.
"""

from collections.abc import Iterable

from benchmarks.workload import FIRST_TIME, PLANNED_REVISION, Workload
from bus.contracts.messages import JobCompleted, VariantStatus, decode_body
from bus.contracts.topics import VARIANT_STATUS
from bus.protocol import topics
from learning_service.events.router import Applied, LearningController
from learning_service.experiments.axes import plan_values
from learning_service.experiments.model import Experiment, variant_status
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.variants import JobPhase, Variant


class Router:
    """Holds the experiments in memory, as the learning service does."""

    def __init__(self, workload: Workload) -> None:
        """Plan all experiments."""
        experiments = {name: _planned(workload, name) for name in workload.experiment_ids()}
        self._experiments = experiments
        self._controller = LearningController()

    def route(self, bodies: Iterable[bytes]) -> list[tuple[Variant, VariantStatus]]:
        """Apply events, and give the newest state of each variant that they changed, with what is published of it.

        Raises:
            ValueError: an event was not applied, which is a fault of the benchmark.
        """
        changed: dict[tuple[str, int], Experiment] = {}
        for body in bodies:
            outcome = self._apply(body)
            changed[outcome.experiment.experiment_id, outcome.variant.index] = outcome.experiment
        newest = ((experiment, experiment.variants[index]) for (_, index), experiment in changed.items())
        return [(variant, variant_status(experiment, variant)) for experiment, variant in newest]

    def _apply(self, body: bytes) -> Applied:
        message = decode_body(body)
        if not isinstance(message, JobCompleted):
            raise TypeError(f"{type(message).__name__} instead of a job.completed")
        outcome = self._controller.handle(message, self._experiments.get)
        if not isinstance(outcome, Applied):
            raise ValueError(f"{message.job_id}: {outcome}")  # noqa: TRY004 - a fault of the benchmark, no wrong type
        outcome.experiment.put(outcome.variant)
        return outcome


def status_topic(status: VariantStatus) -> str:
    """Return the topic on which a status is published."""
    return topics.build(VARIANT_STATUS, status.experiment_id, status.variant_index)


def _planned(workload: Workload, experiment_id: str) -> Experiment:
    """Return an experiment as `experiment.create` leaves it."""
    plan = workload.definition()
    values = plan_values(plan)
    jobs: dict[int, dict[str, JobPhase]] = {
        index: {job_id(experiment_id, PlannedJob(index, repeat)): "planned" for repeat in range(plan.jobs_per_variant)}
        for index in range(len(values))
    }
    return Experiment(
        experiment_id,
        plan,
        [
            Variant(index=index, value=value, jobs=jobs[index], revision=PLANNED_REVISION, updated_at=FIRST_TIME)
            for index, value in enumerate(values)
        ],
        created_at=FIRST_TIME,
    )
