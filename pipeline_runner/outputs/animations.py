"""How many frames an animation has, and how long it is: GIF, PNG and WebP as containers, nothing is decoded."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline_runner.outputs.containers import format_of, png_chunks, webp_chunks

_HUNDREDTHS: Final = 100  # in which GIF counts, and PNG where it names no other unit
_MILLISECONDS: Final = 1000  # in which WebP counts
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9  # what GIF's blocks begin with
_HAS_COLOURS: Final = 0x80  # the bit that says that a table of colours follows


class Animation(NamedTuple):
    """What is told of a picture that moves."""

    frames: int
    seconds: float


def animation_of(data: bytes) -> Animation | None:
    """Return frames and length of an animation; None of a picture that stands still, and where they cannot be read."""
    try:
        delays = list(_delays(data))
    except (struct.error, IndexError):
        return None  # it ends too early
    return Animation(len(delays), sum(delays)) if len(delays) > 1 else None


def _delays(data: bytes) -> Iterator[float]:
    """Return how long each frame is shown, in seconds."""
    if data.startswith(b"GIF8"):
        return _gif_delays(data)
    match format_of(data):
        case "PNG":
            parts = (part for part in png_chunks(data) if part.name == b"fcTL")
            delays = (struct.unpack_from(">HH", data, part.body + 20) for part in parts)
            return (shown / (unit or _HUNDREDTHS) for shown, unit in delays)
        case "WEBP":
            frames = (part for part in webp_chunks(data) if part.name == b"ANMF")
            return (int.from_bytes(data[part.body + 12 : part.body + 15], "little") / _MILLISECONDS for part in frames)
    return iter(())


def _gif_delays(data: bytes) -> Iterator[float]:
    """Go from block to block; the delay of a frame stands before it."""
    at, delay = 13 + _colours(data[10]), 0
    while at < len(data) and data[at] in (_EXTENSION, _IMAGE):
        if data[at] == _IMAGE:
            yield delay / _HUNDREDTHS
            at += 11 + _colours(data[at + 9])  # and the size of codes behind it
            delay = 0
        else:
            if data[at + 1] == _CONTROL:
                (delay,) = struct.unpack_from("<H", data, at + 4)
            at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1


def _colours(flags: int) -> int:
    """Return how many bytes a table of colours has."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & _HAS_COLOURS else 0
