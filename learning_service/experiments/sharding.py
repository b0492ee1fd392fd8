"""Dividing experiments between several learning services: each belongs to exactly one, by a hash of its id."""

import hashlib
import re
from typing import Final, NamedTuple, Self

from bus.protocol.validation import InvalidInputError

MAX_SHARDS: Final = 1000
_SHARD: Final = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)


class Shard(NamedTuple):
    """One of `total` parts; the first is number 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/3`.

        Raises:
            InvalidInputError: it is no shard.
        """
        match = _SHARD.fullmatch(text.strip())
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count <= MAX_SHARDS:
            raise InvalidInputError(f"shard: {text!r}; write I/N, such as 1/3, 2/3 and 3/3")
        return cls(number, count)

    def __str__(self) -> str:
        """Return it as it is written, such as `2/3`."""
        return f"{self.number}/{self.total}"

    def owns(self, experiment_id: str) -> bool:
        """Return whether an experiment belongs to this shard."""
        return self.total == 1 or owner(experiment_id, self.total) == self.number


ALL: Final = Shard(1, 1)


def owner(experiment_id: str, count: int) -> int:
    """Return the number of the shard that an experiment belongs to, 1..count.

    The first 8 bytes of the BLAKE2b-512 hash of the id in UTF-8, as a big-endian number, modulo `count`, plus 1.
    """
    digest = hashlib.blake2b(experiment_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % count + 1
