"""The texts in a picture file: the text chunks of a PNG, and the Exif of any format. No pixel is decoded.

Nothing raises, whatever the bytes are: what cannot be read is left out. A text has a bound, as a few compressed bytes
may stand for gigabytes.
"""

import io
import zlib
from contextlib import suppress
from typing import Final

from PIL import Image

from pipeline_runner.metadata.exif import exif_texts
from pipeline_runner.outputs.containers import format_of, jpeg_segments, png_chunks, webp_chunks

TEXT_BYTES: Final = 4 << 20  # of one text: a workflow of a thousand nodes has one million
TEXTS_MOST: Final = 64  # in one file; each costs the time to unpack it, also one that does not count
_EXIF_MARK: Final = b"Exif\0\0"
_APP1: Final = b"\xe1"
_COMMENT: Final = b"\xfe"
_AVIF_BRANDS: Final = (b"avif", b"avis", b"mif1")
Texts = dict[str, str]


def texts_of(data: bytes) -> Texts:
    """Return the texts of a picture by their names: those of PNG chunks, and Exif tags such as `UserComment`."""
    match format_of(data):
        case "PNG":
            return _png_texts(data)
        case "JPEG":
            return _jpeg_texts(data)
        case "WEBP":
            found = (data[part.body : part.end] for part in webp_chunks(data) if part.name == b"EXIF")
            return exif_texts(next(found, b"").removeprefix(_EXIF_MARK))
    return _avif_texts(data) if data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS else {}


def _png_texts(data: bytes) -> Texts:
    texts: Texts = {}
    count = 0
    for part in png_chunks(data):
        if part.name in _CHUNKS and count < TEXTS_MOST:
            count += 1
            body = data[part.body : max(part.body, part.end - 4)]  # without the checksum: a wrong one costs no text
            key, text = _CHUNKS[part.name](body)
            if key and key not in texts:
                texts[key] = text
        elif part.name == b"eXIf":
            texts = {**exif_texts(data[part.body : part.end]), **texts}
    return texts


def _plain(body: bytes) -> tuple[str, str]:
    """Read a tEXt chunk. It is Latin-1 by the standard, and UTF-8 by what programs write."""
    key, _, text = body.partition(b"\0")
    return key.decode("latin-1"), decoded_text(text[:TEXT_BYTES])


def _compressed(body: bytes) -> tuple[str, str]:
    key, _, rest = body.partition(b"\0")
    return key.decode("latin-1"), decoded_text(_inflated(rest[1:]))


def _international(body: bytes) -> tuple[str, str]:
    key, _, rest = body.partition(b"\0")
    _, _, rest_of_language = rest[2:].partition(b"\0")
    _, _, text = rest_of_language.partition(b"\0")
    plain = _inflated(text) if rest[:1] == b"\1" else text[:TEXT_BYTES]
    return key.decode("latin-1"), plain.decode("utf-8", "replace")


_CHUNKS: Final = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}


def _inflated(data: bytes) -> bytes:
    """Return what was compressed, as far as it can be read and goes; b"" of what would be larger than any text."""
    inflater = zlib.decompressobj()
    with suppress(zlib.error):
        plain = inflater.decompress(data, TEXT_BYTES)
        return b"" if inflater.unconsumed_tail else plain
    return b""


def decoded_text(data: bytes) -> str:
    """Return bytes as UTF-8 if they are, else as Latin-1, which any bytes are."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _jpeg_texts(data: bytes) -> Texts:
    texts: Texts = {}
    for part in jpeg_segments(data):
        body = data[part.body : part.end]
        if part.name == _APP1 and body.startswith(_EXIF_MARK):
            texts = {**exif_texts(body[len(_EXIF_MARK) :]), **texts}
        elif part.name == _COMMENT and "comment" not in texts:
            texts["comment"] = decoded_text(body)
    return texts


def _avif_texts(data: bytes) -> Texts:
    """Let Pillow find the Exif among the boxes of an AVIF."""
    try:
        with Image.open(io.BytesIO(data), formats=("AVIF",)) as image:
            exif = image.info.get("exif")
    except Exception:  # noqa: BLE001 - Pillow's decoders may raise anything on malicious bytes
        return {}
    return exif_texts(exif.removeprefix(_EXIF_MARK)) if isinstance(exif, bytes) else {}
