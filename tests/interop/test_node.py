"""A client in Node, written from docs/protocol.md alone, against our publisher: it misses nothing and proves it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bus.transport.keys import Keys
from tests.support.foreign_client import ForeignClient, Lossy, key_variables
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, job
from tests.support.key_folders import enrol, write_peers

HERE: Final = Path(__file__).parent
NODE: Final = shutil.which("node")
MISSING: Final = NODE is None or not (HERE / "node_modules").is_dir()
# CI must not pass by skipping
pytestmark = pytest.mark.skipif(
    MISSING and "CI" not in os.environ, reason="needs node and `make interop`, which installs its libraries"
)
Start = Callable[..., ForeignClient]


@pytest.fixture
def start(no_leaks: None, tmp_path: Path) -> Iterator[Start]:  # noqa: ARG001 - it looks after us
    """Start clients, which end by themselves after `count` events, or with the test."""
    assert not MISSING, "node or tests/interop/node_modules is missing; run `make interop`"
    assert NODE
    clients: list[ForeignClient] = []

    def make(service: Service, prefix: str, count: int, keys: Keys | None = None) -> ForeignClient:
        words = [NODE, str(HERE / "client.mjs"), service.address, prefix, str(count), str(PATIENCE * TIME_FACTOR)]
        clients.append(ForeignClient(tmp_path, words, key_variables(service, keys)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


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
