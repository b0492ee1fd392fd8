"""The results of reading a log: records and their checksums, pages and listings of them."""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw

from bus.protocol.frames import Record


class Listing(NamedTuple):
    """The newest records of some topics; `next` is the `after_topic` of the next page, "" at the end."""

    records: list[Record]
    next: str
    damaged: list[int]


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the log, complete up to and including the offset `next`; no sound record is left of `damaged`."""

    records: list[Record]
    next: int
    damaged: list[int]


def checksum(offset: int, topic: bytes, time_ns: int, body: bytes | Raw) -> int:
    """Return the CRC-32 of all fields of a record; it starts from the offset (spread by an odd factor) and the time."""
    start = (offset * 0x9E37_79B1 ^ time_ns ^ time_ns >> 32) & 0xFFFF_FFFF
    return zlib.crc32(body, zlib.crc32(topic, start))


def record_of(offset: int, topic: bytes, time_ns: int, body: bytes) -> Record:
    """Return the record of a row whose checksum was verified."""
    return Record(offset, topic.decode("ascii"), time_ns, Raw(body))
