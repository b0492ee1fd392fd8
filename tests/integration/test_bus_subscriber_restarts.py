"""A subscriber whose publisher restarts, moves, or comes back with another log."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from bus.config.limits import Limits
from bus.protocol.addresses import Address
from bus.protocol.recovery import Rewound, Truncated
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from bus.transport.loop import Loop
from tests.support.helpers import Service, append, collect, deadline, names
from tests.support.log_files import remove_oldest
from tests.support.subscribing import MOMENT, fill, ready, restart, serve_again, text, wait_for_queue

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


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
    service.call(lambda: remove_oldest(service.log, 6))
    stored = {(service.address, ""): Position(service.log.epoch, 2)}
    subscriber = subscribe([service.address], positions=stored)

    assert names(collect(subscriber, 3)) == text(7, 9)
    assert list(subscriber.notices) == [(service.address, "", Truncated(2, 7))]


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
    service = serve_again(serve, path, service.publisher.control)
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
    service = serve_again(serve, path, service.publisher.control)
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

    serve_again(serve, tmp_path / "test.sqlite", Address("127.0.0.1", port))

    assert subscriber.wait_ready(deadline(20).left)


def test_a_subscriber_that_is_closed_by_its_callback_stays_closed(serve: Serve, path: Path) -> None:
    """Also where the closing heartbeat arrives in the same turn of the loop: no socket is opened for a return."""
    service = serve(path)
    loop = Loop()
    batches: list[int] = []

    def close(batch: list[Delivery]) -> None:
        batches.append(len(batch))
        subscriber.close()

    subscriber = Subscriber([service.address], loop=loop, on_batch=close)
    limit = deadline()
    while not subscriber.ready:
        assert not limit.passed, "the subscription is not ready"
        loop.step(0.05)
    service.append(("a.", 1))
    service.stop()  # the event and the closing heartbeat wait in the socket now

    while not batches:
        assert not limit.passed, "the event did not come"
        loop.step(0.05)
    descriptors = loop.descriptors()
    loop.step(0.05)

    assert batches == [1]
    assert loop.descriptors() == descriptors
    assert all(source._client._connection.socket.closed for source in subscriber._sources)
    loop.close()
