"""What the middle process of every peer does with events: the very decisions of the learning service.

Only transport and durability are the peer's own.
"""

from collections.abc import Iterable

from benchmarks.workload import FIRST_TIME, PLANNED_REVISION, Workload
from bus.contracts.messages import JobCompleted, VariantStatus, decode_body
from bus.contracts.topics import VARIANT_STATUS
from bus.protocol import topics
from learning_service.events.grouping import Grouping
from learning_service.events.router import JobEvent, LearningController
from learning_service.experiments.grid import plan_values
from learning_service.experiments.model import Experiment, packed_status
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.variants import Variant, advanced


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
        together = Grouping(self._controller)
        for body in bodies:
            message = decode_body(body)
            if not isinstance(message, JobCompleted):
                raise TypeError(f"{type(message).__name__} instead of a job.completed")
            if not together.add(message, self._experiments.get):
                outcome = self._controller.handle(message, self._experiments.get)
                raise ValueError(f"{message.job_id}: {outcome}")
        return [self._apply(name, index, events) for (name, index), events in together.take_all()]

    def _apply(self, name: str, index: int, events: list[JobEvent]) -> tuple[Variant, VariantStatus]:
        experiment = self._experiments[name]
        variant = advanced(experiment.variants[index], events)
        experiment.put(variant)
        return variant, packed_status(experiment, variant)


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
