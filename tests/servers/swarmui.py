"""A fake SwarmUI, for tests, in threads of the test and on a port of its own."""

import contextlib
import copy
import itertools
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from tests.servers.swarmui_jobs import Behaviour, Engine, Session
from tests.servers.swarmui_params import MODELS, listed, params
from tests.servers.websocket import WebSocket
from tests.support.helpers import when_free

GONE: Final = {
    "error": "Invalid session ID. You may need to refresh the page.",
    "error_id": "invalid_session_id",
}
UNAUTHORIZED: Final = {"error": "Invalid or unauthorized."}
FORBIDDEN: Final = {"error": "You lack permissions for this route.", "error_id": "bad_permissions"}


class Call(NamedTuple):
    """A call as it came."""

    route: str
    body: dict[str, Any]


class FakeSwarmui:
    """The server; `stop` and `start` are a restart, which forgets all jobs, and sessions if told so."""

    def __init__(self, *, token: str = "", port: int = 0) -> None:
        """Listen; `token` is that of the only account, where accounts are required."""
        self.token = token
        self.behaviour = Behaviour()
        self.params = params()
        self.models = copy.deepcopy(MODELS)
        self.calls: list[Call] = []
        self.canned: dict[str, tuple[int, bytes]] = {}  # answers to routes, as a proxy gives them
        self.forbidden: set[str] = set()  # routes that the account may not call
        self.sessions: dict[str, Session] = {}
        self.port = port
        self._numbers = itertools.count(1)
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        if not self.behaviour.keeps_sessions:
            self.sessions.clear()
        self.engine = Engine(self.behaviour, self.params, self.models)
        self._http = when_free(lambda: _Server(self, self.port))
        self.port = self._http.server_address[1]

    def stop(self) -> None:
        """Die: connections are cut, and jobs end; once suffices."""
        if not self.engine.down:
            self._http.stop(self.engine)

    def hold(self) -> None:
        """Let jobs stop in the middle, until `release`."""
        self.engine.held = True

    def release(self) -> None:
        """Let them go on."""
        with self.engine.changed:
            self.engine.held = False
            self.engine.changed.notify_all()

    def session_of(self, user: str = "local") -> Session:
        """Begin a session."""
        session = Session(f"{next(self._numbers):040X}", user)
        self.sessions[session.name] = session
        return session

    def job_of_another(self) -> threading.Thread:
        """Start a job of somebody else; it is in the backend when this returns."""
        session, begun = self.session_of("another"), threading.Event()

        def heard(message: dict[str, Any]) -> None:
            if "gen_progress" in message:
                begun.set()

        body = {"prompt": "theirs", "model": "real", "seed": 1}
        thread = threading.Thread(target=self.engine.generate, args=(session, body, heard), name="somebody's job")
        thread.start()
        assert begun.wait(60)
        return thread

    def sent(self) -> list[dict[str, Any]]:
        """Return all requests for a picture."""
        return [call.body for call in self.calls if call.route == "GenerateText2ImageWS"]

    def routes(self) -> list[str]:
        """Return the routes that were called."""
        return [call.route for call in self.calls]

    def answer(self, route: str, body: dict[str, Any], cookie: str) -> tuple[int, Any]:
        """Answer a call as the server does; most refusals have status 200."""
        self.calls.append(Call(route, body))
        if route == "GetNewSession":
            if self.token and f"swarm_token={self.token}" not in cookie:
                return 200, UNAUTHORIZED
            return 200, {"session_id": self.session_of().name, "user_id": "local", "version": "0.9.8.0"}
        session = self.sessions.get(str(body.get("session_id")))
        if session is None:
            return 401, GONE
        if route in self.forbidden:
            return 400, FORBIDDEN
        return self._in_session(route, body, session)

    def _in_session(self, route: str, body: dict[str, Any], session: Session) -> tuple[int, Any]:
        engine = self.engine
        match route:
            case "GetCurrentStatus":
                return 200, engine.status(session)
            case "ListT2IParams":
                return 200, {"list": self.params, "groups": [], "models": listed(self.models), "wildcards": []}
            case "InterruptAll":
                everywhere = body.get("other_sessions") is True
                users = [one for one in self.sessions.values() if one.user == session.user]
                with engine.changed:
                    for one in users if everywhere else [session]:
                        one.interrupt()
                    engine.changed.notify_all()
                return 200, {"success": True}
            case "FreeBackendMemory":
                engine.freed += 1
                return 200, {"result": True, "count": 1}
            case _:
                return 400, {"error_id": "bad_route", "error": "Unknown API route"}


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def __init__(self, fake: FakeSwarmui, port: int) -> None:
        self.fake, self.connections = fake, set[socket.socket]()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="fake SwarmUI")
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
        path = unquote(urlsplit(self.path).path).lstrip("/")
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._serve_websocket(path.removeprefix("API/"))
        elif self.server.fake.token and self.server.fake.token not in self.headers.get("Cookie", ""):
            self._send(400, "application/json", b'{"error": "invalid or unauthorized", "error_id": "invalid_user"}')
        elif path in self.server.fake.engine.files:
            self._send(200, "image/png", self.server.fake.engine.files[path])
        else:
            self._send(404, "application/json", b'{"error": "404, file not found", "error_id": "file_not_found"}')

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        route = urlsplit(self.path).path.removeprefix("/API/")
        fake = self.server.fake
        if route in fake.canned:
            status, body = fake.canned[route]
            self._send(status, "text/html", body)
            return
        if not data or self.headers.get_content_type() != "application/json":
            self._send(400, "application/json", b'{"error_id": "basic_api", "error": "Wrong content type"}')
            return
        status, answer = fake.answer(route, json.loads(data), self.headers.get("Cookie", ""))
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _serve_websocket(self, route: str) -> None:
        fake = self.server.fake
        if route in fake.canned:
            status, body = fake.canned[route]
            self._send(status, "text/html", body)
            return
        peer = WebSocket(self.connection, self.path, self.headers.items())
        peer.open()
        work: list[threading.Thread] = []

        def heard(text: str) -> None:
            if not work:
                work.append(threading.Thread(target=self._job, args=(peer, json.loads(text)), name="a job"))
                work[0].start()

        peer.serve(heard)
        for thread in work:  # to hang up ends no job
            thread.join()
        self.close_connection = True

    def _job(self, peer: WebSocket, body: dict[str, Any]) -> None:
        fake = self.server.fake
        fake.calls.append(Call("GenerateText2ImageWS", body))
        session = fake.sessions.get(str(body.get("session_id")))

        def send(message: dict[str, Any]) -> None:
            peer.send(json.dumps(message))
            if fake.behaviour.cut_after in message:
                fake.behaviour.cut_after = ""
                peer.drop()

        if session is None:
            send(GONE)
        else:
            fake.engine.generate(session, body, send)
            send({"socket_intention": "close"})
            send(fake.engine.status(session))
        peer.close()
