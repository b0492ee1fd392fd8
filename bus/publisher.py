"""The publisher: a log, the PUB socket of its feed, and the ROUTER socket that answers requests about it."""

import logging
import time
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from bus.eventlog import points
from bus.eventlog.errors import BodyTooLargeError, LogError, ReplicationError, StorageError
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.addresses import Address, Advertised
from bus.protocol.control import (
    CheckParams,
    CheckReply,
    ControlError,
    FetchParams,
    FetchReply,
    InfoReply,
    LatestParams,
    LatestReply,
    MetricsReply,
    NoParams,
    Role,
)
from bus.protocol.frames import PROTOCOL, HeartbeatFrame, HeartbeatInfo, Record, encode, encode_feed
from bus.protocol.predecessors import Predecessors
from bus.protocol.validation import InvalidInputError
from bus.telemetry import metrics
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Metrics, Point, Traffic, process_points
from bus.transport import authentication, server, sockets
from bus.transport import loop as event_loop
from bus.transport.authentication import Authenticator
from bus.transport.handshakes import log_refused
from bus.transport.keys import Keys
from bus.transport.loop import TURN_SECONDS, Loop, Timer
from bus.transport.retry import log_transient
from bus.transport.server import REQUEST_FRAMES, MethodServer, Refusal
from bus.transport.sockets import Request, Socket
from bus.transport.steps import Steps, in_thread, wait

P = TypeVar("P", bound=msgspec.Struct)
HEARTBEAT_SECONDS: Final = 1.0
TRIM_GAP: Final = 0.1  # seconds between two steps of retention, in which publishing continues
EPHEMERAL: Final = 0
LONG_REQUESTS: Final = 100  # that are worked on in steps at a time; each may hold much in memory
HELP: Final = {
    "variantbus_events_published_total": "Logged events sent on the feed, by the first two tokens of the topic.",
    "variantbus_events_published_bytes_total": "Bytes of their bodies.",
    "variantbus_events_ephemeral_total": "Events sent on the feed that are not logged.",
    "variantbus_replies_dropped_total": "Replies that were not made because the client does not read them.",
}
REFUSALS: Final = {
    BodyTooLargeError: Refusal("too_large", "put large values in a file"),
    StorageError: Refusal("unavailable", "make room and try again"),
    ReplicationError: Refusal("unavailable", "whether it was done is not known; ask again"),
}


logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a peer must not decide how much we log


class Publisher:
    """Publishes the events that its log commits, and answers requests about them.

    `info`, `heartbeat`, `check`, `fetch`, `latest` and `metrics` are built in; a service adds its own methods with
    `methods.add`.
    """

    def __init__(
        self,
        log: Log,
        loop: Loop,
        *,
        service: str,
        version: str,
        feed: Address,
        control: Address,
        keys: Keys | None = None,
    ) -> None:
        """Bind both sockets and start the heartbeats. Port 0 picks a free one: read `feed` and `control` afterwards.

        With `keys`, only the clients that its `peers` file lists can connect, encrypted, and do what their role allows.

        Raises:
            BindError: a port is taken.
        """
        self._log, self._loop = log, loop
        self._service, self._version = service, version
        self._advertised: Advertised | None = None
        limits = log.limits
        self.authenticator = Authenticator(keys, loop) if keys else None  # before the ports are open
        self._bind(feed, control)
        known = limits.chain_rebuild_events
        newest = log.last_topics(known)
        self._predecessors = Predecessors(limits.chain_prefixes, complete=len(newest) == log.head)
        self._predecessors.load(newest)
        self._sent, self._ephemeral = Traffic(), Traffic()
        self._replies_dropped = 0
        self._long_requests = 0  # being worked on
        self.methods = MethodServer(REFUSALS, fatal=(LogError,), service=service)
        self.metrics = Metrics()
        self.metrics.add(process_points(version), metrics.HELP)
        self.metrics.add(lambda: points.log_points(log), points.HELP)
        self.metrics.add(self._points, HELP)
        self.metrics.add(self.methods.points, server.HELP)
        self.metrics.add(loop.points, event_loop.HELP)
        if self.authenticator:
            self.metrics.add(self.authenticator.points, authentication.HELP)
        self._add_methods()
        self._last_beat = 0.0
        self._soon: Timer | None = None
        self._trimming: Timer | None = None
        self._noting_head = False
        self._timer = loop.every(HEARTBEAT_SECONDS, self._tick)
        log.on_commit(self._send_records)
        loop.add(self._control_socket, self._on_requests)
        self._beat()

    def advertise(self, told: Advertised) -> None:
        """Tell clients these addresses in `info` and heartbeats instead of the bound ones, as behind NAT."""
        self._advertised = told

    @property
    def known_control(self) -> str:
        """The control address that clients are told."""
        return str((self._advertised and self._advertised.control) or self.control)

    def publish_ephemeral(self, topic: str, message: msgspec.Struct) -> None:
        """Send a message that is not logged: present subscribers get it, and it cannot be fetched later.

        Raises:
            RuntimeError: this is a forked child of the process that made the publisher.
        """
        self._loop.check_process()
        body = encode(message)
        frame = encode_feed(self._log.epoch, EPHEMERAL, [], time.time_ns(), body)
        sockets.send_pair(self._feed_socket, topic.encode(), frame)
        self._ephemeral.count(topic, len(body))

    def close(self) -> None:
        """Send the closing heartbeat, and release the sockets; the log stays open."""
        self._timer.cancel()
        self._beat(closing=True)
        self._loop.remove(self._control_socket)
        self._control_socket.close()
        self._feed_socket.close()
        if self.authenticator:
            self.authenticator.close()

    def _bind(self, feed: Address, control: Address) -> None:
        curve = self.authenticator.server if self.authenticator else None
        bound: list[Socket] = []
        try:
            self._feed_socket, self.feed = sockets.bind_feed(
                feed, high_water=self._log.limits.feed_send_messages, curve=curve
            )
            bound.append(self._feed_socket)
            self._control_socket, self.control = sockets.bind_control(control, self._log.limits, curve=curve)
        except sockets.BindError:
            for socket in bound:
                socket.close(0)
            if self.authenticator:
                self.authenticator.close()
            raise
        for socket in (self._feed_socket, self._control_socket):
            log_refused(socket)

    def _send_records(self, records: list[Record]) -> None:
        """Send the records of a commit: the hot path."""
        self._loop.check_process()
        socket: Socket = self._feed_socket
        if socket.closed:
            return  # closed: subscribers fetch these records from the next publisher of the log
        epoch, link, encode, send = self._log.epoch, self._predecessors.link, encode_feed, sockets.send_pair
        for record in records:
            topic, offset = record.topic, record.offset
            send(socket, topic.encode(), encode(epoch, offset, link(topic, offset), record.time_ns, record.body))
        self._sent.count_records(records)

    def _tick(self) -> None:
        if not self._noting_head:
            self._loop.start(self._note_head())
        self._beat()
        if self._trimming is None:
            self._trim()

    def _note_head(self) -> Steps[None]:
        """Note the head in a thread: what is published meanwhile does not wait for the disk."""
        self._noting_head = True
        try:
            yield from wait(in_thread(self._log.sync_head, "head"))
        finally:
            self._noting_head = False

    def _trim(self) -> None:
        """Apply the retention of the log in small steps between other work, and look for damage."""
        self._trimming = None
        if self._feed_socket.closed:
            return
        try:
            self._log.examine()
            more = self._log.trim()
        except StorageError as error:  # the next tick tries again
            log_transient(error)
            return
        if more:
            self._trimming = self._loop.later(TRIM_GAP, self._trim)

    def _beat(self, *, closing: bool = False) -> None:
        if self._soon:
            self._soon.cancel()
            self._soon = None
        self._last_beat = time.monotonic()
        info = HeartbeatInfo(
            service=self._service,
            version=self._version,
            control=self.known_control,
            epochs=self._log.epochs,
            closing=closing,
        )
        log = self._log
        frame = HeartbeatFrame(PROTOCOL, log.epoch, log.head, log.first, time.time_ns(), info)
        sockets.send_pair(self._feed_socket, topics.HEARTBEAT.encode(), encode(frame))

    def _on_requests(self) -> None:
        until = time.monotonic() + TURN_SECONDS
        for _ in range(self._log.limits.requests_a_turn):
            request = sockets.receive_request(
                self._control_socket, REQUEST_FRAMES, secure=self.authenticator is not None
            )
            if request is None:
                return
            if self.methods.accepts(request.frames, request.address):
                # looked up for each request: a removed key loses its rights at once
                self._answer(request, self.authenticator.role_of(request.user) if self.authenticator else "command")
            if time.monotonic() >= until:
                return

    def _answer(self, request: Request, role: Role | None) -> None:
        """Answer a request, now or, if that takes steps, later."""
        if self.methods.takes_steps(request.frames) and not request.is_orphaned():
            if self._long_requests < LONG_REQUESTS:
                self._long_requests += 1
                self._loop.start(self._answer_later(request, role))
            elif self._can_reply(request):
                error = ControlError(
                    "unavailable", f"{LONG_REQUESTS} long requests are being worked on; ask again soon"
                )
                sockets.send_frames(self._control_socket, self.methods.refuse(request.frames, error))
        elif self._can_reply(request):
            sockets.send_frames(self._control_socket, self.methods.answer(request.frames, role))

    def _answer_later(self, request: Request, role: Role | None) -> Steps[None]:
        try:
            reply = yield from self.methods.steps(request.frames, role)
        finally:
            self._long_requests -= 1
        if self._can_reply(request):
            sockets.send_frames(self._control_socket, reply)

    def _can_reply(self, request: Request) -> bool:
        """Begin the reply to a request if there is a client that can take it."""
        outcome = "gone" if request.is_orphaned() else sockets.begin_reply(self._control_socket, request.sender)
        if outcome == "gone":
            self.methods.drop_orphan()
        elif outcome == "unread":
            self._replies_dropped += 1
            logger.warning("%s does not read its replies: a request was dropped", request.address())
        return outcome == "begun"

    def _add_methods(self) -> None:
        add = self.methods.add
        add("info", NoParams, self._info, role="read")
        add("heartbeat", NoParams, self._heartbeat, role="read")
        add("check", CheckParams, self._check, role="read")
        add("fetch", FetchParams, self._fetch, role="read")
        add("latest", LatestParams, self._latest, role="read")
        add("metrics", NoParams, self._metrics, role="read")

    def _info(self, _params: NoParams) -> InfoReply:
        return InfoReply(
            epoch=self._log.epoch,
            first=self._log.first,
            head=self._log.head,
            service=self._service,
            version=self._version,
            protocol=PROTOCOL,
            epochs=self._log.epochs,
            feed=str(self._advertised.feed if self._advertised else self.feed),
            limits={
                "body": self._log.limits.body_bytes,
                "request": self._log.limits.request_bytes,
                "page": self._log.limits.page_events,
                "page_bytes": self._log.limits.page_bytes,
            },
        )

    def _heartbeat(self, _params: NoParams) -> dict[str, str]:
        """Send a heartbeat now, or as soon as the rate limit allows; one heartbeat answers many requests."""
        wait = self._last_beat + 1 / self._log.limits.heartbeats_a_second - time.monotonic()
        if wait <= 0:
            self._beat()
        elif self._soon is None:
            self._soon = self._loop.later(wait, self._beat)
        return {}

    def _check(self, params: CheckParams) -> CheckReply:
        log, prefix = self._log, _prefix(params.prefix)
        newest = self._predecessors.newest(prefix) if prefix else log.head
        if newest is None:
            newest = log.newest(prefix)
        last = newest if newest > params.after else 0
        return CheckReply(epoch=log.epoch, first=log.first, head=log.head, last=last)

    def _fetch(self, params: FetchParams) -> FetchReply:
        limit = min(max(params.limit, 1), self._log.limits.page_events)
        log = self._log
        page = log.fetch(_prefix(params.prefix), params.after, params.until, limit)
        return FetchReply(
            epoch=log.epoch,
            first=log.first,
            head=log.head,
            next=page.next,
            events=page.records,
            damaged=page.damaged,
        )

    def _latest(self, params: LatestParams) -> LatestReply:
        limit = min(max(params.limit, 1), self._log.limits.page_events)
        log = self._log
        found = log.latest(_prefix(params.prefix), limit, params.after_topic)
        return LatestReply(
            epoch=log.epoch,
            first=log.first,
            head=log.head,
            events=found.records,
            next=found.next,
            damaged=found.damaged,
        )

    def _metrics(self, _params: NoParams) -> MetricsReply:
        return MetricsReply(service=self._service, version=self._version, metrics=self.metrics.collect())

    def _points(self) -> Iterator[Point]:
        yield from self._sent.points("variantbus_events_published_total", "variantbus_events_published_bytes_total")
        yield from self._ephemeral.points("variantbus_events_ephemeral_total")
        yield "variantbus_replies_dropped_total", {}, self._replies_dropped


def _prefix(text: str) -> str:
    """Check the prefix of a request: nothing, or whole tokens."""
    try:
        if text:
            topics.check(text)
    except topics.TopicError as error:
        raise InvalidInputError(f"prefix: {error}") from None
    return text
