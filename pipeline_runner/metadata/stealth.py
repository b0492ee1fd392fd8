"""Text in the lowest bits of the alpha channel, as NovelAI and an extension of the web UI hide it."""

import gzip
import io
import zlib
from typing import Final

from PIL import Image

from pipeline_runner.metadata.texts import TEXT_BYTES
from pipeline_runner.outputs.images import NoImageError, decoded

_PLAIN: Final = b"stealth_pnginfo"
_PACKED: Final = b"stealth_pngcomp"
_HEAD: Final = len(_PLAIN) + 4  # the mark, and the number of bits


def hidden_text(data: bytes) -> str:
    """Return the text, "" if there is none. All pixels are decoded."""
    try:
        hidden, _ = decoded(data, _lowest_bits)
    except NoImageError:
        return ""
    mark, bits = hidden[: len(_PLAIN)], int.from_bytes(hidden[len(_PLAIN) : _HEAD])
    text = hidden[_HEAD : _HEAD + min(bits // 8, TEXT_BYTES)]
    if mark == _PACKED:
        text = _inflated(text)
    return text.decode("utf-8", "replace") if mark in (_PLAIN, _PACKED) else ""


def _lowest_bits(image: Image.Image) -> bytes:
    """Return the lowest bit of each alpha value, column by column."""
    if image.mode != "RGBA":
        return b""
    columns = image.getchannel("A").transpose(Image.Transpose.TRANSPOSE)
    bits = columns.point([255 * (value & 1) for value in range(256)], "1")
    if bits.width % 8:  # rows of this mode end with whole bytes
        joined = Image.frombytes("L", (bits.width * bits.height, 1), bits.convert("L").tobytes())
        bits = joined.convert("1", dither=Image.Dither.NONE)
    return bits.tobytes()


def _inflated(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            return file.read(TEXT_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
