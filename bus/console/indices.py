"""Indices as people write them on a command line."""

import re
from typing import Final

import click

_PART: Final = re.compile(r"(?P<first>\d{1,6})(?:-(?P<last>\d{1,6}))?", re.ASCII)


class IndexSet(click.ParamType[tuple[int, ...]]):
    """Variant indices such as `0-3,7`."""

    name = "indices"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Expand the ranges."""
        if isinstance(value, tuple):
            return value
        indices: set[int] = set()
        for part in str(value).split(","):
            match = _PART.fullmatch(part.strip())
            if not match or int(match["last"] or match["first"]) < int(match["first"]):
                self.fail(f"{part!r} is no index or range; write for example 0-3,7", param, ctx)
            indices.update(range(int(match["first"]), int(match["last"] or match["first"]) + 1))
        return tuple(sorted(indices))
