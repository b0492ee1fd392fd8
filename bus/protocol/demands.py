"""What a value has to be, in words for the author of an input: no name of a type, no pattern, no sign of comparison."""

from collections.abc import Sequence
from typing import Any, Final, get_origin

from msgspec import Meta

from bus.protocol.places import ITEM, LISTS, Option, is_struct, options

_NAMES: Final = {  # of msgspec's types
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "bytes": "bytes",
    "ext": "an extension type",
    "date": "a date",
    "time": "a time",
    "datetime": "a date with a time",
    "null": "nothing",
    "None": "nothing",
}
_BASES: Final[dict[Any, str]] = {int: "int", float: "float", str: "str", bool: "bool", bytes: "bytes", type(None): ""}
_POWERS: Final[dict[float, str]] = {2**63 - 1: "2^63-1", 2**64 - 1: "2^64-1", -(2**63): "-2^63"}
_LEAST: Final = -(2**63)  # which every whole number is


def kinds_text(found: Sequence[Option], expected: str = "") -> str:
    """Return of which kinds a value may be; where the type does not tell, from `expected`, as msgspec writes it."""
    words = [word for one in found for word in one.words]
    known = [_kind_of(one) for one in found if not one.words]
    names = [name for name in known if name] if found and None not in known else expected.split(" | ")
    left_out = {"", "null", *(["int"] if "float" in names else [])}
    parts = [_NAMES.get(name, name) for name in dict.fromkeys(names) if name not in left_out]
    # true or false stands last: in the middle of others its `or` would end the list too early
    parts.sort(key=lambda part: part == _NAMES["bool"])
    if not words:
        return _either(parts)
    return _either([*parts, ("the word " if parts and len(words) == 1 else "") + _either(words)])


def name_of(got: str) -> str:
    """Return what a value is that is there instead, from the name of its type."""
    return "a decimal number" if got == "float" else _NAMES.get(got, got)


def bounds_text(found: Sequence[Option], kind: str) -> str:
    """Return in which bounds or form a value of a kind has to be; "" if its type does not say."""
    return next((text for one in found if _kind_of(one) == kind and (text := _bounded(one))), "")


def example(found: Sequence[Option], key: str) -> str:
    """Return how a list is written for a key, "" if that cannot be said in short."""
    lists = [one for one in found if not one.words and _kind_of(one)]
    kinds = {_kind_of(inner) for one in lists for inner in options(one.inner(ITEM))}
    if not key.isidentifier() or any(_kind_of(one) != "array" for one in lists):
        return ""
    if kinds & {"int", "float"}:
        return f"{key} = [1, 2, 3]"
    return f'{key} = ["a", "b"]' if "str" in kinds else ""


def _kind_of(one: Option) -> str | None:
    """Return the kind of an option by msgspec's name, "" for nil; None for a type of which nothing is known here."""
    if one.base in _BASES:
        return _BASES[one.base]
    if is_struct(one.base):
        return "array" if one.base.__struct_config__.array_like else "object"
    origin = get_origin(one.base) or one.base
    return "object" if origin is dict else "array" if origin in LISTS else None


def _bounded(one: Option) -> str:
    """Return what the marks of an option ask for: `text of 1 to 200 characters`."""
    for mark in one.marks:
        if mark.pattern:
            return mark.description or "text in another form"
    kind = _kind_of(one) or ""
    lengths = _range(_least(mark.min_length for mark in one.marks), _least(mark.max_length for mark in one.marks))
    if lengths == "at least 1":
        return f"{_NAMES[kind]} that is not empty"
    if lengths:
        units = "characters" if kind == "str" else "entry" if lengths.endswith(" 1") else "entries"
        return f"{_NAMES[kind]} of {lengths} {units}"
    return _number(_NAMES[kind], one.marks) if kind in ("int", "float") else ""


def _number(name: str, marks: Sequence[Meta]) -> str:
    low, high = _least(mark.ge for mark in marks if mark.ge != _LEAST), _least(mark.le for mark in marks)
    above, below = _least(mark.gt for mark in marks), _least(mark.lt for mark in marks)
    multiple = _least(mark.multiple_of for mark in marks)
    closed = _range(low, high).replace("at least", "of at least").replace("at most", "of at most")
    parts = [
        f"from {closed}" if " to " in closed else closed,
        "" if above is None else f"above {_digits(above)}",
        "" if below is None else f"below {_digits(below)}",
        "" if multiple is None else f"divisible by {_digits(multiple)}",
    ]
    said = " and ".join(part for part in parts if part)
    return f"{name} {said}" if said else ""


def _least(given: Any) -> Any:
    return next((one for one in given if one is not None), None)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"at most {_digits(high)}"
    return f"at least {_digits(low)}" if high is None else f"{_digits(low)} to {_digits(high)}"


def _digits(number: float) -> str:
    return _POWERS.get(number) or (str(number) if isinstance(number, int) else f"{number:g}")


def _either(parts: Sequence[str]) -> str:
    if len(parts) < 2:  # noqa: PLR2004 - no `or` needed
        return "".join(parts)
    last = parts[-1]
    return f"{', '.join(parts[:-1])}{', ' if ' or ' in last else ' or '}{last}"
