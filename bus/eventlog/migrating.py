"""What migrations need beyond SQL."""

import sqlite3
from typing import Final

LONGEST: Final = 15  # list whose length stands in its first byte


class MsgpackList:
    """Joins encoded values to a list of msgpack: an aggregate function in SQL. Of none it is NULL, and nobody asks."""

    def __init__(self) -> None:
        """Begin with none."""
        self._values: list[bytes] = []

    def step(self, value: bytes) -> None:
        """Add a value."""
        self._values.append(value)

    def finalize(self) -> bytes:
        """Return the list."""
        count = len(self._values)
        header = bytes((0x90 + count,)) if count <= LONGEST else b"\xdd" + count.to_bytes(4, "big")
        return header + b"".join(self._values)


def register(db: sqlite3.Connection) -> None:
    """Give a connection the function `msgpack_list`."""
    db.create_aggregate("msgpack_list", 1, MsgpackList)  # type: ignore[arg-type]  # typeshed wants numbers
