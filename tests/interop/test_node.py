"""A client in Node, written from docs/protocol.md alone, against our publisher: it misses nothing and proves it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bus.protocol import topics
from bus.transport import sockets
from bus.transport.keys import Keys
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, job, wait_until
from tests.support.key_folders import enrol, write_peers

HERE: Final = Path(__file__).parent
NODE: Final = shutil.which("node")
MISSING: Final = NODE is None or not (HERE / "node_modules").is_dir()
# CI must not pass by skipping
pytestmark = pytest.mark.skipif(
    MISSING and "CI" not in os.environ, reason="needs node and `make interop`, which installs its libraries"
)
TOPICS: Final = ("a.x.", "a.y.", "a.f%C3%BCnf.1.", "b.x.")
Start = Callable[..., "NodeClient"]


class NodeClient:
    """The client as a process, whose lines go to a file: a pipe that nobody reads would stop it."""

    def __init__(self, folder: Path, service: Service, prefix: str, count: int, keys: Keys | None) -> None:
        """Start it; it ends by itself after `count` events."""
        assert not MISSING, "node or tests/interop/node_modules is missing; run `make interop`"
        assert NODE
        self._out, self._err = folder / "client.out", folder / "client.err"
        words = [NODE, str(HERE / "client.mjs"), service.address, prefix, str(count), str(PATIENCE * TIME_FACTOR)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(words, stdout=out, stderr=err, env={**os.environ, **_curve(service, keys)})

    def lines(self, what: str) -> list[dict[str, Any]]:
        """Return what it has printed of one kind."""
        whole = self._out.read_text(encoding="utf-8").rpartition("\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line["what"] == what]

    def wait_for(self, what: str, number: int) -> None:
        """Wait until it has printed so many lines of one kind."""

        def has_them() -> bool:
            assert self._process.poll() in (None, 0), self._err.read_text(encoding="utf-8")
            return len(self.lines(what)) >= number

        wait_until(has_them, what=f"{number} {what} of the client")

    def wait(self) -> None:
        """Wait for its good end."""
        status = self._process.wait(PATIENCE * TIME_FACTOR)
        assert status == 0, self._err.read_text(encoding="utf-8")

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()


def _curve(service: Service, keys: Keys | None) -> dict[str, str]:
    """Tell the client its keys where only it can see them."""
    if keys is None:
        return {}
    curve = keys.curve_for(service.address)
    return {
        "CURVE_PUBLIC": curve.public.decode(),
        "CURVE_SECRET": curve.secret.decode(),
        "CURVE_SERVER": curve.server.decode(),
    }


@pytest.fixture
def start(no_leaks: None, tmp_path: Path) -> Iterator[Start]:  # noqa: ARG001 - it looks after us
    """Start clients, which are ended with the test."""
    clients: list[NodeClient] = []

    def make(service: Service, prefix: str, count: int, keys: Keys | None = None) -> NodeClient:
        clients.append(NodeClient(tmp_path, service, prefix, count, keys))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


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


def as_read(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return offset, topic and job id of what the client has read."""
    return [(row["offset"], row["topic"], row["job_id"]) for row in rows]


@pytest.mark.parametrize(
    ("prefix", "share"), [("", 4), ("a.", 3), ("a.x.", 1)], ids=["everything", "one token", "two tokens"]
)
def test_a_node_client_gets_every_event_once_and_in_order(
    serve: Callable[..., Service],
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    share: int,
) -> None:
    """Events from before it came, live, lost, late, and lost at the end: it has them all."""
    service = serve(tmp_path / "test.sqlite")
    lossy = Lossy(service, prefix, monkeypatch)

    lossy.publish(8)
    client = start(service, prefix, 8 * share)
    client.wait_for("event", 2 * share)
    lossy.publish(4)
    client.wait_for("event", 3 * share)
    lossy.publish(8, lose=True)
    lossy.publish(4)  # their chain shows the loss
    client.wait_for("event", 6 * share)
    lossy.send_late()
    lossy.publish(8, lose=True)  # only the head of the next heartbeat shows this
    client.wait()

    events = client.lines("event")
    assert as_read(events) == lossy.expected
    (ready,) = client.lines("ready")
    assert ready == {"what": "ready", "epoch": str(service.log.epoch), "head": "8", "service": "test"}
    assert {"live", "fetched"} == {event["how"] for event in events}
    assert len(client.lines("gap")) >= 3
    (latest,) = client.lines("latest")
    newest = {topic: (offset, topic, name) for offset, topic, name in lossy.expected}
    assert as_read(latest["events"]) == [newest[topic] for topic in sorted(newest)]


def test_a_node_client_gets_messages_that_are_not_logged(
    serve: Callable[..., Service], start: Start, tmp_path: Path
) -> None:
    """Their offset 0 and empty chain say nothing about a position, so they are no gap."""
    service = serve(tmp_path / "test.sqlite")
    client = start(service, "a.x.", 1)
    client.wait_for("ready", 1)

    service.call(lambda: service.publisher.publish_ephemeral("a.x.", job("passing")))
    client.wait_for("ephemeral", 1)
    service.append(("a.x.", "kept"))
    client.wait()

    assert [line["job_id"] for line in client.lines("ephemeral")] == ["passing"]
    assert as_read(client.lines("event")) == [("1", "a.x.", "kept")]


def test_a_node_client_speaks_with_keys(serve: Callable[..., Service], start: Start, tmp_path: Path) -> None:
    """Feed and control, encrypted, as a reader."""
    server, client = Keys.generate(tmp_path / "server"), Keys.generate(tmp_path / "client")
    write_peers(client, f"server 127.0.0.1 {server.public}")
    enrol(server, "read", client.public)
    service = serve(tmp_path / "test.sqlite", keys=server)
    service.append(("a.x.", "early"))
    node = start(service, "a.x.", 2, client)
    node.wait_for("ready", 1)

    service.append(("a.x.", "live"))
    node.wait()

    assert as_read(node.lines("event")) == [("1", "a.x.", "early"), ("2", "a.x.", "live")]
    gate = service.publisher.authenticator
    assert gate
    assert (gate.admitted, gate.denied) == (2, 0)
