"""The pictures of a variant as they are encoded: each is encoded once, not with each status and each stored state."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder, Encoder

from bus.contracts.messages import ImageRef

NONE: Final = Raw(b"\x90")  # an empty array of msgpack
Extent = tuple[int, int]  # so many pictures, which take so many bytes
EMPTY: Final[Extent] = (0, 0)
SHORT: Final = 16  # an array of fewer than that begins with one byte, FIX_ARRAY and their number
FIX_ARRAY: Final = 0x90
ARRAY_16: Final = b"\xdc"  # and their number in two bytes

_encode = Encoder().encode
_decode = Decoder(tuple[ImageRef, ...]).decode


class Hash(Struct, frozen=True, gc=False):
    """What is read of a picture where only its content counts."""

    sha256: str


decode_hashes = Decoder(tuple[Hash, ...]).decode


def pack(images: Iterable[ImageRef]) -> Raw:
    """Return pictures as they are kept."""
    return Raw(_encode(tuple(images)))


def unpack(packed: Raw) -> tuple[ImageRef, ...]:
    """Return the pictures.

    Raises:
        DecodeError, UnicodeDecodeError: they are none.
    """
    return _decode(packed)


def count_of(packed: Raw) -> int:
    """Return how many pictures there are."""
    return _header(memoryview(packed))[0]


def has_digits(packed: Raw, digits: str) -> bool:
    """Return whether one of the pictures may have these digits in its hash."""
    return digits.encode() in bytes(packed)


def hashes(packed: Raw) -> set[str]:
    """Return the hashes of the pictures."""
    return {one.sha256 for one in decode_hashes(packed)}


def with_more(packed: Raw, images: Sequence[ImageRef], limit: int) -> Raw:
    """Return the pictures with more behind them, at most `limit` (below 65,536) in all."""
    data = memoryview(packed)
    count, start = _header(data)
    more = images[: max(0, limit - count)]
    if not more:
        return packed
    return _array(count + len(more), data[start:], *map(_encode, more))


def extent(packed: Raw) -> Extent:
    """Return how many pictures there are, and how many bytes they take."""
    data = memoryview(packed)
    count, start = _header(data)
    return count, len(data) - start


def behind(packed: Raw, first: Extent) -> Raw:
    """Return the pictures behind the first ones."""
    count, size = first
    if not count:
        return packed
    data = memoryview(packed)
    in_all, start = _header(data)
    return _array(in_all - count, data[start + size :])


def joined(packed: Raw, more: Raw) -> Raw:
    """Return the pictures of two."""
    parts = [memoryview(packed), memoryview(more)]
    headers = [_header(data) for data in parts]
    return _array(
        sum(count for count, _ in headers), *(data[at:] for (_, at), data in zip(headers, parts, strict=True))
    )


def _array(count: int, *parts: bytes | memoryview) -> Raw:
    """Return an array of so many pictures, of whose bytes these are the parts."""
    header = bytes((FIX_ARRAY + count,)) if count < SHORT else ARRAY_16 + count.to_bytes(2, "big")
    return Raw(b"".join((header, *parts)))


def _header(data: memoryview) -> tuple[int, int]:
    """Return how many there are, and where the first one begins."""
    count = data[0] - FIX_ARRAY
    return (count, 1) if 0 <= count < SHORT else (int.from_bytes(data[1:3], "big"), 3)
