"""Clients in other languages as processes, and a publisher whose feed loses what a test wants."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from bus.protocol import topics
from bus.transport import sockets
from bus.transport.keys import Keys
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, wait_until

TOPICS: Final = ("a.x.", "a.y.", "a.f%C3%BCnf.1.", "b.x.")


class ForeignClient:
    """A program that prints JSON lines with `what`. They go to a file: a pipe that nobody reads would stop it."""

    def __init__(self, folder: Path, words: Sequence[str], env: dict[str, str]) -> None:
        """Start it, with these variables beside our own."""
        self._out, self._err = folder / "client.out", folder / "client.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(words, stdout=out, stderr=err, env={**os.environ, **env})

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._err.read_text(encoding="utf-8")

    def lines(self, what: str) -> list[dict[str, Any]]:
        """Return what it has printed of one kind."""
        whole = self._out.read_text(encoding="utf-8").rpartition("\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line["what"] == what]

    def wait_for(self, what: str, number: int) -> None:
        """Wait until it has printed so many lines of one kind."""

        def has_them() -> bool:
            assert self._process.poll() in (None, 0), self.errors
            return len(self.lines(what)) >= number

        wait_until(has_them, what=f"{number} {what} of the client")

    def wait(self, status: int = 0) -> None:
        """Wait for its end."""
        found = self._process.wait(PATIENCE * TIME_FACTOR)
        assert found == status, self.errors

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self.wait()

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()


def key_variables(service: Service, keys: Keys | None) -> dict[str, str]:
    """Return the variables that tell a client its keys where only it can see them."""
    if keys is None:
        return {}
    curve = keys.curve_for(service.address)
    return {
        "CURVE_PUBLIC": curve.public.decode(),
        "CURVE_SECRET": curve.secret.decode(),
        "CURVE_SERVER": curve.server.decode(),
    }


class Lossy:
    """Publishes to all topics in turn, and loses what it is told to lose on its way to the feed, or sends it late."""

    def __init__(self, service: Service, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between the publisher and its socket."""
        self.lose = False
        self._service, self._prefix = service, prefix
        self._published: list[tuple[str, str]] = []
        self._lost: list[tuple[sockets.Socket, bytes, bytes]] = []
        self._send = sockets.send_pair

        def send_some(socket: sockets.Socket, topic: bytes, frame: bytes) -> None:
            if self.lose and topic != topics.HEARTBEAT.encode():
                self._lost.append((socket, topic, frame))
            else:
                self._send(socket, topic, frame)

        monkeypatch.setattr(sockets, "send_pair", send_some)

    def publish(self, number: int, *, lose: bool = False) -> None:
        """Publish so many events, each in a transaction of its own."""
        self.lose = lose
        for _ in range(number):
            name = len(self._published) + 1
            topic = TOPICS[name % len(TOPICS)]
            self._service.append((topic, name))
            self._published.append((topic, str(name)))
        self.lose = False

    def send_late(self) -> None:
        """Send what was lost after all, when it is old."""

        def send_all() -> None:
            for socket, topic, frame in self._lost:
                self._send(socket, topic, frame)

        self._service.call(send_all)

    @property
    def expected(self) -> list[tuple[str, str, str]]:
        """Offset, topic and job id of what was published under the prefix."""
        whole = enumerate(self._published, 1)
        return [(str(offset), topic, name) for offset, (topic, name) in whole if topic.startswith(self._prefix)]
