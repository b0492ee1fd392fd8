"""Pictures as bytes: what they are, and their text chunk `parameters`, without encoding any of them anew.

A picture is its pixels: where its metadata cannot be read, it is read without them.
"""

import io
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError

from pipeline_runner.outputs.containers import PNG_SIGNATURE, Format, Size, format_of, size_of, without_metadata

PARAMETERS: Final = "parameters"
_HEADER_END: Final = len(PNG_SIGNATURE) + 25  # the IHDR chunk has 13 bytes in a frame of 12
MOST_PIXELS: Final = 8192 * 8192  # of a picture that is decoded: 256 MB in memory
FORMATS: Final[dict[Format, tuple[str, str]]] = {
    "PNG": ("image/png", ".png"),
    "JPEG": ("image/jpeg", ".jpg"),
    "WEBP": ("image/webp", ".webp"),
}
REASON_LIMIT: Final = 200  # characters of what a decoder says
T = TypeVar("T")


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
    doubt: str = ""  # what of it cannot be read: its metadata, or its pixels where there are too many


def decoded(data: bytes, use: Callable[[Image.Image], T]) -> tuple[T, str]:
    """Open an untrusted picture and return what `use` makes of it; and why its metadata was left out, "" if it was not.

    Raises:
        NoImageError: it is no PNG, JPEG or WebP, cannot be decoded, or has too many pixels (`TooLargeError`).
    """
    try:
        with _opened(data) as image:
            return use(image), ""
    except TooLargeError:
        raise
    except NoImageError as error:
        bare = without_metadata(data)
        if bare == data:
            raise
        with _opened(bare) as image:
            return use(image), f"its metadata cannot be read: {_reason(error.__cause__)}"


def _reason(cause: BaseException | None) -> str:
    # where it gives the whole picture up, Pillow names nothing but an object
    return "a part of it is broken" if isinstance(cause, UnidentifiedImageError) else str(cause)[:REASON_LIMIT]


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open a picture for the length of a `with` block; its pixels are not decoded yet."""
    check_pixels(*size_of(data))  # before Pillow allocates anything
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"a picture of over {MOST_PIXELS} pixels") from error
    except Exception as error:
        # Pillow's decoders may raise anything on malicious bytes
        raise NoImageError(f"{len(data)} bytes that are no whole PNG, JPEG or WebP picture") from error


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture that is too large to be decoded.

    Raises:
        TooLargeError: saying so.
    """
    if width * height > MOST_PIXELS:
        raise TooLargeError(f"a picture of {width}x{height}, which is over {MOST_PIXELS} pixels")


def read_kind(data: bytes) -> ImageKind:
    """Return format and size of a picture, decoding all of it: a truncated picture is refused.

    Raises:
        NoImageError: as for `decoded`.
    """
    (size, texts), doubt = decoded(data, _loaded)
    return ImageKind(*_types(data), *size, PARAMETERS in texts, doubt)


def kind_of(data: bytes) -> ImageKind:
    """Return format and size as `read_kind` does; a picture that is too large to be decoded has those of its header.

    Raises:
        NoImageError: it is no PNG, JPEG or WebP, or cannot be decoded.
    """
    try:
        return read_kind(data)
    except TooLargeError as error:
        return ImageKind(*_types(data), *size_of(data), doubt=str(error))


def pixels_of(data: bytes) -> Size:
    """Return width and height of a picture of any format by its header; (0, 0) if they cannot be told."""
    size = size_of(data)
    if size == (0, 0):
        try:
            with Image.open(io.BytesIO(data)) as image:
                size = image.size
        except Exception:  # noqa: BLE001 - as in `_opened`
            return (0, 0)
    return size


def _types(data: bytes) -> tuple[str, str]:
    name = format_of(data)
    if name is None:
        raise NoImageError(f"{len(data)} bytes that are no whole PNG, JPEG or WebP picture")
    return FORMATS[name]


def _loaded(image: Image.Image) -> tuple[Size, Collection[str]]:
    image.load()  # text may stand behind the pixels
    image.getexif()
    return image.size, getattr(image, "text", ())


def with_parameters(data: bytes, kind: ImageKind, text: str) -> bytes:
    """Return a PNG with the text chunk `parameters`, unless it has one or may have; anything else stays as it is."""
    if not text or not data.startswith(PNG_SIGNATURE) or kind.has_parameters or kind.doubt:
        return data
    return data[:_HEADER_END] + _text_chunk(PARAMETERS, text) + data[_HEADER_END:]


def _text_chunk(key: str, text: str) -> bytes:
    """Encode an iTXt chunk, uncompressed, with neither language nor translated keyword (PNG 3rd edition, 11.3.3.4)."""
    body = key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
