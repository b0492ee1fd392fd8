"""A client in Ruby, written from docs/protocol.md alone, beside our own subscriber: both get the same."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bus.protocol.addresses import Address
from bus.subscriber.sync import Delivery, Start, Subscriber
from bus.transport import sockets
from bus.transport.keys import Keys
from tests.support.foreign_client import ForeignClient, Lossy, key_variables
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, collect, job
from tests.support.key_folders import enrol, write_peers
from tests.support.log_files import remove_oldest, tamper
from tests.support.subscribing import Serve, fill, ready, restart, serve_again

HERE: Final = Path(__file__).parent / "ruby"
RUBY: Final = shutil.which("ruby") or "ruby"
MISSING: Final = (
    not shutil.which(RUBY)
    or subprocess.run([RUBY, "-r", "ffi-rzmq", "-r", "msgpack", "-e", ""], capture_output=True, check=False).returncode
)
# CI must not pass by skipping
pytestmark = pytest.mark.skipif(
    bool(MISSING) and "CI" not in os.environ, reason="needs `apt install ruby ruby-ffi-rzmq ruby-msgpack`"
)
Follow = Callable[..., ForeignClient]
Subscribe = Callable[..., Subscriber]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


@pytest.fixture
def follow(no_leaks: None, tmp_path: Path) -> Iterator[Follow]:  # noqa: ARG001 - it looks after us
    """Start clients, which are ended with the test."""
    clients: list[ForeignClient] = []

    def make(service: Service, prefix: str, start: str = "beginning", keys: Keys | None = None) -> ForeignClient:
        words = [RUBY, str(HERE / "follow.rb"), service.address, prefix, start]
        clients.append(ForeignClient(tmp_path, words, key_variables(service, keys)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def said(client: ForeignClient, *, how: tuple[str, ...] = ("live", "fetched", "latest")) -> list[tuple[Any, ...]]:
    """Return what the client has printed of events."""
    rows = [row for row in client.lines("event") if row["how"] in how]
    return [(row["epoch"], row["offset"], row["topic"], row["time_ns"], row["body"]) for row in rows]


def ours(found: list[Delivery]) -> list[tuple[Any, ...]]:
    """Return the same of what our own subscriber has received."""
    return [(one.epoch, one.offset, one.topic, one.time_ns, msgspec.msgpack.decode(one.body)) for one in found]


def offsets(client: ForeignClient) -> list[int]:
    """Return the offsets of the events that the client has printed."""
    return [row["offset"] for row in client.lines("event")]


def notices(client: ForeignClient) -> list[tuple[str, int, int | None]]:
    """Return the notices that the client has printed."""
    return [(row["kind"], row["at"], row["to"]) for row in client.lines("notice")]


def test_ruby_reads_and_writes_every_vector() -> None:
    """Its library for msgpack gives the same values and the same bytes, also beyond 2^53."""
    words = [RUBY, str(HERE / "vectors.rb"), str(HERE.parents[1] / "vectors")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE * TIME_FACTOR, check=False)

    assert done.returncode == 0, done.stderr
    count, _, word = done.stdout.partition(" ")
    assert (int(count) >= 49, word) == (True, "vectors\n")


@pytest.mark.parametrize(("prefix", "share"), [("", 4), ("a.", 3)], ids=["everything", "one token"])
def test_a_ruby_client_gets_what_our_subscriber_gets(
    serve: Serve,
    follow: Follow,
    subscribe: Subscribe,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    share: int,
) -> None:
    """Events from before it came, live, lost, late, and lost at the end."""
    service = serve(path)
    lossy = Lossy(service, prefix, monkeypatch)
    subscriber = subscribe([service.address], [prefix], start=Start.BEGINNING)

    lossy.publish(8)
    client = follow(service, prefix)
    client.wait_for("ready", 1)
    lossy.publish(4)
    client.wait_for("event", 3 * share)
    lossy.publish(8, lose=True)
    lossy.publish(4)  # their chain shows the loss
    client.wait_for("event", 6 * share)
    lossy.send_late()
    lossy.publish(8, lose=True)  # only the head of the next heartbeat shows this
    client.wait_for("event", 8 * share)
    client.stop()

    assert said(client) == ours(collect(subscriber, 8 * share))
    assert len(offsets(client)) == len(lossy.expected)
    assert said(client, how=("live",))
    assert said(client, how=("fetched",))
    assert notices(client) == []


def test_a_ruby_client_follows_a_publisher_that_restarts(
    serve: Serve, follow: Follow, subscribe: Subscribe, path: Path
) -> None:
    """In the same epoch at another feed, then in a new one that has lost its end: it gets what our subscriber gets."""
    service = serve(path)
    subscriber = ready(subscribe([service.address], ["a."], start=Start.BEGINNING))
    fill(service, 1, 3)
    client = follow(service, "a.")
    client.wait_for("ready", 1)
    service.stop()
    backup = path.with_suffix(".backup")
    shutil.copy(path, backup)
    service = serve_again(serve, path, service.publisher.control)
    fill(service, 4, 6)
    found = collect(subscriber, 6)
    client.wait_for("event", 6)
    client.wait_for("ready", 2)
    service.stop()
    shutil.copy(backup, path)
    service = serve_again(serve, path, service.publisher.control)
    fill(service, 7, 7)
    found += collect(subscriber, 1)
    client.wait_for("event", 7)

    assert said(client) == ours(found)
    assert offsets(client) == [1, 2, 3, 4, 5, 6, 4]
    assert len({epoch for epoch, *_ in said(client)}) == 2
    assert notices(client) == [("rewound", 6, 3)]


def test_a_ruby_client_makes_new_sockets_when_its_publisher_is_silent(
    serve: Serve, follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher that died without a word, and is back at another feed."""
    service = serve(path)
    fill(service, 1, 2)
    client = follow(service, "a.")
    client.wait_for("ready", 1)
    monkeypatch.setattr(sockets, "send_pair", lambda *_: None)  # not even the closing heartbeat arrives
    service.stop()
    monkeypatch.undo()
    service = serve_again(serve, path, service.publisher.control)
    fill(service, 3, 4)
    client.wait_for("event", 4)

    assert offsets(client) == [1, 2, 3, 4]


def test_a_ruby_client_is_told_what_retention_took_and_what_is_damaged(
    serve: Serve, follow: Follow, path: Path
) -> None:
    """It begins at a stored position: what is gone is told, the newest of a status topic repairs what it can."""
    service = serve(path)
    service.append(("variant.status.e.0.", 1), ("variant.status.e.1.", 2))
    fill(service, 3, 9, "variant.status.e.0.")
    epoch = service.log.epoch
    service.call(lambda: remove_oldest(service.log, 5))
    service.stop()
    tamper(path, "UPDATE log SET body = x'80' WHERE \"offset\" = 7")
    service = restart(serve, service, path)
    client = follow(service, "variant.status.", f"{epoch}:1")
    client.wait_for("ready", 1)

    assert notices(client) == [("truncated", 1, 6), ("damaged", 7, None)]
    assert offsets(client) == [2, 6, 8, 9]


def test_a_ruby_client_begins_with_the_newest_of_each_topic_or_with_what_is_new(
    serve: Serve, follow: Follow, path: Path
) -> None:
    """`latest` in the order of offsets, and nothing old for `now`; messages that are not logged come too."""
    service = serve(path)
    for topic in ("a.z.", "a.y.", "a.z.", "b."):
        service.append((topic, "old"))
    late = follow(service, "a.", "latest")
    late.wait_for("ready", 1)
    assert said(late, how=("latest",)) == said(late)
    assert offsets(late) == [2, 3]
    late.stop()
    new = follow(service, "a.", "now")
    new.wait_for("ready", 1)
    service.call(lambda: service.publisher.publish_ephemeral("a.x.", job("passing")))
    service.append(("a.x.", "new"))
    new.wait_for("event", 2)

    assert [(row["how"], row["body"]["job_id"]) for row in new.lines("event")] == [
        ("ephemeral", "passing"),
        ("live", "new"),
    ]


def test_a_ruby_client_speaks_with_keys(serve: Serve, follow: Follow, tmp_path: Path, path: Path) -> None:
    """Feed and control, encrypted, as a reader."""
    server, client = Keys.generate(tmp_path / "server"), Keys.generate(tmp_path / "client")
    write_peers(client, f"server 127.0.0.1 {server.public}")
    enrol(server, "read", client.public)
    service = serve(path, keys=server)
    service.append(("a.x.", "early"))
    ruby = follow(service, "a.x.", keys=client)
    ruby.wait_for("ready", 1)
    service.append(("a.x.", "live"))
    ruby.wait_for("event", 2)

    assert [row["body"]["job_id"] for row in ruby.lines("event")] == ["early", "live"]


def test_a_ruby_client_refuses_the_feed_of_another_publisher(
    serve: Serve, follow: Follow, tmp_path: Path, path: Path
) -> None:
    """`info` may name an address that is somebody else's here: it says so instead of showing foreign events."""
    mine, other = serve(path), serve(tmp_path / "other.sqlite")
    fill(other, 1, 3)
    mine.call(lambda: setattr(mine.publisher, "feed", Address("127.0.0.1", other.publisher.feed.port)))
    client = follow(mine, "a.")
    while client.runs:  # some come before the first heartbeat
        other.call(lambda: other.publisher.publish_ephemeral("a.", job("foreign")))
    client.wait(1)

    assert "belongs to another publisher" in client.errors
    assert client.lines("event") == []
