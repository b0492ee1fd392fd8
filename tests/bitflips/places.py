"""Which bit is flipped: every kind of file, and in databases every kind of page of every table, has the same chance."""

import random
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tests.bitflips.reference import databases, trees

PAGE: Final = 4096
FILE_HEADER: Final = 100  # bytes at the begin of a database
WAL_HEADER, FRAME_HEADER = 32, 24
LEAF_INDEX, LEAF_TABLE, INNER_INDEX, INNER_TABLE = 10, 13, 2, 5  # the first byte of a page
Pick = Callable[[random.Random], int]  # returns an offset in the file


class Place(NamedTuple):
    """One bit of one file of a data folder."""

    kind: str  # what is there
    file: str  # relative to the folder
    byte: int
    bit: int

    def flip(self, folder: Path) -> None:
        """Flip it."""
        with (folder / self.file).open("r+b") as file:
            file.seek(self.byte)
            (old,) = file.read(1)
            file.seek(self.byte)
            file.write(bytes([old ^ 1 << self.bit]))


class Places:
    """The kinds of places of a data folder."""

    def __init__(self, folder: Path) -> None:
        """Look at all files."""
        self._kinds: dict[str, list[tuple[str, Pick]]] = {}
        for database in databases(folder):
            self._add_database(folder, database)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path.stat().st_size and not path.suffix.startswith(".db"):
                self._add(_kind_of(name), name, _anywhere(0, path.stat().st_size))

    @property
    def kinds(self) -> list[str]:
        """The names of the kinds, sorted."""
        return sorted(self._kinds)

    def choose(self, chance: random.Random) -> Place:
        """Choose a kind, a file, a byte and a bit."""
        kind = chance.choice(self.kinds)
        file, pick = chance.choice(self._kinds[kind])
        return Place(kind, file, pick(chance), chance.randrange(8))

    def _add(self, kind: str, file: str, pick: Pick) -> None:
        self._kinds.setdefault(kind, []).append((file, pick))

    def _add_database(self, folder: Path, database: Path) -> None:
        owners = trees(database)
        name, data = database.name, database.read_bytes()
        self._add(f"{name} header", name, _anywhere(0, FILE_HEADER))
        for start in range(0, len(data), PAGE):
            owner = " ".join(owners.get(start // PAGE + 1, ("freelist", "")))
            self._add(f"{name} {owner}".strip(), name, _in_page(data[start : start + PAGE], start))
        wal = folder / f"{name}-wal"
        if wal.exists() and wal.stat().st_size:
            self._add_wal(wal.name, wal.read_bytes(), owners)

    def _add_wal(self, name: str, data: bytes, owners: dict[int, tuple[str, str]]) -> None:
        self._add(f"{name} header", name, _anywhere(0, WAL_HEADER))
        for start in range(WAL_HEADER, len(data), FRAME_HEADER + PAGE):
            (number,) = struct.unpack_from(">I", data, start)
            self._add(f"{name} frame header", name, _anywhere(start, start + FRAME_HEADER))
            owner = owners.get(number, ("freelist", ""))[0]
            page = data[start + FRAME_HEADER : start + FRAME_HEADER + PAGE]
            self._add(f"{name} {owner}", name, _in_page(page, start + FRAME_HEADER))


def _kind_of(name: str) -> str:
    """Return what a file is that is no database."""
    parts = Path(name).parts
    if len(parts) == 1:
        return name
    return f"{parts[1] if parts[1].startswith('.') else 'outputs'} {Path(name).suffix or Path(name).name}"


def _anywhere(start: int, end: int) -> Pick:
    return lambda chance: chance.randrange(start, end)


def _in_page(page: bytes, start: int) -> Pick:
    """Choose among the page's header, the places of its cells, and the cells; seldom in what is not used."""
    header = FILE_HEADER if page.startswith(b"SQLite format 3") else 0
    kind = page[header]
    if kind not in (LEAF_INDEX, LEAF_TABLE, INNER_INDEX, INNER_TABLE):
        return _anywhere(start, start + PAGE)  # an overflow page
    cells, content = struct.unpack_from(">HH", page, header + 3)
    pointers = header + (12 if kind in (INNER_INDEX, INNER_TABLE) else 8)
    zones: list[range] = [range(header, pointers), range(pointers, pointers + 2 * cells), range(content, PAGE)]
    zones = [*_filled(zones), *_filled([range(content, PAGE)] * 4), *_filled([range(pointers + 2 * cells, content)])]

    def pick(chance: random.Random) -> int:
        return start + chance.choice(chance.choice(zones))

    return pick


def _filled(zones: Iterable[range]) -> list[range]:
    return [zone for zone in zones if zone]
