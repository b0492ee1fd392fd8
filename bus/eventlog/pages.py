"""The results of reading a log: records and their checksums, pages and listings of them."""

import logging
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw

from bus.protocol.frames import Record

logger = logging.getLogger(__name__)


class Listing(NamedTuple):
    """The newest records of some topics; `next` is the `after_topic` of the next page, "" at the end."""

    records: list[Record]
    next: str
    damaged: list[int]


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the log, complete up to and including the offset `next`; `damaged` ones fail their checksum."""

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


def report_damage(offset: int) -> int:
    """Log that a record cannot be delivered, and return its offset."""
    logger.error("record %d fails its checksum and is not delivered", offset)
    return offset


def topic_text(topic: bytes) -> str:
    """Return the topic of a row whose checksum was not verified."""
    return topic.decode("ascii", "replace")  # a topic that is not ASCII is damaged
