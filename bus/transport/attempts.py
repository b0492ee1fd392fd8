"""Whether anybody listens at an address, for commands that ask once.

libzmq tries to connect again and again and says nothing of it, which is right for whoever waits: a service that is
restarted has the request a moment later. A person who typed a command wants to know at once that no service is there.
So commands ask impatiently, and are told so if every attempt to connect fails for `REFUSED_SECONDS`. Once a service has
answered this process, it is there: then a refused connection is a restart, and is waited for as long as any answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import zmq

from bus.transport import sockets
from bus.transport.loop import Loop
from bus.transport.sockets import CurveClient, Socket

REFUSED_SECONDS: Final = 0.6  # in which libzmq tries about four times
_impatient: Final = ContextVar("impatient", default=False)
_answered: Final[set[str]] = set()  # the addresses of services that have answered this process


@contextmanager
def impatience() -> Iterator[None]:
    """Let requests fail early where nobody listens."""
    token = _impatient.set(True)
    try:
        yield
    finally:
        _impatient.reset(token)


def waits(address: str) -> bool:
    """Return whether a request waits for its service even if the connection is refused."""
    return not _impatient.get() or address in _answered


def note_answer(address: str) -> None:
    """Note that a service is there."""
    _answered.add(address)


class Attempts:
    """Connects, and counts how the attempts of libzmq end."""

    def __init__(self, loop: Loop) -> None:
        """Nothing was tried yet."""
        self._loop = loop
        self._monitors: list[Socket] = []
        self._failed = self._connected = 0

    def connect(self, address: str, curve: CurveClient | None) -> Socket:
        """Return a DEALER socket whose attempts are counted."""
        socket, monitor = sockets.connect_watched(address, curve)
        self._monitors.append(monitor)
        self._loop.add(monitor, lambda: self._take(monitor))
        return socket

    @property
    def all_failed(self) -> bool:
        """Whether nobody listens there: the connection was refused each time, or the host is not known or reachable."""
        return bool(self._failed) and not self._connected

    def close(self) -> None:
        """Close what counts; the sockets belong to others."""
        for monitor in self._monitors:
            self._loop.remove(monitor)
            monitor.close()

    def _take(self, monitor: Socket) -> None:
        while message := sockets.receive(monitor):
            connected = sockets.read_event(message)[0] == zmq.EVENT_CONNECTED
            self._connected += connected
            self._failed += not connected
