"""The pages of a table in a SQLite file, so that a test can damage them: https://www.sqlite.org/fileformat.html."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

INTERIOR: Final = 5
INTERIOR_HEADER: Final = 12
LEAF_HEADER: Final = 8
CELL_COUNT: Final = 4  # the low byte of the number of cells, in the header of a page
_POINTER: Final = 4  # bytes of the number of a child page


class Table:
    """The pages of one table of a closed database, root first, then in the order of its rows."""

    def __init__(self, path: Path, name: str) -> None:
        """Find its pages."""
        self.content = path.read_bytes()
        self.page_size = int.from_bytes(self.content[16:18], "big")
        with closing(sqlite3.connect(path)) as db:
            (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        self.starts = list(self._below(root))

    def header(self, start: int) -> range:
        """Return the positions of the header of the page that begins at `start`."""
        return range(start, start + (INTERIOR_HEADER if self.content[start] == INTERIOR else LEAF_HEADER))

    def cells(self, start: int) -> list[int]:
        """Return where the cells of a page are; in a leaf each begins with length and key, as varints."""
        pointers = self.header(start).stop
        return [start + self._number(pointers + 2 * number, 2) for number in range(self._number(start + 3, 2))]

    def cell_of(self, text: bytes) -> int:
        """Return the position of the cell of a leaf that holds a text."""
        found = self.content.index(text)
        return max(cell for cell in self.cells(found - found % self.page_size) if cell < found)

    def flipped(self, position: int, bit: int) -> bytes:
        """Return the content of the file with one bit flipped."""
        content = bytearray(self.content)
        content[position] ^= 1 << bit
        return bytes(content)

    def _below(self, page: int) -> Iterator[int]:
        start = (page - 1) * self.page_size
        yield start
        if self.content[start] == INTERIOR:
            for cell in self.cells(start):
                yield from self._below(self._number(cell, _POINTER))
            yield from self._below(self._number(start + LEAF_HEADER, _POINTER))

    def _number(self, position: int, size: int) -> int:
        return int.from_bytes(self.content[position : position + size], "big")
