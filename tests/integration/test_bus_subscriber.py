"""Publisher and subscriber over real sockets, each in its own thread."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from bus.contracts.messages import JobQueued
from bus.protocol.control import ControlError, LatestParams, LatestReply
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import Service, append, collect, job, names, wait_until
from tests.support.subscribing import MOMENT, fill, ready, text

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
ROUNDS: Final = 5  # of events until some overrun the feed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


def test_events_are_delivered_live(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """What is published while the subscriber is ready arrives with all that belongs to it."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a"]))
    service.append(("a.x.", 1), ("b.", 2), ("a.y.", 3))

    one, two = collect(subscriber, 2)

    assert (one.source, one.prefix, one.topic, one.offset) == (service.address, "a.", "a.x.", 1)
    assert one.epoch == service.log.epoch
    assert isinstance(one.message, JobQueued)
    assert names([one, two]) == ["1", "3"]
    assert subscriber.receive(MOMENT) == []
    assert subscriber.positions() == {(service.address, "a."): Position(service.log.epoch, 3)}


def test_the_beginning_is_everything_that_is_kept(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """A subscriber that comes late gets the whole log, then what follows."""
    service = serve(path)
    fill(service, 1, 30)
    subscriber = ready(subscribe([service.address], start=Start.BEGINNING))
    fill(service, 31, 35)

    assert names(collect(subscriber, 35)) == text(1, 35)


def test_a_subscriber_goes_on_from_its_stored_position(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """What was published while it was away is delivered, and nothing twice."""
    service = serve(path)
    fill(service, 1, 5)
    with Subscriber([service.address], ["a."], start=Start.BEGINNING) as first:
        seen = collect(first, 5)[2]
    fill(service, 6, 9)
    stored = {(seen.source, seen.prefix): Position(seen.epoch, seen.offset)}

    second = subscribe([service.address], ["a."], positions=stored)

    assert names(collect(second, 6)) == text(4, 9)
    assert not second.notices


def test_now_begins_when_the_subscriber_is_ready(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """Old events are not delivered, every one after readiness is."""
    service = serve(path)
    fill(service, 1, 5)
    subscriber = ready(subscribe([service.address], start=Start.NOW))
    fill(service, 6, 8)

    assert names(collect(subscriber, 3)) == text(6, 8)


def test_latest_is_the_present_state_and_what_follows(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """The newest event of each topic in log order, then live events, for a screen that opens late."""
    service = serve(path)
    service.append(("v.1.", "old"), ("v.2.", "two"), ("v.1.", "one"), ("w.", "other"))
    subscriber = ready(subscribe([service.address], ["v", "w"], start=Start.LATEST))

    assert sorted(names(collect(subscriber, 3))) == ["one", "other", "two"]
    service.append(("v.2.", "two again"))
    assert names(collect(subscriber, 1)) == ["two again"]
    assert subscriber.receive(MOMENT) == []


def test_latest_is_read_in_pages(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """More topics than one page holds arrive, each once."""
    service = serve(path)
    service.append(*((f"v.{number}.", number) for number in range(1, 2501)))
    subscriber = subscribe([service.address], ["v."], start=Start.LATEST)

    assert names(collect(subscriber, 2500))[-1] == "2500"
    assert subscriber.receive(MOMENT) == []


def test_latest_is_asked_again_after_an_error(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """One prefix that cannot be read does not make the others come twice."""
    service = serve(path)
    service.append(*((f"v.{number}.", number) for number in range(1, 1501)), ("w.", "w"))
    publisher = service.publisher
    refused: list[str] = []

    def latest(params: LatestParams) -> LatestReply:
        if params.prefix == "w." and len(refused) < 2:
            refused.append(params.prefix)
            raise ControlError("unavailable", "not now")
        return publisher._latest(params)

    service.call(lambda: publisher.methods.add("latest", LatestParams, latest))
    subscriber = subscribe([service.address], ["v.", "w."], start=Start.LATEST)

    found = names(collect(subscriber, 1501))

    assert sorted(found) == sorted([*text(1, 1500), "w"])
    assert len(refused) == 2
    assert subscriber.receive(MOMENT) == []


def test_several_publishers_are_followed_at_once(serve: Serve, subscribe: Subscribe, tmp_path: Path) -> None:
    """Each has its own order and position."""
    services = [serve(tmp_path / f"{name}.sqlite") for name in "xy"]
    subscriber = ready(subscribe([service.address for service in services], ["a."]))
    for number in range(1, 4):
        for service in services:
            service.append(("a.", number))

    found = collect(subscriber, 6)

    for service in services:
        assert names([one for one in found if one.source == service.address]) == text(1, 3)
        assert subscriber.positions()[service.address, "a."] == Position(service.log.epoch, 3)


def test_each_event_belongs_to_one_of_several_prefixes(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """A prefix that another one covers is dropped, and no event comes twice or half-matched."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a.1", "a.1.x", "b", "b"]))
    service.append(("a.1.x.", 1), ("a.10.", 2), ("b.", 3), ("a.1.", 4), ("c.", 5), ("b.z.", 6))

    found = collect(subscriber, 4)

    assert sorted((one.prefix, name) for one, name in zip(found, names(found), strict=True)) == [
        ("a.1.", "1"),
        ("a.1.", "4"),
        ("b.", "3"),
        ("b.", "6"),
    ]
    assert subscriber.receive(MOMENT) == []


def test_an_ephemeral_event_arrives_without_a_position(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """Progress is not logged: whoever listens gets it, and the position stays."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["p"]))
    service.call(lambda: service.publisher.publish_ephemeral("p.", job("half")))

    (event,) = collect(subscriber, 1)

    assert (event.offset, names([event])) == (0, ["half"])
    assert subscriber.positions()[service.address, "p."].offset == 0
    assert service.call(lambda: service.log.head) == 0


def test_batches_can_go_to_a_callback_in_a_loop_of_the_service(serve: Serve, path: Path, tmp_path: Path) -> None:
    """A service that subscribes does so in its own loop, without iterating."""
    source, sink = serve(path), serve(tmp_path / "sink.sqlite")
    batches: list[list[Delivery]] = []
    subscriber = sink.call(lambda: Subscriber([source.address], loop=sink.loop, on_batch=batches.append))
    wait_until(lambda: sink.call(lambda: subscriber.ready))
    fill(source, 1, 3)

    wait_until(lambda: sum(map(len, batches)) == 3)
    sink.call(subscriber.close)
    assert names([one for batch in batches for one in batch]) == text(1, 3)


def test_iterating_gives_events_one_by_one(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """The simplest client is a for loop."""
    service = serve(path)
    fill(service, 1, 3)
    events = iter(subscribe([service.address], start=Start.BEGINNING))

    assert names([next(events), next(events), next(events)]) == text(1, 3)


@pytest.mark.fault(item="F6")
@pytest.mark.parametrize("prefix", ["", "a."])
def test_a_subscriber_that_stalls_catches_up(serve: Serve, subscribe: Subscribe, path: Path, prefix: str) -> None:
    """The feed drops what overruns the high-water mark; all of it is fetched, once and in order."""
    service = serve(path)
    service.call(lambda: service.publisher._feed_socket.set(23, 10))  # ZMQ_SNDHWM, for connections from now on
    subscriber = ready(subscribe([service.address], [prefix]))
    count, filling = 40_000, "x" * 1000

    def burst(first: int) -> None:
        append(service.log, *(("a.", f"{number} {filling}") for number in range(first, first + 1000)))

    found: list[Delivery] = []
    recovery = subscriber._sources[0]._recoveries[prefix]
    for _ in range(ROUNDS):  # where the service is slow, as others use the processor, its feed is not overrun at once
        begin = len(found)
        for first in range(begin, begin + count, 1000):
            service.call(lambda first=first: burst(first))  # type: ignore[misc]  # a default is no cell
        found += collect(subscriber, count, 30)
        if recovery.refetched:
            break

    assert recovery.refetched > 0, "the feed was not overrun: the test needs more events"
    assert [one.offset for one in found] == list(range(1, len(found) + 1))


def test_many_threads_may_publish_through_one_loop(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """Calls handed over from several threads are all done, and the log's order is the delivery's order."""
    service = serve(path)
    subscriber = ready(subscribe([service.address]))

    def publish(name: str) -> None:
        for number in range(20):
            service.append((f"{name}.", f"{name}{number}"))

    threads = [threading.Thread(target=publish, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    found = collect(subscriber, 60)
    for thread in threads:
        thread.join()

    assert [one.offset for one in found] == list(range(1, 61))
    for name in "abc":
        assert names([one for one in found if one.topic == f"{name}."]) == [f"{name}{number}" for number in range(20)]
