"""The consequences of an outcome: changed state, and messages."""

from bus.contracts.messages import EventRejected, JobCompleted, JobQueued
from bus.contracts.topics import EVENT_REJECTED
from bus.subscriber.delivery import Delivery
from learning_service.events.router import Applied, JobEvent, Late, Outcome, Rejected
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


def stage(
    work: UnitOfWork, store: LearningStore, outcome: Outcome, event: JobEvent | None, delivery: Delivery | None
) -> None:
    """Stage the changes of an outcome; `delivery` is None for an event that came on no feed."""
    match outcome:
        case Applied():
            _stage_applied(work, outcome)
        case Rejected():
            work.tx.append(EVENT_REJECTED, rejection(outcome, event, delivery))
        case Late() if delivery:
            store.write_late(work.tx, outcome.experiment_id, outcome.variant_index, bytes(delivery.body))


def _stage_applied(work: UnitOfWork, outcome: Applied) -> None:
    event, experiment = outcome.event, outcome.experiment
    draft = work.insert(experiment) if outcome.is_adopted else work.draft(experiment.experiment_id)
    draft.moved.append(event.job_id)
    draft.note_event(outcome.time, has_started=not isinstance(event, JobQueued))
    if isinstance(event, JobCompleted):
        draft.note_run(event.started_at, event.finished_at)
        work.end_job(event)
    work.put(draft, outcome.variant, outcome.time, is_news=outcome.is_news)


def rejection(outcome: Rejected, event: JobEvent | None, delivery: Delivery | None) -> EventRejected:
    """Return the message about a rejected event."""
    return EventRejected(
        reason=outcome.reason,
        topic=delivery.topic if delivery else "",
        offset=delivery.offset if delivery else 0,
        job_id=event.job_id if event else None,
        detail=outcome.detail,
    )
