"""Work that is given up before it has ended: it may still end with an error, which then is nobody's."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

R = TypeVar("R")
CANCEL_SECONDS: Final = 0.1
CANCELS: Final = 20


def begin(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    """Return a task for work; asyncio reports no error of it that nobody has waited for."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_see)
    return task


async def within(seconds: float | None, work: Coroutine[Any, Any, R]) -> R:
    """Return the result of work that may take so many seconds, or as long as it likes.

    Raises:
        TimeoutError: it takes longer; whether it was done is not known.
    """
    return await asyncio.wait_for(begin(work), seconds)


async def together(*works: Coroutine[Any, Any, Any]) -> None:
    """Do work side by side until all of it has ended, or this is cancelled: then all of it is."""
    begun = [begin(work) for work in works]
    try:
        await asyncio.wait(begun)
    finally:
        await end(lambda: begun)


async def end(tasks: Callable[[], Iterable[asyncio.Task[Any]]]) -> None:
    """Cancel tasks, also those that come meanwhile, and wait until they have ended; some never do.

    Once is not enough: nats-py takes a cancellation for a server that does not answer, and `asyncio.wait_for` of
    Python 3.11 forgets one that comes together with an answer.
    """
    for _ in range(CANCELS):
        left = [task for task in tasks() if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_SECONDS)


def _see(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
