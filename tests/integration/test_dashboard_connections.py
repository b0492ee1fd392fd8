"""Connections to the dashboard: none stays open for a request that does not come or a reply that is not read."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Final

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from variantbus.dashboard import connection
from variantbus.dashboard.connection import Connection

SHORT: Final = 0.2 * TIME_FACTOR  # seconds that stand for the real deadlines
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"


async def _answer(request: Request) -> PlainTextResponse:
    await request.body()
    return PlainTextResponse("ok")


async def _parts() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536
        await asyncio.sleep(0)  # the server itself does not wait any more once the client has gone


async def _stream(_request: Request) -> StreamingResponse:
    return StreamingResponse(_parts())


class Server(uvicorn.Server):
    """A server in a thread, which has the signals to itself in no case."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


@pytest.fixture
def server(no_leaks: None) -> Iterator[tuple[Server, int]]:  # noqa: ARG001 - asked for what it does
    """Run a small application behind our connections; yield it with its port."""
    app = Starlette(routes=[Route("/", _answer, methods=["GET", "POST"]), Route("/stream", _stream)])
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, http=Connection, ws="none", log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started, what="the server")
    yield server, listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def connect(port: int, request: bytes = b"") -> socket.socket:
    """Connect, and send something."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE * TIME_FACTOR)
    client.sendall(request)
    return client


def rest(client: socket.socket) -> bytes:
    """Return all that comes until the connection is closed, and close our side."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.fault(item="F68")
@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408 "),
        (HEAD, b"HTTP/1.1 408 "),
        (HEAD + b"\r\n12", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", b"HTTP/1.1 200 "),
        (HEAD + b"\r\n1234" + HEAD + b"\r\n12", b"HTTP/1.1 200 "),
    ],
)
def test_a_request_that_is_not_complete_in_time_ends(
    server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch, request_: bytes, answer: bytes
) -> None:
    """Nothing, half a head, half a body, and the same behind a whole request; others are served meanwhile."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", SHORT)
    server[0].config.timeout_keep_alive = 1

    slow = connect(server[1], request_)
    with connect(server[1], b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as other:
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")

    assert rest(slow).startswith(answer)


@pytest.mark.fault(item="F68")
@pytest.mark.parametrize(
    "request_", [b"GET /", HEAD + b"X: ", HEAD + b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /"]
)
def test_a_byte_now_and_then_does_not_keep_a_connection(
    server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    """The time counts from the beginning of a request."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 5 * SHORT)
    monkeypatch.setattr(connection, "LINGER_SECONDS", SHORT)
    with connect(server[1], request_) as client:
        client.settimeout(1.75 * SHORT)  # with three bytes, the body of HEAD is not complete when the time is over

        def is_closed() -> bool:
            try:
                if client.recv(65536) == b"":
                    return True
                client.sendall(b"x")
            except TimeoutError:
                client.sendall(b"x")
            except ConnectionError:
                return True
            return False

        wait_until(is_closed, what="the end")


@pytest.mark.fault(item="F68")
def test_a_reply_that_nobody_reads_is_given_up(server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that sleeps would otherwise hold its place, and what waits for it, for ever."""
    monkeypatch.setattr(connection, "READ_SECONDS", SHORT)

    with connect(server[1], b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert client.recv(1)  # the server's list of connections may have lost this one before anybody looks
        wait_until(lambda: not server[0].server_state.connections, what="its end")


@pytest.mark.fault(item="F68")
def test_a_page_that_reads_slowly_is_served(server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it reads something now and then."""
    monkeypatch.setattr(connection, "READ_SECONDS", 2 * SHORT)
    with connect(server[1], b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        for _ in range(6):
            left = 8 << 20  # more than the system holds for us
            while left > 0:
                got = len(client.recv(1 << 20))
                assert got
                left -= got
            time.sleep(SHORT)  # its pace is what is tested


@pytest.mark.fault(item="F68")
def test_one_connection_too_many_gets_an_answer(server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """And as soon as another one has gone, the next one is served."""
    monkeypatch.setattr(connection, "CONNECTIONS", 20)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server[1], b"GET")) for _ in range(20)]
        wait_until(lambda: len(server[0].server_state.connections) == 20, what="all of them")

        refused = rest(connect(server[1], request))
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'{"error":"too many connections; close some pages"}' in refused

        clients[0].close()
        wait_until(lambda: len(server[0].server_state.connections) < 20, what="a free place")
        with connect(server[1], request) as served:
            assert served.recv(65536).startswith(b"HTTP/1.1 200 ")
