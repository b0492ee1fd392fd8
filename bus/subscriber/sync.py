"""The synchronous subscriber: with a loop of its own, or in the loop of a service."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.subscriber.base import OnNotice, SubscriberBase
from bus.subscriber.delivery import Delivery, Position, Start
from bus.telemetry.metrics import Point
from bus.transport.keys import Keys
from bus.transport.loop import Loop

__all__ = ["Delivery", "Position", "Start", "Subscriber"]
logger = logging.getLogger(__name__)


class Subscriber(SubscriberBase):
    """Follows topic prefixes at one or several publishers.

    Iterate over it, or `receive` batches. Within one prefix of one publisher, events arrive once and in order,
    even after network faults, restarts or stalls. To resume where you stopped, store `Position(delivery.epoch,
    delivery.offset)` for each (`delivery.source`, `delivery.prefix`) together with the effect of the event, and
    pass these `positions` to the next subscriber. For asyncio there is `bus.subscriber.asyncio.AsyncSubscriber`.

    `notices` lists the gaps that a publisher cannot fill: events removed by its retention or lost in a power cut.
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
        feed: str | Mapping[str, str] = "",
    ) -> None:
        """Connect in the background to the control address of each publisher; none has to run yet.

        A service passes its loop and `on_batch`, and does not iterate. `on_notice` is called with address,
        prefix and notice; without it notices are logged. `keys` are for publishers that require them. `feed` is the
        address of the feed where the one that the publisher tells is another one here, as behind a forwarded port;
        of several publishers, a mapping from control addresses to feeds.

        Raises:
            AddressError, TopicError: an address or a prefix breaks its rules.
            InvalidInputError: the keys do not say which key a publisher has, or it is not clear whose feed `feed` is.
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
            feed=feed,
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
        """Wait for events and return all that are there; an empty list after `timeout` seconds.

        Raises:
            RuntimeError: the subscriber is closed, or was made before a fork in the parent of this process.
        """
        self._wait(timeout)
        return self._take_all()

    def __iter__(self) -> Iterator[Delivery]:
        """Yield events without end; leaving the loop and coming back misses none."""
        while True:
            self._wait(None)
            yield self._queue.popleft()

    def points(self) -> Iterator[Point]:
        """Yield the points of all sources, for the metrics of a service."""
        for source in self._sources:
            yield from source.points()

    def close(self) -> None:
        """Release the sockets; what was not received yet is dropped."""
        if not self._closed:
            super().close()
            if self._own_loop:
                self._loop.close()

    def __enter__(self) -> Self:
        """Return itself: the `with` block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _wait(self, timeout: float | None) -> None:
        """Wait until there is an event, at most `timeout` seconds."""
        self._loop.check_process()
        if self._queue:
            return
        self._go_on()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._queue:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            self._loop.step(max(0.0, left))
            if left <= 0:
                return
