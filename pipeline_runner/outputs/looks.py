"""What a result is and how it looks: its media type, its size, how long it is, and its thumbnail."""

import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pipeline_runner.outputs.animations import animation_of
from pipeline_runner.outputs.containers import Size, size_of
from pipeline_runner.outputs.images import NoImageError
from pipeline_runner.outputs.media_types import HEAD_BYTES, SVG, is_called_picture, media_type_of
from pipeline_runner.outputs.poster import Told
from pipeline_runner.outputs.thumbnails import look_at, thumbnail_of

PICTURE_BYTES: Final = 64 << 20  # of a file whose thumbnail is made
POSTER_SECONDS: Final = 30.0  # for a program that decodes what may be malicious
PIXELS_MOST: Final = 1 << 20  # of a side, that a video may say to have
_decode: Final = msgspec.msgpack.Decoder(Told).decode


class Looks(NamedTuple):
    """What could be told of a file."""

    media_type: str
    size: Size = (0, 0)  # pixels; (0, 0) where it has none, or they cannot be told
    seconds: float | None = None  # of what moves or sounds
    frames: int | None = None  # of what moves
    thumbnail: bytes | None = None  # b"" if it is its own; None if it has none
    doubt: str = ""  # what could not be read, "" if all could


def looks_of(path: Path, size: int, name: str) -> Looks:
    """Return what a file of so many bytes is, which was called so.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        media_type = media_type_of(head, name)
        is_picture = media_type.startswith("image/") and media_type != SVG
        if is_picture and size > PICTURE_BYTES:
            return Looks(
                media_type, size_of(head), doubt=f"it has no thumbnail, as it is over {PICTURE_BYTES >> 20} MiB"
            )
        if is_picture:
            return looks_of_picture(head + file.read(), media_type)
    if media_type.startswith(("video/", "audio/")):
        return _looks_of_recording(path, media_type)
    is_called = media_type != SVG and is_called_picture(name)
    return Looks(media_type, doubt="it has no thumbnail, as it is no picture" if is_called else "")


def looks_of_picture(data: bytes, media_type: str) -> Looks:
    """Return what the bytes of a picture are; `media_type` holds where they are of no format that is known."""
    look, moves = look_at(data), animation_of(data)
    seconds, frames = (moves.seconds, moves.frames) if moves else (None, None)
    return Looks(look.media_type or media_type, look.size, seconds, frames, look.thumbnail, look.doubt)


def _looks_of_recording(path: Path, media_type: str) -> Looks:
    """Return what a video or a sound is. Its container may hold either, so its name may be wrong."""
    told = _told_of(path)
    if told is None:
        return Looks(media_type)
    is_video = 0 < told.width < PIXELS_MOST and 0 < told.height < PIXELS_MOST
    form = media_type.partition("/")[2]
    kind = "video" if is_video else "audio"
    seconds = told.seconds if told.seconds is not None and 0 <= told.seconds < float("inf") else None
    try:
        small = thumbnail_of(told.picture) if told.picture else None
    except NoImageError:
        small = None
    return Looks(f"{kind}/{form}", (told.width, told.height) if is_video else (0, 0), seconds, told.frames, small)


@cache
def has_decoder() -> bool:
    """Return whether PyAV is installed; it comes with the extra `video`."""
    return find_spec("av") is not None


def _told_of(path: Path) -> Told | None:
    """Ask the program that decodes; whatever becomes of it, the file is kept."""
    if not has_decoder():
        return None
    command = [sys.executable, "-m", "pipeline_runner.outputs.poster", str(path.absolute())]
    try:
        ended = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, timeout=POSTER_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
        return _decode(ended.stdout)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):  # OSError: there is no room for a process
        return None
