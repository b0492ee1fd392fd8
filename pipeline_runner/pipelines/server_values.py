"""Numbers that servers tell, as far as a message can hold them: JSON knows larger ones, and Python reads infinities."""

import math
from typing import Any

from bus.contracts.messages import INT64_MAX, Scalar


def whole(value: Any) -> int | None:
    """Give a whole number, None if it is none, or has more than 64 bits; some servers count in floats."""
    found = number(value)
    if found is None or not float(found).is_integer():
        return None
    return int(found) if -INT64_MAX - 1 <= found <= INT64_MAX else None


def number(value: Any) -> int | float | None:
    """Give a finite number, None if it is none; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def scalar(value: Any) -> Scalar | None:
    """Give a text, a truth value or a number; None if it is none of them, or has more than 64 bits."""
    if isinstance(value, str | bool):
        return value
    return whole(value) if isinstance(value, int) else number(value)
