"""What people do with a subscriber: leave its loop and come back, wait for the dead, interrupt it, close it."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.config.limits import Limits
from bus.subscriber import source
from bus.subscriber.delivery import Delivery, Start
from bus.subscriber.sync import Subscriber
from bus.transport.loop import Loop
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, collect, deadline, names, wait_until
from tests.support.scripted_publisher import HandMadePublisher

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
MOMENT = 0.05 * TIME_FACTOR


@pytest.fixture
def service(serve: Serve, tmp_path: Path) -> Service:
    """Run a publisher."""
    return serve(tmp_path / "test.sqlite")


@pytest.fixture
def dead(serve: Serve, tmp_path: Path) -> str:
    """Return an address at which a publisher was, and is no more."""
    gone = serve(tmp_path / "gone.sqlite")
    gone.stop()
    return gone.address


def fill(service: Service, count: int) -> None:
    """Publish events in one transaction."""
    service.append(*(("a.", number) for number in range(1, count + 1)))


def test_whoever_leaves_the_loop_and_comes_back_misses_nothing(service: Service, subscribe: Subscribe) -> None:
    """What had arrived with the event at which one left is not lost."""
    fill(service, 5)
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    found = []
    for event in subscriber:
        found.append(event)
        if event.offset == 2:
            break
    found += [next(iter(subscriber)), *collect(subscriber, 2)]

    assert names(found) == ["1", "2", "3", "4", "5"]


@pytest.mark.fault(item="F139")
def test_whoever_pauses_gets_nothing_from_a_publisher_that_answers_only_then(service: Service, loop: Loop) -> None:
    """It is connected, but not read: what it publishes waits in the socket, or is fetched afterwards."""
    got: list[Delivery] = []
    subscriber = Subscriber([service.address], loop=loop, on_batch=got.extend)
    subscriber.pause()
    (one,) = subscriber._sources
    connecting, pausing = deadline(), deadline(0.3)
    while one._feed is None:
        assert not connecting.passed
        loop.step(0.01)
    while not pausing.passed:
        fill(service, 1)
        loop.step(0.01)
    assert not got

    subscriber.resume()
    while not got:
        assert not connecting.passed
        fill(service, 1)
        loop.step(0.01)
    subscriber.close()


def test_receiving_without_patience_takes_what_is_there(service: Service, subscribe: Subscribe) -> None:
    """Whoever polls with a timeout of 0 gets events too."""
    fill(service, 3)
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    limit, found = deadline(), list[Delivery]()
    while len(found) < 3:
        assert not limit.passed
        found += subscriber.receive(0)

    assert names(found) == ["1", "2", "3"]


def test_one_dead_publisher_does_not_keep_the_others_events(service: Service, subscribe: Subscribe, dead: str) -> None:
    """Those that are there deliver; readiness says that not all are."""
    fill(service, 3)
    subscriber = subscribe([dead, service.address], start=Start.BEGINNING)

    assert names(collect(subscriber, 3)) == ["1", "2", "3"]
    assert not subscriber.wait_ready(MOMENT)
    assert [state.ready for state in subscriber.states()] == [False, True]


def test_waiting_for_a_dead_publisher_does_not_fill_the_memory(
    service: Service, subscribe: Subscribe, dead: str
) -> None:
    """Who has delivered much that nobody has taken yet is read on later, and nothing is lost by it."""
    fill(service, 10_000)
    subscriber = subscribe([dead, service.address], start=Start.BEGINNING, limits=Limits(queue_events=500))

    limit = deadline()
    while len(subscriber._queue) < 500:
        assert not subscriber.wait_ready(MOMENT)
        assert not limit.passed
    assert not subscriber.wait_ready(10 * MOMENT)
    assert 500 <= len(subscriber._queue) <= 2500
    assert [one.offset for one in collect(subscriber, 10_000)] == list(range(1, 10_001))
    fill(service, 3)
    assert names(collect(subscriber, 3)) == ["1", "2", "3"]


def press_ctrl_c_in_a_wait() -> threading.Thread:
    """Press Ctrl-C once the main thread waits for its sockets: earlier, it would end all tests."""
    main = threading.get_ident()

    def waits() -> bool:
        return sys._current_frames()[main].f_code.co_name == "poll"

    def press() -> None:
        wait_until(waits, what="the wait")
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_an_interrupt_ends_the_waiting_at_once(service: Service, subscribe: Subscribe) -> None:
    """Ctrl-C in `receive` is a KeyboardInterrupt; whoever catches it can go on."""
    subscriber = subscribe([service.address])
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    limit = deadline()
    pressing = press_ctrl_c_in_a_wait()
    with pytest.raises(KeyboardInterrupt):
        subscriber.receive(2 * PATIENCE * TIME_FACTOR)
    assert not limit.passed
    pressing.join()
    fill(service, 2)
    assert names(collect(subscriber, 2)) == ["1", "2"]


def test_a_closed_subscriber_says_that_it_is_closed(service: Service) -> None:
    """Whatever is called then; closing again does nothing."""
    subscriber = Subscriber([service.address])
    events = iter(subscriber)
    subscriber.close()
    subscriber.close()

    for attempt in (subscriber.receive, subscriber.wait_ready, lambda: next(events)):
        with pytest.raises(RuntimeError, match="the subscriber is closed"):
            attempt()
    assert not subscriber.ready


def test_silence_is_what_was_not_said_while_one_listened(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause of the whole process nobody is taken for dead at once; who says nothing from then on is."""
    monkeypatch.setattr(source, "TICK_SECONDS", 0.05)
    publisher = HandMadePublisher(loop)
    subscriber = Subscriber([publisher.address], loop=loop, on_batch=lambda _: None)
    try:
        assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
        publisher.fall_silent()
        loop.step(0)  # what it has said is read
        time.sleep(0.5)  # ten ticks, of a consumer that is busy or a laptop that sleeps
        loop.step(0)
        assert subscriber.ready
        limit = deadline()
        while subscriber.ready:
            assert not limit.passed, "the silence was not noticed"
            loop.step(limit.left)
    finally:
        subscriber.close()
        publisher.close()
