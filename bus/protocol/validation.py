"""Typed decoding of input: any error becomes one `InvalidInputError` that names the field."""

import difflib
import re
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

T = TypeVar("T")

NAMES_SHOWN: Final = 20  # in a sentence; a server may have thousands of models
# Deep nesting raises RecursionError and bad UTF-8 UnicodeDecodeError, neither of which is a MsgspecError.
DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError, OverflowError)
_PATH = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_TABLE = re.compile(r"(?P<field>\w+)\[\.\.\.\]")
_UNKNOWN = re.compile(r"unknown field `(?P<field>.*)`", re.DOTALL)
_WORD = re.compile(r"^Invalid enum value '(?P<word>.*)'$", re.DOTALL)
_BIN = re.compile(r"expected `[^`]*\bstr\b[^`]*`, got `bytes`", re.IGNORECASE)
_PATTERN = re.compile(r"^Expected `[^`]*` matching regex ")
_MISSING = re.compile(r"missing required field `(?P<field>.*)`", re.DOTALL)


class InvalidInputError(ValueError):
    """An input breaks its contract. The text is one sentence that starts with the field and says what to do."""


def convert(value: object, kind: type[T]) -> T:
    """Turn plain data (of TOML, of JSON) into a Struct, strictly."""
    if where := _too_large(value):
        raise InvalidInputError(f"{where.lstrip('.')}: a whole number has 64 bits at most: -2^63 to 2^64-1")
    try:
        return msgspec.convert(value, kind)
    except DECODE_ERRORS as error:
        text = explain(error, kind)
        raise InvalidInputError(_with_key(text, value, kind)) from None


def _too_large(value: object) -> str:
    """Return the path of a whole number that no message can hold, "" if there is none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        step = f"[{key}]" if isinstance(value, list) else f".{key}"
        if isinstance(inner, int) and not -(2**63) <= inner < 2**64:
            return step
        if isinstance(inner, dict | list) and (found := _too_large(inner)):
            return f"{step}{found}"
    return ""


def _with_key(text: str, value: object, kind: type[T]) -> str:
    """Name the key of a table that is at fault: msgspec says only `config[...]`."""
    found = _TABLE.match(text)
    table = value.get(found["field"]) if found and isinstance(value, dict) else None
    if found is None or not isinstance(value, dict) or not isinstance(table, dict):
        return text
    alone = ((key, _refusal({**value, found["field"]: {key: part}}, kind)) for key, part in table.items())
    return next((f"{found['field']}.{key}{text[found.end() :]}" for key, why in alone if why == text), text)


def _refusal(value: object, kind: type[T]) -> str:
    """Return why a value cannot be converted, "" if it can."""
    try:
        msgspec.convert(value, kind)
    except DECODE_ERRORS as error:
        return explain(error, kind)
    return ""


def decode(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Decode msgpack of a declared type."""
    try:
        return decoder.decode(data)
    except DECODE_ERRORS as error:
        raise InvalidInputError(explain(error, decoder.type)) from None


def near_miss(word: str, known: list[str]) -> str:
    """Return a suggestion, else the known words: the end of a sentence about an unknown word."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    if not known:
        return "there are none"
    shown = ", ".join(sorted(known)[:NAMES_SHOWN])
    more = len(known) - NAMES_SHOWN
    return f"known are: {shown} and {more} others" if more > 0 else f"known are: {shown}"


def explain(error: BaseException, kind: Any) -> str:
    """Return a decoding error as a sentence for the author of the input."""
    if isinstance(error, RecursionError):
        return "input: nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return f"input: {str(error)[:200] or type(error).__name__}"
    match = _PATH.match(str(error))
    what, path, key = match.group("what", "path", "key") if match else (str(error), "", None)
    where = (path or "").lstrip(".")
    if unknown := _UNKNOWN.search(what):
        word = unknown["field"]
        return f"{_join(where, word[:80])}: unknown key; {near_miss(word, _fields_at(kind, where))}"
    if missing := _MISSING.search(what):
        return f"{_join(where, missing['field'])}: missing; add it"
    if (invalid := _WORD.search(what)) and (known := _words_at(kind, where)):
        return f"{where}: {invalid['word'][:80]!r} is none of its words; {near_miss(invalid['word'], known)}"
    if _PATTERN.search(what) and (form := _form_in(_type_at(kind, where))):
        what = f"expected {form}"
    advice = "; send text as str, not as bin" if _BIN.search(what) else ""
    return f"{where or 'input'}: {'of a key, ' if key else ''}{what[:1].lower()}{what[1:200]}{advice}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _fields_at(kind: Any, path: str) -> list[str]:
    """Return the field names of the Struct that stands at a path such as `variable` or `jobs[...].context`."""
    found = _struct_in(_type_at(kind, path))
    return list(found.__struct_fields__) if found else []


def _words_at(kind: Any, path: str) -> list[str]:
    """Return the words of which a text at a path has to be one."""
    return [word for word in _words_in(_type_at(kind, path)) if isinstance(word, str)]


def _words_in(kind: Any) -> tuple[Any, ...]:
    found = get_args(kind)
    return found if get_origin(kind) is Literal else next((words for arg in found if (words := _words_in(arg))), ())


def _form_in(kind: Any) -> str:
    """Return in words what the pattern of a text asks for, "" if its type does not say."""
    if isinstance(kind, msgspec.Meta):
        return kind.description or "" if kind.pattern else ""
    return next((form for arg in get_args(kind) if (form := _form_in(arg))), "")


def _type_at(kind: Any, path: str) -> Any:
    for step in filter(None, re.sub(r"\[.*?\]", ".[]", path).split(".")):
        hints = get_type_hints(_struct_in(kind), include_extras=True) if step != "[]" and _struct_in(kind) else {}
        kind = hints.get(step, kind)
    return kind


def _struct_in(kind: Any) -> type[Struct] | None:
    """Find the Struct in `X`, `X | None`, `list[X]` or `Annotated[X, ...]`."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind
    return next((found for arg in get_args(kind) if (found := _struct_in(arg))), None)
