"""Small versions of pictures, for screens that show many of them."""

import io
from functools import partial
from typing import Final, NamedTuple

from PIL import Image, ImageOps

from pipeline_runner.outputs.containers import Size, format_of, size_of
from pipeline_runner.outputs.images import FORMATS, NoImageError, TooLargeError, check_pixels, decoded, pixels_of

EDGE: Final = 384  # pixels: the longest one of a thumbnail
QUALITY: Final = 80
SMALL_BYTES: Final = 64 << 10  # a picture that is no larger, and has no longer edge, is its own thumbnail
MOST_BYTES: Final = 1 << 20  # of one: many times what any has
MEDIA_TYPE: Final = "image/webp"
_OTHERS: Final = ("GIF", "AVIF", "BMP", "TIFF")  # those that are decoded, besides PNG, JPEG and WebP
_SIXTEEN_BITS: Final = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class Look(NamedTuple):
    """What could be told of bytes that may be a picture."""

    media_type: str | None  # None: no picture that can be decoded
    size: Size
    thumbnail: bytes | None
    doubt: str  # what could not be read, "" if all could


def look_at(data: bytes) -> Look:
    """Tell all that can be told of some bytes; never raises."""
    try:
        small, doubt = decoded(data, partial(_thumbnail, len(data)))
    except TooLargeError as error:
        small, doubt = None, f"it has no thumbnail, as it is {error}"
    except NoImageError as error:
        return _look_at_other(data, str(error))
    name = format_of(data)
    return Look(FORMATS[name][0] if name else None, size_of(data), small, doubt)


def _look_at_other(data: bytes, why: str) -> Look:
    """Tell of a picture that a program may make, but that no browser may show; `why` it is none of the usual ones."""
    try:
        with Image.open(io.BytesIO(data), formats=_OTHERS) as image:
            check_pixels(*image.size)
            return Look(Image.MIME[image.format or ""], image.size, _encode(_upright(image)), "")
    except Exception:  # noqa: BLE001 - Pillow's decoders may raise anything on malicious bytes
        return Look(None, pixels_of(data), None, f"it has no thumbnail, as it is {why}")


def thumbnail_of(picture: bytes) -> bytes:
    """Return the thumbnail of what has this picture, such as a video; it is never empty.

    Raises:
        NoImageError: it cannot be decoded, or is too large to be.
    """
    return decoded(picture, lambda image: _encode(_upright(image)))[0]


def thumbnail(data: bytes) -> bytes:
    """Return a picture as a small upright WebP, b"" if it is small already; of an animation, the first frame.

    Raises:
        NoImageError: it cannot be decoded, or is too large to be.
    """
    return decoded(data, partial(_thumbnail, len(data)))[0]


def _thumbnail(size: int, image: Image.Image) -> bytes:
    if max(image.size) <= EDGE and size <= SMALL_BYTES and not getattr(image, "is_animated", False):
        image.load()
        image.getexif()
        return b""
    image.draft("RGB", (EDGE, EDGE))  # a JPEG is decoded at a fraction of its size
    return _encode(_upright(image))


def in_colours(image: Image.Image) -> Image.Image:
    """Return a picture of any mode as RGB, or as RGBA if it is transparent somewhere."""
    if image.mode in _SIXTEEN_BITS:
        image = image.convert("I").point(lambda value: value / 256).convert("L")  # which would cut off at 255
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(_shrunk(image))


def _shrunk(image: Image.Image) -> Image.Image:
    """Fit a picture into the edge."""
    small = in_colours(image)
    small.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return small


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # a colour profile can be large, and that of CMYK would be wrong here
    image.save(buffer, "WEBP", quality=QUALITY, icc_profile=b"", exif=b"")
    return buffer.getvalue()
