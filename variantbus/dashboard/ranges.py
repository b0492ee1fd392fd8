"""Parts of a file as HTTP asks for them: `Range: bytes=…`, of which players make use to jump in a video."""

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Span(NamedTuple):
    """Some bytes of a file: from `start` up to, without, `end`."""

    start: int
    end: int


class UnsatisfiableError(Exception):
    """The file has no byte of what is asked for."""


def span_of(header: str, size: int) -> Span | None:
    """Return the part that a header asks for, None for all of it: also for several parts, and what is no range.

    Raises:
        UnsatisfiableError: there is no such part.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableError
    return Span(start, end)
