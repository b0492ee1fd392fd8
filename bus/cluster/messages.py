"""What travels in the cluster beside the messages of the bus, encoded in msgpack."""

import zlib
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from bus.contracts.jobs import PipelinesReply
from bus.protocol.validation import InvalidInputError, decode

T = TypeVar("T")
Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]  # what a database takes: who sends more is refused at the door
LARGE_BYTES: Final = 16 << 10  # from which on a message is compressed by `pack`
MOST_BYTES: Final = 16 << 20  # of a message, when it is unpacked
_COMPRESSED: Final = b"\x78"  # how zlib begins, and no map of msgpack does


class End(Struct, frozen=True, kw_only=True, gc=False):
    """The end of a job. The first one on its subject counts, all others are refused by the server.

    `run` is another one each time somebody wants to commit an end, so who reads it back knows whose it is.
    `runner`, `epoch` and `number` say that it is the so-many-th end of a runner since a log began; all numbers up to
    `complete` were acknowledged before this one was sent. So a reader sees what the cluster has lost. Those of a
    learning service have no number (0).
    """

    run: str
    runner: str
    epoch: Number
    number: Number
    complete: Number
    body: Raw  # of `job.completed`


class Announcement(Struct, frozen=True, kw_only=True, gc=False):
    """What a runner says of itself every few seconds; it is gone if it does not for a while."""

    runner: str
    control: str  # its control address as people know it
    offers: PipelinesReply


class CancelNews(Struct, frozen=True, kw_only=True, gc=False):
    """The jobs of an experiment are cancelled; with `finish_running`, those that run may come to their end."""

    experiment_id: str
    finish_running: bool


class RepeatRequest(Struct, frozen=True, kw_only=True, gc=False):
    """A runner shall publish again those of its ends that are not there, from a number of an epoch on."""

    epoch: Number
    number: Number


_encoder = msgspec.msgpack.Encoder()


def encode(message: Struct) -> bytes:
    """Encode a message."""
    return _encoder.encode(message)


def is_answer(data: bytes) -> bool:
    """Return whether a message is what NATS says in JSON, and none of ours, which never begin like that.

    NATS puts its answers wherever who asks has said, whatever that one may write: also into our streams.
    """
    return data.startswith(b"{")


def decode_as(kind: type[T], data: bytes) -> T:
    """Decode a message.

    Raises:
        InvalidInputError: it is none of this kind.
    """
    return decode(msgspec.msgpack.Decoder(kind), data)


def pack(message: Struct) -> bytes:
    """Encode a message that may be large, such as an announcement: it is compressed then."""
    data = encode(message)
    return zlib.compress(data) if len(data) > LARGE_BYTES else data


def unpack(kind: type[T], data: bytes) -> T:
    """Decode what `pack` has encoded.

    Raises:
        InvalidInputError: it is none of this kind.
    """
    if not data.startswith(_COMPRESSED):
        return decode_as(kind, data)
    unpacking = zlib.decompressobj()
    try:
        whole = unpacking.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise InvalidInputError(f"it cannot be decompressed: {error}") from None
    if unpacking.unconsumed_tail:
        raise InvalidInputError(f"it has more than {MOST_BYTES} bytes")
    return decode_as(kind, whole)
