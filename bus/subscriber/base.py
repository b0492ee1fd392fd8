"""The common part of the sync and asyncio subscribers."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bus.config.limits import Limits
from bus.protocol import topics
from bus.protocol.addresses import parse_address
from bus.protocol.recovery import Notice
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.source import Source, SourceState
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import Loop

logger = logging.getLogger(__name__)
OnNotice = Callable[[str, str, Notice], None]


class SubscriberBase:
    """The common part of the subscribers: sources, the queue of their events, positions and notices."""

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
        feed: str | Mapping[str, str],
    ) -> None:
        """Connect in the background to the control address of each publisher."""
        feeds = feeds_by_address(feed, addresses)
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
            self._sources.append(
                Source(
                    loop,
                    address,
                    starts,
                    deliver,
                    self._notify,
                    limits,
                    curves[address],
                    feed=feeds.get(address, ""),
                )
            )

    @property
    def ready(self) -> bool:
        """Whether all subscriptions are active now."""
        return all(source.ready for source in self._sources)

    def positions(self) -> dict[tuple[str, str], Position]:
        """Return the position in each (publisher, prefix), idle ones included.

        It may be ahead of what you have taken out of a batch: store the position of the last event that you handled.
        """
        return {
            (source.address, prefix): position
            for source in self._sources
            for prefix, position in source.positions().items()
        }

    def states(self) -> list[SourceState]:
        """Return the state of the connection to each publisher."""
        return [source.state() for source in self._sources]

    def pause(self) -> None:
        """Take no more for now, but what is under way; what is published meanwhile waits, or is fetched.

        It is for whoever gets events by `on_batch`: to receive one is to go on.
        """
        for source in self._sources:
            source.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        for source in self._sources:
            source.resume()

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
        """Before waiting for more: resume the sources that were paused by backpressure."""
        self._loop.check_process()
        if self._closed:
            raise RuntimeError("the subscriber is closed; make a new one, with the positions that you stored")
        if len(self._queue) < self._queue_limit:
            self.resume()

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


def feeds_by_address(feed: str | Mapping[str, str], addresses: Sequence[str]) -> dict[str, str]:
    """Return the feeds that are named by the control addresses of their publishers; one feed is that of the only one.

    Raises:
        AddressError: one is not of the form tcp://HOST:PORT.
        InvalidInputError: it is not clear, or not known, whose feed it is.
    """
    if not feed:
        return {}
    if isinstance(feed, str):
        if len(set(addresses)) != 1:
            raise InvalidInputError(f"feed: there are several publishers; name the control address of {feed}, too")
        feed = {addresses[0]: feed}
    for control, one in feed.items():
        parse_address(one)
        if control not in addresses:
            raise InvalidInputError(f"feed: {control} is none of the publishers {', '.join(addresses)}")
    return dict(feed)
