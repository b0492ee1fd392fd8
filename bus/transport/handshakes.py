"""Logs who was refused at a bound socket: what libzmq tells of handshakes, with the address of the peer.

It tells the descriptor of a connection only, so the address is not known of one that has ended before we look.

libzmq blocks all connections of a context while nobody reads what it tells. A loop may be busy, so this has a thread of
its own, which sleeps while no connection begins or ends. It ends by itself when its sockets are closed.
"""

import logging
import socket as sockets
import threading
from contextlib import suppress
from typing import Final

import zmq

from bus.telemetry.logging import RepeatFilter
from bus.transport.sockets import Socket, monitor_of, read_event

EVENTS: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_MONITOR_STOPPED
)
# admitted, or denied and logged by the authenticator: a denied peer stays connected until the handshake time is over
SETTLED: Final = (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH)
NO_ZMTP: Final = "it does not speak ZMTP 3 (an old ZeroMQ library, or something else)"
OTHER_MECHANISM: Final = "it has keys and this service has none, or the other way round"
BROKEN: Final = "it broke the protocol in its handshake"
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a peer must not decide how much we log


class Handshakes:
    """Finds out whose handshake failed, from events of which not all name the connection.

    Where several are under way at once it may not be known whose is settled; then nobody is accused.
    """

    def __init__(self) -> None:
        """Start without connections."""
        self._open: dict[int, str] = {}  # addresses by descriptor: accepted, and not known to be settled
        self._settled = 0  # how many of these are
        self._reason: str | None = None

    def accept(self, descriptor: int, address: str) -> None:
        """Take a new connection."""
        self._open[descriptor] = address

    def settle(self) -> None:
        """Take that one of the connections was admitted, or denied by its key."""
        self._settled += 1
        if self._settled >= len(self._open):
            self._forget()

    def fail(self, reason: str) -> None:
        """Take the reason why the next connection to end was refused; "" if that is of no interest."""
        self._reason = reason

    def end(self, descriptor: int) -> tuple[str, str] | None:
        """Take the end of a connection; return address and reason if it was refused. The address may be unknown."""
        reason, self._reason = self._reason, None
        address = self._open.pop(descriptor, None)
        if reason is not None:
            return (address or "somebody", reason) if reason else None
        if address is None:
            return None
        if self._settled:
            self._forget()
            return None
        return address, NO_ZMTP

    def _forget(self) -> None:
        self._open.clear()
        self._settled = 0


def log_refused(bound: Socket) -> None:
    """Log who is refused at a socket from now on, until it is closed."""
    monitor = monitor_of(bound, EVENTS)
    port = int(bound.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
    threading.Thread(target=_run, args=(monitor, port), name=f"handshakes {port}", daemon=True).start()


def _run(monitor: Socket, port: int) -> None:
    handshakes = Handshakes()
    with monitor, suppress(zmq.ContextTerminated):
        while True:
            kind, value = read_event(monitor.recv_multipart())
            if kind == zmq.EVENT_ACCEPTED:
                handshakes.accept(value, _peer_of(value, port))
            elif kind in SETTLED:
                handshakes.settle()
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                handshakes.fail(OTHER_MECHANISM if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH else BROKEN)
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                handshakes.fail("")  # the peer has left by itself or said nothing, as a probe of the port does
            elif kind == zmq.EVENT_DISCONNECTED:
                if refused := handshakes.end(value):
                    logger.warning("%s was refused at port %d: %s", refused[0], port, refused[1])
            else:
                return


def _peer_of(descriptor: int, port: int) -> str:
    """Return the address of the peer; "somebody" if the connection has ended, whose number may be another's by now."""
    try:
        connection = sockets.socket(fileno=descriptor)
    except OSError:
        return "somebody"
    try:
        here, there = connection.getsockname(), connection.getpeername()
        return f"{there[0]}:{there[1]}" if here[1] == port else "somebody"
    except (OSError, IndexError):
        return "somebody"
    finally:
        connection.detach()
