"""The protocol of a scorer: one JSON object a line in, one a line out. No socket, no file, no clock.

What a library prints on stdout between them, such as `Loading model`, is no object, and is passed over.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import field

from bus.contracts.fields import Config
from pipeline_runner.scoring.base import Picture

ANSWER_BYTES: Final = 65_536  # of an answer, and of all that is printed before it
ERROR: Final = "error"
SHOWN: Final = 300  # characters of what a scorer says is wrong
_MAP_BEGINS: Final = b"{"


class Question(Picture, frozen=True, kw_only=True, omit_defaults=True):
    """What is written to a scorer: the picture, and the options of one that is no program of its own."""

    options: Config = field(default_factory=dict)


class Answer(NamedTuple):
    """What a line of a scorer says: the numbers that count, or what is wrong."""

    metrics: dict[str, float]
    problem: str


def encode_question(question: Question) -> bytes:
    """Return the line that asks for a picture."""
    return msgspec.json.encode(question) + b"\n"


def decode_question(line: bytes) -> Question:
    """Return what a line asks.

    Raises:
        msgspec.MsgspecError: it is no question.
    """
    return msgspec.json.decode(line, type=Question)


def begins_answer(part: bytes | bytearray) -> bool:
    """Return whether a line is to be read, as far as it is there: whether it begins as a map."""
    return part.lstrip().startswith(_MAP_BEGINS)


def read_answer(line: bytes, wanted: Collection[str]) -> Answer | None:
    """Return what a line says of the numbers that are wanted; None if it is no map, and so no answer."""
    if not begins_answer(line):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return Answer({}, f"its answer is no JSON: {line[:SHOWN].decode('utf-8', 'replace').strip()}")
    if ERROR in found and ERROR not in wanted:
        reason = str(found[ERROR])[:SHOWN].encode("utf-8", "replace").decode()  # JSON may have half a surrogate in it
        return Answer({}, reason or "it gives no reason")
    metrics = {name: number for name in wanted if (number := _finite(found, name)) is not None}
    if missing := [name for name in wanted if name not in metrics]:
        told = "is no finite number" if missing[0] in found else "is not there"
        return Answer(metrics, f"its answer has no {missing[0]!r}: it {told}; expected for example {_example(wanted)}")
    return Answer(metrics, "")


def _finite(found: Mapping[str, object], name: str) -> float | None:
    value = found.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of 400 digits
        return None
    return number if math.isfinite(number) else None


def _example(wanted: Collection[str]) -> str:
    return json.dumps(dict.fromkeys(wanted, 0.5))
