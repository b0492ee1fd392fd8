"""Values as data: which two are one, and how one is written so that it cannot be taken for another.

Equal numbers are one value: 1 and 1.0. A truth value is no number, and a text is never the value that it looks like: 1,
true and "1" are three. The empty text is a value like any other; what is not there is null.
"""

import json
from contextlib import suppress
from typing import Final, TypeGuard

from bus.contracts.fields import Scalar, VariantValue

SHOWN: Final = 80  # characters of a value in a sentence: one may have 64 KiB


def identity(value: VariantValue) -> object:
    """Return a key under which equal values are equal: 1 and 1.0 are one value, 1 and true are two."""
    if isinstance(value, dict):
        return tuple((name, isinstance(part, bool), part) for name, part in sorted(value.items()))
    return isinstance(value, bool), value


def is_same(one: VariantValue, other: VariantValue) -> bool:
    """Return whether two values are one, as `identity` does, faster."""
    if one != other or isinstance(one, bool) != isinstance(other, bool):  # True == 1
        return False
    return not isinstance(one, dict) or identity(one) == identity(other)


def written(value: Scalar) -> str:
    """Return a value for people; a text is in quotes where it would read as nothing, or as another type of value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and _is_misread(value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def key_text(value: Scalar) -> str:
    """Return the text under which a table has what belongs to a value: equal values have one, and others another."""
    return written(int(value) if isinstance(value, float) and value.is_integer() else value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def cited(value: object) -> str:
    """Return a value as a file has it, for a sentence about it."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else brief(repr(value))


def brief(text: str) -> str:
    """Return a text, shortened where it would bury the sentence that it is part of."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _is_misread(text: str) -> bool:
    if text != text.strip() or text.startswith('"') or text in ("", "true", "false"):
        return True
    with suppress(ValueError):
        float(text)
        return True
    return False
