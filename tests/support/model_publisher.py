"""A model publisher: the protocol in a few lines, with a log for each epoch."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bus.protocol.frames import Epochs
from bus.protocol.recovery import Check, Fetch, Info, Latest, Request

COMPACTED = {"a.x.", "a.x.1.", "b.x."}  # retention leaves the newest event of each of these


class Event(NamedTuple):
    """What is delivered. `serial` tells apart events that got the same offset after a power cut."""

    offset: int
    topic: str
    serial: int


class Message(NamedTuple):
    """A feed message as one subscriber sees it."""

    epoch: int
    offset: int
    previous: int | None
    event: Event


class Beat(NamedTuple):
    """A heartbeat, and the answer to `info`."""

    epoch: int
    head: int
    first: int
    epochs: Epochs


class Page(NamedTuple):
    """The answer to `fetch`."""

    epoch: int
    first: int
    next: int
    events: list[tuple[int, Event]]


class Checked(NamedTuple):
    """The answer to `check`."""

    epoch: int
    head: int
    first: int
    last: int


class Listed(NamedTuple):
    """The answer to `latest`."""

    epoch: int
    head: int
    first: int
    events: list[tuple[int, Event]]
    next_topic: str


Reply = Beat | Page | Checked | Listed


@dataclass
class ModelLog:
    """The log of one epoch, with what retention has left of it."""

    epoch: int
    epochs: Epochs
    events: list[Event] = field(default_factory=list)
    first: int = 1

    @property
    def head(self) -> int:
        """The newest offset."""
        return len(self.events)

    def matching(self, prefix: str, after: int, until: int) -> list[Event]:
        """Return what was ever logged with a prefix in (after, until]."""
        return [event for event in self.events[after:until] if event.topic.startswith(prefix)]

    def newest(self, prefix: str) -> list[Event]:
        """Return what retention has left of the newest event of each topic, in the order of topics."""
        newest = {event.topic: event for event in self.matching(prefix, 0, self.head)}
        return [newest[topic] for topic in sorted(newest) if self.is_known(newest[topic])]

    def is_known(self, newest: Event) -> bool:
        """Return whether the log still has this newest event of its topic; those of compacted topics stay."""
        return newest.offset >= self.first or newest.topic in COMPACTED


class ModelPublisher:
    """A publisher in a few lines, true to the protocol, that remembers all its logs for the check."""

    def __init__(self) -> None:
        """Start with an empty log."""
        self.serial = 0
        self.logs: dict[int, ModelLog] = {}
        self.begin([], [])

    def begin(self, events: list[Event], before: Epochs) -> None:
        """Start an epoch with these events kept."""
        epoch = 1000 + len(self.logs)
        first = self.log.first if events else 1
        self.log = ModelLog(epoch, [*before, (epoch, len(events))], events, min(first, len(events) + 1))
        self.logs[epoch] = self.log

    log = ModelLog(0, [])

    def publish(self, topic: str, prefix: str, *, forgotten: bool) -> Message | None:
        """Log an event and return the feed message if a subscriber to `prefix` gets it."""
        self.serial += 1
        before = self.log.matching(prefix, 0, self.log.head)
        event = Event(self.log.head + 1, topic, self.serial)
        self.log.events.append(event)
        previous = before[-1].offset if before else 0
        if not prefix:
            previous, forgotten = event.offset - 1, False
        return (
            Message(self.log.epoch, event.offset, None if forgotten else previous, event)
            if (topic.startswith(prefix))
            else None
        )

    def beat(self) -> Beat:
        """Return where the log is."""
        return Beat(self.log.epoch, self.log.head, self.log.first, list(self.log.epochs))

    def fetch(self, prefix: str, request: Fetch, limit: int) -> Page:
        """Answer as `Log.fetch` does."""
        log = self.log
        after = max(request.after, log.first - 1)
        until = min(request.until, log.head)
        found = log.matching(prefix, after, max(until, after))
        page = found[:limit]
        reached = page[-1].offset if len(page) == limit else max(after, until)
        return Page(log.epoch, log.first, reached, [(event.offset, event) for event in page])

    def check(self, prefix: str, request: Check) -> Checked:
        """Answer as `Publisher` does: with the newest offset that is still known."""
        log = self.log
        last = max((event.offset for event in log.newest(prefix)), default=0)
        return Checked(log.epoch, log.head, log.first, last if last > request.after else 0)

    def latest(self, prefix: str, request: Latest, limit: int) -> Listed:
        """Answer as `Log.latest` does."""
        log = self.log
        page = [event for event in log.newest(prefix) if event.topic > request.after_topic][:limit]
        next_topic = page[-1].topic if len(page) == limit else ""
        return Listed(log.epoch, log.head, log.first, [(event.offset, event) for event in page], next_topic)

    def answer(self, prefix: str, request: Request, limit: int) -> Reply:
        """Answer a request as things stand now."""
        match request:
            case Info():
                return self.beat()
            case Check():
                return self.check(prefix, request)
            case Fetch():
                return self.fetch(prefix, request, limit)
            case Latest():
                return self.latest(prefix, request, limit)
