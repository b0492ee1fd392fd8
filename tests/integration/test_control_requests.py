"""What docs/protocol.md says of requests, asked as other languages ask: raw msgpack over a plain socket."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import zmq

from bus.transport.sockets import Socket
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service

EVENTS: Final = 7  # of the topics a.0. a.1. a.2. in turn, from offset 1 on
encode = msgspec.msgpack.encode


def connected(kind: int, address: str) -> Socket:
    """Return a plain socket."""
    socket: Socket = zmq.Context.instance().socket(kind)
    socket.linger = 0
    socket.rcvtimeo = int(1000 * PATIENCE * TIME_FACTOR)
    socket.connect(address)
    return socket


class Client:
    """A DEALER socket."""

    def __init__(self, service: Service) -> None:
        """Connect."""
        self.service = service
        self.socket = connected(zmq.DEALER, service.address)

    def send(self, method: str, params: bytes, request_id: bytes = b"1") -> None:
        """Send a request."""
        self.socket.send_multipart([request_id, method.encode(), params])

    def receive(self) -> tuple[bytes, bytes, Any]:
        """Return the next reply, decoded."""
        request_id, status, result = self.socket.recv_multipart()
        return request_id, status, msgspec.msgpack.decode(result)

    def ask(self, method: str, params: object = None) -> dict[str, Any]:
        """Return the result of a request that is accepted."""
        self.send(method, b"" if params is None else encode(params))
        _, status, result = self.receive()
        assert status == b"ok", result
        return dict(result)

    def refusal(self, method: str, params: object) -> str:
        """Return the sentence of a request that is refused."""
        self.send(method, params if isinstance(params, bytes) else encode(params))
        _, status, error = self.receive()
        assert (status, error["code"]) == (b"error", "invalid_request"), error
        return str(error["message"])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Ask a publisher with some events."""
    service = Service(tmp_path_factory.mktemp("log") / "test.sqlite")
    for number in range(EVENTS):
        service.append((f"a.{number % 3}.", number))
    client = Client(service)
    yield client
    client.socket.close()
    service.stop()


def offsets(reply: dict[str, Any]) -> list[int]:
    """Return the offsets of the events of a reply."""
    return [offset for offset, *_ in reply["events"]]


def test_every_parameter_of_the_built_in_methods_may_be_left_out(client: Client) -> None:
    """Everything, from the beginning, to the end; an empty frame is an empty map."""
    assert client.ask("check") == client.ask("check", {}) == client.ask("check", {"prefix": "", "after": 0})
    assert client.ask("fetch") == client.ask("fetch", {"prefix": "", "after": 0, "until": None, "limit": 1000})
    assert client.ask("latest") == client.ask("latest", {"prefix": "", "limit": 1000, "after_topic": ""})
    assert offsets(client.ask("fetch")) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("params", "events", "behind"),
    [
        ({"until": 3}, [1, 2, 3], 3),
        ({"after": 3}, [4, 5, 6, 7], 7),
        ({"prefix": "a.0."}, [1, 4, 7], 7),
        ({"prefix": "b."}, [], 7),
        ({"until": 0}, [], 0),
        ({"until": 1_000}, [1, 2, 3, 4, 5, 6, 7], 7),
        ({"after": 5, "until": 3}, [], 5),
        ({"after": 7}, [], 7),
        ({"after": 100}, [], 100),
        ({"after": 100, "prefix": "a.0."}, [], 100),
        ({"limit": 0}, [1], 1),
        ({"limit": 2, "prefix": "a.0.", "after": 1}, [4, 7], 7),
        ({"limit": 2**63 - 1}, [1, 2, 3, 4, 5, 6, 7], 7),
    ],
)
def test_a_page_is_complete_up_to_next(client: Client, params: object, events: list[int], behind: int) -> None:
    """`next` is never before `after`; where `after` is beyond the head, only `head` shows it."""
    reply = client.ask("fetch", params)

    assert (offsets(reply), reply["next"], reply["head"]) == (events, behind, EVENTS)


def test_a_limit_is_capped_by_what_info_says(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for more gets a page."""
    log = client.service.log
    monkeypatch.setattr(log, "limits", msgspec.structs.replace(log.limits, page_events=3))

    assert client.ask("info")["limits"]["page"] == 3
    assert offsets(client.ask("fetch", {"limit": 5})) == [1, 2, 3]
    assert len(offsets(client.ask("latest", {"limit": 5}))) == 3


def test_pages_of_latest_follow_each_other_by_topic(client: Client) -> None:
    """The last one may be empty; what is no topic is only a place in the order."""
    first = client.ask("latest", {"limit": 2})
    second = client.ask("latest", {"limit": 2, "after_topic": first["next"]})

    assert (offsets(first), first["next"]) == ([7, 5], "a.1.")
    assert (offsets(second), second["next"]) == ([6], "")
    assert client.ask("latest", {"limit": 3})["next"] == "a.2."
    assert client.ask("latest", {"after_topic": "a.2."})["events"] == []
    assert offsets(client.ask("latest", {"after_topic": "a.0.x"})) == [5, 6]


@pytest.mark.parametrize(
    ("params", "last"),
    [
        ({}, 7),
        ({"after": 6}, 7),
        ({"after": 7}, 0),
        ({"after": 100}, 0),
        ({"prefix": "a.1."}, 5),
        ({"prefix": "b."}, 0),
    ],
)
def test_check_gives_the_newest_offset_behind_another(client: Client, params: object, last: int) -> None:
    """Else 0, also for what is beyond the head."""
    assert client.ask("check", params)["last"] == last


@pytest.mark.parametrize("form", [b"\x02", b"\xcc\x02", b"\xcd\x00\x02", b"\xcf" + bytes(7) + b"\x02", b"\xd0\x02"])
def test_an_integer_may_have_every_form(client: Client, form: bytes) -> None:
    """Libraries differ in which they write."""
    client.send("fetch", b"\x81\xa5after" + form)

    assert offsets(client.receive()[2]) == [3, 4, 5, 6, 7]


def test_the_largest_number_is_2_63_minus_1(client: Client) -> None:
    """It is what SQLite can hold; more is refused, and not cut."""
    assert client.ask("check", {"after": 2**63 - 1})["last"] == 0
    assert client.refusal("check", {"after": 2**63}).startswith("after: must be a whole number from 0 to 2^63-1")


@pytest.mark.parametrize(
    ("method", "params", "sentence"),
    [
        ("check", {"after": 2.0}, "after: must be a whole number, not a decimal number"),
        ("check", {"after": None}, "after: must be a whole number, not nothing"),
        ("fetch", {"limit": -1}, "limit: must be a whole number from 0 to 2^63-1"),
        ("fetch", {"prefixes": "a."}, "prefixes: unknown key; did you mean 'prefix'?"),
        ("info", {"verbose": True}, "verbose: unknown key; there are none"),
        ("check", {"prefix": "a"}, "prefix: 'a' is no topic"),
        ("check", {"prefix": "~heartbeat."}, "prefix: '~heartbeat.' is no topic"),
        ("check", {"prefix": b"a."}, "prefix: must be text, not bytes; send text as str, not as bin"),
        ("check", b"\x80\x80", "input: is no valid MessagePack: trailing characters"),
        ("info", b"\x90", "input: must be a table, not a list"),
        ("info", b"\xc0", "input: must be a table, not nothing"),
    ],
)
def test_what_the_page_forbids_is_refused_with_the_name_of_the_parameter(
    client: Client, method: str, params: object, sentence: str
) -> None:
    """Nothing is guessed: a request with a mistake gets no answer to another question."""
    assert client.refusal(method, params).startswith(sentence)


def test_many_requests_may_be_in_flight_and_keep_their_ids(client: Client) -> None:
    """Each gets its own reply, also those of the same id."""
    ids = [b"%d" % number for number in range(100)] + [b"same", b"same", b"", bytes(64)]
    for request_id in ids:
        client.send("check", b"", request_id)

    assert [client.receive()[0] for _ in ids] == ids


@pytest.mark.parametrize("frames", [[b"", b"1", b"info", b""], [b"info", b""], [bytes(65), b"info", b""]])
def test_what_has_not_the_form_of_a_request_gets_no_answer(client: Client, frames: list[bytes]) -> None:
    """An empty delimiter before the id, no id, too long an id; the connection lives on."""
    client.socket.send_multipart(frames)
    client.send("info", b"", b"next")

    assert client.receive()[0] == b"next"


@pytest.fixture
def req(client: Client) -> Iterator[Socket]:
    """Connect a REQ socket."""
    socket = connected(zmq.REQ, client.service.address)
    yield socket
    socket.close()


def test_a_req_socket_sends_two_frames_and_gets_two(req: Socket) -> None:
    """Its own empty delimiter is the request id."""
    req.send_multipart([b"heartbeat", b"\x80"])

    assert req.recv_multipart() == [b"ok", b"\x80"]


def test_a_req_socket_must_not_number_its_requests(req: Socket) -> None:
    """ZMQ_REQ_CORRELATE adds a frame, so that nothing is a request any more."""
    req.req_correlate = 1
    req.rcvtimeo = int(100 * TIME_FACTOR)
    req.send_multipart([b"heartbeat", b"\x80"])

    with pytest.raises(zmq.Again):
        req.recv_multipart()
