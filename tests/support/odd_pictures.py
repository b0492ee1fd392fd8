"""Pictures whose pixels are whole and whose metadata is not: too large, broken, or of a kind that is rarely seen."""

import io
import struct
import zlib
from typing import Any, Final

from PIL import Image

from pipeline_runner.outputs.containers import PNG_SIGNATURE

SIZE: Final = (400, 200)
COLOUR: Final = (204, 51, 51)  # of the palette of the web, so that no mode changes it
_HEADER_END: Final = len(PNG_SIGNATURE) + 25
_HUGE: Final = bytes(2 << 20)  # more text than Pillow takes


def plain(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """Return a whole picture."""
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, COLOUR).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes, crc: int = 0) -> bytes:
    """Encode a PNG chunk; its checksum is wrong by `crc`."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ crc)


def with_chunk(name: bytes, body: bytes, picture: bytes | None = None, crc: int = 0) -> bytes:
    """Return a PNG with a chunk before its pixels."""
    data = picture or plain()
    return data[:_HEADER_END] + chunk(name, body, crc) + data[_HEADER_END:]


def behind_the_pixels(name: bytes, body: bytes) -> bytes:
    """Return a PNG with a chunk at its end."""
    data = plain()
    return data[:-12] + chunk(name, body) + data[-12:]


def with_segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG with a segment at its beginning."""
    data = plain("JPEG")
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def with_webp_chunk(name: bytes, body: bytes, flag: int) -> bytes:
    """Return a WebP in the extended format with a chunk of metadata."""
    inner = plain("WEBP")[12:]
    sides = b"".join((side - 1).to_bytes(3, "little") for side in SIZE)
    parts = b"VP8X" + struct.pack("<I", 10) + bytes([flag, 0, 0, 0]) + sides + inner
    parts += name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def two_in_one() -> bytes:
    """Return an MPO, a JPEG with two pictures, as cameras write it."""
    buffer = io.BytesIO()
    first, second = Image.new("RGB", SIZE, COLOUR), Image.new("RGB", SIZE, "blue")
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    """Return a picture of two frames."""
    return plain(kind, save_all=True, append_images=[Image.new("RGB", SIZE, "blue")], duration=50)


_ITXT: Final = b"parameters\0\1\0\0\0" + zlib.compress(_HUGE)
UNREADABLE: Final = {
    "a large zTXt": with_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(_HUGE)),
    "a large iTXt": with_chunk(b"iTXt", _ITXT),
    "a large iTXt behind the pixels": behind_the_pixels(b"iTXt", _ITXT),
    "a large profile": with_chunk(b"iCCP", b"icc\0\0" + zlib.compress(_HUGE)),
    "a wrong checksum of a text": with_chunk(b"tEXt", b"parameters\0a blue star", crc=1),
    "a broken profile": with_chunk(b"iCCP", b"icc\0\7" + b"no zlib"),
    "a palette with a large zTXt": with_chunk(
        b"zTXt", b"a\0\0" + zlib.compress(_HUGE), plain(mode="P", transparency=0)
    ),
    "an animated PNG with a large zTXt": with_chunk(b"zTXt", b"a\0\0" + zlib.compress(_HUGE), animated("PNG")),
    "a JPEG with a broken profile": with_segment(0xE2, b"ICC_PROFILE\0"),
}
"""Their metadata is left out, with a warning."""

READABLE: Final = {
    "a large tEXt": with_chunk(b"tEXt", b"parameters\0" + b"x" * (3 << 20)),
    "16 bits": plain(mode="I;16"),
    "one bit": plain(mode="1"),
    "grey with alpha": plain(mode="LA"),
    "a palette with transparency": plain(mode="P", transparency=0),
    "an animated PNG": animated("PNG"),
    "an animated WebP": animated("WEBP"),
    "CMYK": plain("JPEG", "CMYK"),
    "an MPO": two_in_one(),
    "a WebP with a broken Exif": with_webp_chunk(b"EXIF", b"Exif\0\0MM\0*\0\0\0\xff" + b"x" * 20, 0x08),
    "an unknown chunk": with_chunk(b"xyZz", b"private"),
}
"""All that is needed of them can be read."""
