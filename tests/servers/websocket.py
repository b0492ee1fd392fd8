"""The server's end of a websocket inside a handler of `http.server`, by the protocol of the library `websockets`."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

CHUNK = 65536


class WebSocket:
    """One client; may be sent to by any thread while its own thread serves it."""

    def __init__(self, connection: socket.socket, path: str, headers: Iterable[tuple[str, str]]) -> None:
        """Answer the handshake that the handler has read; the answer goes out with the first message."""
        self._connection, self._lock = connection, threading.Lock()
        self._protocol = ServerProtocol()
        self._protocol.receive_data(Request(path, Headers(headers)).serialize())
        (request,) = self._protocol.events_received()
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))

    def serve(self, heard: Callable[[str], None] = lambda _: None) -> None:
        """Read until the client has gone; call `heard` with each text that it sends."""
        while not self._protocol.close_expected() or self._connection.fileno() >= 0:
            try:
                data = self._connection.recv(CHUNK)
            except OSError:
                return
            with self._lock:
                if data:
                    self._protocol.receive_data(data)
                else:
                    self._protocol.receive_eof()
                events = self._protocol.events_received()
                self._flush()
            for event in events:
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    heard(bytes(event.data).decode())
            if not data or self._protocol.close_expected():
                return

    def send(self, message: str | bytes) -> None:
        """Send a message; a client that has gone gets none."""
        with self._lock:
            try:
                if isinstance(message, str):
                    self._protocol.send_text(message.encode())
                else:
                    self._protocol.send_binary(message)
            except InvalidState:
                return
            self._flush()

    def open(self) -> None:
        """Send the answer to the handshake now, where no message follows at once."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """End the connection in good order."""
        with self._lock, contextlib.suppress(InvalidState):
            self._protocol.send_close(1000)
            self._flush()

    def drop(self) -> None:
        """Cut the connection."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                try:
                    self._connection.sendall(data)
                except OSError:
                    return
