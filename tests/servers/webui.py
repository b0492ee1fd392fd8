"""A fake of AUTOMATIC1111's web UI and of Forge, for tests, in threads of the test and on a port of its own."""

import base64
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from tests.servers.webui_settings import Refused
from tests.servers.webui_site import API, OtherJob, Request, Site
from tests.support.helpers import when_free

GZIP_BYTES: Final = 1000
Spoiled = Literal["cut", "garbage", "half", "empty"]


class FakeWebui(Site):
    """The server; it remembers every request."""

    def __init__(self, *, password: str = "", port: int = 0, **options: bool) -> None:
        """Listen; `password` is the `user:password` of `--api-auth`."""
        super().__init__(**options)
        self.password = password
        self.requests: list[Request] = []
        self.spoiled: list[Spoiled] = []  # answers of the next jobs
        self.canned: dict[str, tuple[int, bytes]] = {}  # answers to paths, as a proxy gives them
        self.broken_posts: set[str] = set()  # paths at which what is sent gets no answer
        self._others: list[OtherJob] = []
        self._server = when_free(lambda: _Server(("127.0.0.1", port), self._handler()))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01), name="fake web UI")
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many were opened."""
        return self._server.opened

    def close(self) -> None:
        """Die: connections are cut, jobs and threads end; once suffices."""
        self._server.shutdown()
        self._server.cut()
        self.worker.closing = True
        self.worker.notify()
        for other in self._others:
            other.finish()
        self._server.server_close()
        self._thread.join()

    def other_job(self, override: Mapping[str, Any] | None = None, *, restore: bool = True) -> OtherJob:
        """Queue a job of somebody else."""
        self._others.append(OtherJob(self.worker, override or {}, restore=restore))
        return self._others[-1]

    def sent(self, stage: str = "txt2img") -> list[Any]:
        """Return the jobs that came, as they were sent."""
        return self.bodies(f"{API}/{stage}")

    def bodies(self, path: str) -> list[Any]:
        """Return what was posted to a path."""
        return [request.body for request in self.requests if (request.method, request.path) == ("POST", path)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(_Handler):
            server_of_test = fake

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # all are waited for

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        self.opened = 0
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        self.opened += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Cut what clients keep open."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that have disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets
    server_of_test: FakeWebui

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._reply("GET")

    def do_POST(self) -> None:
        self._reply("POST")

    def _reply(self, method: str) -> None:
        fake, parts = self.server_of_test, urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(method, parts.path, dict(parse_qsl(parts.query)), json.loads(data) if data else None)
        fake.requests.append(request)
        if parts.path in fake.canned:
            self._send(*fake.canned[parts.path], kind="text/html")
            return
        if method == "POST" and parts.path in fake.broken_posts:
            self.close_connection = True  # without an answer
            return
        expected = "Basic " + base64.b64encode(fake.password.encode()).decode()
        if fake.password and self.headers.get("Authorization") != expected:
            body = {"error": "HTTPException", "detail": "Incorrect username or password", "body": "", "errors": ""}
            self._send(401, json.dumps(body).encode())
            return
        try:
            answer = fake.answer(request)
        except Refused as refused:
            self._send(refused.status, refused.body if isinstance(refused.body, bytes) else _json(refused.body))
            return
        self._send_job(answer) if fake.spoiled and "images" in (answer or {}) else self._send(200, _json(answer))

    def _send_job(self, answer: dict[str, Any]) -> None:
        """Send the picture of a job as it is not to be."""
        how = self.server_of_test.spoiled.pop(0)
        if how == "cut":
            data = _json(answer)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        whole = base64.b64decode(answer["images"][0])
        spoiled = {"garbage": ["%%% no base64 %%%"], "half": [base64.b64encode(whole[: len(whole) // 2]).decode()]}
        self._send(200, _json({**answer, "images": spoiled.get(how, [])}))

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        if len(data) > GZIP_BYTES and "gzip" in self.headers.get("Accept-Encoding", ""):
            data = gzip.compress(data)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _json(answer: Any) -> bytes:
    return json.dumps(answer).encode()
