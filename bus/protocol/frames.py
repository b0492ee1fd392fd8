"""What stands in the second frame of the feed, for protocol 1: logged and ephemeral messages, and heartbeats.

`docs/protocol.md` is the specification; this file is its implementation and knows no socket.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

PROTOCOL: Final = 1
BODY_LIMIT: Final = 1 << 20  # bytes of one message body

Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what SQLite can hold
Epochs = list[tuple[Offset, Offset]]  # each epoch of the log with the head at its start, oldest first


class FeedFrame(Struct, frozen=True, array_like=True, gc=False):
    """Second frame of a feed message. `chain[k]`: see docs/protocol.md. `offset` 0 marks an ephemeral message."""

    version: int
    epoch: Offset
    offset: Offset
    chain: list[Offset | None]
    time_ns: int
    body: Raw


class HeartbeatInfo(Struct, frozen=True, kw_only=True):
    """Who speaks, and where questions go."""

    service: str
    version: str
    control: str
    epochs: Epochs
    closing: bool = False


class HeartbeatFrame(Struct, frozen=True, array_like=True):
    """Second frame of a heartbeat. `head` is the newest offset, `first` the oldest one kept (head + 1 if none is)."""

    version: int
    epoch: Offset
    head: Offset
    first: Offset
    time_ns: int
    info: HeartbeatInfo


class Record(Struct, frozen=True, array_like=True, gc=False):
    """One logged event: in the log as in a reply."""

    offset: Offset
    topic: Annotated[str, Meta(max_length=255)]
    time_ns: int
    body: Raw


_FEED_ARRAY: Final = b"\x96"  # the head of an array of six

encode = msgspec.msgpack.Encoder().encode
feed_decoder = msgspec.msgpack.Decoder(FeedFrame)
heartbeat_decoder = msgspec.msgpack.Decoder(HeartbeatFrame)


def encode_feed(epoch: int, offset: int, chain: list[int | None], time_ns: int, body: bytes | Raw) -> bytes:
    """Encode the second frame of a feed message around an encoded body."""
    # the encoder would begin with room for a few bytes, and grow it again and again for the body
    return _FEED_ARRAY + encode((PROTOCOL, epoch, offset, chain, time_ns))[1:] + body
