"""The pictures of a folder, each with the settings that made it; of everything else, why it is none."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from bus.contracts.adoption import PICTURE_MOST
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import CONFIG_BYTES
from pipeline_runner.metadata.reading import GridError, Made, made_by
from pipeline_runner.metadata.values import UNUSABLE, Settings, parsed, renamed, table
from pipeline_runner.outputs.containers import format_of, png_chunks

FILES_MOST: Final = 100_000
HEAD_BYTES: Final = 16
NAME_MOST: Final = 100  # characters of the name of a setting; a variable's has no more than 128
PIPELINE_MOST: Final = 64  # characters of the name of a pipeline
SIDECAR_MOST: Final = 1 << 20
_JPEG_END: Final = b"\xff\xd9"
_TAIL: Final = 1 << 16  # bytes in which a JPEG ends; programs write more behind it


class Found(NamedTuple):
    """A picture and what made it."""

    path: Path
    name: str  # relative to the folder
    sha256: str
    size: int  # bytes
    pipeline: str
    settings: Settings


class Ignored(Struct, frozen=True):
    """A file that is left out, and why."""

    file: str
    reason: str


class Scan(NamedTuple):
    """What is in a folder."""

    found: list[Found]
    ignored: list[Ignored]


def scan(folder: Path) -> Scan:
    """Read a folder and all folders in it, but hidden ones; no link is followed, and nothing is changed.

    Raises:
        InvalidInputError: it is no folder, or has too many files.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: is no folder; give the one with the pictures")
    found: dict[str, Found] = {}
    ignored: list[Ignored] = []
    for number, path in enumerate(_files(folder)):
        if number >= FILES_MOST:
            raise InvalidInputError(f"{folder}: has more than {FILES_MOST} files; adopt a folder in it")
        name = path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
        try:
            one = _read(path, name)
        except OSError as error:
            one = f"cannot be read: {error.strerror}"
        if isinstance(one, str):
            ignored.append(Ignored(name, one))
        elif one.sha256 in found:
            ignored.append(Ignored(name, "a copy of another picture"))
        else:
            found[one.sha256] = one
    return Scan(list(found.values()), ignored)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in their order, numbers in names as people count."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names, key=_counted):
            if not name.startswith("."):
                yield Path(place, name)


def _counted(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which `9.png` comes before `10.png`."""
    parts: list[tuple[bool, int, str]] = []
    digits = ""
    for char in f"{name}\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((False, int(digits[:18]), digits))
            digits = ""
        parts.append((True, 0, char))
    return parts


def _read(path: Path, name: str) -> Found | str:
    """Return a picture, or why a file is none."""
    data = _content(path)
    if isinstance(data, str):
        return data
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        made = _from_sidecar(path, sha256) or made_by(data)
    except GridError:
        return "a grid of many pictures"
    if made is None:
        return "no settings in it"
    settings = {key: value for key, value in made.settings.items() if _is_name(key, NAME_MOST)}
    if len(msgspec.msgpack.encode(settings)) > CONFIG_BYTES:
        return f"settings of over {CONFIG_BYTES >> 10} KiB"
    return Found(path, name, sha256, len(data), made.pipeline, settings)


def _content(path: Path) -> bytes | str:
    """Return the bytes of a whole picture, or why a file is none."""
    if path.is_symlink() or not path.is_file():
        return "a link, or no file"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if format_of(head) is None and not _is_avif(head):
            return "no picture"
        if os.fstat(file.fileno()).st_size > PICTURE_MOST:
            return f"larger than {PICTURE_MOST >> 20} MiB"
        data = head + file.read(PICTURE_MOST)
    return data if _is_whole(data) else "cut off"


def _is_avif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis")


def _is_whole(data: bytes) -> bool:
    """Return whether a picture has its end; a download may have broken off."""
    match format_of(data):
        case "PNG":
            return any(part.name == b"IEND" and part.end <= len(data) for part in png_chunks(data))
        case "JPEG":
            return _JPEG_END in data[-_TAIL:]
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    at = 0
    while 0 <= at < len(data):
        length = int.from_bytes(data[at : at + 4])
        if length < 8:  # noqa: PLR2004 - 0 stands for the rest, 1 for a length of 64 bits
            return True
        at += length
    return at == len(data)


def _from_sidecar(path: Path, sha256: str) -> Made | None:
    """Read the JSON that a runner of ours has written beside a picture."""
    if not path.stem.startswith(sha256):
        return None
    for beside in sorted(path.parent.glob(f"{sha256}.*.json")):
        if beside.is_symlink() or not beside.is_file() or beside.stat().st_size > SIDECAR_MOST:
            continue
        told = table(parsed(beside.read_text(encoding="utf-8", errors="replace")))
        settings = renamed(table(told.get("config")), {})
        pipeline = told.get("pipeline")
        if settings and isinstance(pipeline, str) and _is_name(pipeline, PIPELINE_MOST):
            return Made(pipeline, settings)
    return None


def _is_name(text: str, most: int) -> bool:
    """Return whether a message can hold a text as a name of at most so many characters."""
    return 0 < len(text) <= most and not UNUSABLE.search(text)
