"""The wire format of protocol 1: what stands in the frames of the feed and of the control socket.

`docs/protocol.md` is the specification; this file is its implementation and knows no socket.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct, field

PROTOCOL: Final = 1
BODY_LIMIT: Final = 1 << 20  # bytes of one message body
REQUEST_LIMIT: Final = 4 << 20  # bytes of one control request
PAGE_LIMIT: Final = 1000  # events in one fetch reply
PAGE_BYTES: Final = 1 << 20  # a page ends with the event that takes it over this
SCAN_LIMIT: Final = 20_000  # log records that one fetch looks at, so that a rare prefix cannot stall the publisher
ID_LIMIT: Final = 64  # bytes of a request id

ErrorCode = Literal[
    "invalid_request",
    "unknown_method",
    "not_found",
    "conflict",
    "too_large",
    "unauthorized",
    "unavailable",
    "internal",
]
Role = Literal["read", "command"]  # what a client may do; command includes read
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


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The third frame of an error reply."""

    code: ErrorCode
    message: str
    details: dict[str, str] = field(default_factory=dict)


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of a method that takes none."""


class CheckParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Is there anything with this prefix behind this offset?"""

    prefix: str = ""
    after: Offset = 0


class FetchParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The logged events with this prefix in (after, until], at most `limit` of them."""

    prefix: str = ""
    after: Offset = 0
    until: Offset | None = None
    limit: Offset = PAGE_LIMIT


class LatestParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The newest event of each topic with this prefix, in topic order, behind `after_topic`."""

    prefix: str = ""
    limit: Offset = PAGE_LIMIT
    after_topic: str = ""


class Record(Struct, frozen=True, array_like=True, gc=False):
    """One logged event: in the log as in a reply."""

    offset: Offset
    topic: Annotated[str, Meta(max_length=255)]
    time_ns: int
    body: Raw


class LogState(Struct, frozen=True, kw_only=True):
    """What every reply about the log says of it: see `HeartbeatFrame`."""

    epoch: Offset
    first: Offset
    head: Offset


class InfoReply(LogState, frozen=True, kw_only=True):
    """Answer to `info`."""

    service: str
    version: str
    protocol: int
    epochs: Epochs
    feed: str
    limits: dict[str, int]


class CheckReply(LogState, frozen=True, kw_only=True):
    """Answer to `check`: the newest offset with the prefix that is greater than `after`, 0 if there is none."""

    last: Offset


class FetchReply(LogState, frozen=True, kw_only=True):
    """Answer to `fetch`: complete up to and including the offset `next`.

    `damaged` lists offsets whose record fails its checksum and is therefore not delivered.
    """

    next: Offset
    events: list[Record]
    damaged: list[Offset] = field(default_factory=list)


class LatestReply(LogState, frozen=True, kw_only=True):
    """Answer to `latest`; `next` is the `after_topic` of the next page, empty on the last one.

    `damaged` as in `FetchReply`.
    """

    events: list[Record]
    next: str = ""
    damaged: list[Offset] = field(default_factory=list)


class ControlError(Exception):
    """A request is answered by an error; raised by handlers, and at the client by `request`."""

    def __init__(self, code: ErrorCode, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.details = details or {}


encode = msgspec.msgpack.Encoder().encode
feed_decoder = msgspec.msgpack.Decoder(FeedFrame)
heartbeat_decoder = msgspec.msgpack.Decoder(HeartbeatFrame)
error_decoder = msgspec.msgpack.Decoder(ErrorBody)


def encode_feed(epoch: int, offset: int, chain: list[int | None], time_ns: int, body: bytes | Raw) -> bytes:
    """Encode the second frame of a feed message around an encoded body."""
    return encode((PROTOCOL, epoch, offset, chain, time_ns, Raw(body)))
