"""What a batch of events changes: published event by event, each variant written once, in its newest state."""

from bus.contracts.messages import EventRejected, JobCompleted
from bus.contracts.topics import EVENT_REJECTED, EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog.log import Transaction
from bus.protocol import topics
from bus.subscriber.delivery import Delivery
from learning_service.events.router import JobEvent, Outcome
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment, experiment_status, variant_status
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore


class Changes:
    """Collects within one transaction; `write` comes last."""

    def __init__(self, tx: Transaction, store: LearningStore) -> None:
        """Begin with nothing changed."""
        self._tx, self._store = tx, store
        self._experiments: dict[str, Experiment] = {}
        self._variants: dict[tuple[str, int], Variant] = {}
        self._ended: list[JobCompleted] = []

    def apply(self, event: JobEvent, outcome: Outcome) -> None:
        """Note a variant's new state, and publish it if its status says something new."""
        experiment, variant = outcome.experiment, outcome.variant
        if experiment is None or variant is None:
            raise ValueError("an applied event names its experiment and variant")
        if outcome.adopted:
            self._store.insert(self._tx, experiment, [])
            self._store.keep(experiment)
        if isinstance(event, JobCompleted):
            self._ended.append(event)
        if outcome.told:
            self.publish(experiment, variant)
        else:
            self._note(experiment, variant)

    def publish(self, experiment: Experiment, variant: Variant) -> None:
        """Publish a variant's state; it and its experiment are written at the end."""
        topic = topics.build(VARIANT_STATUS, experiment.experiment_id, variant.index)
        self._tx.append(topic, variant_status(experiment, variant))
        self._note(experiment, variant)

    def note(self, experiment: Experiment) -> None:
        """Have an experiment written and published, whether or not any of its variants changes."""
        self._experiments[experiment.experiment_id] = experiment

    def rate(self, experiment: Experiment, index: int, now: float) -> None:
        """Count the ratings of a variant's pictures anew, and publish it if they say something else."""
        summary = self._store.judgements.summary(experiment.experiment_id, index)
        if summary != experiment.variants[index].rating:
            experiment.put(variants.rated(experiment.variants[index], summary, now))
            experiment.updated_at = max(experiment.updated_at, now)
            self.publish(experiment, experiment.variants[index])

    def _rate_ended(self) -> None:
        """Count what was said before of pictures that jobs have given once more."""
        # a rating is of a picture that was there already, so some variant has one
        rated = {
            name
            for name, experiment in self._experiments.items()
            if any(variant.rating for variant in experiment.variants.values())
        }
        for job in self._ended:
            context = job.learning_context
            if context is None or context.experiment_id not in rated:
                continue
            for image in job.result.images:
                if self._store.judgements.rating(context.experiment_id, image.sha256):
                    self.rate(self._experiments[context.experiment_id], context.variant_index, job.finished_at)

    def _note(self, experiment: Experiment, variant: Variant) -> None:
        self._variants[experiment.experiment_id, variant.index] = variant
        self._experiments[experiment.experiment_id] = experiment

    def reject(self, event: JobEvent | None, outcome: Outcome, delivery: Delivery | None) -> None:
        """Publish that an event was refused, and why."""
        message = EventRejected(
            reason=outcome.reason,
            topic=delivery.topic if delivery else "",
            offset=delivery.offset if delivery else 0,
            job_id=event.job_id if event else None,
            detail=outcome.detail,
        )
        self._tx.append(EVENT_REJECTED, message)

    def keep_late(self, outcome: Outcome, delivery: Delivery) -> None:
        """Keep an event that came after the end of its variant."""
        if outcome.experiment and outcome.variant:
            experiment_id = outcome.experiment.experiment_id
            self._store.write_late(self._tx, experiment_id, outcome.variant.index, bytes(delivery.body))

    def write(self) -> None:
        """Write what has changed; each experiment is published once."""
        self._store.results.write(self._tx, self._ended)
        self._store.stale.mark(
            self._tx, {job.learning_context.experiment_id for job in self._ended if job.learning_context}
        )
        self._rate_ended()
        self._store.write_variants(self._tx, self._variants)
        for experiment in self._experiments.values():
            experiment.revision += 1
            self._store.write_experiment(self._tx, experiment)
            topic = topics.build(EXPERIMENT_STATUS, experiment.experiment_id)
            self._tx.append(topic, experiment_status(experiment))
