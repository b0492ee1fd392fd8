"""A subscriber of a publisher whose retention takes events: it is told, and gets the newest of what it missed."""

from collections.abc import Iterator

import pytest

from bus.protocol.recovery import Truncated
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from bus.transport.loop import Loop
from tests.support.helpers import deadline, names
from tests.support.scripted_publisher import HandMadePublisher


@pytest.fixture
def publisher(loop: Loop) -> Iterator[HandMadePublisher]:
    """Serve in the test's own loop."""
    made = HandMadePublisher(loop)
    yield made
    made.close()


class Reader:
    """A subscriber in the same loop, with all that it got."""

    def __init__(self, loop: Loop, publisher: HandMadePublisher, prefix: str, start: Start | Position) -> None:
        """Start it, from a stored position or as a beginner."""
        self._loop, self._key = loop, (publisher.address, prefix)
        self.found: list[Delivery] = []
        self.subscriber = Subscriber(
            [publisher.address],
            [prefix],
            start=start if isinstance(start, Start) else Start.NOW,
            positions={self._key: start} if isinstance(start, Position) else {},
            loop=loop,
            on_batch=self.found.extend,
            on_notice=lambda *_: None,
        )

    @property
    def offset(self) -> int | None:
        """How far it has got."""
        position = self.subscriber.positions().get(self._key)
        return position.offset if position else None

    def read_up_to(self, offset: int) -> list[str]:
        """Run until it has got so far and return the names of all events so far."""
        limit = deadline()
        while self.offset != offset:
            assert not limit.passed, f"at {self.offset} instead of {offset}, with {names(self.found)}"
            self._loop.step(limit.left)
        return names(self.found)

    @property
    def told(self) -> list[object]:
        """What it was told that it cannot get."""
        return [notice for _, _, notice in self.subscriber.notices]


@pytest.fixture
def read(loop: Loop, publisher: HandMadePublisher) -> Iterator[list[Reader]]:
    """Yield a list for the readers, which are closed at the end."""
    del loop, publisher  # which outlive them
    readers: list[Reader] = []
    yield readers
    for reader in readers:
        reader.subscriber.close()


# 1 to 10; of b. (not compacted) all up to 9 are taken, of a.x. (compacted) the newest, 6, is kept
HISTORY = ["a.x.", "b.", "a.x.", "b.", "a.x.1.", "a.x.", "b.", "b.", "b.", "b."]


def truncated(publisher: HandMadePublisher) -> int:
    """Let a publisher have a history, and its retention take all but the last event; give the epoch."""
    publisher.publish(*HISTORY)
    publisher.model.log.first = 10
    return publisher.model.log.epoch


@pytest.mark.fault(item="F38")
def test_the_newest_of_what_retention_took_comes_first(
    loop: Loop, publisher: HandMadePublisher, read: list[Reader]
) -> None:
    """A consumer of everything that was away gets what compaction kept, in the log's order, then goes on."""
    reader = Reader(loop, publisher, "", Position(truncated(publisher), 2))
    read.append(reader)

    assert reader.read_up_to(10) == ["5", "6", "10"]
    assert reader.told == [Truncated(2, 10)]
    publisher.publish("a.x.", "b.")
    assert reader.read_up_to(12) == ["5", "6", "10", "11", "12"]
    assert len(reader.told) == 1


def test_what_was_seen_does_not_come_again(loop: Loop, publisher: HandMadePublisher, read: list[Reader]) -> None:
    """Of the newest events only those behind the stored position are news."""
    reader = Reader(loop, publisher, "a.", Position(truncated(publisher), 5))
    read.append(reader)

    assert reader.read_up_to(10) == ["6"]
    assert reader.told == [Truncated(5, 10)]


@pytest.mark.fault(item="F38")
def test_a_prefix_of_which_all_is_gone_is_told_so(loop: Loop, publisher: HandMadePublisher, read: list[Reader]) -> None:
    """A check finds nothing any more, and yet events may have been missed."""
    publisher.publish("b.", "b.", "b.", "a.y.", "a.y.")
    publisher.model.log.first = 4
    reader = Reader(loop, publisher, "b.", Position(publisher.model.log.epoch, 1))
    read.append(reader)

    assert reader.read_up_to(5) == []
    assert reader.told == [Truncated(1, 4)]


def test_retention_that_overtakes_a_consumer_that_is_connected_is_told(
    loop: Loop, publisher: HandMadePublisher, read: list[Reader]
) -> None:
    """A heartbeat suffices."""
    publisher.publish("b.")
    reader = Reader(loop, publisher, "b.", Start.BEGINNING)
    read.append(reader)
    assert reader.read_up_to(1) == ["1"]

    publisher.publish("b.", "b.", "b.")
    publisher.model.log.first = 4

    assert reader.read_up_to(4) == ["1", "4"]
    assert reader.told == [Truncated(1, 4)]


@pytest.mark.parametrize(
    ("start", "expected", "told"),
    [
        (Start.LATEST, ["5", "6", "10"], []),
        (Start.BEGINNING, ["5", "6", "10"], [Truncated(0, 10)]),
        (Start.NOW, [], []),
    ],
)
def test_a_beginner_has_the_present_state_whatever_retention_took(
    loop: Loop,
    publisher: HandMadePublisher,
    read: list[Reader],
    start: Start,
    expected: list[str],
    told: list[Truncated],
) -> None:
    """The newest event of each topic is there also if the log's beginning is not; who asks for that is told."""
    truncated(publisher)
    reader = Reader(loop, publisher, "", start)
    read.append(reader)

    assert reader.read_up_to(10) == expected
    assert reader.told == told
