"""Fonts for texts in any script.

Pillow brings a font for English. For other letters the system is asked: fontconfig, where it is there, knows all its
fonts; else those are tried that Linux and macOS usually have. To bring such fonts along would take 20 MB.
"""

import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, NamedTuple

from PIL import ImageFont

ASKED: Final = 200  # missing characters by which fonts are compared
MOST: Final = 4  # fonts on one sheet
TRIED: Final = 40  # of those that fontconfig lists
ASK_SECONDS: Final = 10.0
USUAL: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "GeezaPro.ttc",
)
NO_CHARACTER: Final = "\U0010fffe"  # drawn as any other that a font does not have


class Face(NamedTuple):
    """A font by its file, and its number in that; "" is the one of Pillow."""

    file: str
    number: int = 0


OWN: Final = Face("")


class Fonts:
    """The fonts of one sheet, chosen for its texts."""

    def __init__(self, texts: Iterable[str], candidates: Callable[[set[str]], list[Face]] | None = None) -> None:
        """Choose as few as show all characters; `missing` are those that none of them has."""
        needed = {char for char in set().union(*texts) if _is_drawn(char)}
        self._covered = {OWN: {char for char in needed if has(OWN, char)}}
        self.missing = needed - self._covered[OWN]
        offered = (candidates or installed)(self.missing) if self.missing else []
        while self.missing and offered and len(self._covered) < MOST:
            some = sorted(self.missing)[:ASKED]
            best = max(offered, key=lambda face: sum(has(face, char) for char in some))
            covered = {char for char in needed if has(best, char)}
            if not covered & self.missing:
                break
            self._covered[best] = covered
            self.missing = self.missing - covered

    def runs(self, text: str, size: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        """Return the parts of a text, each with its font: one part, if a font has all its characters."""
        drawn = {char for char in text if _is_drawn(char)}
        for face, covered in self._covered.items():
            if drawn <= covered:
                return [(text, load(face, size))]
        runs: list[tuple[str, Face]] = []
        for char in text:
            face = self._face_of(char, runs[-1][1] if runs else OWN)
            if runs and runs[-1][1] == face:
                runs[-1] = (runs[-1][0] + char, face)
            else:
                runs.append((char, face))
        return [(part, load(face, size)) for part, face in runs]

    def length(self, text: str, size: int) -> float:
        """Return the width of a text in pixels."""
        return sum(font.getlength(part) for part, font in self.runs(text, size))

    def _face_of(self, char: str, current: Face) -> Face:
        if not _is_drawn(char) or char in self._covered[current]:
            return current
        return next((face for face, covered in self._covered.items() if char in covered), current)


def installed(missing: set[str]) -> list[Face]:
    """Return fonts of this system that may have some characters, the likeliest first."""
    command = shutil.which("fc-match")
    if command is None:
        return [face for face in map(Face, USUAL) if _loads(face)]
    codes = " ".join(f"{ord(char):x}" for char in sorted(missing)[:ASKED])
    asked = [command, "--sort", "--format", "%{file}\t%{index}\n", f"sans:charset={codes}"]
    try:
        told = subprocess.run(asked, capture_output=True, check=False, timeout=ASK_SECONDS).stdout  # noqa: S603 - no shell, and nothing but numbers of characters
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.partition("\t") for line in told.decode(errors="surrogateescape").splitlines()[:TRIED]]
    faces = [Face(file, int(index)) for file, _, index in lines if file.isprintable() and index.isdecimal()]
    return [face for face in faces if _loads(face)]


@cache
def load(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """Return a font in a size of pixels.

    Raises:
        OSError: it is none that Pillow can read.
    """
    font = ImageFont.truetype(face.file, size, face.number) if face.file else ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


@cache
def has(face: Face, char: str) -> bool:
    """Return whether a font has a character: it looks other than one that no font has."""
    return _look(face, char) != _look(face, NO_CHARACTER)


def _look(face: Face, char: str) -> tuple[tuple[int, int], bytes]:
    mask = load(face, 24).getmask(char)
    return mask.size, bytes(mask)


def _loads(face: Face) -> bool:
    try:
        load(face, 24)
    except OSError:  # such as one of coloured bitmaps in a single size
        return False
    return True


def _is_drawn(char: str) -> bool:
    """Return whether a character has a shape of its own: no space, no mark on another one."""
    return unicodedata.category(char)[0] not in "ZCM"
