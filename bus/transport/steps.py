"""Long work in the loop's thread, cut into steps, so that the loop looks at its sockets in between.

Such work is a generator. It yields None where others may have their turn: every few milliseconds, and never within a
transaction. It yields a future to wait for something, which is done by then: `answer = yield from wait(future)`.
`Loop.start` runs it. So there are no locks, and all state may be used between two yields as in any callback.

What is mostly compiled code that lets go of the interpreter, such as linear algebra, runs `in_thread`. Python code does
not belong there: each time the loop's thread waits for the disk, it would wait for that thread too, for milliseconds.
"""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

R = TypeVar("R")
Steps: TypeAlias = Generator[Future[Any] | None, None, R]


def wait(future: Future[R]) -> Steps[R]:
    """Wait for a future in steps; return its result, or raise its exception."""
    yield future
    return future.result()


def complete(steps: Steps[R]) -> R:
    """Do all steps in one go, which blocks where they wait; return their result."""
    while True:
        try:
            future = next(steps)
        except StopIteration as end:
            result: R = end.value
            return result
        if future:
            future.exception()  # waits; the work itself looks at it


def in_thread(work: Callable[[], R], name: str) -> Future[R]:
    """Call a function in a thread of its own; it dies with the process, as its result can be made again.

    Where the system allows no further thread, it is called here: late is better than not at all.
    """
    future: Future[R] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the future looks at it
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        run()
    return future


class OneByOne:
    """Lets one piece of long work begin when the one before has ended, so that they do not all hold their data."""

    def __init__(self) -> None:
        """Start with none."""
        self._last: Future[None] | None = None

    def run(self, steps: Steps[R]) -> Steps[R]:
        """Do the steps after those of all earlier calls."""
        before, ended = self._last, Future[None]()
        self._last = ended
        try:
            if before:
                yield before
            return (yield from steps)
        finally:
            ended.set_result(None)
