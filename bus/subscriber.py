"""The subscribing half: events of several publishers, each delivered once and in order, live or caught up."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from bus import topics
from bus.catchup import Notice
from bus.keys import Keys, towards
from bus.limits import DEFAULT_LIMITS, Limits
from bus.loop import Loop
from bus.metrics import Point
from bus.source import Delivery, Position, Source, Start

__all__ = ["Delivery", "Position", "Start", "Subscriber"]
logger = logging.getLogger(__name__)


class Subscriber:
    """Follows topic prefixes at one or several publishers.

    Iterate over it, or `receive` batches. Within one prefix of one publisher, events arrive once and in order,
    whatever the network, a restart or a stall does. To go on where you stopped, store `Position(delivery.epoch,
    delivery.offset)` for each (`delivery.source`, `delivery.prefix`) together with what you did with the event, and
    give these `positions` to the next subscriber.

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
        on_notice: Callable[[str, str, Notice], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        keys: Keys | None = None,
    ) -> None:
        """Connect in the background to the control address of each publisher; none need be there yet.

        A service that has a loop gives it, with `on_batch`, and does not iterate. `on_notice` is called with address,
        prefix and what the publisher could not give. `keys` are for publishers that want them.

        Raises:
            AddressError, TopicError: an address or a prefix breaks its rules.
            InvalidInputError: the keys do not say which key a publisher has.
        """
        curves = {address: towards(keys, address) for address in addresses}  # before anything is opened
        self._own_loop = loop is None
        self._on_notice = on_notice
        self._loop = loop or Loop()
        self._queue: deque[Delivery] = deque()
        self.notices: deque[tuple[str, str, Notice]] = deque(maxlen=limits.notices_kept)
        wanted = topics.disjoint([topics.as_prefix(prefix) for prefix in prefixes])
        stored = positions or {}
        deliver = on_batch or self._queue.extend
        self._sources = [
            Source(
                self._loop,
                address,
                {prefix: stored.get((address, prefix), start) for prefix in wanted},
                deliver,
                self._notify,
                limits,
                curves[address],
            )
            for address in addresses
        ]

    def wait_ready(self, timeout: float = 10.0) -> bool:
        """Wait until every subscription is active at every publisher; False if that takes longer."""
        deadline = time.monotonic() + timeout
        while not self.ready and time.monotonic() < deadline:
            self._loop.step(max(0.0, deadline - time.monotonic()))
        return self.ready

    @property
    def ready(self) -> bool:
        """Are all subscriptions active now?"""
        return all(source.ready for source in self._sources)

    def receive(self, timeout: float | None = None) -> list[Delivery]:
        """Wait for events and give all that are there; an empty list after `timeout` seconds."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        while not self._queue:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return []
            self._loop.step(1.0 if left is None else left)
        batch = list(self._queue)
        self._queue.clear()
        return batch

    def __iter__(self) -> Iterator[Delivery]:
        """Give events for ever."""
        while True:
            yield from self.receive()

    def positions(self) -> dict[tuple[str, str], Position]:
        """Give how far each (publisher, prefix) has come, idle ones included.

        It may be ahead of what you have taken out of a batch: store the position of the last event that you handled.
        """
        return {
            (source.address, prefix): position
            for source in self._sources
            for prefix, position in source.positions().items()
        }

    def points(self) -> Iterator[Point]:
        """Tell for the metrics of a service how the following goes."""
        for source in self._sources:
            yield from source.points()

    def close(self) -> None:
        """Release the sockets."""
        for source in self._sources:
            source.close()
        if self._own_loop:
            self._loop.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _notify(self, address: str, prefix: str, notice: Notice) -> None:
        logger.warning("%s %s: %s", address, prefix or "(everything)", notice)
        self.notices.append((address, prefix, notice))
        if self._on_notice:
            self._on_notice(address, prefix, notice)
