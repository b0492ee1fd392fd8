"""A peer on a bare TCP socket that speaks ZMTP 3 as far as a test wants, and then whatever it likes."""

import fcntl
import os
import select
import socket
import struct
import sys
import termios
from types import TracebackType
from typing import Final, NamedTuple, Self

import psutil

from bus.protocol.addresses import Address
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until

LONG: Final = 256
GREETING_BYTES: Final = 64
SIGNATURE: Final = b"\xff" + b"\0" * 8 + b"\x7f"


def greeting(mechanism: bytes = b"NULL", version: bytes = b"\x03\x00") -> bytes:
    """Return the 64 bytes that begin a connection."""
    return SIGNATURE + version + mechanism.ljust(20, b"\0") + b"\0" * 32


def frame(body: bytes, *, more: bool = False) -> bytes:
    """Return one frame of a message."""
    if len(body) < LONG:
        return bytes([int(more), len(body)]) + body
    return struct.pack(">BQ", 2 + int(more), len(body)) + body


def ready(kind: bytes) -> bytes:
    """Return the command that ends the NULL handshake of a socket of this kind."""
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind + b"\x08Identity\0\0\0\0"
    return bytes([4, len(body)]) + body


class OtherEnd(NamedTuple):
    """The end of a connection that is libzmq's, in this process."""

    descriptor: int
    inode: int

    def is_closed(self) -> bool:
        """Return whether libzmq has closed it; its number may be another's by now."""
        try:
            return os.fstat(self.descriptor).st_ino != self.inode
        except OSError:
            return True

    def is_broken(self) -> bool:
        """Return whether the system has heard of the end of the connection."""
        poll = select.poll()
        poll.register(self.descriptor, 0)  # errors are always told
        return self.is_closed() or bool(poll.poll(0))


def _waiting(descriptor: int, request: int) -> int:
    """Return how many bytes wait in one direction of a connection."""
    return int.from_bytes(fcntl.ioctl(descriptor, request, bytes(4)), sys.byteorder)


class Peer:
    """A TCP connection to one of our ports."""

    def __init__(self, address: Address, *sent: bytes) -> None:
        """Connect and send; behind a greeting, wait for the other side's.

        What comes in one piece with a greeting libzmq looks at only when more comes.
        """
        self.socket = socket.create_connection(address, timeout=PATIENCE * TIME_FACTOR)
        try:
            for part in sent:
                self.send(part)
                if len(part) == GREETING_BYTES:
                    self._read(GREETING_BYTES)
        except BaseException:
            self.close()
            raise

    def taken_in(self) -> OtherEnd:
        """Wait until libzmq has read all that was sent, and return its end of the connection."""
        here, there = self.socket.getsockname(), self.socket.getpeername()
        ends = psutil.Process().net_connections("tcp")
        (found,) = (one.fd for one in ends if (one.laddr, one.raddr) == (there, here))
        wait_until(lambda: not _waiting(self.socket.fileno(), termios.TIOCOUTQ), what="the arrival of what was sent")
        wait_until(lambda: not _waiting(found, termios.FIONREAD), what="libzmq, which reads it")
        return OtherEnd(found, os.fstat(found).st_ino)

    def send(self, *parts: bytes) -> bool:
        """Send; False if the connection is closed by now."""
        try:
            self.socket.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _read(self, count: int) -> None:
        """Read so many bytes, or to the end if the other side wants nothing of us."""
        try:
            while count and (received := self.socket.recv(count)):
                count -= len(received)
        except ConnectionResetError:
            return

    def is_cut(self, seconds: float) -> bool:
        """Read until the other side closes the connection; False if it does not in time."""
        self.socket.settimeout(seconds * TIME_FACTOR)
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Hang up by a reset, as the system does for a process that was killed before it had read everything."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.close()


def connected(address: Address, kind: bytes) -> Peer:
    """Connect as a socket of some kind, without keys."""
    return Peer(address, greeting(), ready(kind))
