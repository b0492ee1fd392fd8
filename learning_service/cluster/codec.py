"""What stands in the ledger, and how it is chained. No socket, no file.

Each entry is compressed, cut into as many messages as the servers' limit asks for, and carries the link of the entry
before it: a hash over all entries up to there. So a hole is noticed, and so is another ledger.
"""

import logging
import zlib
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from bus.cluster.messages import is_answer
from bus.eventlog.replicas import Entry
from bus.protocol.validation import InvalidInputError, decode
from bus.telemetry.logging import RepeatFilter

VERSION: Final = 1
LINK_BYTES: Final = 16
LEVEL: Final = 1  # of the compression: higher ones cost more than they save
RESERVE: Final = 4096  # bytes of a message that are not data


class BrokenError(Exception):
    """The next message is not the continuation of what was read: something is missing, or it is another ledger."""


class Began(Struct, frozen=True, array_like=True, tag="began"):
    """A learning service begins to lead. `tables`: the version of each store, which those that follow need too.

    `run` is another one each time: of two that begin at once, each has to know whether it is its own that is there.
    """

    name: str
    control: str
    tables: dict[str, int]
    run: str


class _Part(Struct, frozen=True, array_like=True):
    version: int
    previous: bytes  # the link of the entry before
    number: int  # of this part, from 1
    parts: int
    data: bytes


Body = Entry | Began
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # whoever has put them there must not decide how much we log
_encode = msgspec.msgpack.Encoder().encode
_part: Final = msgspec.msgpack.Decoder(_Part)


def pack(body: Body, previous: bytes, limit: int) -> tuple[list[bytes], bytes]:
    """Return the messages of an entry, none of which is longer than `limit` bytes, and its link."""
    data, room = zlib.compress(_encode(body), LEVEL), max(1, limit - RESERVE)
    pieces = [data[at : at + room] for at in range(0, len(data), room)]
    messages = [_encode(_Part(VERSION, previous, n, len(pieces), one)) for n, one in enumerate(pieces, 1)]
    return messages, link(previous, data)


def link(previous: bytes, data: bytes) -> bytes:
    """Return the link of an entry behind that of the one before."""
    return blake2b(previous + data, digest_size=LINK_BYTES).digest()


class Assembler:
    """Puts messages together to entries, in their order."""

    def __init__(self, link: bytes) -> None:
        """Continue behind an entry."""
        self.link = link
        self._pieces: list[bytes] = []
        self._decoder: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)

    def take(self, message: bytes) -> Body | None:
        """Return the entry that a message completes.

        One whose end never came is dropped when the next one begins: who wrote it leads no more. An answer of NATS is
        passed over; the first byte of a part does not look like one even if a bit or two of it are turned.

        Raises:
            BrokenError: this is not what comes next.
        """
        if is_answer(message):
            logger.warning("an answer of NATS is in the ledger, and passed over: a seed is misused")
            return None
        try:
            part = decode(_part, message)
        except InvalidInputError as error:
            raise BrokenError(f"it cannot be read: {error}") from None
        if part.version != VERSION:
            raise BrokenError(f"it is of version {part.version}, this program knows {VERSION}")
        if part.number == 1:
            self._pieces = []
        if part.previous != self.link or part.number != len(self._pieces) + 1:
            raise BrokenError("it is not the continuation of what was read before")
        self._pieces.append(part.data)
        if part.number < part.parts:
            return None
        data, self._pieces = b"".join(self._pieces), []
        try:
            body = decode(self._decoder, zlib.decompress(data))
        except (InvalidInputError, zlib.error) as error:
            raise BrokenError(f"it cannot be read: {error}") from None
        self.link = link(part.previous, data)
        return body
