"""The subscriber for asyncio: what tells it from the sync one is how it waits."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bus.protocol.recovery import Rewound
from bus.subscriber.asyncio import AsyncSubscriber
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, names

LEAST_CANCELLED = 1000
T = TypeVar("T")
Serve = Callable[..., Service]
MOMENT = 0.05 * TIME_FACTOR  # long enough to see that nothing more comes
BUSY_SECONDS = 4.5  # longer than a publisher may be silent


@pytest.fixture
def service(serve: Serve, tmp_path: Path) -> Service:
    """Run a publisher in a thread."""
    return serve(tmp_path / "test.sqlite")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, under a time limit."""
    return asyncio.run(asyncio.wait_for(work, 6 * PATIENCE * TIME_FACTOR))


async def collect(subscriber: AsyncSubscriber, count: int) -> list[Delivery]:
    """Receive until there are so many events."""
    found: list[Delivery] = []
    while len(found) < count:
        batch = await subscriber.receive(PATIENCE * TIME_FACTOR)
        assert batch, f"{len(found)} of {count} events came"
        found += batch
    return found


def fill(service: Service, first: int, last: int) -> None:
    """Publish events in transactions of up to 100."""
    for start in range(first, last + 1, 100):
        service.append(*(("a.", number) for number in range(start, min(start + 100, last + 1))))


def text(first: int, last: int) -> list[str]:
    """Return the names of the events `first` to `last`."""
    return [str(number) for number in range(first, last + 1)]


def test_events_come_by_async_for(service: Service) -> None:
    """Those of the log, then live ones; the position is that of the last one."""

    async def work() -> None:
        fill(service, 1, 3)
        async with AsyncSubscriber([service.address], ["a"], start=Start.BEGINNING) as subscriber:
            assert await subscriber.wait_ready(PATIENCE * TIME_FACTOR)
            found = []
            async for event in subscriber:
                found.append(event)
                if len(found) == 3:
                    await asyncio.to_thread(fill, service, 4, 5)
                if len(found) == 5:
                    break
            assert names(found) == text(1, 5)
            assert subscriber.positions() == {(service.address, "a."): Position(service.log.epoch, 5)}
            assert await subscriber.receive(MOMENT) == []
            assert await subscriber.receive(0) == []

    run(work())


def test_a_stored_position_is_where_it_goes_on(service: Service) -> None:
    """Also one of another log, which is noticed."""
    fill(service, 1, 9)
    key = (service.address, "a.")

    async def work(position: Position, count: int) -> tuple[list[str], list[object]]:
        async with AsyncSubscriber([service.address], ["a."], positions={key: position}) as subscriber:
            found = names(await collect(subscriber, count))
            return found, [notice for _, _, notice in subscriber.notices]

    assert run(work(Position(service.log.epoch, 4), 5)) == (text(5, 9), [])
    assert run(work(Position(1234, 4), 9)) == (text(1, 9), [Rewound(4, 0)])


def test_nobody_there_is_not_ready_and_keeps_no_other_task_waiting(service: Service) -> None:
    """Waiting ends in time, and other tasks go on meanwhile."""
    service.stop()

    async def work() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(MOMENT / 20)
                ticks += 1

        other = asyncio.create_task(tick())
        async with AsyncSubscriber([service.address]) as subscriber:
            assert not await subscriber.wait_ready(MOMENT)
            assert await subscriber.receive(MOMENT) == []
        other.cancel()
        assert ticks > 0

    run(work())


def test_a_stream_that_never_ends_lets_other_tasks_run(service: Service) -> None:
    """Even where there is always something to receive."""
    fill(service, 1, 20_000)

    async def work() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.create_task(turn())
        received = calls = 0
        async with AsyncSubscriber([service.address], start=Start.BEGINNING) as subscriber:
            while received < 20_000:
                received += len(await subscriber.receive(PATIENCE * TIME_FACTOR))
                calls += 1
        other.cancel()
        assert turns >= calls

    run(work())


@contextlib.contextmanager
def load(service: Service, count: int) -> Iterator[None]:
    """Publish events from another thread meanwhile, as fast as that goes with pauses in it."""
    rng = random.Random(5)  # noqa: S311 - no secret

    def publish() -> None:
        first = 1
        while first <= count:
            last = min(first + rng.choice([0, 0, 3, 60]), count)
            service.append(*(("a.", number) for number in range(first, last + 1)))
            first = last + 1

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    thread.join()


async def one_by_one(subscriber: AsyncSubscriber) -> list[Delivery]:
    """Receive one event as `async for` does."""
    return [await anext(subscriber)]


@pytest.mark.parametrize("receive", [AsyncSubscriber.receive, one_by_one])
def test_thousands_of_cancellations_under_load_lose_and_repeat_nothing(
    service: Service, receive: Callable[[AsyncSubscriber], Coroutine[Any, Any, list[Delivery]]]
) -> None:
    """By `wait_for`, by `asyncio.timeout` and by `Task.cancel`, at random moments, on a subscriber that goes on."""
    count, rng = 20_000, random.Random(6)  # noqa: S311 - no secret

    async def attempt(subscriber: AsyncSubscriber) -> list[Delivery]:
        patience = rng.choice([0.0, 0.0, 0.00005, 0.0002, 0.001])
        match rng.randrange(3):
            case 0:
                return await asyncio.wait_for(receive(subscriber), patience)
            case 1:
                async with asyncio.timeout(patience):
                    return await receive(subscriber)
            case _:
                task = asyncio.create_task(receive(subscriber))
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
                return await task

    async def work() -> tuple[list[Delivery], int]:
        found: list[Delivery] = []
        cancelled = 0
        async with AsyncSubscriber([service.address], ["a."], start=Start.BEGINNING) as subscriber:
            # a busy machine gives few attempts while events come: those that are missing come behind the last event
            while (left := not found or found[-1].offset < count) or cancelled <= LEAST_CANCELLED:
                for _ in range(20):
                    try:
                        found += await attempt(subscriber)
                    except (TimeoutError, asyncio.CancelledError):
                        cancelled += 1
                if left:
                    with contextlib.suppress(TimeoutError):
                        found += await asyncio.wait_for(receive(subscriber), 1)  # so that it ends in time
        return found, cancelled

    with load(service, count):
        found, cancelled = run(work())

    assert [one.offset for one in found] == list(range(1, count + 1))
    assert cancelled > LEAST_CANCELLED


def test_only_one_task_may_wait(service: Service) -> None:
    """A second one is told so at once; the first goes on."""

    async def work() -> None:
        async with AsyncSubscriber([service.address], ["a."]) as subscriber:
            assert await subscriber.wait_ready(PATIENCE * TIME_FACTOR)
            first = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(MOMENT)
            with pytest.raises(RuntimeError, match="another task receives already"):
                await subscriber.receive()
            await asyncio.to_thread(fill, service, 1, 1)
            assert names(await first) == ["1"]

    run(work())


def test_closing_ends_a_wait_and_what_comes_after_it_is_refused(service: Service) -> None:
    """With a sentence that says what to do."""

    async def work() -> None:
        subscriber = AsyncSubscriber([service.address], ["a."])
        waiting = asyncio.create_task(subscriber.receive())
        await asyncio.sleep(MOMENT)
        subscriber.close()
        subscriber.close()
        for attempt in (waiting, subscriber.receive(), anext(subscriber)):
            with pytest.raises(RuntimeError, match="the subscriber is closed"):
                await attempt

    run(work())


def test_a_consumer_that_is_busy_for_long_loses_nothing_and_does_not_connect_anew(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Silence is not what one did not listen to: sync and asyncio, both busy at once, longer than the limit."""

    def sync_work() -> list[str]:
        with Subscriber([service.address], ["a."], start=Start.BEGINNING) as subscriber:
            found = subscriber.receive(PATIENCE * TIME_FACTOR)
            ready.wait()
            time.sleep(BUSY_SECONDS)  # it is what the test is about
            while len(found) < 300:
                found += subscriber.receive(PATIENCE * TIME_FACTOR)
            found += subscriber.receive(2.5)
            return names(found)

    async def async_work() -> list[str]:
        async with AsyncSubscriber([service.address], ["a."], start=Start.BEGINNING) as subscriber:
            found = await subscriber.receive(PATIENCE * TIME_FACTOR)
            ready.wait()
            time.sleep(BUSY_SECONDS)  # noqa: ASYNC251 - such a consumer keeps the whole loop busy
            found += await collect(subscriber, 300 - len(found))
            found += await subscriber.receive(2.5)
            return names(found)

    ready = threading.Barrier(3)
    fill(service, 1, 100)
    results: dict[str, list[str]] = {}
    threads = [
        threading.Thread(target=lambda: results.update(sync=sync_work())),
        threading.Thread(target=lambda: results.update(aio=run(async_work()))),
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    fill(service, 101, 300)
    for thread in threads:
        thread.join()

    assert results == {"sync": text(1, 300), "aio": text(1, 300)}
    assert "connecting anew" not in caplog.text
