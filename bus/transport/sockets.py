"""ZeroMQ sockets with our settings, and the two hot calls.

`Socket.send_multipart` spends most of its time on enum flags; the compiled base class with plain integers takes a
third of it (two frames: 2.6 µs against 0.6 µs to send, 2.1 against 0.3 to receive).
"""

import errno
import itertools
import os
import random
import select
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import zmq
import zmq.backend

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.protocol.addresses import Address, parse_address

Socket = zmq.Socket[bytes]
Frame = bytes | bytearray  # to be sent

_SNDMORE: Final = int(zmq.SNDMORE)
_NOBLOCK: Final = int(zmq.NOBLOCK)
_RCVMORE: Final = int(zmq.RCVMORE)
_EVENTS: Final = int(zmq.EVENTS)
_READABLE: Final = int(zmq.POLLIN)
_FIRST: Final = _SNDMORE | _NOBLOCK
_send = zmq.backend.Socket.send
_recv = zmq.backend.Socket.recv
_get = zmq.backend.Socket.get
_monitors = itertools.count()  # for their names

BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL
LARGEST_REPLY: Final = 128 << 20  # bytes; twice what a page may have where its limits are raised to the utmost


@dataclass(frozen=True, slots=True)
class CurveServer:
    """The CURVE settings of a bound socket: its secret key, and the context in which ZAP is answered."""

    context: zmq.Context[Socket]
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CurveClient:
    """The CURVE settings of a connecting socket: its own pair, and the server's public key."""

    public: bytes
    server: bytes
    secret: bytes = field(repr=False)


class BindError(Exception):
    """An address cannot be bound; the text says why and what to do."""

    def __init__(self, text: str, port: int | None = None) -> None:
        """Give the port, if another one would do."""
        super().__init__(text)
        self.port = port


def _socket(kind: int, linger_ms: int, host: str, context: zmq.Context[Socket] | None = None) -> Socket:
    socket: Socket = (context or zmq.Context.instance()).socket(kind)
    socket.linger = linger_ms
    socket.ipv6 = host.startswith("[")  # otherwise localhost could mean ::1 alone, where no service listens
    # No heartbeats of ZMTP: libzmq 4.3.5 aborts the process when one is due on a connection that broke while its socket
    # was at its receive limit. A subscriber has the heartbeats of the feed, a request its timeout, and the system finds
    # a silent peer that has vanished, after 25 s. TCP_MAXRT would also cut off one that lives and does not read.
    socket.tcp_keepalive, socket.tcp_keepalive_idle, socket.tcp_keepalive_intvl, socket.tcp_keepalive_cnt = 1, 10, 5, 3
    socket.handshake_ivl = 5000
    return socket


def _bound(kind: int, linger_ms: int, host: str, curve: CurveServer | None) -> Socket:
    socket = _socket(kind, linger_ms, host, curve.context if curve else None)
    socket.backlog = 1024
    # any domain makes libzmq refuse ZMTP 1 and 2, in which an HTTP request would count as a message
    socket.zap_domain = b"variantbus"
    if curve:
        socket.curve_server, socket.curve_secretkey = True, curve.secret
        # without an authenticator no client is admitted, instead of every client
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return socket


def _bind(socket: Socket, address: Address) -> Address:
    try:
        socket.bind(str(address))
    except zmq.ZMQError as error:
        socket.close(0)
        if error.errno == zmq.EADDRINUSE:
            reason = "it is taken; stop the other process or choose another port (0 picks a free one)"
            raise BindError(f"cannot bind {address}: {reason}", address.port) from None
        if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
            reason = "this machine has no such address; 0.0.0.0 stands for all that it has"
        else:
            reason = os.strerror(error.errno or 0)
        raise BindError(f"cannot bind {address}: {reason}") from None
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return Address(address.host, int(endpoint.rpartition(":")[2]))


def bind_feed(
    address: Address, *, high_water: int = DEFAULT_LIMITS.feed_send_messages, curve: CurveServer | None = None
) -> tuple[Socket, Address]:
    """Return the PUB socket: it never blocks; a stalled subscriber loses messages, detects the gap and fetches them.

    Raises:
        BindError: the port is taken or the host is not ours.
    """
    socket = _bound(zmq.PUB, 500, address.host, curve)
    socket.sndhwm, socket.rcvhwm = high_water, 100
    socket.maxmsgsize = 1024  # peers send subscriptions only
    return socket, _bind(socket, address)


def bind_control(
    address: Address, limits: Limits = DEFAULT_LIMITS, *, curve: CurveServer | None = None
) -> tuple[Socket, Address]:
    """Return the ROUTER socket; a request over the limit closes the connection of the peer.

    Raises:
        BindError: the port is taken or the host is not ours.
    """
    socket = _bound(zmq.ROUTER, 1000, address.host, curve)
    socket.sndhwm, socket.rcvhwm = limits.control_send_messages, limits.control_receive_messages
    socket.maxmsgsize = limits.request_bytes
    socket.router_mandatory = True  # a reply that cannot go out is an error that we see
    return socket, _bind(socket, address)


def connect_feed(
    address: str, curve: CurveClient | None = None, *, high_water: int = DEFAULT_LIMITS.feed_receive_messages
) -> Socket:
    """Return a SUB socket."""
    socket = _connecting(zmq.SUB, address, curve)
    socket.sndhwm = 0  # above it libzmq silently drops subscriptions
    socket.rcvhwm = high_water
    socket.connect(address)
    return socket


def connect_control(address: str, curve: CurveClient | None = None) -> Socket:
    """Return a DEALER socket; close it after a time-out, so that no stale request is delivered later."""
    socket = _connecting(zmq.DEALER, address, curve)
    socket.connect(address)
    return socket


def connect_watched(address: str, curve: CurveClient | None = None) -> tuple[Socket, Socket]:
    """Return a DEALER socket, and the monitor of its attempts to connect: `read_event` tells of each how it ended."""
    socket = _connecting(zmq.DEALER, address, curve)
    monitor = monitor_of(socket, zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_RETRIED)  # before it tries
    socket.connect(address)
    return socket, monitor


def monitor_of(socket: Socket, events: int) -> Socket:
    """Return the socket on which libzmq tells some events of another one, until that is closed."""
    endpoint = f"inproc://monitor-{next(_monitors)}"
    socket.monitor(endpoint, events)
    monitor: Socket = socket.context.socket(zmq.PAIR)
    monitor.linger = 0
    monitor.connect(endpoint)
    return monitor


def read_event(message: list[bytes]) -> tuple[int, int]:
    """Return an event and its value from a message of a monitor; pyzmq's own function would import all of asyncio."""
    event, value = struct.unpack("=Hi", message[0])
    return event, value


def _connecting(kind: int, address: str, curve: CurveClient | None) -> Socket:
    socket = _socket(kind, 0, parse_address(address).host)
    socket.reconnect_ivl = random.randint(50, 150)  # noqa: S311 - jitter against reconnect storms, no secret
    socket.reconnect_ivl_max = 2000
    socket.maxmsgsize = LARGEST_REPLY
    if curve:
        socket.curve_publickey, socket.curve_secretkey = curve.public, curve.secret
        socket.curve_serverkey = curve.server
    return socket


def send_pair(socket: Socket, first: bytes, second: bytes) -> None:
    """Send a message of two frames without waiting."""
    _send(socket, first, _FIRST)
    _send(socket, second, _NOBLOCK)


def send_frames(socket: Socket, frames: Sequence[Frame]) -> bool:
    """Send a message without waiting; return False if the peer is gone or its queue is full."""
    try:
        for frame in frames[:-1]:
            _send(socket, frame, _FIRST)
        _send(socket, frames[-1], _NOBLOCK)
    except (zmq.Again, zmq.ZMQError):
        return False
    return True


def begin_reply(socket: Socket, client: bytes) -> Literal["begun", "unread", "gone"]:
    """Send the first frame of a reply from a control socket: the client may not read its replies, or be gone.

    So a reply is made only if it can go out. Once it is begun, nothing else may be sent before its frames.
    """
    try:
        _send(socket, client, _FIRST)
    except zmq.Again:
        return "unread"
    except zmq.ZMQError:
        return "gone"
    return "begun"


def receive(socket: Socket) -> list[bytes] | None:
    """Return one message with all its frames; None if there is none."""
    try:
        frames = [_recv(socket, _NOBLOCK)]
    except zmq.Again:
        return None
    while _get(socket, _RCVMORE):
        frames.append(_recv(socket, _NOBLOCK))
    return frames


def receive_pair(socket: Socket) -> tuple[bytes, bytes] | None:
    """Return the two frames of a message; None if there is none.

    Whether it has two is not asked, which would take longer than to receive them. Where it has not, the frames that
    are taken for two make no sense together, and whoever finds that calls `drop_rest`.
    """
    try:
        first = _recv(socket, _NOBLOCK)
    except zmq.Again:
        return None
    try:
        return first, _recv(socket, _NOBLOCK)
    except zmq.Again:
        return first, b""


def is_readable(socket: Socket) -> bool:
    """Return whether there is a message: where there is none, to try to receive it takes twice as long."""
    return bool(int(_get(socket, _EVENTS)) & _READABLE)


def drop_rest(socket: Socket) -> None:
    """Drop the further frames of a message of which some were received."""
    while not socket.closed and _get(socket, _RCVMORE):
        _recv(socket, _NOBLOCK)


class Request(NamedTuple):
    """A request at a control socket; `user` is the public key of the sender, empty without CURVE."""

    sender: bytes
    frames: list[bytes]
    user: str
    first: zmq.Frame  # the frame that named the sender; it knows the connection, too

    def address(self) -> str:
        """Return the IP address of the sender, for the log."""
        return str(self.first.get("Peer-Address"))

    def is_orphaned(self) -> bool:
        """Return whether the sender's connection was reset.

        libzmq keeps such a connection until all requests that it has read from it are taken. To answer them would be
        work for nobody, and each answer would wait in the memory of a connection that is dead.
        """
        poll = select.poll()
        poll.register(int(self.first.get("__fd")), 0)
        return any(event & BROKEN for _, event in poll.poll(0))


def receive_request(socket: Socket, most: int, *, secure: bool) -> Request | None:
    """Return one request, None if there is none; of too many frames, only `most + 1` are kept."""
    try:
        first = socket.recv(_NOBLOCK, copy=False)
    except zmq.Again:
        return None
    frames: list[bytes] = []
    while _get(socket, _RCVMORE):
        frame = _recv(socket, _NOBLOCK)
        if len(frames) <= most:
            frames.append(frame)
    return Request(first.bytes, frames, str(first.get("User-Id")) if secure else "", first)
