"""A control port is forwarded, and the feed that the publisher tells is another publisher's here."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.contracts.messages import JobProgress
from bus.protocol.addresses import Address, Advertised
from bus.protocol.control import InfoReply
from bus.protocol.frames import heartbeat_decoder
from bus.protocol.identity import WrongFeed
from bus.protocol.topics import HEARTBEAT
from bus.subscriber.asyncio import AsyncSubscriber
from bus.subscriber.delivery import Delivery, Start
from bus.subscriber.sync import Subscriber
from bus.transport import sockets
from bus.transport.client import request
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, deadline, names
from tests.support.subscribing import serve_again

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]


@pytest.fixture
def services(serve: Serve, tmp_path: Path) -> tuple[Service, Service, Address]:
    """Return a publisher A, a publisher B which tells the feed of A as its own, and the feed that B really has."""
    a, b = serve(tmp_path / "a.db"), serve(tmp_path / "b.db")
    real, b.publisher.feed = b.publisher.feed, a.publisher.feed
    b.append(("a.", "b1"))
    return a, b, real


def say_all(service: Service, name: str) -> None:
    """Publish an event that is logged and one that is not."""
    service.append(("a.", name))
    progress = JobProgress(job_id=name, learning_context=None, fraction=0.5, step=None, steps=None, eta_seconds=None)
    service.call(lambda: service.publisher.publish_ephemeral("a.", progress))


def receive_until_told(subscriber: Subscriber, speaker: Service) -> list[Delivery]:
    """Receive until there is a notice, while somebody speaks."""
    limit, found = deadline(), list[Delivery]()
    while not subscriber.notices:
        assert not limit.passed, subscriber.states()
        say_all(speaker, "a")
        found += subscriber.receive(0.05)
    return found


def receive_until(subscriber: Subscriber, last: str) -> list[str]:
    """Receive until an event has come, and return the names of all."""
    limit, found = deadline(), list[str]()
    while last not in found:
        assert not limit.passed, (found, subscriber.states())
        found += names(subscriber.receive(0.1))
    return found


@pytest.mark.fault(item="F51")
@pytest.mark.parametrize("start", list(Start))
def test_another_publishers_events_are_never_delivered_and_the_user_is_told(
    services: tuple[Service, Service, Address], subscribe: Subscribe, start: Start
) -> None:
    """Not as B's, nor at all; when B tells its own feed again, its events come."""
    a, b, real = services
    subscriber = subscribe([b.address], start=start)

    assert receive_until_told(subscriber, a) == []

    assert list(subscriber.notices) == [(b.address, "", WrongFeed(str(a.publisher.feed)))]
    (state,) = subscriber.states()
    assert not state.ready
    assert state.problem == str(WrongFeed(str(a.publisher.feed)))
    assert not subscriber.wait_ready(0.1)

    b.publisher.feed = real
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    assert subscriber.states()[0].problem == ""
    b.append(("a.", "b2"))
    found: list[Delivery] = []
    limit = deadline()
    while "b2" not in names(found):
        assert not limit.passed, names(found)
        found += subscriber.receive(0.1)
    assert names(found) == (
        ["b2"] if start is Start.NOW else ["b1", "b2"] if start is Start.BEGINNING else names(found)
    )
    assert set(names(found)) <= {"b1", "b2"}
    assert len(subscriber.notices) == 1


@pytest.mark.fault(item="F51")
def test_the_user_can_name_the_feed(services: tuple[Service, Service, Address], subscribe: Subscribe) -> None:
    """Alone, or by the control address of its publisher; in asyncio, too."""
    a, b, real = services
    say_all(a, "a1")
    for subscriber in (
        subscribe([b.address], start=Start.BEGINNING, feed=str(real)),
        subscribe([a.address, b.address], start=Start.BEGINNING, feed={b.address: str(real)}),
    ):
        assert subscriber.wait_ready(PATIENCE * TIME_FACTOR), subscriber.states()
        assert "b1" in receive_until(subscriber, "b1")

    async def follow() -> list[Delivery]:
        async with AsyncSubscriber([b.address], start=Start.BEGINNING, feed=str(real)) as subscriber:
            return await subscriber.receive(PATIENCE * TIME_FACTOR)

    assert names(asyncio.run(follow())) == ["b1"]


@pytest.mark.fault(item="F51")
def test_a_feed_that_is_taken_over_by_another_publisher_is_noticed(
    serve: Serve, subscribe: Subscribe, tmp_path: Path
) -> None:
    """B comes back with other ports, and A is where its feed was."""
    b = serve(tmp_path / "b.db")
    old_feed, control = b.publisher.feed, b.publisher.control
    subscriber = subscribe([b.address], start=Start.BEGINNING, feed=str(old_feed))
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    b.stop()
    a = serve_again(serve, tmp_path / "a.db", feed=old_feed)
    b = serve_again(serve, tmp_path / "b.db", control)

    assert receive_until_told(subscriber, a) == []


@pytest.mark.fault(item="F51")
def test_a_publisher_with_a_new_log_is_not_taken_for_another(
    serve: Serve, subscribe: Subscribe, tmp_path: Path
) -> None:
    """Its epoch changes at its restart, at both of its ports; nobody is told of a wrong feed."""
    first = serve(tmp_path / "first.db")
    first.append(("a.", "1"))
    subscriber = subscribe([first.address], start=Start.BEGINNING)
    assert receive_until(subscriber, "1") == ["1"]
    first.stop()
    second = serve_again(serve, tmp_path / "second.db", first.publisher.control, first.publisher.feed)
    second.append(("a.", "2"))

    assert receive_until(subscriber, "2") == ["2"]
    assert not [notice for *_, notice in subscriber.notices if isinstance(notice, WrongFeed)]


def test_what_is_advertised_is_told_by_info_and_heartbeats(serve: Serve, tmp_path: Path) -> None:
    """The bound addresses are still known to the service itself."""
    service = serve(tmp_path / "test.db")
    told = Advertised(Address("example.org", 6560), Address("example.org", 6561))
    service.call(lambda: service.publisher.advertise(told))
    feed = sockets.connect_feed(str(service.publisher.feed))
    feed.subscribe(HEARTBEAT.encode())
    assert feed.poll(int(PATIENCE * TIME_FACTOR * 1000)), "no heartbeat came"
    frames = sockets.receive(feed)
    feed.close(0)

    assert frames
    assert heartbeat_decoder.decode(frames[1]).info.control == str(told.control)
    assert request(service.address, "info", {}, InfoReply).feed == str(told.feed)
