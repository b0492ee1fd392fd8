"""One job over a websocket: a thread sends the request and notes what comes, so that nothing blocks the job itself."""

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, Self

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from pipeline_runner.pipelines.http_client import (
    CONNECT_SECONDS,
    KEEP_ALIVE,
    PICTURE_BYTES,
    NoAnswer,
    ServerFault,
)
from pipeline_runner.pipelines.refusals import refusal_kind
from pipeline_runner.pipelines.swarmui.news import News, read_message

CLOSE_SECONDS: Final = 0.5


class Conversation:
    """One request and its messages; `close` cuts the connection, which does not end the job at the server.

    Attributes:
        session: The session that the request belongs to.
    """

    def __init__(self, url: str, body: Mapping[str, Any], session: str) -> None:
        """Start to connect and to send; the session is all that the server asks for."""
        self.session = session
        self._url, self._body = url, body
        self._arrived = SimpleQueue[str | ServerFault]()
        self._connection: ClientConnection | None = None
        self._closed = False
        self._lock = threading.Lock()  # `close` finds the connection, or the thread finds that it is closed
        self._thread = threading.Thread(target=self._run, name="a job of SwarmUI", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come, and all that came was read."""
        return not self._thread.is_alive() and self._arrived.empty()

    def wait(self, seconds: float) -> News:
        """Wait so long for the next message; None if there is none, or none that matters.

        After the last one comes a `NoAnswer`, and then nothing more.
        """
        try:
            arrived = self._arrived.get(timeout=seconds)
        except Empty:
            return None
        return arrived if isinstance(arrived, ServerFault) else read_message(arrived, self._url)

    def close(self) -> None:
        """Hear nothing more."""
        with self._lock:
            self._closed = True
            if self._connection:
                with contextlib.suppress(OSError):  # the other side was faster
                    self._connection.socket.shutdown(socket.SHUT_RDWR)  # it wakes whoever reads or sends
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                with self._lock:
                    self._connection = connection
                    if self._closed:
                        return
                connection.send(json.dumps(self._body, allow_nan=False))
                for message in connection:
                    if isinstance(message, str):
                        self._arrived.put(message)
            self._arrived.put(NoAnswer("unreachable", f"{self._url} closed the connection"))
        except ConnectionClosed as error:
            self._arrived.put(NoAnswer("unreachable", f"the connection to {self._url} was cut: {error}"))
        except InvalidStatus as error:
            status = error.response.status_code
            kind = refusal_kind(status, "", by_server=False)
            self._arrived.put(NoAnswer(kind, f"{self._url} answered {status}, and is no websocket"))
        except (OSError, WebSocketException) as error:
            self._arrived.put(NoAnswer("unreachable", f"{self._url} cannot be reached: {error}"))

    def _connect(self) -> ClientConnection:
        connection = connect(
            self._url,
            open_timeout=CONNECT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=PICTURE_BYTES,
            ping_interval=None,  # a server that loads a model answers none, and is well; the system asks instead
            compression=None,
            proxy=None,  # HTTP takes none either
        )
        for option in KEEP_ALIVE:
            connection.socket.setsockopt(*option)
        return connection
