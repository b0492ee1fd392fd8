"""A TCP proxy that does to a connection what bad networks do, in a thread of its own.

`faults` may be changed at any time, for connections that exist as well: see `NetworkFaults`.
"""

import contextlib
import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from bus.protocol.addresses import Address
from tests.support.helpers import PATIENCE, TIME_FACTOR

CHUNK: Final = 65_536
HELD_LIMIT: Final = 1 << 22  # bytes that wait in one direction; then the proxy stops reading, as a full buffer would
TURN_SECONDS: Final = 0.01
IDLE_SECONDS: Final = 0.05  # while nothing waits
Cut = Literal["", "both", "to_server", "to_client"]


@dataclass(frozen=True)
class NetworkFaults:
    """What happens to bytes on their way, in both directions."""

    latency: float = 0.0  # seconds that each chunk waits
    blackhole: bool = False  # bytes are read and thrown away; nobody is told
    hold: bool = False  # bytes wait until this ends, and then come all at once
    slice: int = CHUNK  # bytes that are sent at a time
    flip: float = 0.0  # chance that one bit of a chunk is flipped
    cut_after: int | None = None  # bytes; then the connection is reset, in the middle of whatever it carries
    refuse: bool = False  # new connections are reset at once
    cut: Cut = ""  # nothing passes, not even that somebody closes; what was sent waits, and new connections do


class _Pipe:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, way: Cut) -> None:
        self.source, self.sink, self.way = source, sink, way
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.passed = 0

    @property
    def held(self) -> int:
        return sum(len(chunk) for _, chunk in self.waiting)


class Proxy:
    """Listens on a port of its own and passes on to one address."""

    def __init__(self, target: Address, faults: NetworkFaults | None = None) -> None:
        """Start the thread; `address` is what clients are given."""
        self.target = target
        self.faults = faults or NetworkFaults()
        self._chance = random.Random(26)  # noqa: S311 - a test that can be repeated
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pipes: dict[socket.socket, _Pipe] = {}
        self._silent: list[_Pipe] = []  # one end has closed in a black hole
        self._parted: list[socket.socket] = []  # of connections that ended, or began, behind a cut
        self._ended = threading.Event()
        self._reset = threading.Event()
        self.connections = 0
        self.thread = threading.Thread(target=self._run, name=f"proxy {self.address.port}", daemon=True)
        self.thread.start()

    def reset_all(self) -> None:
        """Reset every connection."""
        self._reset.set()

    def close(self) -> None:
        """End the thread, which closes its sockets."""
        self._ended.set()
        self.thread.join(PATIENCE * TIME_FACTOR)
        assert not self.thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            waits = any(pipe.waiting for pipe in self._pipes.values())
            for key, _ in self._selector.select(TURN_SECONDS if waits else IDLE_SECONDS):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # we register sockets only
            if self._reset.is_set():
                self._reset.clear()
                for pipe in list(self._pipes.values()):
                    self._drop(pipe)
            for pipe in list(self._pipes.values()):
                self._write(pipe)
            if self._parted and not self.faults.cut:
                self._join()
        self._join()
        for pipe in [*self._pipes.values(), *self._silent]:
            self._drop(pipe)
            pipe.source.close()
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.faults.refuse:
            _reset(client)
            return
        if self.faults.cut:
            self._parted.append(client)
            return
        try:
            server = socket.create_connection(self.target, timeout=1.0)
        except OSError:
            _reset(client)
            return
        self.connections += 1
        ways: tuple[tuple[socket.socket, socket.socket, Cut], ...]
        ways = ((client, server, "to_server"), (server, client, "to_client"))
        for one, other, way in ways:
            one.setblocking(False)
            self._pipes[one] = _Pipe(one, other, way)
            self._selector.register(one, selectors.EVENT_READ)

    def _read(self, source: socket.socket) -> None:
        pipe = self._pipes.get(source)
        if pipe is None or pipe.held > HELD_LIMIT:
            return
        try:
            chunk = source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk and self.faults.blackhole:
            self._selector.unregister(source)  # the other end does not hear of it
            self._silent.append(self._pipes.pop(source))
        elif not chunk and self._is_cut(pipe.way):
            self._part(pipe)
        elif not chunk:
            self._drop(pipe)
        elif not self.faults.blackhole:
            pipe.waiting.append((time.monotonic() + self.faults.latency, self._spoiled(chunk)))

    def _spoiled(self, chunk: bytes) -> bytes:
        if self._chance.random() >= self.faults.flip:
            return chunk
        spoiled = bytearray(chunk)
        spoiled[self._chance.randrange(len(spoiled))] ^= 1 << self._chance.randrange(8)
        return bytes(spoiled)

    def _write(self, pipe: _Pipe) -> None:
        how = self.faults
        if how.hold or self._is_cut(pipe.way):
            return
        while pipe.waiting and pipe.waiting[0][0] <= time.monotonic():
            due, chunk = pipe.waiting.popleft()
            part = chunk[: how.slice]
            if how.cut_after is not None:
                part = part[: max(0, how.cut_after - pipe.passed)]
            try:
                sent = pipe.sink.send(part) if part else 0
            except BlockingIOError:
                sent = 0
            except OSError:
                if self.faults.cut:  # the way back is cut, so the one who sent this hears nothing of it
                    self._part(pipe)
                else:
                    self._drop(pipe)
                return
            pipe.passed += sent
            if how.cut_after is not None and pipe.passed >= how.cut_after:
                self._drop(pipe)
                return
            if sent < len(chunk):
                pipe.waiting.appendleft((due, chunk[sent:]))
                if sent < len(part):
                    return

    def _is_cut(self, way: Cut) -> bool:
        return self.faults.cut in (way, "both")

    def _part(self, pipe: _Pipe) -> None:
        """Leave both ends of a connection as they are, one of which has closed, until the cut ends."""
        for one in (pipe.source, pipe.sink):
            if self._pipes.pop(one, None):
                self._selector.unregister(one)
                self._parted.append(one)

    def _join(self) -> None:
        """Let all who are at one end of a broken connection hear of it."""
        for one in self._parted:
            _reset(one)
        self._parted.clear()

    def _drop(self, pipe: _Pipe) -> None:
        """Reset both ends of a connection."""
        for one in (pipe.source, pipe.sink):
            if self._pipes.pop(one, None):
                self._selector.unregister(one)
                _reset(one)


def _reset(one: socket.socket) -> None:
    """Close with RST instead of FIN."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
