"""PNG, JPEG and WebP as containers: which one some bytes are, the size of the picture, and its bytes without metadata.

Nothing is decoded, and nothing raises, whatever the bytes are. Pillow reads the texts, profiles and dates of a picture
before its pixels, and gives the picture up where one of them is broken or too large.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Format = Literal["PNG", "JPEG", "WEBP"]
Size = tuple[int, int]  # width and height in pixels; (0, 0) if they cannot be found

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE: Final = b"\xff\xd8\xff"
_RIFF_HEADER: Final = 12  # RIFF, size, WEBP
_ANCILLARY: Final = 0x20  # the bit of the first letter of a PNG chunk's name that nobody needs to show the picture
_MARK: Final = 0xFF  # what every JPEG marker begins with; several are one
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG segments that begin with the size
_KEPT_APPLICATIONS: Final = frozenset({0xE0, 0xEE})  # JFIF, and Adobe's, which says how colours are written
_WEBP_METADATA_FLAGS: Final = 0x20 | 0x08 | 0x04  # ICC profile, Exif, XMP
_WEBP_KEPT: Final = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})


class _Part(NamedTuple):
    """A chunk or segment: its name, where all of it is, and where its content is."""

    name: bytes
    start: int
    end: int
    body: int


def format_of(data: bytes) -> Format | None:
    """Return the format by the first bytes, None for any other."""
    if data.startswith(PNG_SIGNATURE):
        return "PNG"
    if data.startswith(_JPEG_SIGNATURE):
        return "JPEG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:_RIFF_HEADER] == b"WEBP" else None


def size_of(data: bytes) -> Size:
    """Return width and height as the header has them."""
    try:
        match format_of(data):
            case "PNG":
                return struct.unpack_from(">II", data, 16)
            case "JPEG":
                return _jpeg_size(data)
            case "WEBP":
                return _webp_size(data)
    except (struct.error, IndexError):
        pass  # it ends too early
    return (0, 0)


def without_metadata(data: bytes) -> bytes:
    """Return a picture without texts, profiles, Exif and the like; bytes of another format stay as they are."""
    match format_of(data):
        case "PNG":
            kept = (part for part in png_chunks(data) if _shows_png(data, part))
            return PNG_SIGNATURE + b"".join(data[part.start : part.end] for part in kept)
        case "JPEG":
            kept = (part for part in jpeg_segments(data) if _shows_jpeg(part))
            return data[:2] + b"".join(data[part.start : part.end] for part in kept)
        case "WEBP":
            return _bare_webp(data)
    return data


def png_chunks(data: bytes) -> Iterator[_Part]:
    """Find the chunks of a PNG, up to its end."""
    at, name = len(PNG_SIGNATURE), b""
    while at + 8 <= len(data) and name != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        yield _Part(name, at, min(end, len(data)), at + 8)
        at = end


def _shows_png(data: bytes, part: _Part) -> bool:
    """Return whether a chunk is needed to show the picture; of a still one, or the first frame."""
    if part.name == b"tRNS":
        return data[part.end - 4 : part.end] == struct.pack(">I", zlib.crc32(data[part.start + 4 : part.end - 4]))
    return not part.name[0] & _ANCILLARY


def jpeg_segments(data: bytes) -> Iterator[_Part]:
    """Find the segments; the last one is all from the first scan on."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != _MARK:
            at += 1  # between two segments there may be bytes that mean nothing
            continue
        marker = data[at + 1]
        if marker == _MARK:
            at += 1
        elif marker == _START_OF_SCAN:
            yield _Part(bytes([marker]), at, len(data), at + 4)
            return
        elif marker in _ALONE or marker == _END_OF_IMAGE or not marker:
            at += 2
        else:
            end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
            yield _Part(bytes([marker]), at, min(end, len(data)), at + 4)
            at = end


def _shows_jpeg(part: _Part) -> bool:
    marker = part.name[0]
    is_comment = marker == 0xFE  # noqa: PLR2004 - as JPEG says
    return marker in _KEPT_APPLICATIONS or not (0xE0 <= marker <= 0xEF or is_comment)  # noqa: PLR2004


def _jpeg_size(data: bytes) -> Size:
    for part in jpeg_segments(data):
        if part.name[0] in _FRAMES:
            height, width = struct.unpack_from(">HH", data, part.body + 1)
            return (width, height)
    return (0, 0)


def webp_chunks(data: bytes) -> Iterator[_Part]:
    """Find the chunks of a WebP."""
    at = _RIFF_HEADER
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        end = at + 8 + length + length % 2
        yield _Part(data[at : at + 4], at, min(end, len(data)), at + 8)
        at = end


def _webp_size(data: bytes) -> Size:
    first = next(webp_chunks(data), None)
    if first is None:
        return (0, 0)
    at = first.body
    if first.name == b"VP8X":
        width, height = (int.from_bytes(data[at + skip : at + skip + 3], "little") + 1 for skip in (4, 7))
        return (width, height) if len(data) >= at + 10 else (0, 0)
    if first.name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, at + 1)
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", data, at + 6)
    return (width & 0x3FFF, height & 0x3FFF)


def _bare_webp(data: bytes) -> bytes:
    kept = []
    for part in webp_chunks(data):
        if part.name == b"VP8X" and part.end - part.body >= 1:
            flags = data[part.body] & ~_WEBP_METADATA_FLAGS
            kept.append(data[part.start : part.body] + bytes([flags]) + data[part.body + 1 : part.end])
        elif part.name in _WEBP_KEPT:
            kept.append(data[part.start : part.end])
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
