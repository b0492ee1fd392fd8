"""Work that is given up: it ends, and asyncio reports no error of it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from bus.cluster import tasks

Reports = list[dict[str, Any]]


def reports_of(work: Callable[[], Coroutine[Any, Any, None]]) -> Reports:
    """Run work, and return what asyncio has reported meanwhile."""
    reports: Reports = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        await work()
        await asyncio.sleep(0)

    asyncio.run(watched())
    return reports


async def deaf(release: asyncio.Event) -> None:
    """Take each cancellation for something else until it may end."""
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue


async def wrong_when_cancelled() -> None:
    """Answer a cancellation with another error, as a request does whose answer has come just then."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ValueError("late") from None


def test_work_in_time_gives_its_result() -> None:
    """Nothing is changed about work that ends in time."""

    async def answer() -> int:
        return 7

    assert asyncio.run(tasks.within(1, answer())) == 7
    assert asyncio.run(tasks.within(None, answer())) == 7


def test_an_error_in_time_is_raised() -> None:
    """Who waits for work gets its error."""

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(tasks.within(1, fail()))


def test_work_that_takes_longer_is_cancelled() -> None:
    """The limit holds."""

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(tasks.within(0, wait()))


def test_the_error_of_work_that_nobody_waits_for_is_not_reported() -> None:
    """An answer that comes as its reader is cancelled is no fault of the program."""

    async def give_up() -> None:
        task = asyncio.ensure_future(tasks.within(60, wrong_when_cancelled()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert reports_of(give_up) == []


def test_work_that_ignores_a_cancellation_is_cancelled_again() -> None:
    """nats-py takes the first one for silence of a server."""
    tries = 0

    async def twice_deaf() -> None:
        nonlocal tries
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                tries += 1
                if tries > 2:
                    raise

    async def end() -> None:
        task = tasks.begin(twice_deaf())
        await asyncio.sleep(0)
        await tasks.end(lambda: [task])
        assert task.cancelled()

    asyncio.run(end())
    assert tries == 3


def test_work_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that closes does not wait for ever."""
    monkeypatch.setattr(tasks, "CANCEL_SECONDS", 0)

    async def end() -> None:
        release = asyncio.Event()
        task = tasks.begin(deaf(release))
        await asyncio.sleep(0)
        await tasks.end(lambda: [task])
        assert not task.done()
        release.set()
        await task

    asyncio.run(end())


def test_works_that_are_done_together_end_together() -> None:
    """When they are cancelled, also one that takes that for something else: it would go on beside the next ones."""
    ended: list[str] = []

    async def care(name: str, deafness: int) -> None:
        for _ in range(deafness):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def end() -> None:
        task = asyncio.ensure_future(tasks.together(care("deaf", 2), care("good", 0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(end())
    assert sorted(ended) == ["deaf", "good"]
