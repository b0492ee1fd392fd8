"""The manifest of a backup: what it holds, with the hash of every file."""

import errno
import hashlib
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bus.eventlog.files import sync
from bus.protocol.validation import InvalidInputError

NAME: Final = "backup.json"
FORMAT: Final = 1
NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoredFile(Struct, frozen=True, kw_only=True):
    """A file of a backup; its path is relative to the backup's folder, and to the data folder."""

    path: str
    size: int
    sha256: str


class StoredDatabase(StoredFile, frozen=True, kw_only=True):
    """The database of a service: the epoch and the newest offset of its log, and the versions of its tables."""

    epoch: int
    head: int
    tables: dict[str, int]


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    version: str  # of the program that made it
    made_at: Annotated[datetime, Meta(tz=True)]
    databases: list[StoredDatabase]
    files: list[StoredFile]

    @property
    def everything(self) -> list[StoredFile]:
        """All files: pictures and the like first, then the databases."""
        return [*self.files, *self.databases]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        InvalidInputError: the folder is no backup, or one that this program cannot read.
    """
    path = folder / NAME
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to read a named pipe would not end
            raise InvalidInputError(f"{path} cannot be read: it is no regular file")
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        found.made_at.astimezone()
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(f"{folder} is no backup: it has no {NAME}") from None
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise InvalidInputError(f"{path} is damaged, so nothing can be checked against it: {error}") from None
    if found.format > FORMAT:
        text = f"{path} was made by variantbus {found.version}, in format {found.format}; this program knows {FORMAT}"
        raise InvalidInputError(f"{text}: restore it with that one")
    if not found.databases:
        raise InvalidInputError(f"{path} is damaged: it names no database")
    for one in found.everything:
        parts = PurePosixPath(one.path).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in one.path:
            raise InvalidInputError(f"{path} is damaged: {one.path!r} is no path below the folder")
    return found


def changed(folder: Path, manifest: Manifest) -> Iterator[tuple[StoredFile, str]]:
    """Yield the files of a backup that are not as its manifest says, each with what is wrong."""
    for one in manifest.everything:
        path = folder / one.path
        try:
            size, sha256 = (0, "") if not path.is_file() else (path.stat().st_size, hash_of(path))
        except OSError as error:
            yield one, f"cannot be read: {error.strerror}"
            continue
        if not sha256:
            yield one, "is missing"
        elif (size, sha256) != (one.size, one.sha256):
            yield one, "is not what was written: its hash is another one"


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy a file with its times, and put it on the disk.

    Raises:
        OSError: it cannot be copied; if that is for lack of room, the error names the target.
    """
    try:
        shutil.copy2(source, target)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise
    sync(target)
