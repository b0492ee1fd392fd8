"""The protocol as another language would implement it: plain sockets and msgpack, nothing of `bus.protocol.wire`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from tests.support.helpers import PATIENCE, TIME_FACTOR, Service

Serve = Callable[..., Service]
HEARTBEAT = b"~heartbeat."


class PlainClient:
    """A subscriber to one whole-token prefix, written from the specification."""

    def __init__(self, control: str, prefix: str) -> None:
        """Ask where the feed is, and connect."""
        self.prefix = prefix
        self.control = self._socket(zmq.REQ)
        self.control.connect(control)
        self.info = self.ask("info", {})
        self.feed = self._connected()
        self.at = 0  # everything of the prefix up to here is known
        self.head = 0

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        socket.linger = 0
        socket.rcvtimeo = int(PATIENCE * TIME_FACTOR * 1000)
        return socket

    def _connected(self) -> zmq.Socket[bytes]:
        feed = self._socket(zmq.SUB)
        feed.connect(self.info["feed"])
        return feed

    def reconnect(self) -> None:
        """Begin anew with the feed, without subscriptions."""
        self.feed.close()
        self.feed = self._connected()

    def close(self) -> None:
        """Close both sockets."""
        self.control.close()
        self.feed.close()

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask over REQ, whose empty delimiter is the request id."""
        self.control.send_multipart([method.encode(), msgspec.msgpack.encode(params)])
        status, result = self.control.recv_multipart()
        assert status == b"ok", msgspec.msgpack.decode(result)
        return msgspec.msgpack.decode(result)

    def subscribe(self) -> None:
        """Subscribe to the prefix, then to the heartbeat, and wait for one: then both subscriptions are active."""
        self.feed.subscribe(self.prefix.encode())
        self.feed.subscribe(HEARTBEAT)
        self.ask("heartbeat", {})
        while self.receive() is not None:
            pass

    def receive(self) -> tuple[int, list[int | None], str] | None:
        """Return offset, chain and job id of the next message; None for a heartbeat, whose head is noted."""
        topic, frame = self.feed.recv_multipart()
        version, epoch, second, third, _, last = msgspec.msgpack.decode(frame)
        assert (version, epoch) == (1, self.info["epoch"])
        if topic == HEARTBEAT:
            self.head = second
            assert third >= 1
            return None
        assert topic.startswith(self.prefix.encode())
        assert len(third) == topic.count(b".")
        return second, third, last["job_id"]

    def next_event(self) -> tuple[int, list[int | None], str]:
        """Return the next message that is no heartbeat."""
        while (event := self.receive()) is None:
            pass
        return event

    def previous(self, offset: int, chain: list[int | None]) -> int | None:
        """Return the chain value of the prefix."""
        tokens = self.prefix.count(".")
        return chain[tokens - 1] if tokens else offset - 1

    def catch_up(self, until: int) -> list[str]:
        """Fetch what is missing up to an offset, in pages of two."""
        found: list[str] = []
        while self.at < until:
            params = {"prefix": self.prefix, "after": self.at, "until": until, "limit": 2}
            page = self.ask("fetch", params)
            assert len(page["events"]) <= 2
            for _, topic, _, body in page["events"]:
                assert topic.startswith(self.prefix)
                found.append(body["job_id"])
            self.at = page["next"]
        return found


@pytest.fixture
def connect(no_leaks: None) -> Iterator[Callable[[str, str], PlainClient]]:  # noqa: ARG001 - it looks after us
    """Make plain clients, which are closed at the end."""
    clients: list[PlainClient] = []

    def make(control: str, prefix: str) -> PlainClient:
        clients.append(PlainClient(control, prefix))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


Connect = Callable[[str, str], PlainClient]


def fill(service: Service, first: int, last: int) -> None:
    """Publish alternately to two topics."""
    for number in range(first, last + 1):
        service.append((f"a.{'xy'[number % 2]}.", number))


@pytest.mark.parametrize(("prefix", "step"), [("", 1), ("a.", 1), ("a.x.", 2)])
def test_a_plain_client_reads_the_feed_and_verifies_the_chain(
    serve: Serve, connect: Connect, tmp_path: Path, prefix: str, step: int
) -> None:
    """Each message names the one before it in the client's prefix."""
    service = serve(tmp_path / "test.sqlite")
    client = connect(service.address, prefix)
    client.subscribe()
    assert client.head == 0
    fill(service, 1, 10)

    for number in range(step, 11, step):
        offset, chain, name = client.next_event()
        assert (offset, name) == (number, str(number))
        assert client.previous(offset, chain) == client.at
        client.at = offset


@pytest.mark.parametrize(("prefix", "step"), [("", 1), ("a.", 1), ("a.x.", 2)])
def test_a_plain_client_that_subscribes_late_finds_the_gap_and_fetches_it(
    serve: Serve, connect: Connect, tmp_path: Path, prefix: str, step: int
) -> None:
    """The heartbeat's head shows it, `check` says whether it concerns the prefix, `fetch` gives it in pages."""
    service = serve(tmp_path / "test.sqlite")
    client = connect(service.address, prefix)
    fill(service, 1, 9)
    client.subscribe()
    assert client.head == 9

    last = client.ask("check", {"prefix": prefix, "after": client.at})["last"]

    assert last == 9 // step * step
    assert client.catch_up(last) == [str(number) for number in range(step, 10, step)]
    assert client.ask("check", {"prefix": prefix, "after": client.at})["last"] == 0


def test_a_plain_client_sees_a_gap_in_the_middle_by_the_chain(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """After a loss the next message's chain value is beyond the client's position: it fetches just up to there."""
    service = serve(tmp_path / "test.sqlite")
    client = connect(service.address, "a.x.")
    client.subscribe()
    fill(service, 1, 2)
    client.at = client.next_event()[0]
    client.reconnect()
    fill(service, 3, 7)
    client.subscribe()
    fill(service, 8, 8)

    offset, chain, _ = client.next_event()
    previous = client.previous(offset, chain)

    assert (offset, previous, client.at) == (8, 6, 2)
    assert previous is not None
    assert client.catch_up(previous) == ["4", "6"]


def test_a_plain_client_reads_the_latest_state(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """The newest event of each topic, in pages by topic."""
    service = serve(tmp_path / "test.sqlite")
    client = connect(service.address, "a.")
    fill(service, 1, 5)

    one = client.ask("latest", {"prefix": "a.", "limit": 1})
    two = client.ask("latest", {"prefix": "a.", "limit": 2, "after_topic": one["next"]})

    assert [(row[0], row[1]) for row in [*one["events"], *two["events"]]] == [(4, "a.x."), (5, "a.y.")]
    assert (one["next"], two["next"]) == ("a.x.", "")


def test_info_says_what_a_client_needs(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """Service, protocol, log and limits."""
    service = serve(tmp_path / "test.sqlite")
    info = connect(service.address, "").info

    assert (info["service"], info["version"], info["protocol"]) == ("test", "1.0", 1)
    assert (info["first"], info["head"]) == (1, 0)
    assert info["epochs"] == [[info["epoch"], 0]]
    assert info["limits"] == {"body": 1 << 20, "request": 4 << 20, "page": 1000, "page_bytes": 1 << 20}


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("fetsh", {}, "unknown_method", "did you mean 'fetch'"),
        ("fetch", {"prefix": "a"}, "invalid_request", "prefix: 'a' is no topic"),
        ("check", {"after": -1}, "invalid_request", "after: must be a whole number from 0 to 2^63-1"),
        ("latest", {"limt": 3}, "invalid_request", "limt: unknown key; did you mean 'limit'?"),
    ],
)
def test_a_bad_request_is_answered_with_a_code_and_a_sentence(
    serve: Serve, connect: Connect, tmp_path: Path, method: str, params: dict[str, object], code: str, message: str
) -> None:
    """`[id, "error", {code, message, details}]`."""
    client = connect(serve(tmp_path / "test.sqlite").address, "")
    client.control.send_multipart([method.encode(), msgspec.msgpack.encode(params)])
    status, result = client.control.recv_multipart()
    error = msgspec.msgpack.decode(result)

    assert status == b"error"
    assert error["code"] == code
    assert message in error["message"]
