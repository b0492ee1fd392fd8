"""The HTTP side of the fake ComfyUI server."""

import contextlib
import email
import email.policy
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.servers.websocket import WebSocket

if TYPE_CHECKING:
    from tests.servers.comfyui import FakeComfy

SYSTEM_STATS: Final = {
    "system": {"os": "posix", "ram_total": 67_000_000_000, "comfyui_version": "0.3.40", "argv": ["main.py"]},
    "devices": [
        {
            "name": "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync",
            "type": "cuda",
            "index": 0,
            "vram_total": 25296044032,
            "vram_free": 20126367744,
            "torch_vram_total": 4194304000,
            "torch_vram_free": 12582912,
        }
    ],
}


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class ComfyHttpServer(ThreadingHTTPServer):
    """Listens in a thread, and one more for each connection; `stop` ends them all."""

    daemon_threads = False  # so that closing waits for them

    def __init__(self, fake: "FakeComfy", port: int) -> None:
        """Start to serve."""
        self.fake, self.connections = fake, set[socket.socket]()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="fake ComfyUI")
        self._thread.start()

    def stop(self) -> None:
        """Close the port and cut all connections."""
        self.shutdown()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that have disconnected."""


class _Posted(Protocol):
    def __call__(self, body: Any) -> tuple[int, Any]: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ComfyHttpServer

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
        fake = self.server.fake
        path, query = self._noted(None)
        if path == "/ws":
            self._serve_websocket(query.get("clientId", ""))
        elif path == "/prompt":
            self._answer(200, {"exec_info": {"queue_remaining": len(fake.pending)}})
        elif path == "/queue":
            self._answer(*fake.get_queue())
        elif path == "/system_stats":
            self._answer(200, SYSTEM_STATS)
        elif path == "/object_info":
            self._answer(200, fake.object_info)
        elif path.startswith("/object_info/"):
            name = path.removeprefix("/object_info/")
            self._answer(200, {name: fake.object_info[name]} if name in fake.object_info else {})
        elif path.startswith("/history/"):
            self._answer(*fake.get_history(path.removeprefix("/history/")))
        elif path == "/view":
            self._view(fake.view(query))
        else:
            self._answer(404, None)

    def do_POST(self) -> None:
        fake = self.server.fake
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = self.headers.get_content_type() == "multipart/form-data"
        body = self._form(data) if form else json.loads(data)
        path, _ = self._noted(body)
        posted: dict[str, _Posted] = {
            "/prompt": fake.post_prompt,
            "/queue": fake.post_queue,
            "/history": fake.post_history,
            "/interrupt": fake.post_interrupt,
            "/free": fake.post_free,
            "/upload/image": self._upload,
        }
        status, answer = posted[path](body) if path in posted else (404, None)
        if path == "/prompt" and fake.behaviour.lost_replies:
            fake.behaviour.lost_replies -= 1
            self._cut()
            return
        self._answer(status, answer)

    def _noted(self, body: Any) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix("/api")  # each of them also stands there
        self.server.fake.requests.append(Request(self.command, path, query, body))
        return path, query

    def _answer(self, status: int, body: Any) -> None:
        self._send(status, "application/json", b"" if body is None else json.dumps(body).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        prepared = self.server.fake.behaviour.answers.get(urlsplit(self.path).path)
        status, data = (prepared.popleft() if prepared else None) or (status, data)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:  # as the client asked
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _view(self, data: bytes | None) -> None:
        if data is None:
            self._answer(404, None)
        elif self.server.fake.behaviour.cut_views:
            self.server.fake.behaviour.cut_views -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self._cut()
        else:
            self._send(200, "image/png", data)

    def _cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _form(self, data: bytes) -> dict[str, Any]:
        """Read a form: texts, and files as name and content."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + data, policy=email.policy.HTTP)
        found: dict[str, Any] = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            filename = part.get_filename()
            found[str(name)] = (filename, content) if filename else content.decode()
        return found

    def _upload(self, body: dict[str, Any]) -> tuple[int, Any]:
        name, content = body["image"]
        if body.get("overwrite") != "true" and f"{body['subfolder']}/{name}" in self.server.fake.uploads:
            name = f"{name} (1)"
        self.server.fake.uploads[f"{body['subfolder']}/{name}"] = content
        return 200, {"name": name, "subfolder": body["subfolder"], "type": "input"}

    def _serve_websocket(self, client_id: str) -> None:
        fake = self.server.fake
        if not fake.behaviour.websocket:
            self._answer(403, None)
            return
        peer = WebSocket(self.connection, self.path, self.headers.items())
        fake.sockets[client_id] = peer  # known before the client hears that it is connected
        peer.send(json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}))
        peer.serve(lambda text: fake.hear(client_id, text))
        if fake.sockets.get(client_id) is peer:
            del fake.sockets[client_id]
            fake.takes_metadata.discard(client_id)
        self.close_connection = True
