"""A client in any language: plain ZeroMQ sockets and msgpack, written from the protocol alone.

Nothing of `bus` is used in the client itself, only to compare what it has read.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import msgspec
import pytest
import zmq

from bus.subscriber.sync import Start, Subscriber
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import TIME_FACTOR, deadline
from tests.support.workspace import ServiceProcess, Workspace, wait_for_jobs

HEARTBEAT: Final = b"~heartbeat."
PATIENCE_MS: Final = int(10_000 * TIME_FACTOR)


class PlainClient:
    """A SUB and a REQ socket."""

    def __init__(self) -> None:
        """Make a context of its own, as a foreign program has."""
        self._context = zmq.Context()
        self._sub, self._req = self._context.socket(zmq.SUB), self._context.socket(zmq.REQ)
        for socket in (self._sub, self._req):
            socket.linger, socket.rcvtimeo = 0, PATIENCE_MS

    def connect(self, control: str) -> None:
        """Connect to a service's control address."""
        self._req.connect(control)

    def ask(self, method: bytes, params: object) -> tuple[bytes, Any]:
        """Ask and return status and result."""
        return self.ask_raw(method, msgspec.msgpack.encode(params))

    def ask_raw(self, method: bytes, params: bytes) -> tuple[bytes, Any]:
        """Ask with parameters that are encoded already; the request id is empty, as REQ adds its own delimiter."""
        self._req.send_multipart([method, params])
        status, result = self._req.recv_multipart()
        return status, msgspec.msgpack.decode(result)

    def subscribe(self, prefix: bytes) -> None:
        """Subscribe to a prefix, then to heartbeats, and ask for one until one arrives: then all is active."""
        _, info = self.ask(b"info", {})
        self.epoch = info["epoch"]
        self._sub.connect(info["feed"])
        self._sub.subscribe(prefix)
        self._sub.subscribe(HEARTBEAT)
        limit = deadline(10)
        while not limit.passed:
            assert self.ask(b"heartbeat", {}) == (b"ok", {})
            if self._sub.poll(50):
                topic, frame = self._sub.recv_multipart()
                assert topic == HEARTBEAT, "nothing happens yet, so a heartbeat comes first"
                self.check_heartbeat(msgspec.msgpack.decode(frame), info)
                return
        pytest.fail("no heartbeat came")

    def check_heartbeat(self, beat: list[Any], info: dict[str, Any]) -> None:
        """Check a heartbeat against the protocol."""
        version, epoch, head, first, time_ns, who = beat
        assert (version, epoch) == (1, info["epoch"])
        assert head >= info["head"]
        assert first >= 1
        assert time_ns > 1e18
        assert who["service"] == info["service"]
        assert who["closing"] is False

    def messages(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield what arrives on the feed, but for heartbeats."""
        while True:
            topic, frame = self._sub.recv_multipart()
            if topic != HEARTBEAT:
                yield topic.decode("ascii"), msgspec.msgpack.decode(frame)

    def close(self) -> None:
        """Release everything."""
        self._context.destroy(linger=0)


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Yield a learning service that is asked what it refuses."""
    with closing(Workspace(tmp_path_factory.mktemp("refusing"))) as workspace:
        yield workspace.learning(workspace.runner())


@pytest.fixture
def client() -> Iterator[PlainClient]:
    """Yield a client that knows nothing of us but the protocol."""
    client = PlainClient()
    yield client
    client.close()


def prefixes(topic: str) -> list[str]:
    """Return the whole-token prefixes of a topic, shortest first."""
    return [topic[: end + 1] for end, char in enumerate(topic) if char == "."]


def test_a_plain_subscriber_gets_every_event_and_can_prove_it(workspace: Workspace, client: PlainClient) -> None:
    """After a heartbeat nothing is missed, and the chain of each message names its predecessors."""
    _, learning = services(workspace)
    client.connect(learning.control)
    client.subscribe(b"variant.status.")

    experiment_id = submit(workspace, program(values=3, jobs=4))

    newest: dict[str, int] = {}
    events = []
    for topic, (version, epoch, offset, chain, time_ns, body) in client.messages():
        assert (version, epoch) == (1, client.epoch)
        assert body["type"] == "variant.status"
        known = [newest.get(prefix, 0) for prefix in prefixes(topic)]
        assert chain[1:] == known[1:], f"{topic} {offset} follows {chain}, received were {known}"
        newest.update(dict.fromkeys(prefixes(topic), offset))
        events.append([offset, topic, time_ns, body])
        if body["completed"] == body["planned"] == 4 and len(done(events)) == 3:
            break
    status, page = client.ask(b"fetch", {"prefix": "variant.status.", "after": 0, "limit": 1000})
    assert status == b"ok"
    assert page["events"] == events
    assert page["epoch"] == client.epoch
    assert our_own(learning, experiment_id, len(events)) == events


def done(events: list[list[Any]]) -> set[int]:
    """Return the variants that have ended."""
    return {body["variant_index"] for _, _, _, body in events if body["status"] == "completed"}


def our_own(learning: ServiceProcess, experiment_id: str, number: int) -> list[list[Any]]:
    """Read the same with our own subscriber."""
    read: list[list[Any]] = []
    prefix = f"variant.status.{experiment_id}"
    with Subscriber([learning.control], [prefix], start=Start.BEGINNING) as subscriber:
        while len(read) < number:
            batch = subscriber.receive(10 * TIME_FACTOR)
            assert batch, f"only {len(read)} events of {number} came"
            read += [[one.offset, one.topic, one.time_ns, msgspec.msgpack.decode(one.body)] for one in batch]
    return read


def test_a_plain_client_asks_what_a_log_holds(workspace: Workspace, client: PlainClient) -> None:
    """`info`, `check`, `fetch` and `latest` agree about the log, and `fetch` gives it page by page."""
    _, learning = services(workspace)
    experiment_id = submit(workspace, program(values=3, jobs=2))
    wait_for_jobs(learning, experiment_id, 6)
    client.connect(learning.control)

    _, info = client.ask(b"info", {})
    assert info.keys() >= {"service", "version", "protocol", "epoch", "first", "head", "feed", "limits"}
    assert (info["service"], info["protocol"], info["first"]) == ("learning", 1, 1)

    whole = []
    after = 0
    while after < info["head"]:
        _, page = client.ask(b"fetch", {"prefix": "", "after": after, "limit": 5})
        whole += page["events"]
        after = page["next"]
    assert len(whole) > 5, "the log fits one page, so this proves nothing"
    assert [offset for offset, *_ in whole] == list(range(1, info["head"] + 1))

    prefix = f"variant.status.{experiment_id}."
    mine = [event for event in whole if event[1].startswith(prefix)]
    assert client.ask(b"check", {"prefix": prefix, "after": 0})[1]["last"] == mine[-1][0]
    assert client.ask(b"check", {"prefix": prefix, "after": mine[-1][0]})[1]["last"] == 0
    part = client.ask(b"fetch", {"prefix": prefix, "after": mine[0][0], "until": mine[-2][0], "limit": 1000})[1]
    assert part["events"] == mine[1:-1]
    newest = {topic: [offset, topic, time_ns, body] for offset, topic, time_ns, body in mine}
    latest = client.ask(b"latest", {"prefix": prefix, "limit": 100})[1]
    assert latest["events"] == [newest[topic] for topic in sorted(newest)]
    second = client.ask(b"latest", {"prefix": prefix, "limit": 100, "after_topic": min(newest)})[1]
    assert second["events"] == latest["events"][1:]


@pytest.mark.parametrize(
    ("method", "params", "code", "word"),
    [
        (b"fech", b"\x80", "unknown_method", "fetch"),
        (b"\xff\xfe", b"\x80", "unknown_method", "unknown"),
        (b"fetch", msgspec.msgpack.encode({"after": "x"}), "invalid_request", "after"),
        (b"fetch", msgspec.msgpack.encode({"after": -1}), "invalid_request", "after"),
        (b"fetch", msgspec.msgpack.encode({"after": 0, "limmit": 1}), "invalid_request", "limit"),
        (b"check", msgspec.msgpack.encode({"prefix": "half.a.tok"}), "invalid_request", "prefix"),
        (b"fetch", msgspec.msgpack.encode([1, 2]), "invalid_request", "must be a table"),
        (b"fetch", b"\xc1", "invalid_request", "input"),
        (b"experiment.show", msgspec.msgpack.encode({"experiment_id": "none"}), "not_found", "none"),
        (b"experiment.show", b"\x80", "invalid_request", "experiment_id"),
    ],
)
def test_a_wrong_request_gets_an_error_that_names_what_is_wrong(
    learning: ServiceProcess, client: PlainClient, method: bytes, params: bytes, code: str, word: str
) -> None:
    """Errors are a map of code, message and details, and the service goes on."""
    client.connect(learning.control)

    status, error = client.ask_raw(method, params)

    assert (status, error["code"]) == (b"error", code)
    assert word in error["message"]
    asked = {"service": "learning", "method": method.decode(errors="replace")}
    assert error["details"] == (asked if code == "unknown_method" else {})
    assert client.ask(b"info", {})[0] == b"ok"
