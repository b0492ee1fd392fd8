"""Publisher and subscriber over real sockets, each in its own thread."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from bus.config.limits import Limits
from bus.contracts.messages import JobQueued
from bus.protocol.addresses import Address
from bus.protocol.control import ControlError, LatestParams, LatestReply
from bus.protocol.recovery import Rewound, Truncated
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import TIME_FACTOR, Service, append, collect, deadline, job, names, wait_until

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
MOMENT = 0.05 * TIME_FACTOR  # long enough to see that nothing more comes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


def fill(service: Service, first: int, last: int, topic: str = "a.") -> None:
    """Publish the events `first` to `last`, each in its own transaction."""
    for number in range(first, last + 1):
        service.append((topic, number))


def ready(subscriber: Subscriber) -> Subscriber:
    """Wait until all subscriptions are active."""
    assert subscriber.wait_ready(10.0 * TIME_FACTOR)
    return subscriber


def restart(serve: Serve, service: Service, path: Path) -> Service:
    """Start a service on the ports of one that has ended."""
    service.stop()
    return serve(path, feed=service.publisher.feed, control=service.publisher.control)


def wait_for_queue(subscriber: Subscriber) -> None:
    """Wait until the subscriber has an event that nobody has taken, which pauses it if its queue is full."""
    limit = deadline()
    while not subscriber._queue:
        assert not limit.passed, "no event came"
        subscriber._loop.step(limit.left)


def text(first: int, last: int) -> list[str]:
    """Give the names of the events `first` to `last`."""
    return [str(number) for number in range(first, last + 1)]


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


@pytest.mark.parametrize("prefix", ["", "a."])
def test_a_publisher_that_restarts_is_followed_on(serve: Serve, subscribe: Subscribe, path: Path, prefix: str) -> None:
    """On the same ports and in the same epoch, also for events that the feed could not carry."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], [prefix]))
    fill(service, 1, 3)
    found = collect(subscriber, 3)
    epoch = service.log.epoch
    service.stop(after=lambda: append(service.log, ("a.", 4)))
    service = restart(serve, service, path)
    fill(service, 5, 6)

    found += collect(subscriber, 3)

    assert names(found) == text(1, 6)
    assert {one.epoch for one in found} == {epoch}
    assert not subscriber.notices


def test_a_new_epoch_that_lost_nothing_is_followed_on(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """After a crash of the machine that rolled nothing back, nothing is delivered twice."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a."]))
    fill(service, 1, 3)
    found = collect(subscriber, 3)
    service.stop()
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE closing SET clean = 0, boot_id = 'an earlier one'")
    db.close()
    service = restart(serve, service, path)
    fill(service, 4, 5)

    found += collect(subscriber, 2)

    assert names(found) == text(1, 5)
    assert found[0].epoch != found[-1].epoch == service.log.epoch
    assert subscriber.receive(MOMENT) == []
    assert not subscriber.notices


@pytest.mark.fault(item="F20")
def test_a_rolled_back_log_is_followed_from_what_survived(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """After a power cut that took the end, the consumer is told, and gets the events that took those offsets."""
    service = serve(path)
    fill(service, 1, 2)
    service.stop()
    backup = path.with_suffix(".backup")
    shutil.copy(path, backup)
    service = restart(serve, service, path)
    subscriber = subscribe([service.address], ["a."], start=Start.BEGINNING)
    fill(service, 3, 5)
    assert names(collect(subscriber, 5)) == text(1, 5)
    service.stop()
    shutil.copy(backup, path)
    service = restart(serve, service, path)
    service.append(("a.", "third again"), ("a.", "fourth again"))

    found = collect(subscriber, 2)

    assert names(found) == ["third again", "fourth again"]
    assert [one.offset for one in found] == [3, 4]
    assert list(subscriber.notices) == [(service.address, "a.", Rewound(5, 2))]


@pytest.mark.fault(item="F38")
def test_what_retention_took_is_told_and_the_rest_delivered(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """A subscriber that was away too long learns how much it can have missed at most."""
    service = serve(path)
    fill(service, 1, 9)

    def retain() -> None:
        with service.log.transaction() as tx:
            tx.execute('DELETE FROM log WHERE "offset" <= 6')

    service.call(retain)
    stored = {(service.address, ""): Position(service.log.epoch, 2)}
    subscriber = subscribe([service.address], positions=stored)

    assert names(collect(subscriber, 3)) == text(7, 9)
    assert list(subscriber.notices) == [(service.address, "", Truncated(2, 7))]


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

    for first in range(0, count, 1000):
        service.call(lambda first=first: burst(first))  # type: ignore[misc]  # a default is no cell

    found = collect(subscriber, count, 30)

    assert [one.offset for one in found] == list(range(1, count + 1))
    catchup = subscriber._sources[0]._catchups[prefix]
    assert catchup.refetched > 0, "the feed was not overrun: the test needs more events"


def test_nobody_there_is_not_ready(subscribe: Subscribe, serve: Serve, path: Path) -> None:
    """Waiting for readiness ends in time, and a service that starts later is found."""
    service = serve(path)
    service.stop()
    subscriber = subscribe([service.address])

    assert not subscriber.wait_ready(MOMENT)
    assert subscriber.receive(MOMENT) == []
    service = restart(serve, service, path)
    assert ready(subscriber).ready


def test_a_publisher_that_stops_and_moves_its_feed_is_found_at_once(
    serve: Serve, subscribe: Subscribe, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The closing heartbeat makes the subscriber ask anew where the feed is: no silence has to pass before."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a."]))
    fill(service, 1, 1)
    found = collect(subscriber, 1)
    service.stop()
    limit = deadline()
    while subscriber.ready:
        assert not limit.passed, "the closing heartbeat was not noticed"
        subscriber.receive(MOMENT)
    service = serve(path, control=service.publisher.control)
    fill(service, 2, 3)

    found += collect(subscriber, 2, 20)

    assert names(found) == text(1, 3)
    assert subscriber._sources[0].reconnects == 0
    assert "is silent" not in caplog.text


def test_a_publisher_that_dies_and_moves_its_feed_is_found_again(
    serve: Serve, subscribe: Subscribe, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a closing heartbeat, silence on the feed makes the subscriber ask anew where it is."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a."]))
    fill(service, 1, 1)
    found = collect(subscriber, 1)
    monkeypatch.setattr(service.publisher, "_beat", lambda **_: None)
    service.stop()
    service = serve(path, control=service.publisher.control)
    fill(service, 2, 3)

    found += collect(subscriber, 2, 20)

    assert names(found) == text(1, 3)
    assert subscriber._sources[0].reconnects > 0


def test_a_publisher_that_restarts_while_the_subscriber_is_busy_is_followed_on(
    serve: Serve, subscribe: Subscribe, path: Path
) -> None:
    """What a full queue has paused goes on at the publisher that came back meanwhile."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a."], limits=Limits(queue_events=1)))
    fill(service, 1, 1)
    wait_for_queue(subscriber)
    service = restart(serve, service, path)
    fill(service, 2, 3)

    assert names(collect(subscriber, 3)) == text(1, 3)


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


@pytest.mark.fault(item="B24")
def test_a_control_socket_that_met_the_wrong_peer_is_made_anew(
    serve: Serve, tmp_path: Path, subscribe: Subscribe
) -> None:
    """Libzmq never connects again after it met a socket of another type; the subscriber does."""
    wrong: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    port = wrong.bind_to_random_port("tcp://127.0.0.1")
    subscriber = subscribe([f"tcp://127.0.0.1:{port}"])
    assert not subscriber.wait_ready(1.0)
    wrong.close(0)

    serve(tmp_path / "test.sqlite", control=Address("127.0.0.1", port))

    assert subscriber.wait_ready(deadline(20).left)
