"""The subscribing half: events of several publishers, each delivered once and in order, live or caught up."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Self

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.protocol import topics
from bus.protocol.recovery import Notice
from bus.subscriber.source import Delivery, Position, Source, SourceState, Start
from bus.telemetry.metrics import Point
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import Loop

__all__ = ["Delivery", "Position", "Start", "Subscriber"]
OnNotice = Callable[[str, str, Notice], None]
logger = logging.getLogger(__name__)


class SubscriberBase:
    """What the subscribers share, however they wait: sources, the queue of their events, positions and notices."""

    def __init__(  # noqa: PLR0913 - what each subscriber takes, handed through
        self,
        addresses: Sequence[str],
        prefixes: Sequence[str],
        *,
        start: Start,
        positions: Mapping[tuple[str, str], Position] | None,
        loop: Loop,
        on_batch: Callable[[list[Delivery]], None] | None,
        on_notice: OnNotice | None,
        limits: Limits,
        keys: Keys | None,
    ) -> None:
        """Connect in the background to the control address of each publisher."""
        curves = {address: curve_for(keys, address) for address in addresses}  # before anything is opened
        self._loop, self._queue_limit = loop, limits.queue_events
        self._on_batch, self._on_notice = on_batch, on_notice
        self._queue: deque[Delivery] = deque()
        self._closed = False
        self.notices: deque[tuple[str, str, Notice]] = deque(maxlen=limits.notices_kept)
        wanted = topics.disjoint([topics.as_prefix(prefix) for prefix in prefixes])
        stored = positions or {}
        self._sources: list[Source] = []
        for address in dict.fromkeys(addresses):
            starts = {prefix: stored.get((address, prefix), start) for prefix in wanted}
            deliver = on_batch or partial(self._enqueue, len(self._sources))
            self._sources.append(Source(loop, address, starts, deliver, self._notify, limits, curves[address]))

    @property
    def ready(self) -> bool:
        """Are all subscriptions active now?"""
        return all(source.ready for source in self._sources)

    def positions(self) -> dict[tuple[str, str], Position]:
        """Give how far each (publisher, prefix) has come, idle ones included.

        It may be ahead of what you have taken out of a batch: store the position of the last event that you handled.
        """
        return {
            (source.address, prefix): position
            for source in self._sources
            for prefix, position in source.positions().items()
        }

    def states(self) -> list[SourceState]:
        """Tell how the connection to each publisher does."""
        return [source.state() for source in self._sources]

    def close(self) -> None:
        """Release the sockets; what was not received yet is dropped."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            for source in self._sources:
                source.close()

    def _take_all(self) -> list[Delivery]:
        batch = list(self._queue)
        self._queue.clear()
        return batch

    def _go_on(self) -> None:
        """Before waiting for more: let those continue that had handed over too much."""
        if self._closed:
            raise RuntimeError("the subscriber is closed; make a new one, with the positions that you stored")
        if len(self._queue) < self._queue_limit:
            for source in self._sources:
                source.resume()

    def _enqueue(self, source: int, batch: list[Delivery]) -> None:
        self._queue.extend(batch)
        if len(self._queue) >= self._queue_limit:
            self._sources[source].pause()

    def _notify(self, address: str, prefix: str, notice: Notice) -> None:
        self.notices.append((address, prefix, notice))
        if self._on_notice:
            self._on_notice(address, prefix, notice)
        else:
            logger.warning("%s %s: %s", address, prefix or "(everything)", notice)


class Subscriber(SubscriberBase):
    """Follows topic prefixes at one or several publishers.

    Iterate over it, or `receive` batches. Within one prefix of one publisher, events arrive once and in order,
    whatever the network, a restart or a stall does. To go on where you stopped, store `Position(delivery.epoch,
    delivery.offset)` for each (`delivery.source`, `delivery.prefix`) together with what you did with the event, and
    give these `positions` to the next subscriber. For asyncio there is `bus.subscriber.asyncio.AsyncSubscriber`.

    `notices` says what a publisher could not give: events that its retention has taken, or that a power cut took.
    """

    def __init__(  # noqa: PLR0913 - all but the addresses have defaults
        self,
        addresses: Sequence[str],
        prefixes: Sequence[str] = ("",),
        *,
        start: Start = Start.NOW,
        positions: Mapping[tuple[str, str], Position] | None = None,
        loop: Loop | None = None,
        on_batch: Callable[[list[Delivery]], None] | None = None,
        on_notice: OnNotice | None = None,
        limits: Limits = DEFAULT_LIMITS,
        keys: Keys | None = None,
    ) -> None:
        """Connect in the background to the control address of each publisher; none need be there yet.

        A service that has a loop gives it, with `on_batch`, and does not iterate. `on_notice` is called with address,
        prefix and what the publisher could not give; without it that is logged. `keys` are for publishers that want
        them.

        Raises:
            AddressError, TopicError: an address or a prefix breaks its rules.
            InvalidInputError: the keys do not say which key a publisher has.
        """
        self._own_loop = loop is None
        super().__init__(
            addresses,
            prefixes,
            start=start,
            positions=positions,
            loop=loop or Loop(),
            on_batch=on_batch,
            on_notice=on_notice,
            limits=limits,
            keys=keys,
        )

    def wait_ready(self, timeout: float = 10.0) -> bool:
        """Wait until every subscription is active at every publisher; False if that takes longer than `timeout` s."""
        deadline = time.monotonic() + timeout
        self._go_on()
        while not self.ready:
            left = deadline - time.monotonic()
            self._loop.step(max(0.0, left))
            if left <= 0:
                break
        return self.ready

    def receive(self, timeout: float | None = None) -> list[Delivery]:
        """Wait for events and give all that are there; an empty list after `timeout` seconds.

        Raises:
            RuntimeError: the subscriber is closed.
        """
        self._wait(timeout)
        return self._take_all()

    def __iter__(self) -> Iterator[Delivery]:
        """Give events for ever; whoever leaves the loop and comes back misses none."""
        while True:
            self._wait(None)
            yield self._queue.popleft()

    def points(self) -> Iterator[Point]:
        """Tell for the metrics of a service how the following goes."""
        for source in self._sources:
            yield from source.points()

    def close(self) -> None:
        """Release the sockets; what was not received yet is dropped."""
        if not self._closed:
            super().close()
            if self._own_loop:
                self._loop.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _wait(self, timeout: float | None) -> None:
        """Wait until there is an event, at most `timeout` seconds."""
        if self._queue:
            return
        self._go_on()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._queue:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            self._loop.step(max(0.0, left))
            if left <= 0:
                return
