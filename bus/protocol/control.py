"""What travels over the control socket, for protocol 1: the built-in methods, their replies, and errors.

`docs/protocol.md` is the specification; this file is its implementation and knows no socket.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Struct, field

from bus.protocol.doors import words
from bus.protocol.frames import Epochs, Offset, Record

REQUEST_LIMIT: Final = 4 << 20  # bytes of one control request
PAGE_LIMIT: Final = 1000  # events in one fetch reply
PAGE_BYTES: Final = 1 << 20  # a page ends with the event that takes it over this
SCAN_LIMIT: Final = 5_000  # log records that one fetch looks at, so that a rare prefix cannot stall the publisher
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
Labels = dict[str, str]
Number = int | float


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The third frame of an error reply."""

    code: Annotated[str, words(*get_args(ErrorCode))]
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

    `damaged` lists offsets whose record is lost: it fails its checksum or cannot be found. Its topic is not known.
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


class Sample(Struct, frozen=True, kw_only=True):
    """One value, with the labels that tell it from others of its name."""

    labels: Labels
    value: Number


class Metric(Struct, frozen=True, kw_only=True):
    """All values of one name."""

    name: str
    kind: Annotated[str, words("counter", "gauge")]
    help: str
    samples: list[Sample]


class MetricsReply(Struct, frozen=True, kw_only=True):
    """Answer to `metrics`."""

    service: str
    version: str
    metrics: list[Metric]


class ControlError(Exception):
    """A request is answered by an error; raised by handlers, and at the client by `request`."""

    def __init__(self, code: ErrorCode, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code: str = code  # of a newer service perhaps none of `ErrorCode`
        self.message = message
        self.details = details or {}

    @classmethod
    def of(cls, body: ErrorBody) -> "ControlError":
        """Return the error of a reply."""
        error = cls("internal", body.message, body.details)
        error.code = body.code
        return error


error_decoder = msgspec.msgpack.Decoder(ErrorBody)
