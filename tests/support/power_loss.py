"""A disk that loses power: SQLite's own file system layer, told to report each sync to us.

What SQLite has not synced may be lost. `Disk` wraps the default VFS of the SQLite library that Python uses, through
ctypes: whenever a file is synced, its content is kept as what is certain to survive. `images` then gives states in
which the files may be after a power cut: what was synced, and the write-ahead log with any part of what came behind it,
cut off, zeroed or smashed. The log's own `.head` file is written with an fsync each time, so that it survives as it is.
"""

import _sqlite3
import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

OK: Final = 0
BLOCK: Final = 512
Open: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
Sync: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
Image = dict[str, bytes]  # file name -> content


class Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("os_file_size", ctypes.c_int),
        ("max_pathname", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("app_data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 15),
    )


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close_read_write_truncate", ctypes.c_void_p * 4),
        ("sync", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 13),
    )


class Disk:
    """Remembers of each file what was synced last, and counts the syncs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Wrap the default VFS; `install` makes the wrapper the default."""
        self._library = library
        library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
        self._original: Any = library.sqlite3_vfs_find(None)
        self._vfs = Vfs.from_buffer_copy(self._original.contents)
        self._original_open = Open(self._vfs.open)
        self._our_open = Open(self._open)
        self._vfs.name = b"powerloss"
        self._vfs.open = ctypes.cast(self._our_open, ctypes.c_void_p)
        self._paths: dict[int, Path] = {}  # of each open file, by the address of its struct
        self._methods: dict[int, Methods] = {}  # our copies, by the address of the original
        self._kept: list[object] = []  # what C has pointers to
        self.synced: dict[Path, bytes] = {}
        self.syncs = 0

    def install(self) -> None:
        """Have whatever is opened from now on go through us."""
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK

    def remove(self) -> None:
        """Put the default back; nothing may be open any more."""
        assert self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs)) == OK
        assert self._library.sqlite3_vfs_register(self._original, 1) == OK

    def images(self, database: Path, chance: random.Random, count: int) -> Iterator[Image]:
        """Yield states after a power cut now: first the one that has only what was synced, then `count` others."""
        wal = database.with_name(f"{database.name}-wal")
        head = database.with_suffix(".head")
        certain = {database.name: self.synced.get(database, b""), head.name: head.read_bytes()}
        log, present = self.synced.get(wal, b""), wal.read_bytes() if wal.exists() else b""
        yield {**certain, wal.name: log}
        if present[: len(log)] != log:
            return  # it was begun anew since; parts of both do not join
        for number in range(count):
            tail = present[len(log) : chance.randint(len(log), len(present))]
            if number % 3 == 1:
                tail += bytes(BLOCK)  # a block that was allocated and not written
            elif number % 3 == 2:
                tail = tail[:-BLOCK] + chance.randbytes(BLOCK)
            yield {**certain, wal.name: log + tail}

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out_flags: int | None) -> int:
        code: int = self._original_open(vfs, name, file, flags, out_flags)
        methods = ctypes.c_void_p.from_address(file)
        if code == OK and name and methods.value:
            self._paths[file] = Path(ctypes.string_at(name).decode())
            methods.value = ctypes.addressof(self._wrapped(methods.value))
        return code

    def _wrapped(self, address: int) -> Methods:
        """Copy a table of methods and put our sync into it."""
        if address not in self._methods:
            mine = Methods.from_buffer_copy(Methods.from_address(address))
            original = Sync(mine.sync)

            def sync(file: int, flags: int) -> int:
                code: int = original(file, flags)
                if code == OK and file in self._paths:
                    self.syncs += 1
                    self.synced[self._paths[file]] = self._paths[file].read_bytes()
                return code

            ours = Sync(sync)
            self._kept.append(ours)
            mine.sync = ctypes.cast(ours, ctypes.c_void_p)
            self._methods[address] = mine
        return self._methods[address]


@contextmanager
def power_supply() -> Iterator[Disk | None]:
    """Yield a disk whose syncs are seen; None where the SQLite library hides its functions."""
    library = ctypes.CDLL(_sqlite3.__file__)
    if not hasattr(library, "sqlite3_vfs_register"):
        yield None
        return
    disk = Disk(library)
    disk.install()
    try:
        yield disk
    finally:
        disk.remove()


def write_image(image: Image, folder: Path) -> None:
    """Put the files of a state into a folder."""
    folder.mkdir(parents=True)
    for name, content in image.items():
        (folder / name).write_bytes(content)
