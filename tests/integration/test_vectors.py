"""The test vectors in tests/vectors/, read and written by our own code, and the hex examples of docs/protocol.md."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, get_args

import msgspec
import pytest
from msgspec.structs import replace

from bus.contracts.messages import Message, decode_body, encode_body
from bus.protocol import topics
from bus.protocol.control import (
    CheckParams,
    CheckReply,
    ControlError,
    FetchParams,
    FetchReply,
    InfoReply,
    LatestParams,
    LatestReply,
    MetricsReply,
    NoParams,
    error_decoder,
)
from bus.protocol.frames import HeartbeatFrame, Record, encode, encode_feed, feed_decoder, heartbeat_decoder
from bus.transport.server import MethodServer
from tests.support.helpers import Service

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "protocol.md"
Value = list[Any]


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One example: its frames in hex, and what they say, one element a frame (for a topic: its tokens)."""

    name: str
    description: str
    hex: list[str]
    value: Value

    @property
    def frames(self) -> list[bytes]:
        """The bytes of the frames."""
        return [bytes.fromhex(frame) for frame in self.hex]

    @property
    def method(self) -> str:
        """The method that a request or reply belongs to."""
        return self.name.partition(":")[0]


class Built(NamedTuple):
    """What a built-in method takes and gives."""

    params: type[msgspec.Struct]
    reply: type[Any]


BUILT_IN: Final = {
    "info": Built(NoParams, InfoReply),
    "heartbeat": Built(NoParams, dict[str, str]),
    "check": Built(CheckParams, CheckReply),
    "fetch": Built(FetchParams, FetchReply),
    "latest": Built(LatestParams, LatestReply),
    "metrics": Built(NoParams, MetricsReply),
}


def plain(value: object) -> Any:
    """Return a value as JSON has it: maps, arrays, texts and numbers."""
    return msgspec.json.decode(msgspec.json.encode(value))


def body_of(value: object) -> msgspec.Raw:
    """Encode the body of a message that is given as plain JSON."""
    return msgspec.Raw(encode_body(msgspec.convert(value, Message)))


def read_topic(vector: Vector) -> Value:
    """Return the tokens of a topic."""
    topic = vector.frames[0].decode("ascii")
    topics.check(topic)
    return list(topics.split(topic))


def write_topic(vector: Vector) -> list[bytes]:
    """Build a topic of its tokens."""
    return [topics.build("", *vector.value).encode()]


def read_feed(vector: Vector) -> Value:
    """Read a feed message as the subscriber does."""
    topic, second = vector.frames
    topics.check(topic.decode())
    frame = feed_decoder.decode(second)
    head = [frame.version, frame.epoch, frame.offset, frame.chain, frame.time_ns]
    return [topic.decode(), [*head, plain(decode_body(frame.body))]]


def write_feed(vector: Vector) -> list[bytes]:
    """Write a feed message as the publisher does."""
    topic, (_, epoch, offset, chain, time_ns, body) = vector.value
    return [topic.encode(), encode_feed(epoch, offset, chain, time_ns, bytes(body_of(body)))]


def read_heartbeat(vector: Vector) -> Value:
    """Read a heartbeat as the subscriber does."""
    topic, frame = vector.frames
    return [topic.decode(), plain(heartbeat_decoder.decode(frame))]


def write_heartbeat(vector: Vector) -> list[bytes]:
    """Write a heartbeat as the publisher does."""
    topic, frame = vector.value
    return [topic.encode(), encode(msgspec.convert(frame, HeartbeatFrame))]


def read_request(vector: Vector) -> Value:
    """Let a method of the control socket take the request and return what its handler got."""
    taken: list[object] = []
    methods = MethodServer()
    methods.add(vector.method, BUILT_IN[vector.method].params, taken.append)
    reply = methods.answer(vector.frames)
    assert reply[1] == b"ok", reply
    return [reply[0].decode(), vector.frames[1].decode(), *plain(taken)]


def write_request(vector: Vector) -> list[bytes]:
    """Write a request as our client does."""
    request_id, method, params = vector.value
    return [request_id.encode(), method.encode(), encode(msgspec.convert(params, BUILT_IN[vector.method].params))]


def read_reply(vector: Vector) -> Value:
    """Read a reply as our client does."""
    request_id, status, result = vector.frames
    decoded = msgspec.msgpack.decode(result, type=BUILT_IN[vector.method].reply)
    # JSON cannot show a body that is still encoded
    rows = [
        [row.offset, row.topic, row.time_ns, plain(decode_body(row.body))] for row in getattr(decoded, "events", [])
    ]
    fields = msgspec.structs.asdict(decoded) if isinstance(decoded, msgspec.Struct) else decoded
    return [
        request_id.decode(),
        status.decode(),
        plain({**fields, **({"events": rows} if "events" in fields else {})}),
    ]


def write_reply(vector: Vector) -> list[bytes]:
    """Return the frames of a reply with the result of a method."""
    request_id, _, result = vector.value
    if "events" in result:
        rows = [Record(offset, topic, time_ns, body_of(body)) for offset, topic, time_ns, body in result["events"]]
        result = {**result, "events": rows}
    answer = BUILT_IN[vector.method].reply(**result)
    return answered(request_id, lambda _params: answer)


def read_error(vector: Vector) -> Value:
    """Read an error reply as our client does."""
    request_id, status, error = vector.frames
    return [request_id.decode(), status.decode(), plain(error_decoder.decode(error))]


def write_error(vector: Vector) -> list[bytes]:
    """Return the frames of the reply of a method that refuses."""
    request_id, _, error = vector.value

    def refuse(_params: NoParams) -> NoReturn:
        raise ControlError(**error)

    return answered(request_id, refuse)


def answered(request_id: str, handler: Callable[[NoParams], object]) -> list[bytes]:
    """Return the frames with which a method answers."""
    methods = MethodServer()
    methods.add("method", NoParams, handler)
    return [bytes(frame) for frame in methods.answer([request_id.encode(), b"method", b""])]


class Kind(NamedTuple):
    """How our code reads and writes what one file has examples of."""

    read: Callable[[Vector], Value]
    write: Callable[[Vector], list[bytes]]


KINDS: Final = {
    "topics": Kind(read_topic, write_topic),
    "feed": Kind(read_feed, write_feed),
    "heartbeats": Kind(read_heartbeat, write_heartbeat),
    "requests": Kind(read_request, write_request),
    "replies": Kind(read_reply, write_reply),
    "errors": Kind(read_error, write_error),
}
VECTORS: Final = {
    kind: msgspec.json.decode((ROOT / "tests" / "vectors" / f"{kind}.json").read_bytes(), type=list[Vector])
    for kind in KINDS
}
# What earlier versions wrote stays an example for readers: a definition may have 16 fields now, so that its map has
# the longer header, which the next vector shows.
OF_EARLIER: Final = frozenset({"experiment.status"})
each_vector: Final = pytest.mark.parametrize(
    ("kind", "vector"),
    [pytest.param(kind, one, id=f"{kind}: {one.name}") for kind, vectors in VECTORS.items() for one in vectors],
)


@each_vector
def test_the_frames_of_a_vector_say_its_value(kind: str, vector: Vector) -> None:
    """Our code reads what the vector says."""
    assert KINDS[kind].read(vector) == vector.value


@each_vector
def test_the_value_of_a_vector_becomes_its_frames(kind: str, vector: Vector) -> None:
    """Our code writes exactly these bytes, as Structs are encoded in the order of their fields."""
    found = [frame.hex() for frame in KINDS[kind].write(vector)]

    if vector.name in OF_EARLIER:
        assert found != vector.hex, "it is no exception any more"
        assert KINDS[kind].read(replace(vector, hex=found)) == vector.value
    else:
        assert found == vector.hex, f"{kind}.json, {vector.name!r}: the right hex is {found}"


def test_every_vector_file_is_tested_and_names_are_unique() -> None:
    """No file lies unread beside the others, and a name finds one vector."""
    assert {path.name for path in (ROOT / "tests" / "vectors").iterdir()} == {f"{kind}.json" for kind in KINDS}
    for vectors in VECTORS.values():
        assert len({one.name for one in vectors}) == len(vectors)


def test_the_feed_vectors_show_every_message_and_every_special_case() -> None:
    """Every type, no learning context, an unknown chain, an ephemeral message, and numbers that no double holds."""
    frames = [one.value[1] for one in VECTORS["feed"]]
    assert {body["type"] for *_, body in frames} == {kind.__struct_config__.tag for kind in get_args(Message)}
    assert any(body.get("learning_context", 0) is None for *_, body in frames)
    assert any(None in chain for _, _, _, chain, *_ in frames)
    assert any(offset == 0 and not chain for _, _, offset, chain, *_ in frames)
    assert any(int(float(epoch)) != epoch for _, epoch, *_ in frames)


def test_every_built_in_method_has_a_request_and_a_reply(serve: Callable[..., Service], tmp_path: Path) -> None:
    """What each publisher answers is shown, and nothing else."""
    methods = set(serve(tmp_path / "test.sqlite").publisher.methods._methods)

    assert methods == BUILT_IN.keys()
    for kind in ("requests", "replies"):
        assert {one.method for one in VECTORS[kind]} == methods


def examples(text: str) -> list[list[str]]:
    """Return the frames of each hex block: bytes, two spaces, what they mean; an empty line begins the next frame."""
    found = []
    for block in re.findall(r"```hex\n(.*?)\n```", text, re.DOTALL):
        frames = [[re.split(r" {2,}", line)[0] for line in frame.splitlines()] for frame in block.split("\n\n")]
        found.append(["".join(lines).replace(" ", "") for lines in frames])
    return found


def test_every_hex_example_of_the_protocol_page_is_a_vector() -> None:
    """What the page shows is tested, and it shows one example at least of every kind of frame."""
    shown = examples(PAGE.read_text(encoding="utf-8"))
    for frames in shown:
        assert any(frames == one.hex for vectors in VECTORS.values() for one in vectors), f"in no vector: {frames}"
    for kind, vectors in VECTORS.items():
        assert any(one.hex in shown for one in vectors), f"docs/protocol.md has no example of {kind}.json"


def test_the_page_says_where_more_examples_are() -> None:
    """Whoever reads the page finds the vectors."""
    assert "`tests/vectors/`" in PAGE.read_text(encoding="utf-8")
