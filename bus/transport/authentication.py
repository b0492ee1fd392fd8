"""Authentication at a publisher's sockets: who may connect (ZAP, ZeroMQ RFC 27), and what a connected key may do.

libzmq asks one handler in each context, so a publisher with keys has a context of its own. The handler is in the
publisher's loop: as long as the service lives, it answers.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final

import zmq
from zmq.utils import z85

from bus.protocol.control import Role
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Point
from bus.transport import sockets
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from bus.transport.sockets import CurveServer

ENDPOINT: Final = "inproc://zeromq.zap.01"  # the address that libzmq connects to
VERSION: Final = b"1.0"
REQUEST_FRAMES: Final = 9  # routing id, delimiter, version, request id, domain, address, identity, mechanism, key
KEY_BYTES: Final = 32
REQUESTS_A_TURN: Final = 100
HELP: Final = {
    "variantbus_connections_total": "Connections of keys, admitted or denied; where there are keys.",
}
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a peer must not decide how much we log


class Authenticator:
    """Admits only the keys of a folder's `peers` file."""

    def __init__(self, keys: Keys, loop: Loop) -> None:
        """Answer libzmq's questions from now on; before a socket is bound with `server`."""
        self._keys, self._loop = keys, loop
        self.admitted = self.denied = 0
        context: zmq.Context[sockets.Socket] = zmq.Context()
        self.server = CurveServer(context=context, secret=keys.secret.encode())
        self._socket: sockets.Socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(ENDPOINT)
        loop.add(self._socket, self._on_requests)

    def role_of(self, user: str) -> Role | None:
        """Return the present role of a key; None if it is not or no longer listed.

        The User-Id of a frame is the key of its sender.
        """
        try:
            return self._keys.role_of(user)
        except Exception:
            logger.warning("the peers file cannot be consulted", exc_info=True)
            return None

    def points(self) -> Iterator[Point]:
        """Yield the numbers of admitted and denied connections."""
        for outcome, count in (("admitted", self.admitted), ("denied", self.denied)):
            yield "variantbus_connections_total", {"outcome": outcome}, count

    def close(self) -> None:
        """Stop; after the sockets that were bound with `server` are closed, whose linger this waits for."""
        self._loop.remove(self._socket)
        self._socket.close()
        self.server.context.term()

    def _on_requests(self) -> None:
        for _ in range(REQUESTS_A_TURN):
            frames = sockets.receive(self._socket)
            if frames is None:
                return
            sockets.send_frames(self._socket, zap_reply(frames, self._admit))

    def _admit(self, key: str, address: str) -> bool:
        if self.role_of(key):
            self.admitted += 1
            return True
        self.denied += 1
        logger.warning("%s may not connect: its key %s is not in the peers file", address, key)
        return False


def zap_reply(frames: list[bytes], admit: Callable[[str, str], bool]) -> list[bytes]:
    """Answer a question of libzmq; `admit` is given the client's key and IP address.

    An unknown key gets 300, "later": the connection ends silently after the handshake time (5 s), and libzmq tries
    again by itself. After a 400 it never would, so that a client which is enrolled while it runs would stay out.
    """
    request_id = frames[3] if len(frames) > 3 else b""  # noqa: PLR2004 - its place
    head = [*frames[:2], VERSION, request_id]
    if len(frames) != REQUEST_FRAMES or frames[2] != VERSION or frames[7] != b"CURVE" or len(frames[8]) != KEY_BYTES:
        return [*head, b"500", b"not understood", b"", b""]
    key = z85.encode(frames[8]).decode()
    if not admit(key, frames[5].decode("ascii", "replace")):
        return [*head, b"300", b"not enrolled", b"", b""]
    return [*head, b"200", b"OK", key.encode(), b""]
