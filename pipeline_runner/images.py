"""Pictures as bytes: what they are, and their text chunk `parameters`, without encoding any of them anew."""

import io
import struct
import zlib
from typing import Final, NamedTuple

from PIL import Image, UnidentifiedImageError

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PARAMETERS: Final = "parameters"
_HEADER_END: Final = len(PNG_SIGNATURE) + 25  # the IHDR chunk has 13 bytes in a frame of 12
FORMATS: Final = {"PNG": ("image/png", ".png"), "JPEG": ("image/jpeg", ".jpg"), "WEBP": ("image/webp", ".webp")}


class NoImageError(ValueError):
    """The bytes are no picture that we know, or only part of one."""


class ImageKind(NamedTuple):
    """What some bytes are; width and height in pixels."""

    media_type: str
    suffix: str
    width: int
    height: int


def read_kind(data: bytes) -> ImageKind:
    """Say what a picture is by its own bytes, decoding all of it: half a picture is none.

    Raises:
        NoImageError: it is no whole PNG, JPEG or WebP.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
            image.load()
            return ImageKind(*FORMATS[image.format or ""], *image.size)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        text = f"{len(data)} bytes that are no whole PNG, JPEG or WebP picture"
        raise NoImageError(text) from error


def with_parameters(data: bytes, text: str) -> bytes:
    """Give a PNG with the text chunk `parameters`, unless it has one; anything else stays as it is."""
    if not text or not data.startswith(PNG_SIGNATURE) or _has_parameters(data):
        return data
    return data[:_HEADER_END] + _text_chunk(PARAMETERS, text) + data[_HEADER_END:]


def _has_parameters(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # text may stand behind the pixels
        return PARAMETERS in getattr(image, "text", {})


def _text_chunk(key: str, text: str) -> bytes:
    """Encode an iTXt chunk, uncompressed, with neither language nor translated keyword (PNG 3rd edition, 11.3.3.4)."""
    body = key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
