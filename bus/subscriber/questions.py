"""Asks a publisher what a recovery wants to know, and gives it the answers."""

import logging
import time
from collections.abc import Callable
from typing import Final

from bus.protocol.control import (
    CheckParams,
    CheckReply,
    ControlError,
    FetchParams,
    FetchReply,
    InfoReply,
    LatestParams,
    LatestReply,
)
from bus.protocol.frames import Record
from bus.protocol.recovery import Check, Fetch, Info, Latest, Recovery, Request
from bus.subscriber.delivery import Delivery
from bus.transport.client import RequestClient
from bus.transport.pace import Pace

ASK_SECONDS: Final = 3.0
OnError = Callable[[ControlError], None]
logger = logging.getLogger(__name__)


class Questions:
    """The requests of one source: each answer goes to its recovery, and then `flush` is called."""

    def __init__(self, address: str, flush: Callable[[], None], pace: Pace) -> None:
        """Take the publisher's address for the deliveries that are made of its answers, of `pace` at a time."""
        self._address, self._flush, self._pace = address, flush, pace

    def ask(self, client: RequestClient, prefix: str, recovery: Recovery[Delivery], request: Request) -> None:
        """Send a request; if it fails, the recovery wants it again."""

        def failed(error: ControlError) -> None:
            logger.debug("%s: %s", self._address, error.message)
            recovery.failed(request)  # the next tick asks again

        match request:
            case Info():
                self._ask_epoch(client, recovery, request, failed)
            case Check():
                self._ask_check(client, prefix, recovery, request, failed)
            case Fetch():
                self._ask_fetch(client, prefix, recovery, request, failed)
            case Latest():
                self._ask_latest(client, prefix, recovery, request, failed)

    def _ask_epoch(self, client: RequestClient, recovery: Recovery[Delivery], request: Info, failed: OnError) -> None:
        def informed(reply: InfoReply) -> None:
            recovery.informed(request, reply.epoch, reply.head, reply.first, reply.epochs)
            self._flush()

        client.ask("info", {}, InfoReply, informed, failed, ASK_SECONDS)

    def _ask_check(
        self, client: RequestClient, prefix: str, recovery: Recovery[Delivery], request: Check, failed: OnError
    ) -> None:
        def checked(reply: CheckReply) -> None:
            recovery.checked(request, reply.epoch, reply.head, reply.first, reply.last)
            self._flush()

        params = CheckParams(prefix=prefix, after=request.after)
        client.ask("check", params, CheckReply, checked, failed, ASK_SECONDS)

    def _ask_fetch(
        self, client: RequestClient, prefix: str, recovery: Recovery[Delivery], request: Fetch, failed: OnError
    ) -> None:
        def fetched(reply: FetchReply) -> None:
            events = self._deliveries(prefix, reply.epoch, reply.events)
            recovery.fetched(request, reply.epoch, reply.first, reply.next, events, reply.damaged)
            began = time.thread_time()
            self._flush()
            self._pace.note(len(events), time.thread_time() - began)

        params = FetchParams(prefix=prefix, after=request.after, until=request.until, limit=request.limit)
        client.ask("fetch", params, FetchReply, fetched, failed, ASK_SECONDS)

    def _ask_latest(
        self, client: RequestClient, prefix: str, recovery: Recovery[Delivery], request: Latest, failed: OnError
    ) -> None:
        def listed(reply: LatestReply) -> None:
            events = self._deliveries(prefix, reply.epoch, reply.events)
            recovery.listed(request, reply.epoch, reply.head, reply.first, events, reply.next, reply.damaged)
            self._flush()

        params = LatestParams(prefix=prefix, after_topic=request.after_topic)
        client.ask("latest", params, LatestReply, listed, failed, ASK_SECONDS)

    def _deliveries(self, prefix: str, epoch: int, rows: list[Record]) -> list[tuple[int, Delivery]]:
        source = self._address
        return [
            (row.offset, Delivery(source, prefix, epoch, row.offset, row.topic, row.time_ns, row.body)) for row in rows
        ]
