"""Videos, sounds and animations within the report: each that is small enough is in the file itself."""

import base64
import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from msgspec import UNSET

from bus.console.top import size_text
from bus.contracts.media import kind_of
from bus.contracts.messages import ImageRef
from variantbus.reports.text import Beginning, file_name

IN_ALL: Final = 64 << 20  # bytes of all that plays in one report; more make it too large to be sent around
_PLAYED: Final = re.compile(r"(video|audio)/[a-z0-9.+-]+")
_MOVING: Final = frozenset({"image/gif", "image/png", "image/webp", "image/avif"})
Read = Callable[[ImageRef], Beginning | None]


class Player(NamedTuple):
    """A video or a sound in the place of a picture; or what is said where it is not in the report."""

    tag: Literal["video", "audio"]
    source: str  # a data: URI, "" where it is too large for the report
    poster: str  # as well, "" where there is no picture of it
    text: str


class Players:
    """Takes the bytes of what plays, until the report has enough of them."""

    def __init__(self, read: Read) -> None:
        """Take nothing yet; `read` returns how a result begins, all of it if it has no more than about 1 MiB."""
        self._read, self._left = read, IN_ALL

    def moving(self, image: ImageRef) -> str:
        """Return the data: URI of an animation, "" if it is none or too large."""
        if image.frames is UNSET or image.media_type not in _MOVING:
            return ""
        return self._whole(image, image.media_type)[0]

    def player(self, image: ImageRef, poster: str) -> Player | None:
        """Return a video or a sound, None of all else, and where it is gone; `poster` is the picture of it."""
        tag: Literal["video", "audio"] = "video" if kind_of(image) == "video" else "audio"
        if not _PLAYED.fullmatch(image.media_type):
            return None
        source, size = self._whole(image, image.media_type)
        if size is None:
            return None
        told = f"{file_name(image)}, {size_text(size)}, {image.sha256[:8]}"
        return Player(
            tag, source, poster, told if source else f"{told}: `variantbus job output {image.sha256[:12]}` saves it"
        )

    def _whole(self, image: ImageRef, media_type: str) -> tuple[str, int | None]:
        """Return all of a result as a data: URI, "" if it is too large; and how large it is, None if it is gone."""
        found = self._read(image)
        if found is None:
            return "", None
        if len(found.data) < found.size or found.size > self._left:
            return "", found.size
        self._left -= found.size
        return data_uri(found.data, media_type), found.size


def data_uri(data: bytes, media_type: str) -> str:
    """Return bytes as the address of themselves."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
