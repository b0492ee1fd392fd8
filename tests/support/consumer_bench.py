"""A consumer of events with its log, its store and its loop, without a socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Raw

from bus.contracts.messages import EventRejected, JobCompleted, encode_body
from bus.eventlog.log import Log
from bus.subscriber.delivery import Delivery, Position
from bus.transport.loop import Loop
from learning_service.events.consumer import EventConsumer
from learning_service.events.router import LearningController
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, messages

RUNNER: Final = "tcp://127.0.0.1:1"
PREFIX: Final = "job."


class Bench:
    """A consumer with its log, its store and its loop, without a socket."""

    def __init__(self, path: Path) -> None:
        """Open the log."""
        self.log, self.loop = Log(path), Loop()
        self.store = LearningStore(self.log)
        self.asked: list[str] = []
        self.consumer = EventConsumer(
            self.log,
            self.store,
            self.loop,
            None,  # type: ignore[arg-type]  # it is for progress alone
            LearningController(),
            on_overflow=lambda: None,
            reconcile=self.asked.append,
        )

    def deliver(self, offset: int, *events: JobCompleted) -> None:
        """Let events come from the runner, the first one with this offset."""
        self.consumer.on_batch([delivery(number, event) for number, event in enumerate(events, offset)])

    def take(self, batch: list[Delivery]) -> None:
        """Let events come together; a busy machine applies them in several turns."""
        self.consumer.on_batch(batch)
        while self.consumer._waiting:
            self.loop.step(0)

    def variant(self) -> Variant:
        """Return the first variant as it is on disk."""
        experiment = LearningStore(self.log).find(EXPERIMENT)
        assert experiment is not None
        return experiment.variants[0]

    def position(self) -> Position:
        """Return how far the runner has been read."""
        return self.store.positions()[RUNNER, PREFIX]

    def rejected(self) -> list[str]:
        """Return why events were rejected."""
        found = messages(self.log.fetch("event.rejected.", 0).records)
        return [one.reason for one in found if isinstance(one, EventRejected)]

    def close(self) -> None:
        """Close all."""
        self.loop.close()
        self.log.close()


@contextmanager
def bench(path: Path) -> Iterator[Bench]:
    """Open a consumer, and close it."""
    opened = Bench(path)
    try:
        yield opened
    finally:
        opened.close()


def delivery(offset: int, event: JobCompleted) -> Delivery:
    """Return an event as a subscriber delivers it."""
    topic, body = f"job.completed.{EXPERIMENT}.0.", Raw(encode_body(event))
    return Delivery(RUNNER, PREFIX, epoch=7, offset=offset, topic=topic, time_ns=1, body=body)
