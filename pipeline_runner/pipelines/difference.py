"""What a server used in place of what it was asked for, and which experiments that spoils."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

from bus.contracts.messages import LearningContext


class Difference(NamedTuple):
    """One difference from the request, and the settings whose experiments it spoils."""

    name: str
    asked: object
    used: object
    spoils: tuple[str, ...]

    def __str__(self) -> str:
        """Return one sentence for people."""
        return f"{self.name}: asked for {self.asked!r}, the server used {self.used!r}"


def spoiled(found: list[Difference], context: LearningContext | None) -> Difference | None:
    """Return the difference in what the job's experiment varies, of a table any of its parts; None if there is none."""
    decided = context.decided if context else ()
    return next((one for one in found if any(_is_of(name, decided) for name in one.spoils)), None)


def _is_of(name: str, decided: Collection[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in decided)


def same_number(one: Any, other: Any) -> bool:
    """Compare numbers: 7 is 7.0, and so is what was rounded on the way; of seeds each digit counts."""
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)
