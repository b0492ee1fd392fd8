"""The dashboard as a process, and a browser without a screen."""

import errno
import http.client
import json
import socket
from contextlib import closing
from typing import Any, Self
from urllib.parse import urlencode

from tests.support.helpers import PATIENCE, TIME_FACTOR
from tests.support.workspace import Running, ServiceProcess, Workspace


class Dashboard:
    """A dashboard process, and questions to it."""

    def __init__(self, workspace: Workspace, *options: str) -> None:
        """Start it."""
        self.process: Running = workspace.command("dashboard", "--port", "0", *options)
        line = self.process.wait_for_line("listening")
        self.address = line.split("http=http://")[1]
        self.port = int(self.address.rpartition(":")[2])
        self.token = ""
        with self.events() as events:
            self.token = events.token

    def events(self, *experiments: str) -> "Events":
        """Open a stream of the events of some experiments."""
        return Events(self.address, experiments)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """Send one request; a body that is not bytes becomes JSON."""
        sent = {"x-token": self.token, "origin": f"http://{self.address}", **(headers or {})}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        if data is not None:
            sent.setdefault("content-type", "application/json")
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE * TIME_FACTOR)) as connection:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, response.read().decode("utf-8", "replace"), told

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are, and return all that comes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE * TIME_FACTOR) as connection:
            connection.sendall(request)
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:  # the server has reset the connection; read what it sent
                    raise
            return b"".join(iter(lambda: connection.recv(65536), b""))


class Events:
    """A stream of events, which begins with its name and the token for changes."""

    def __init__(self, address: str, experiments: tuple[str, ...]) -> None:
        """Open it, and read how it begins."""
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE * TIME_FACTOR)
        self._connection.request("GET", f"/api/events?{urlencode([('experiment', one) for one in experiments])}")
        self._reply = self._connection.getresponse()
        begun = json.loads(self.next("hello"))
        self.stream, self.token = begun["stream"], begun["token"]

    def __enter__(self) -> Self:
        """Read on within the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave as a browser does."""
        self._reply.close()
        self._connection.close()

    def next(self, kind: str, part: str = "") -> str:
        """Return the data of the next event of a kind that has this part in it, and drop those before."""
        while line := self._reply.readline().decode():
            if line == f"event: {kind}\n" and part in (data := self._reply.readline().decode()):
                return data.removeprefix("data: ")
        raise EOFError("the stream has ended")


Deployment = tuple[Workspace, ServiceProcess, ServiceProcess, Dashboard]
