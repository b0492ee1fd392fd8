"""Typed decoding of input: any error becomes one `InvalidInputError` that names the field."""

import difflib
import re
from typing import Any, Final, TypeVar

import msgspec

from bus.protocol.demands import bounds_text, example, kinds_text, name_of
from bus.protocol.places import VALUE, Option, named, options, options_at, shown

T = TypeVar("T")

NAMES_SHOWN: Final = 20  # in a sentence; a server may have thousands of models
WORD_LIMIT: Final = 80  # characters shown of what somebody else wrote
# Deep nesting raises RecursionError and bad UTF-8 UnicodeDecodeError, neither of which is a MsgspecError.
DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError, OverflowError)
# What msgspec says, by kind; tests/unit/test_refused_input.py has each of its sentences.
_PATH = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>.*)`", re.DOTALL)
_WORD = re.compile(r"^Invalid (?:enum )?value (?P<word>.*)$", re.DOTALL)
_TYPE = re.compile(r"^Expected `(?P<expected>[^`]*)`(?:, got `(?P<got>[^`]*)`)?$")
_ITEMS = re.compile(r"^Expected `array` of (?P<least>at least )?(?P<most>at most )?length (?P<count>\d[\d to]*)")
_BOUNDS = re.compile(r"^Expected `(?P<kind>\w+)` ")
_MALFORMED = re.compile(r"^(?P<form>JSON|MessagePack)(?: data)? is malformed: (?P<why>.*)$", re.DOTALL)


class InvalidInputError(ValueError):
    """An input breaks its contract. The text is one sentence that starts with the field and says what to do."""


def convert(value: object, kind: type[T]) -> T:
    """Turn plain data (of TOML, of JSON) into a Struct, strictly."""
    try:
        if where := _too_large(value):
            raise InvalidInputError(f"{shown(where)}: a whole number has 64 bits at most: -2^63 to 2^64-1")
        return msgspec.convert(value, kind)
    except DECODE_ERRORS as error:
        raise InvalidInputError(explain(error, kind, value)) from None


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


def decode(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Decode msgpack of a declared type."""
    try:
        return decoder.decode(data)
    except DECODE_ERRORS as error:
        raise InvalidInputError(explain(error, decoder.type)) from None


def near_miss(word: str, known: list[str]) -> str:
    """Return a suggestion, else the known words: the end of a sentence about an unknown word."""
    if close := closest(word, known):
        return f"did you mean {close!r}?"
    if not known:
        return "there are none"
    listed = ", ".join(sorted(known)[:NAMES_SHOWN])
    more = len(known) - NAMES_SHOWN
    return f"known are: {listed} and {more} others" if more > 0 else f"known are: {listed}"


def closest(word: str, known: list[str]) -> str:
    """Return the known word that was perhaps meant, "" if none is like it."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def explain(error: BaseException, kind: Any, value: object = None) -> str:
    """Return a decoding error as a sentence for the author of the input.

    `kind` is the type that was asked for. From `value`, the plain data, the key of a table is named, where it is there.
    """
    if not isinstance(error, msgspec.ValidationError):
        return f"input: {unreadable(error)}"
    match = _PATH.match(str(error))
    what, path, key = match.group("what", "path", "key") if match else (str(error), "", None)
    found = options_at(kind, path or "")
    path = named(path or "", value, kind)
    where = shown(path)
    if unknown := _UNKNOWN.search(what):
        word, fields = unknown["field"], [name for one in found for name in one.fields]
        return f"{_joined(where, word[:WORD_LIMIT])}: unknown key; {near_miss(word, fields)}"
    if missing := _MISSING.search(what):
        return f"{_joined(where, missing['field'])}: missing; add it"
    if key:
        return f"{where}: a key {_refusal(what, options(str), '')}"
    said = _refusal(what, found, where.rpartition(".")[2])
    return f"{where}: a value {said}" if VALUE in path else f"{where}: {said}"


def unreadable(error: BaseException) -> str:
    """Return why data cannot be read at all, whatever it may be meant as."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if malformed := _MALFORMED.match(str(error)):
        return f"is no valid {malformed['form']}: {malformed['why'][:200]}"
    return "ends too early" if isinstance(error, msgspec.DecodeError) else "too large"


_OTHERS: Final = {  # a part of what msgspec says -> our words
    "out of range": "must be a number of at most 64 bits",
    "base64": "must be bytes, which a text can hold as base64",
}


def _refusal(what: str, found: list[Option], key: str) -> str:
    """Return what a value has to be, from what msgspec says of the one that is there."""
    if wrong := _WORD.match(what):
        word = wrong["word"][:WORD_LIMIT]
        meant = closest(word.strip("'"), [choice for one in found for choice in one.words])
        advice = f"; did you mean {meant!r}?" if meant else _advice(found, key)
        return f"must be {kinds_text(found)}, not {word}{advice}"
    if wrong := _TYPE.match(what):
        expected, got = wrong["expected"], wrong["got"]
        said = f", not {name_of(got)}" if got else ""
        advice = "; send text as str, not as bin" if got == "bytes" and "str" in expected else ""
        return f"must be {kinds_text(found, expected)}{said}{advice or _advice(found, key)}"
    if wrong := _ITEMS.match(what):
        return f"must be a list of {wrong['least'] or wrong['most'] or ''}{wrong['count']} entries"
    if (wrong := _BOUNDS.match(what)) and (text := bounds_text(found, wrong["kind"])):
        return f"must be {text}"
    return next((text for mark, text in _OTHERS.items() if mark in what), "must be in another form")


def _advice(found: list[Option], key: str) -> str:
    """Return how a list or a table is written, where one is asked for."""
    if shape := example(found, key):
        return f"; write {shape}"
    keys = dict.fromkeys(name for one in found for name in one.fields)
    return f"; its keys are {', '.join(keys)}" if keys else ""


def _joined(where: str, name: str) -> str:
    return name if where == "input" else f"{where}.{name}"
