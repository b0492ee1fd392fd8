"""Between the loop of the runner and the thread of the connection: neither waits for the other."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import attempted
from bus.transport.loop import Callback, Loop

R = TypeVar("R")
Work = Coroutine[Any, Any, R]
Done = Callable[[R | ClusterError], None]
Pair = tuple[Work[Any], Callable[[Any], None]]


class Link:
    """Does work in the thread of the connection, and calls back in the loop's thread with what came of it."""

    def __init__(self, connection: Connection, loop: Loop) -> None:
        """Wire the two."""
        self.connection, self._loop = connection, loop
        self._done: deque[Callback] = deque()
        self._is_called = False  # the loop is to look at them
        self._tasks: set[asyncio.Task[None]] = set()  # or they were collected while they run
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """Whether a server answers."""
        return self.connection.is_connected

    def do(self, work: Work[R], done: Done[R]) -> None:
        """Do work, and call back with its result, or with why there is none."""
        self.do_all([(work, done)])

    def do_all(self, pairs: Iterable[Pair]) -> None:
        """Do several pieces of work at once; each calls back for itself."""
        if self._is_closed:
            for work, _ in pairs:
                work.close()
            return
        self.connection.submit(self._begin(list(pairs)))

    def back(self, callback: Callback) -> None:
        """Call back in the loop's thread; called in any other one."""
        self._done.append(callback)
        if not self._is_called:
            self._is_called = True
            self._loop.call(self._deliver)

    def close(self) -> None:
        """Begin nothing more, and call nobody back."""
        self._is_closed = True

    async def _begin(self, pairs: list[Pair]) -> None:
        for work, done in pairs:
            task = asyncio.create_task(self._one(work, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, work: Work[Any], done: Callable[[Any], None]) -> None:
        try:
            result = await attempted(work)
        except ClusterError as error:
            result = error
        self.back(partial(done, result))

    def _deliver(self) -> None:
        self._is_called = False  # before: what is added from now on calls again
        while self._done and not self._is_closed:
            self._done.popleft()()
