"""The consequences of the events of one transaction: changed state, and messages."""

from bus.contracts.messages import EventRejected, JobCompleted, JobQueued, JobScored
from bus.contracts.topics import EVENT_REJECTED
from bus.subscriber.delivery import Delivery
from learning_service.events.grouping import Grouping
from learning_service.events.router import (
    Applied,
    JobEvent,
    Late,
    LearningController,
    Outcome,
    Rejected,
    RunnerEvent,
    Scored,
)
from learning_service.experiments import variants
from learning_service.experiments.draft import Draft
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


class Staging:
    """Decides about events in their order, and stages what follows."""

    def __init__(self, work: UnitOfWork, store: LearningStore, controller: LearningController) -> None:
        """Stage into a unit of work."""
        self._work, self._store, self._controller = work, store, controller
        self._together = Grouping(controller)

    def waits(self, event: RunnerEvent) -> bool:
        """Return whether an event is applied by `settle`, together with others of its variant."""
        if isinstance(event, JobScored):
            return False
        experiment = self._together.add(event, self._work.find)
        if experiment is None:
            return False
        self._note(self._work.draft(experiment.experiment_id), event, variants.time_of(event))
        return True

    def decide(self, event: RunnerEvent) -> Outcome:
        """Return the outcome of an event, behind those that wait of its variant."""
        if context := event.learning_context:
            self._apply(context.experiment_id, context.variant_index, self._together.take(context))
        return self._controller.handle(event, self._work.find, self._store.deletions.has)

    def settle(self) -> None:
        """Apply what waits."""
        for (experiment_id, index), events in self._together.take_all():
            self._apply(experiment_id, index, events)

    def stage(self, outcome: Outcome, event: RunnerEvent | None, delivery: Delivery | None) -> None:
        """Stage the changes of an outcome; `delivery` is None for an event that came on no feed."""
        match outcome:
            case Applied():
                self._stage_applied(outcome)
            case Rejected():
                self._work.tx.append(EVENT_REJECTED, rejection(outcome, event, delivery))
            case Scored():
                self._work.score(outcome.event)
            case Late() if delivery:
                body = bytes(delivery.body)
                self._store.write_late(self._work.tx, outcome.experiment_id, outcome.variant_index, body)

    def _apply(self, experiment_id: str, index: int, events: list[JobEvent]) -> None:
        if events:
            draft = self._work.draft(experiment_id)
            before = draft.variants[index]
            variant = variants.advanced(before, events)
            self._work.put(draft, variant, variant.updated_at, is_news=variant.revision != before.revision)

    def _stage_applied(self, outcome: Applied) -> None:
        event, experiment = outcome.event, outcome.experiment
        draft = self._work.insert(experiment) if outcome.is_adopted else self._work.draft(experiment.experiment_id)
        self._note(draft, event, outcome.time)
        self._work.put(draft, outcome.variant, outcome.time, is_news=outcome.is_news)

    def _note(self, draft: Draft, event: JobEvent, time: float) -> None:
        """Stage what follows from an event beside the new state of its variant."""
        draft.moved.append(event.job_id)
        draft.note_event(time, has_started=not isinstance(event, JobQueued))
        if isinstance(event, JobCompleted):
            draft.note_run(event.started_at, event.finished_at)
            self._work.end_job(event)


def rejection(outcome: Rejected, event: RunnerEvent | None, delivery: Delivery | None) -> EventRejected:
    """Return the message about a rejected event."""
    return EventRejected(
        reason=outcome.reason,
        topic=delivery.topic if delivery else "",
        offset=delivery.offset if delivery else 0,
        job_id=event.job_id if event else None,
        detail=outcome.detail,
    )
