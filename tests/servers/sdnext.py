"""A fake SD.Next, for tests, in threads of the test and on a port of its own."""

import base64
import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from PIL import Image

from tests.servers.sdnext_jobs import (
    LORAS,
    MODELS,
    SAMPLERS,
    UPSCALERS,
    VAES,
    Behaviour,
    Engine,
    Refused,
    painted,
)
from tests.support.helpers import when_free

API: Final = "/sdapi/v1/"


class Request(NamedTuple):
    """A request as it came."""

    path: str
    body: Any


def lists() -> dict[str, Any]:
    """Return the lists as the server tells them; that of the schedulers has samplers in it."""
    models = [
        {
            "title": f"{name} [{short}]" if short else name,
            "model_name": name,
            "filename": f"/models/sd/{name}.safetensors",
            "type": "safetensors",
            "sha256": None,
            "hash": short,
            "config": None,
        }
        for name, short in MODELS
    ]
    return {
        "samplers": [{"name": name, "options": {}} for name in SAMPLERS[1:]],
        "options": {"sd_model_checkpoint": models[0]["title"], "samples_format": "jpg"},
        "schedulers": [{"name": name, "cls": "<lambda>", "options": {}} for name in SAMPLERS],
        "sd-models": models,
        "sd-vae": [{"model_name": name, "filename": f"/models/vae/{name}"} for name in VAES],
        "loras": [{"name": name, "alias": alias, "path": "", "metadata": {}} for name, alias in LORAS],
        "upscalers": [{"name": name, "model_name": None, "scale": 4} for name in UPSCALERS],
    }


class FakeSdnext:
    """The server; `stop` and `start` are a restart, which forgets everything."""

    def __init__(self, *, password: str = "", port: int = 0) -> None:
        """Listen; `password` is the `user:password` of `--auth`."""
        self.password = password
        self.behaviour = Behaviour()
        self.lists = lists()
        self.requests: list[Request] = []
        self.canned: dict[str, tuple[int, bytes]] = {}  # answers to paths, as a proxy gives them
        self.port = port
        self._others: list[threading.Thread] = []
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.engine = Engine(self.behaviour)
        self._http = when_free(lambda: _Server(self, self.port))
        self.port = self._http.server_address[1]

    def stop(self) -> None:
        """Die: connections are cut, and jobs end; once suffices."""
        if not self.engine.down:
            self._http.stop(self.engine)
            for other in self._others:
                other.join()

    def hold(self) -> None:
        """Let jobs stop in the middle, until `release`."""
        self.engine.held = True

    def release(self) -> None:
        """Let them go on."""
        with self.engine.changed:
            self.engine.held = False
            self.engine.changed.notify_all()

    def job_of_another(self) -> threading.Thread:
        """Start a job of somebody else; it runs when this returns, if nothing runs yet."""
        begun = self.engine.begun
        body = {"prompt": "theirs", "seed": 1, "width": 8, "height": 8}
        thread = threading.Thread(target=self.engine.work, args=("API-TXT", body), name="somebody's job")
        self._others.append(thread)
        thread.start()
        while self.engine.begun == begun:
            pass
        return thread

    def sent(self, stage: str = "txt2img") -> list[Any]:
        """Return all requests of a stage."""
        return [request.body for request in self.requests if request.path == stage]

    def answer(self, path: str, query: dict[str, str], body: Any) -> Any:
        """Answer a request.

        Raises:
            Refused: with another status.
        """
        self.requests.append(Request(path, body))
        if path in self.lists:
            return self.lists[path]
        found: dict[str, Callable[[], Any]] = {
            "progress": self._progress,
            "status": lambda: {"uptime": 60, "task": self.engine.job, "current": self.engine.page_task, "queued": 0},
            "memory": lambda: {"ram": {"free": 1.5, "used": 1.5, "total": 3.0}, "cuda": {"error": "unavailable"}},
            "log": lambda: self.engine.lines if self.behaviour.logs else None,
            "history": lambda: self._history(query.get("id", "")),
            "txt2img": lambda: self.engine.work("API-TXT", body),
            "img2img": lambda: self.engine.work("API-IMG", body),
            "extra-single-image": lambda: self._upscale(body),
            "interrupt": self.engine.interrupt,
            "unload-checkpoint": self._free,
            "reload-checkpoint": lambda: None,
        }
        if path not in found or (path == "history" and not self.behaviour.history):
            raise Refused(404, "Not Found")
        return found[path]()

    def _free(self) -> None:
        self.engine.freed += 1

    def _history(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.engine.history if name in ("", one["id"])]

    def _progress(self) -> dict[str, Any]:
        engine = self.engine
        state = {"skipped": False, "interrupted": engine.interrupted, "job": engine.job, "job_count": engine.job_count}
        state |= {"sampling_step": engine.step, "sampling_steps": 4}
        return {"id": "x", "progress": engine.step / 4, "eta_relative": 0, "state": state, "textinfo": None}

    def _upscale(self, body: Any) -> dict[str, Any]:
        with Image.open(io.BytesIO(base64.b64decode(body["image"]))) as start:
            factor = self.behaviour.used.get("factor", body["upscaling_resize"])
            size = (int(start.width * factor), int(start.height * factor))
        return {"image": base64.b64encode(painted(body, size, "PNG")).decode(), "html_info": ""}


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def __init__(self, fake: FakeSdnext, port: int) -> None:
        self.fake, self.connections = fake, set[socket.socket]()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="fake SD.Next")
        self._thread.start()

    def stop(self, engine: Engine) -> None:
        self.shutdown()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with engine.changed:
            engine.down = True
            engine.changed.notify_all()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that have disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so there
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0)))))

    def _serve(self, body: Any) -> None:
        fake, parts = self.server.fake, urlsplit(self.path)
        path = parts.path.removeprefix(API)
        if path in fake.canned:
            self._send(*fake.canned[path])
            return
        given = base64.b64encode(fake.password.encode()).decode()
        if fake.password and self.headers.get("Authorization") != f"Basic {given}":
            self._send(401, _error(401, "Unauthorized"))
            return
        try:
            found = fake.answer(path, dict(parse_qsl(parts.query)), body)
        except Refused as error:
            self._send(error.status, _error(error.status, error.detail))
            return
        self._send(200, json.dumps(found).encode()) if found is not None else self._send(204, b"")

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _error(status: int, detail: str) -> bytes:
    told = {"error": "HTTPException", "code": status, "detail": detail, "body": "", "errors": f"{status}: {detail}"}
    return json.dumps(told).encode()
