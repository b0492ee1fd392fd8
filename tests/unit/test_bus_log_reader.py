"""What a reader makes of rows in an order that a sound table cannot have."""

import sqlite3
from collections.abc import Iterator
from typing import Any, cast

import pytest

from bus.config.limits import DEFAULT_LIMITS
from bus.eventlog.pages import checksum
from bus.eventlog.reader import SQL, Reader, Row


def row(offset: int, *, key: int | None = None) -> Row:
    """Return the row of a record; with another key it is not sound."""
    return key or offset, b"a.", 0, b"body", checksum(offset, b"a.", 0, b"body")


class Cursor:
    """Some rows, of which `None` is a page that makes no sense."""

    def __init__(self, rows: list[Row | None]) -> None:
        """Begin at the first."""
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows up to a damaged page."""
        for one in self._rows:
            if one is None:
                error = sqlite3.DatabaseError("database disk image is malformed")
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
            yield one

    def fetchone(self) -> Row | None:
        """Return the first row."""
        return next(iter(self), None)

    def close(self) -> None:
        """End."""


class Table:
    """A table whose rows stand in any order, found one by one only if `single` has them."""

    def __init__(self, rows: list[Row | None], single: list[Row]) -> None:
        """Take the rows as a search from the beginning meets them."""
        self._rows, self._single = rows, single

    def execute(self, statement: str, params: tuple[int]) -> Any:
        """Answer one of the statements of a reader."""
        if statement == SQL["select"]:
            return Cursor([one for one in self._single if one[0] == params[0]])
        start = next((at for at, one in enumerate(self._rows) if one is None or one[0] > params[0]), len(self._rows))
        return Cursor(self._rows[start:])


@pytest.mark.fault(item="F56")
@pytest.mark.parametrize(
    ("rows", "single", "damaged"),
    [
        ([row(1), row(2), row(3), row(4)], [], []),
        ([row(1), row(3), row(2), row(4)], [row(2)], []),  # out of order, and found one by one
        ([row(1), row(3), row(2), row(4)], [], [2]),
        ([row(1), row(2), row(2), row(1), row(3), row(4)], [], []),  # some of them twice
        ([row(1), row(2, key=9), row(3), row(4)], [], [2]),  # a key behind all others
        ([row(1), row(2), row(9), row(3), row(4)], [row(3), row(4)], []),  # a sound row that is not to be there
        ([row(3, key=1), row(2), row(4)], [], [1, 3]),
        ([row(1), None, row(3), row(4)], [row(3), row(4)], [2]),
        ([None], [], [1, 2, 3, 4]),
        ([], [row(4)], [1, 2, 3]),
    ],
)
def test_each_offset_is_given_once_in_order_or_named(
    rows: list[Row | None], single: list[Row], damaged: list[int]
) -> None:
    """Sound rows are taken from wherever they are; each offset without one is damaged."""
    reader = Reader(cast("sqlite3.Connection", Table(rows, single)), DEFAULT_LIMITS, first=1)

    found = list(reader.rows(0, 4))

    assert [offset for offset, _ in found] == [1, 2, 3, 4]
    assert [offset for offset, one in found if one is None] == damaged
    assert all(one == row(offset) for offset, one in found if one)
    assert reader.page("", 0, 4, 100).damaged == damaged


@pytest.mark.fault(item="F55")
def test_a_failed_read_behind_damage_is_no_damage() -> None:
    """The disk is to blame then, and nothing is passed over."""

    class Failing(Table):
        """A table on a disk that fails."""

        calls = 0

        def execute(self, statement: str, params: tuple[int]) -> Any:
            """Find damage first, and then no row at all."""
            self.calls += 1
            if self.calls > 1:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(statement, params)

    reader = Reader(cast("sqlite3.Connection", Failing([row(1), None], [])), DEFAULT_LIMITS, 1)

    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        list(reader.rows(0, 3))
