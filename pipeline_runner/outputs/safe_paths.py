"""Files below a folder by an untrusted path: no symbolic link is followed."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """Some bytes of a file, and the size of all of it."""

    data: bytes
    size: int


def read_part(root: Path, path: str, offset: int, limit: int) -> Part:
    """Read at most `limit` bytes of a regular file from an offset on.

    Raises:
        OSError: it is not there, is no regular file, or a link is on the way.
    """
    with _folder_of(root, path) as (folder, name):
        # without O_NONBLOCK, opening a named pipe would block
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(2, "no regular file", path)
        return Part(os.pread(file, limit, min(offset, found.st_size)), found.st_size)
    finally:
        os.close(file)


def look_at(root: Path, path: str) -> os.stat_result:
    """Return size and times of a regular file.

    Raises:
        OSError: as for `read_part`.
    """
    with _folder_of(root, path) as (folder, name):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(2, "no regular file", path)
    return found


def unlink(root: Path, path: str) -> None:
    """Remove a file.

    Raises:
        OSError: as for `read_part`.
    """
    with _folder_of(root, path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def remove_empty(root: Path, path: str) -> bool:
    """Remove a folder if it is empty; return whether it was removed."""
    try:
        with _folder_of(root, path) as (folder, name):
            os.rmdir(name, dir_fd=folder)
    except OSError:
        return False
    return True


@contextmanager
def _folder_of(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder of a file step by step; return its descriptor, and the name of the file in it."""
    *steps, name = path.split("/")
    if any(step in ("", ".", "..") or "\0" in step for step in (*steps, name)):
        raise FileNotFoundError(2, "no path below the folder", path)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for step in steps:
            inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder, name
    finally:
        os.close(folder)
