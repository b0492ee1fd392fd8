"""What is fuzzed: every place where bytes of strangers come in, as functions that must never raise.

A target takes one input and checks what must hold whatever it is. Those of the wire take several frames: in an input,
each frame stands behind its length in two bytes.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from unittest import mock

import msgspec

import bus.subscriber.source
from bus.contracts.messages import decode_body
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.addresses import MAX_PORT, AddressError, parse_address
from bus.protocol.control import ID_LIMIT, error_decoder
from bus.protocol.frames import encode
from bus.protocol.topics import TopicError
from bus.protocol.validation import InvalidInputError
from bus.publisher import Publisher
from bus.subscriber.delivery import Delivery, Start
from bus.subscriber.source import Source
from bus.transport import sockets
from bus.transport.client import _Connection, _Question, _settle
from bus.transport.loop import Loop, Timer
from bus.transport.server import MethodServer
from bus.transport.sockets import Socket
from learning_service.experiments.plan import check_plan
from tests.support.helpers import LOCALHOST, append
from variantbus.files.reading import read_experiment

NOWHERE: Final = "tcp://127.0.0.1:9"
NO_CONNECTION: Final = _Connection(cast(Socket, None))
STARTS: Final = (("", Start.BEGINNING), ("a.", Start.NOW), ("a.", Start.LATEST))
PIPELINES: Final = {
    "embedded": {
        "txt2img": StageSpec(
            variables={
                "cfg_scale": VariableSpec(kind="float", minimum=0, maximum=30),
                "sampler_name": VariableSpec(kind="str", choices=("euler", "heun")),
            },
            config={
                "prompt": VariableSpec(kind="str"),
                "steps": VariableSpec(kind="int", minimum=1),
                "loras": VariableSpec(kind="map", inside={"*": VariableSpec(kind="strength", minimum=-5, maximum=5)}),
                "alwayson": VariableSpec(kind="map", open=True),
            },
        )
    },
    "command": {"run": StageSpec(template="command", config={"command": VariableSpec(kind="list")})},
}


def frames_of(data: bytes) -> list[bytes]:
    """Cut an input into frames; the last one may be shorter than its length says."""
    found = []
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def input_of(frames: list[bytes]) -> bytes:
    """Undo `frames_of`."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


class StillLoop:
    """A loop in which nothing ever happens by itself."""

    def every(self, period: float, callback: Callable[[], None]) -> Timer:
        """Never call."""
        return Timer(0.0, period, callback)

    def later(self, _seconds: float, callback: Callable[[], None]) -> Timer:
        """Never call."""
        return Timer(0.0, None, callback)

    def add(self, *_: object) -> None:
        """Never call."""

    remove = add


class Silence:
    """Stands in for the socket of a feed."""

    def __init__(self, *_: object, **__: object) -> None:
        """Connect nowhere."""

    def subscribe(self, prefix: bytes) -> None:
        """Take any prefix."""

    def close(self) -> None:
        """Do nothing."""


class Asked:
    """Stands in for a client: keeps what a source asks, so that an input can be the answer."""

    def __init__(self, *_: object) -> None:
        """Nothing is asked yet."""
        self.questions: list[_Question] = []

    def ask(self, method: str, params: object, reply: type, on_reply: Callable[[Any], None], *rest: Any) -> None:
        """Keep a question."""
        assert method
        assert encode(params)
        timer = Timer(0.0, None, lambda: None)
        self.questions.append(_Question(msgspec.msgpack.Decoder(reply), on_reply, rest[0], timer, 0.0, NO_CONNECTION))

    def answer(self, status: bytes, body: bytes) -> None:
        """Answer the oldest question."""
        if self.questions:
            _settle(self.questions.pop(0), status, body)

    def close(self) -> None:
        """Forget all questions."""
        self.questions.clear()


@contextmanager
def source_of(prefix: str, start: Start, incoming: list[list[bytes]]) -> Iterator[tuple[Source, Asked, list[Delivery]]]:
    """Yield a source without a network; whatever it hands over is collected."""
    delivered: list[Delivery] = []

    def receive(_socket: object) -> tuple[bytes, bytes] | None:
        if not incoming:
            return None
        first, second = [*incoming.pop(0), b""][:2]
        return first, second

    with (
        mock.patch.object(bus.subscriber.source, "RequestClient", Asked),
        mock.patch.object(sockets, "connect_feed", Silence),
        mock.patch.object(sockets, "receive_pair", receive),
        mock.patch.object(sockets, "is_readable", return_value=True),
        mock.patch.object(sockets, "drop_rest"),
    ):
        source = Source(StillLoop(), NOWHERE, {prefix: start}, delivered.extend, lambda *_: None)  # type: ignore[arg-type]  # as much of a loop as it uses
        asked: Asked = source._client  # type: ignore[assignment]  # see above
        yield source, asked, delivered


def feed(data: bytes) -> None:
    """A subscriber takes any feed: what it hands over rises within an epoch, and its bodies can be looked at."""
    frames = frames_of(data)
    for prefix, start in STARTS:
        incoming = [frames[index : index + 2] for index in range(0, len(frames), 2)]
        with source_of(prefix, start, incoming) as (source, _, delivered):
            source._feed = Silence(NOWHERE)  # type: ignore[assignment]  # see `source_of`
            source._on_feed()
            check_delivered(delivered)
            source.positions()
            source._tick()


def reply(data: bytes) -> None:
    """A subscriber takes any replies, each as the answer to whatever it has asked."""
    frames = frames_of(data)
    for prefix, start in STARTS:
        with source_of(prefix, start, []) as (source, asked, delivered):
            for index in range(0, len(frames) - 1, 2):
                asked.answer(frames[index], frames[index + 1])
                source._flush()
            check_delivered(delivered)
            source._tick()


def check_delivered(delivered: list[Delivery]) -> None:
    """Check that events with an offset come in order within their epoch, and that each body is a message or refused."""
    newest: dict[int, int] = {}
    for one in delivered:
        if one.offset:
            assert one.offset > newest.get(one.epoch, -1), "an event twice, or out of order"
            newest[one.epoch] = one.offset
        body(bytes(one.body))


@cache
def methods() -> MethodServer:
    """Return the methods of one publisher of this process, with a small log."""
    folder = Path(tempfile.mkdtemp(prefix="variantbus-fuzz-"))
    log, loop = Log(folder / "fuzz.db"), Loop()
    append(log, ("a.", 1), ("b.", 2), ("a.x.", 3))
    publisher = Publisher(log, loop, service="fuzz", version="0", feed=LOCALHOST, control=LOCALHOST)

    def close() -> None:
        publisher.close()
        loop.close()
        log.close()
        shutil.rmtree(folder)

    atexit.register(close)
    return publisher.methods


def request(data: bytes) -> None:
    """A publisher answers anything that has the form of a request, and drops the rest."""
    check_answer(methods(), frames_of(data))


def check_answer(asked: MethodServer, frames: list[bytes]) -> None:
    """Check that a request gets a reply that a client can read, or none if it has not even the form."""
    if not asked.accepts(frames):
        assert len(frames) != 3 or len(frames[0]) > ID_LIMIT
        return
    check_reply(frames, asked.answer(frames))


def check_reply(frames: list[bytes], reply: list[sockets.Frame]) -> None:
    """Check that a client can read the reply to its request."""
    request_id, status, result = reply
    assert request_id == frames[0]
    if status == b"error":
        error = error_decoder.decode(result)
        assert error.message
        assert error.code != "internal", error.message
    else:
        assert status == b"ok"
        msgspec.msgpack.decode(result)


def body(data: bytes) -> None:
    """A body is a message, of a type that is not known, or refused with a sentence."""
    with suppress(InvalidInputError):
        message = decode_body(data)
        if message is not None:
            assert decode_body(encode(message)) is not None


def topic(data: bytes) -> None:
    """A topic keeps the rules, so that all that is made of it can be, or is refused."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(TopicError):
        prefix = topics.as_prefix(text)
        if prefix:
            assert topics.prefixes(prefix)[-1] == prefix
            assert prefix < topics.after_prefix(prefix)
            assert topics.build(prefix[:0], *topics.split(prefix)).isascii()
    with suppress(TopicError, UnicodeEncodeError):  # what is no text has no UTF-8
        assert topics.split(topics.build("a.", text)) == ("a", text)


def address(data: bytes) -> None:
    """An address is host and port, written as it was read, or refused."""
    text = data.decode("utf-8", "replace")
    with suppress(AddressError):
        one = parse_address(text)
        assert parse_address(str(one)) == one
        assert 0 <= one.port <= MAX_PORT


@cache
def _experiment_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="variantbus-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    return folder / "experiment.toml"


def experiment(data: bytes) -> None:
    """An experiment file gives a plan whose values a runner takes, or one sentence."""
    path = _experiment_file()
    path.write_bytes(data)
    text = "it is fine"
    try:
        definition = read_experiment(path).definition
        assert check_plan(definition, PIPELINES, 1000)
    except InvalidInputError as error:
        text = str(error)
    assert text
    assert "\n" not in text


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "feed": feed,
    "reply": reply,
    "request": request,
    "body": body,
    "topic": topic,
    "address": address,
    "experiment": experiment,
}
