"""Values from the JSON of servers, checked: a message cannot hold its largest numbers, nor infinities."""

import math
from typing import Any

from bus.contracts.fields import INT64_MAX, SEED_MAX, Scalar


def whole(value: Any) -> int | None:
    """Return an integer of at most 64 bits, None if the value is none; some servers count in floats."""
    found = number(value)
    if found is None or not float(found).is_integer():
        return None
    return int(found) if -INT64_MAX - 1 <= found <= SEED_MAX else None


def number(value: Any) -> int | float | None:
    """Return a finite number, None if the value is none; booleans are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def number_in(text: str | None) -> float | None:
    """Return the finite number that a text is, None if it is none."""
    try:
        return None if text is None else number(float(text))
    except ValueError:
        return None


def scalar(value: Any) -> Scalar | None:
    """Return a string, boolean or number; None for anything else, and for more than 64 bits."""
    if isinstance(value, str | bool):
        return value
    return whole(value) if isinstance(value, int) else number(value)
