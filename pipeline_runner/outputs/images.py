"""Pictures as bytes: what they are, and their text chunk `parameters`, without encoding any of them anew."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from PIL import Image

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PARAMETERS: Final = "parameters"
_HEADER_END: Final = len(PNG_SIGNATURE) + 25  # the IHDR chunk has 13 bytes in a frame of 12
MOST_PIXELS: Final = 8192 * 8192  # of a picture that is decoded: 256 MB in memory
FORMATS: Final = {"PNG": ("image/png", ".png"), "JPEG": ("image/jpeg", ".jpg"), "WEBP": ("image/webp", ".webp")}


class NoImageError(ValueError):
    """The bytes are no picture of a known format, or only part of one."""


class TooLargeError(NoImageError):
    """The picture has more pixels than are decoded."""


class ImageKind(NamedTuple):
    """What some bytes are; width and height in pixels."""

    media_type: str
    suffix: str
    width: int
    height: int
    has_parameters: bool = False  # as a text chunk


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Open an untrusted picture for the length of a `with` block; its pixels are not decoded yet.

    Raises:
        NoImageError: it is no PNG, JPEG or WebP, cannot be decoded, or has too many pixels (`TooLargeError`).
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
            _check_pixels(image)
            yield image
    except NoImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"a picture of over {MOST_PIXELS} pixels") from error
    except Exception as error:
        # Pillow's decoders may raise anything on malicious bytes
        raise NoImageError(f"{len(data)} bytes that are no whole PNG, JPEG or WebP picture") from error


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise TooLargeError(f"a picture of {image.width}x{image.height}, which is over {MOST_PIXELS} pixels")


def read_kind(data: bytes) -> ImageKind:
    """Return format and size of a picture, decoding all of it: a truncated picture is refused.

    Raises:
        NoImageError: as for `opened`.
    """
    with opened(data) as image:
        image.load()  # text may stand behind the pixels
        return ImageKind(*FORMATS[image.format or ""], *image.size, PARAMETERS in getattr(image, "text", {}))


def with_parameters(data: bytes, kind: ImageKind, text: str) -> bytes:
    """Return a PNG with the text chunk `parameters`, unless it has one; anything else stays as it is."""
    if not text or not data.startswith(PNG_SIGNATURE) or kind.has_parameters:
        return data
    return data[:_HEADER_END] + _text_chunk(PARAMETERS, text) + data[_HEADER_END:]


def _text_chunk(key: str, text: str) -> bytes:
    """Encode an iTXt chunk, uncompressed, with neither language nor translated keyword (PNG 3rd edition, 11.3.3.4)."""
    body = key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
