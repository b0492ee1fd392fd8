"""HTTP requests to an image server; the only exception is `ServerFault`."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.server_access import authorization, check_url, cookie_of

CONNECT_SECONDS: Final = 5.0
CANCEL_SECONDS: Final = 0.2  # until a cancellation is noticed
LIST_SECONDS: Final = 10.0  # for requests that are answered at once
HINT_SECONDS: Final = 5.0
HINT_BYTES: Final = 1 << 20
# of an answer once it is unpacked
LIST_BYTES: Final = 64 << 20  # tens of thousands of names
PICTURE_BYTES: Final = 512 << 20  # a batch of large pictures in base64 is below
_CHUNK: Final = 1 << 20
# nothing comes from a server that computes, nor from one that has lost its power: the system asks which it is
_IDLE_OPTION: Final = getattr(socket, "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE")
KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, _IDLE_OPTION, 30),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_SURROGATES: Final = (rb"\ud", rb"\uD")
_JSON_HEADERS: Final = {"Content-Type": "application/json"}


class ServerFault(Exception):  # noqa: N818 - it becomes the error of a job, with the kind as its name
    """No usable answer: `kind` is what `pipeline_runner.queue.retries` knows, the text is for people."""

    def __init__(self, kind: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.kind, self.message = kind, message


class NoAnswer(ServerFault):
    """The answer did not come in time, or not all of it."""


class AbandonedError(Exception):
    """Nobody waits for the answer any more."""


class AnswerTooLarge(ServerFault):
    """The answer has more bytes than were asked for."""


class Reply(NamedTuple):
    """What the server answered, unpacked."""

    status: int
    data: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is a success (2xx)."""
        return 200 <= self.status < 300  # noqa: PLR2004 - as HTTP says

    def json(self) -> Any:
        """Read the answer as JSON.

        Half a surrogate, which servers in Python write for a file name that is no text, becomes `?`: no message could
        hold it.

        Raises:
            ServerFault: it is none (`server_error`): a proxy's page, or a server that failed half-way.
        """
        try:
            found = json.loads(self.data)
            if any(mark in self.data for mark in _SURROGATES):
                return json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            start = self.data[:80].decode("utf-8", "replace")
            raise ServerFault("server_error", f"the server answered {self.status} with no JSON: {start!r}") from None
        return found


class HttpClient:
    """One server; may be used by several threads. Each request has a connection of its own.

    A kept one may have been closed by a server that was started again, and nobody would know whether it had read the
    request.
    """

    def __init__(self, address: ServerAddress, *, cookie: str = "") -> None:
        """Keep the address; nothing is sent yet.

        Where there is a `cookie`, the file holds not user and password but its value.

        Raises:
            InvalidInputError: the address is no http:// or https:// URL, or the file with the password is not usable.
        """
        self.url = check_url(address.url)
        credentials = cookie_of(address, cookie) if cookie else authorization(address)
        self._headers = {"Accept-Encoding": "gzip", "Connection": "close", **credentials}

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        seconds: float = LIST_SECONDS,
        most: int = LIST_BYTES,
    ) -> Reply:
        """Ask for something that changes nothing.

        Raises:
            ServerFault: `unreachable`; `timeout` where not all of the answer has come in so many seconds;
                `server_error` where it has more than `most` bytes.
        """
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path, None, {}, (seconds, most))

    def hint(self, path: str) -> Any:
        """Return the JSON of an answer that nothing depends on, None where there is none that can be used."""
        try:
            reply = self.get(path, seconds=HINT_SECONDS, most=HINT_BYTES)
            return reply.json() if reply.ok else None
        except ServerFault:
            return None

    def get_file(
        self,
        path: str,
        query: Mapping[str, str],
        target: Path,
        *,
        seconds: float,
        most: int,
        cancelled: Callable[[], bool],
    ) -> Reply:
        """Ask for a file, whose bytes are written to `target` and not kept in memory; those of a refusal are kept.

        Raises:
            AbandonedError: it was cancelled meanwhile.
            OSError: the target cannot be written.
            AnswerTooLarge: it has more than `most` bytes.
            ServerFault: as `get` does.
        """
        end, where = time.monotonic() + seconds, f"{path}?{urlencode(query)}"
        with Exchange(self.url, "GET", where, None, self._headers, most, target) as exchange:
            while not exchange.wait(CANCEL_SECONDS) and time.monotonic() < end:
                if cancelled():
                    raise AbandonedError
            late = not exchange.done
        return self._reply_of(exchange, where, seconds, late=late)

    def post(self, path: str, body: object, *, seconds: float = LIST_SECONDS) -> Reply:
        """Send JSON, once: a request without an answer may have been executed. It raises as `get` does."""
        return self._send("POST", path, _json(body), _JSON_HEADERS, (seconds, LIST_BYTES))

    def long_post(self, path: str, body: object) -> "Exchange":
        """Send JSON as `post` does, and do not wait: the answer may take hours, and be large."""
        return Exchange(self.url, "POST", path, _json(body), self._headers | _JSON_HEADERS, PICTURE_BYTES)

    def post_form(
        self, path: str, fields: Mapping[str, str | tuple[str, bytes]], *, seconds: float = LIST_SECONDS
    ) -> Reply:
        """Send a form as `post` does; a field is a text, or a file as its name and content."""
        body, content_type = urllib3.encode_multipart_formdata(fields)
        return self._send("POST", path, body, {"Content-Type": content_type}, (seconds, LIST_BYTES))

    def _send(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
        bounds: tuple[float, int],
    ) -> Reply:
        """Limit the time of the whole answer; a limit for each read would never end a slow drip."""
        seconds, most = bounds
        with Exchange(self.url, method, target, body, self._headers | headers, most) as exchange:
            late = not exchange.wait(seconds)
        return self._reply_of(exchange, target, seconds, late=late)

    def _reply_of(self, exchange: "Exchange", target: str, seconds: float, *, late: bool) -> Reply:
        if late and exchange.connected:
            raise NoAnswer("timeout", f"{self.url} did not answer {target} within {seconds:g} s")
        return exchange.reply()


class Exchange:
    """One request, in a thread of its own that ends with it: `close` cuts the connection and waits for the thread."""

    def __init__(
        self,
        url: str,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        most: int,
        into: Path | None = None,
    ) -> None:
        """Start; connecting takes at most `CONNECT_SECONDS`, the answer any time, and at most so many bytes.

        The bytes of a success go into the file `into`, if one is named.
        """
        self._url, self._method, self._target = url, method, target
        self._body, self._headers, self._most, self._into = body, headers, most, into
        self._outcome: Reply | ServerFault | _UnwritableError = NoAnswer(
            "unreachable", f"the connection to {url} was closed"
        )
        self._socket: socket.socket | None = None
        self._closed = False
        self.connected = False  # whether the server was reached
        self._lock = threading.Lock()  # `close` finds the socket, or the thread finds that it is closed
        self._thread = threading.Thread(target=self._run, name=f"{method} {target}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def done(self) -> bool:
        """Return whether the answer has come, or has failed."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer at most so long; return whether it has come."""
        self._thread.join(seconds)
        return self.done

    def reply(self) -> Reply:
        """Wait for the answer and return it.

        Raises:
            ServerFault: there is none (`unreachable`), or it is too large.
            OSError: the file for it cannot be written.
        """
        self._thread.join()
        if isinstance(self._outcome, _UnwritableError):
            raise self._outcome.error
        if isinstance(self._outcome, ServerFault):
            raise self._outcome
        return self._outcome

    def close(self) -> None:
        """Abandon the answer, if it has not come."""
        with self._lock:
            self._closed = True
            if self._socket:
                with contextlib.suppress(OSError):  # the other side was faster
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # of TLS too: it wakes whoever reads
        self._thread.join()

    def _run(self) -> None:
        connection = _connection(self._url)
        try:
            connection.connect()
            with self._lock:
                self._socket = connection.sock
                self.connected = True
                if self._closed:
                    return
            connection.timeout = None  # it sets that of the socket anew with the request
            path = urlsplit(self._url).path + self._target
            connection.request(self._method, path, body=self._body, headers=self._headers, preload_content=False)
            response = connection.getresponse()
            self._outcome = self._taken(response)
        except (ServerFault, _UnwritableError) as fault:
            self._outcome = fault
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            self._outcome = _unreachable(self._url, error)
        finally:
            with self._lock:
                self._socket = None
            connection.close()

    def _taken(self, response: urllib3.BaseHTTPResponse) -> Reply:
        reply = Reply(response.status, b"")
        if not self._into or not reply.ok:
            return reply._replace(data=b"".join(_parts(response, self._most)))
        with _writing():
            file = self._into.open("wb")
        with file:
            for part in _parts(response, self._most):
                with _writing():
                    file.write(part)
            with _writing():
                file.flush()
        return reply


class _UnwritableError(Exception):
    """The file for an answer cannot be written, which is no fault of the server."""

    def __init__(self, error: OSError) -> None:
        """Keep why."""
        super().__init__()
        self.error = error


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _UnwritableError(error) from None


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    options = [*HTTPConnection.default_socket_options, *KEEP_ALIVE]
    return kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS, socket_options=options)


def _json(body: object) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _unreachable(url: str, error: Exception) -> NoAnswer:
    return NoAnswer("unreachable", f"{url} cannot be reached: {_reason(error)}")


def _parts(response: urllib3.BaseHTTPResponse, most: int) -> Iterator[bytes]:
    """Read an answer to its end; more than anything of its kind needs is a fault of the server, not of our memory."""
    size = 0
    for part in response.stream(_CHUNK, decode_content=True):
        size += len(part)
        if size > most:
            response.close()
            raise AnswerTooLarge("server_error", f"the answer has more than {most >> 20} MiB")
        yield part


def _reason(error: Exception) -> str:
    """Return the innermost cause in short: the outer ones repeat the address."""
    cause: BaseException = error
    while (inner := getattr(cause, "reason", None) or cause.__cause__) and isinstance(inner, BaseException):
        cause = inner
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return text.rpartition(": ")[2] or type(cause).__name__
