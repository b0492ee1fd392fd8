"""A peer on a bare TCP socket that speaks ZMTP 3 as far as a test wants, and then whatever it likes."""

import socket
import struct
from types import TracebackType
from typing import Final, Self

from bus.protocol.addresses import Address
from tests.support.helpers import PATIENCE, TIME_FACTOR

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
