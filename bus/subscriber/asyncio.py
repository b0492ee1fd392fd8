"""The subscriber for asyncio: the same one, which waits in asyncio's event loop instead of its own.

asyncio watches the descriptors of the subscriber's sockets only while `receive` waits, and nothing is read from them
at any other time: a consumer that is slow has the same bounded memory as with the sync one. Those descriptors tell of
changes, not of states, so they are watched only after a look that found nothing to do.

Whatever is awaited in here may be cancelled at any time without losing an event: events are taken out of the queue
after the last `await`, at once before they are returned.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.subscriber.base import OnNotice, SubscriberBase
from bus.subscriber.delivery import Delivery, Position, Start
from bus.transport.keys import Keys
from bus.transport.loop import Loop

__all__ = ["AsyncSubscriber"]
EVENTS_A_TURN: Final = 100


class AsyncSubscriber(SubscriberBase):
    """Follows topic prefixes at one or several publishers; see `bus.Subscriber`, of which this is the asyncio form.

        async with AsyncSubscriber([address], ["variant.status"], start=Start.LATEST) as subscriber:
            async for event in subscriber:
                ...

    For one task at a time. Positions, notices and promises are those of `bus.Subscriber`.
    """

    def __init__(  # noqa: PLR0913 - all but the addresses have defaults
        self,
        addresses: Sequence[str],
        prefixes: Sequence[str] = ("",),
        *,
        start: Start = Start.NOW,
        positions: Mapping[tuple[str, str], Position] | None = None,
        on_notice: OnNotice | None = None,
        limits: Limits = DEFAULT_LIMITS,
        keys: Keys | None = None,
        feed: str | Mapping[str, str] = "",
    ) -> None:
        """Connect in the background to the control address of each publisher; none has to run yet.

        Raises:
            AddressError, TopicError: an address or a prefix breaks its rules.
            InvalidInputError: the keys do not say which key a publisher has, or it is not clear whose feed `feed` is.
        """
        super().__init__(
            addresses,
            prefixes,
            start=start,
            positions=positions,
            loop=Loop(),
            on_batch=None,
            on_notice=on_notice,
            limits=limits,
            keys=keys,
            feed=feed,
        )
        self._given = 0  # events, by `__anext__`
        self._leave: Callable[[], None] | None = None  # ends the wait that is under way

    async def wait_ready(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109 - a bool, as with the sync one
        """Wait until every subscription is active at every publisher; False if that takes longer than `timeout` s."""
        await self._step_until(lambda: self.ready, timeout)
        return self.ready

    async def receive(self, timeout: float | None = None) -> list[Delivery]:  # noqa: ASYNC109 - not an error either
        """Wait for events and return all that are there; an empty list after `timeout` seconds.

        Raises:
            RuntimeError: the subscriber is closed, another task receives already, or it was made before a fork in the
                parent of this process.
        """
        await self._step_until(lambda: bool(self._queue), timeout)
        return self._take_all()

    def __aiter__(self) -> Self:
        """Yield events without end; leaving the loop and coming back misses none."""
        return self

    async def __anext__(self) -> Delivery:
        """Return the next event; it may be cancelled and called again."""
        self._loop.check_process()
        self._given += 1
        if self._given % EVENTS_A_TURN == 0:
            await asyncio.sleep(0)  # other tasks get their turns
        if not self._queue:
            await self._step_until(lambda: bool(self._queue), None)
        return self._queue.popleft()

    def close(self) -> None:
        """Release the sockets; what was not received yet is dropped, and a task that waits gets a RuntimeError."""
        if not self._closed:
            if self._leave:
                self._leave()
            super().close()
            self._loop.close()

    async def __aenter__(self) -> Self:
        """Return itself: the `async with` block closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        self.close()

    async def _step_until(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Do what there is to do until a condition holds, at most so many seconds; other tasks get their turns."""
        running = asyncio.get_running_loop()
        deadline = math.inf if seconds is None else running.time() + seconds
        self._go_on()
        await asyncio.sleep(0)  # also where all is there already: a busy stream must not keep other tasks waiting
        while not done():
            self._go_on()
            busy = self._loop.step(0)
            left = deadline - running.time()
            if left <= 0:
                return
            if busy:
                await asyncio.sleep(0)
            else:
                await self._wait(min(left, self._loop.due_in()))

    async def _wait(self, seconds: float) -> None:
        """Wait until a descriptor is readable."""
        if self._leave:
            raise RuntimeError("another task receives already; one subscriber is for one task")
        running = asyncio.get_running_loop()
        woken = running.create_future()
        descriptors = self._loop.descriptors()

        def leave() -> None:
            self._leave = None
            for descriptor in descriptors:
                running.remove_reader(descriptor)
            timer.cancel()
            if not woken.done():
                woken.set_result(None)

        for descriptor in descriptors:
            running.add_reader(descriptor, leave)
        timer = running.call_later(seconds, leave)
        self._leave = leave
        try:
            await woken
        finally:
            if self._leave is leave:
                leave()
