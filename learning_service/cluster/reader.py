"""Reads the ends of jobs, and the news of those that run, and hands both over in the thread of the service's loop.

The position is the service's own: the servers keep none. Each end has the next place of the stream, otherwise something
is lost; so it is if the stream is another one, or ends before the position.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final

import nats.errors
from msgspec import Raw
from nats.aio.msg import Msg

from bus.cluster import names, tail
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked, attempted
from bus.cluster.messages import End, decode_as
from bus.contracts.messages import JobProgress, JobStarted, decode_body
from bus.contracts.topics import JOB_COMPLETED
from bus.protocol.recovery import Rewound
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Delivery, Position
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from learning_service.cluster.numbers import Key, Numbered
from learning_service.cluster.requests import Known
from learning_service.cluster.switching import CLUSTER
from learning_service.runners.reaching import Receiver

PREFIX: Final = "end."  # of the stored position
RETRY_SECONDS: Final = 0.5
NEWS_KEPT: Final = 10_000  # that wait to be handed over; more are dropped
HELP: Final = {
    "variantbus_cluster_ends_position": "The place of the last end that was read of the cluster's stream of ends.",
    "variantbus_cluster_ends_head": "The last place of the cluster's stream of ends, as far as it is known.",
    "variantbus_cluster_ends_rewound_total": "How often that stream had a hole, was another one or was shorter.",
    "variantbus_cluster_ends_lost_total": "Ends that the cluster had acknowledged and lost, by their runner.",
}
logger = logging.getLogger(__name__)


class EndDelivery(Delivery, frozen=True, gc=False):
    """The end of a job, with the number that its runner gave it; None for those of a learning service."""

    numbered: Numbered | None = None


class Reader:
    """Follows the cluster from a position on; all but `_read` and what it calls runs in the thread of the loop."""

    def __init__(
        self, connection: Connection, loop: Loop, receiver: Receiver, position: Position | None, known: Known
    ) -> None:
        """Begin behind a position."""
        self._connection, self._loop, self._receiver, self._known = connection, loop, receiver, known
        self._epoch: int | None
        self._epoch, self._at = position or (None, 0)
        self.on_close: Callable[[], None] = lambda: None
        self._rewound = 0
        self._is_closed = self._is_called = False
        self._gate = _opened()
        self._news: deque[Delivery] = deque(maxlen=NEWS_KEPT)
        self.ready = False
        self._work = connection.submit(self._run())

    def pause(self) -> None:
        """Take no more for now, but what is under way."""
        if self._gate.done():
            self._gate = Future()

    def resume(self) -> None:
        """Go on after `pause`."""
        if not self._gate.done():
            self._gate.set_result(None)

    def points(self) -> Iterator[Point]:
        """Yield the metrics."""
        yield "variantbus_cluster_ends_position", {}, self._at
        yield "variantbus_cluster_ends_head", {}, max(self._at, self._known.head)
        yield "variantbus_cluster_ends_rewound_total", {}, self._rewound
        for runner, ends in self._known.lost.items():
            yield "variantbus_cluster_ends_lost_total", {"runner": runner}, ends

    def tell_loss(self) -> None:
        """Tell that ends are lost which no missing place shows."""
        self._loop.call(partial(self._called, self._rewound_here, Future()))

    def close(self) -> None:
        """Stop; what was not handed over yet is dropped, and read again from the stored position."""
        self._is_closed = True
        self.on_close()
        self._work.cancel()

    async def _run(self) -> None:
        await self._connection.ready()
        news = await self._connection.client.subscribe(f"{names.NEWS}>", cb=self._take_news)
        try:
            while True:
                try:
                    await attempted(self._read())
                except ClusterError as error:  # of a stream that is lost, too: the next turn looks at what there is
                    logger.info("the ends of jobs cannot be read: %s; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            with suppress(nats.errors.Error):  # it is closed
                await news.unsubscribe()

    async def _read(self) -> None:
        """Hand over what is behind the position, for as long as the stream is the same."""
        connection = self._connection
        info = await asked(connection.js.stream_info(names.ENDS))
        epoch, head = tail.created_at(info), info.state.last_seq
        if epoch != self._epoch:
            if self._epoch is not None:
                await self._rewind(0)
            self._epoch, self._at = epoch, 0
        elif head < self._at:
            await self._rewind(head)
        self.ready = True
        async for batch in tail.follow(connection.client, connection.js, names.ENDS, self._at, epoch):
            deliveries: list[Delivery] = []
            for one in batch:
                if one.sequence != self._at + len(deliveries) + 1:
                    await self._hand_over(deliveries)
                    deliveries = []
                    await self._rewind(one.sequence - 1)
                deliveries.append(_delivery(epoch, one))
            await self._hand_over(deliveries)
            await asyncio.wrap_future(self._gate)

    async def _rewind(self, to: int) -> None:
        """Tell of a loss, and read on behind another place."""
        at, self._at = self._at, to
        self._rewound += 1
        await self._call(lambda: self._receiver.on_notice(CLUSTER, PREFIX, Rewound(at, to)))

    def _rewound_here(self) -> None:
        self._receiver.on_notice(CLUSTER, PREFIX, Rewound(self._at, self._at))

    async def _hand_over(self, deliveries: list[Delivery]) -> None:
        """Hand over ends, and wait until they were taken: so there are never many of them on the way."""
        if deliveries:
            await self._call(lambda: self._receiver.on_batch(deliveries))
            self._at = deliveries[-1].offset

    async def _call(self, callback: Callable[[], None]) -> None:
        done = Future[None]()
        self._loop.call(partial(self._called, callback, done))
        await asyncio.wrap_future(done)

    def _called(self, callback: Callable[[], None], done: Future[None]) -> None:
        if not self._is_closed:
            callback()
            done.set_result(None)

    async def _take_news(self, message: Msg) -> None:
        topic = message.subject.removeprefix(names.NEWS) + "."
        self._news.append(Delivery(CLUSTER, "", self._epoch or 0, 0, topic, time.time_ns(), Raw(message.data)))
        if not self._is_called:
            self._is_called = True
            self._loop.call(self._tell_news)

    def _tell_news(self) -> None:
        self._is_called = False
        news = [self._news.popleft() for _ in range(len(self._news))]
        if self._is_closed:
            return
        started: list[JobStarted] = []
        progress: list[Delivery] = []
        for one in news:
            try:
                body = decode_body(one.body)
            except InvalidInputError:  # whoever may publish here may publish anything
                continue
            if isinstance(body, JobStarted):
                started.append(body)
            elif isinstance(body, JobProgress):
                progress.append(one)
        self._receiver.on_news([*started])
        self._receiver.on_batch(progress)


def _delivery(epoch: int, stored: tail.Stored) -> EndDelivery:
    """Return an end as an event; one that cannot be read is none, which whoever takes it notices."""
    try:
        end = decode_as(End, stored.data)
    except InvalidInputError:
        return EndDelivery(CLUSTER, PREFIX, epoch, stored.sequence, JOB_COMPLETED, 0, Raw(stored.data))
    numbered = Numbered(Key(end.runner, end.epoch), end.number, end.complete) if end.number else None
    return EndDelivery(CLUSTER, PREFIX, epoch, stored.sequence, JOB_COMPLETED, 0, end.body, numbered)


def _opened() -> Future[None]:
    gate = Future[None]()
    gate.set_result(None)
    return gate
