"""The publishing half: a log, the PUB socket that carries it fast, and the ROUTER socket that answers for it."""

import time
from typing import Final, TypeVar

import msgspec

from bus import sockets, topics, wire
from bus.chain import Chain
from bus.control import REQUEST_FRAMES, Methods
from bus.gate import Gate
from bus.keys import Keys
from bus.log import Log, Record
from bus.loop import Loop, Timer
from bus.messages import Message, encode_body
from bus.sockets import Address, Socket
from bus.validate import InvalidInputError

P = TypeVar("P", bound=msgspec.Struct)
HEARTBEAT_SECONDS: Final = 1.0
HEARTBEAT_GAP: Final = 0.02  # seconds between two heartbeats that clients ask for
CHAIN_REBUILD: Final = 10_000  # newest records read at start, to know the chain again
REQUESTS_A_TURN: Final = 100  # before the loop looks at its other sockets
EPHEMERAL: Final = 0


class Publisher:
    """Publishes what its log commits, and answers questions about it.

    `info`, `heartbeat`, `check`, `fetch` and `latest` are built in; a service adds its own methods with `methods.add`.
    `unsent` counts replies whose client had gone or did not read; see `methods` and, with keys, `gate` for more counts.
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
        """Bind both sockets and start to beat. Port 0 picks a free one: read `feed` and `control` afterwards.

        With `keys`, only the clients that its `peers` file lists can connect, encrypted, and do what their role allows.

        Raises:
            BindError: a port is taken.
        """
        self._log, self._loop = log, loop
        self._service, self._version = service, version
        self.gate = Gate(keys, loop) if keys else None  # before the ports are open
        self.unsent = 0
        self._bind(feed, control)
        self._chain = Chain(complete=log.head <= CHAIN_REBUILD and log.first <= 1)
        self._chain.load(log.newest_topics(CHAIN_REBUILD))
        self.methods = Methods()
        self._add_methods()
        self._last_beat = 0.0
        self._soon: Timer | None = None
        self._timer = loop.every(HEARTBEAT_SECONDS, self._tick)
        log.on_commit(self._send_records)
        loop.add(self._control_socket, self._on_requests)
        self._beat()

    def publish_ephemeral(self, topic: str, message: Message) -> None:
        """Send a message that is not logged: whoever listens gets it, nobody can ask for it later."""
        frame = wire.encode_feed(self._log.epoch, EPHEMERAL, [], time.time_ns(), encode_body(message))
        sockets.send_pair(self._feed_socket, topic.encode(), frame)

    def close(self) -> None:
        """Say that we are closing, and release the sockets; the log stays open."""
        self._timer.cancel()
        self._beat(closing=True)
        self._loop.remove(self._control_socket)
        self._control_socket.close()
        self._feed_socket.close()
        if self.gate:
            self.gate.close()

    def _bind(self, feed: Address, control: Address) -> None:
        curve = self.gate.server if self.gate else None
        bound: list[Socket] = []
        try:
            self._feed_socket, self.feed = sockets.bind_feed(feed, curve=curve)
            bound.append(self._feed_socket)
            self._control_socket, self.control = sockets.bind_control(control, max_size=wire.REQUEST_LIMIT, curve=curve)
        except sockets.BindError:
            for socket in bound:
                socket.close(0)
            if self.gate:
                self.gate.close()
            raise

    def _send_records(self, records: list[Record]) -> None:
        """Send what was just committed: the hot path."""
        socket: Socket = self._feed_socket
        if socket.closed:
            return  # the log outlives us; subscribers fetch this from the next publisher
        epoch, link, encode_feed, send = self._log.epoch, self._chain.link, wire.encode_feed, sockets.send_pair
        for offset, topic, time_ns, body in records:
            send(socket, topic.encode(), encode_feed(epoch, offset, link(topic, offset), time_ns, body))

    def _tick(self) -> None:
        self._log.sync_head()
        self._beat()

    def _beat(self, *, closing: bool = False) -> None:
        if self._soon:
            self._soon.cancel()
            self._soon = None
        self._last_beat = time.monotonic()
        info = wire.HeartbeatInfo(
            service=self._service,
            version=self._version,
            control=str(self.control),
            epochs=self._log.epochs,
            closing=closing,
        )
        log = self._log
        frame = wire.HeartbeatFrame(wire.PROTOCOL, log.epoch, log.head, log.first, time.time_ns(), info)
        sockets.send_pair(self._feed_socket, topics.HEARTBEAT.encode(), wire.encode(frame))

    def _on_requests(self) -> None:
        for _ in range(REQUESTS_A_TURN):
            request = sockets.receive_request(self._control_socket, REQUEST_FRAMES, secure=self.gate is not None)
            if request is None:
                return
            # asked each time: a key that is taken out of the list loses its rights at once
            role = self.gate.role_of(request.user) if self.gate else "command"
            reply = self.methods.answer(request.frames, role)
            if reply and not sockets.send_frames(self._control_socket, [request.sender, *reply]):
                self.unsent += 1

    def _add_methods(self) -> None:
        add = self.methods.add
        add("info", wire.NoParams, self._info, role="read")
        add("heartbeat", wire.NoParams, self._heartbeat, role="read")
        add("check", wire.CheckParams, self._check, role="read")
        add("fetch", wire.FetchParams, self._fetch, role="read")
        add("latest", wire.LatestParams, self._latest, role="read")

    def _info(self, _params: wire.NoParams) -> wire.InfoReply:
        return wire.InfoReply(
            epoch=self._log.epoch,
            first=self._log.first,
            head=self._log.head,
            service=self._service,
            version=self._version,
            protocol=wire.PROTOCOL,
            epochs=self._log.epochs,
            feed=str(self.feed),
            limits={
                "body": self._log.body_limit,
                "request": wire.REQUEST_LIMIT,
                "page": wire.PAGE_LIMIT,
                "page_bytes": wire.PAGE_BYTES,
            },
        )

    def _heartbeat(self, _params: wire.NoParams) -> dict[str, str]:
        """Beat now, or as soon as the gap to the last one allows; many wishes are granted by one beat."""
        wait = self._last_beat + HEARTBEAT_GAP - time.monotonic()
        if wait <= 0:
            self._beat()
        elif self._soon is None:
            self._soon = self._loop.later(wait, self._beat)
        return {}

    def _check(self, params: wire.CheckParams) -> wire.CheckReply:
        log, prefix = self._log, _prefix(params.prefix)
        newest = self._chain.newest(prefix) if prefix else log.head
        if newest is None:
            newest = log.newest(prefix)
        last = newest if newest > params.after else 0
        return wire.CheckReply(epoch=log.epoch, first=log.first, head=log.head, last=last)

    def _fetch(self, params: wire.FetchParams) -> wire.FetchReply:
        limit = min(max(params.limit, 1), wire.PAGE_LIMIT)
        log = self._log
        page = log.fetch(_prefix(params.prefix), params.after, params.until, limit)
        return wire.FetchReply(
            epoch=log.epoch,
            first=log.first,
            head=log.head,
            next=page.next,
            events=_rows(page.records),
            damaged=page.damaged,
        )

    def _latest(self, params: wire.LatestParams) -> wire.LatestReply:
        limit = min(max(params.limit, 1), wire.PAGE_LIMIT)
        log = self._log
        records, next_ = log.latest(_prefix(params.prefix), limit, params.after_topic)
        return wire.LatestReply(epoch=log.epoch, first=log.first, head=log.head, events=_rows(records), next=next_)


def _prefix(text: str) -> str:
    """Check the prefix of a request: nothing, or whole tokens."""
    try:
        if text:
            topics.check(text)
    except topics.TopicError as error:
        raise InvalidInputError(f"prefix: {error}") from None
    return text


def _rows(records: list[Record]) -> list[wire.EventRow]:
    return [wire.EventRow(offset, topic, time_ns, msgspec.Raw(body)) for offset, topic, time_ns, body in records]
