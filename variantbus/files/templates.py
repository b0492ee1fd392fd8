"""Experiment files made from others: one that extends another one, settings changed by `--set`. No file access."""

import csv
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bus.contracts.values import brief
from bus.protocol.validation import InvalidInputError

EXTENDS: Final = "extends"
NOTIFY: Final = "notify"
# whoever gives one of these means it in the place of the others
INSTEAD: Final = (frozenset({"variable", "variables"}), frozenset({"prompts", "prompts_file", "blocks"}))
RANGE: Final = ("start", "stop", "step")  # of a variable, in the place of `values`
LISTS: Final = ("values", "prompts")  # may be written without brackets: 1,2,3
Table = dict[str, Any]
Path = tuple[str, ...]


class Change(NamedTuple):
    """A setting as it was typed: `config.steps=30`."""

    text: str
    path: Path
    value: str


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Return a table with another one over it: tables are merged key by key, all else is replaced.

    What varies is replaced as a whole, as are the prompts: half of the one and half of the other would be neither.
    """
    given = frozenset(over)
    hidden = frozenset[str]().union(*(group for group in INSTEAD if group & given))
    result: Table = {key: value for key, value in base.items() if key not in hidden}
    for key, value in over.items():
        under = result.get(key)
        result[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def read_change(text: str) -> Change:
    """Read `config.steps=30`; the path is written as a dotted key of TOML, so that a part with a dot has quotes.

    Raises:
        InvalidInputError: there is no `=`, or no path before it, or one to what is a secret.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise InvalidInputError(f"--set: {brief(text)!r} has no =; write it as config.steps=30")
    try:
        table: object = tomllib.loads(f"{key} = 0")
    except ValueError:
        advice = 'write it as config.steps=30, and a part that is no plain word in quotes: config."my key"=1'
        raise InvalidInputError(f"--set: {brief(key)!r} is no place in an experiment file; {advice}") from None
    path = []
    while isinstance(table, dict):
        (name, table), *_ = table.items()
        path.append(name)
    if path[0] == NOTIFY and path[1:] != ["on"]:
        raise InvalidInputError(
            f"--set: {NOTIFY}: its addresses are secrets, which others can read in a command; write them into the file"
        )
    return Change(text, tuple(path), value.strip())


def changed(table: Mapping[str, Any], changes: Iterable[Change]) -> Table:
    """Return the table of an experiment file with changes, in their order; the given one stays as it is.

    A table of a list is named by its number, from 1 on, or by its `name`. What a path names need not be there yet.

    Raises:
        InvalidInputError: a path leads through something that is no table, or to none of the tables of a list.
    """
    result: Table = dict(table)
    for change in changes:
        result = _put(result, change, change.path)
    return result


def _put(table: Mapping[str, Any], change: Change, path: Path) -> Table:
    """Return a copy of a table with a value at a path in it."""
    key, rest = _split(table, path)
    hidden = next((group - {key} for group in INSTEAD if key in group and not rest), frozenset[str]())
    if key == "values" and not rest:
        hidden |= frozenset(RANGE)
    kept: Table = {name: value for name, value in table.items() if name not in hidden}
    present = kept.get(key)
    if not rest:
        return {**kept, key: _value(key, change.value, present)}
    if isinstance(present, list):
        at = _place(present, change, rest[0])
        if not rest[1:] or not isinstance(present[at], dict):
            raise InvalidInputError(f"--set: {brief(change.text)!r}: {rest[0]} is a whole table; name a key in it")
        return {**kept, key: [*present[:at], _put(present[at], change, rest[1:]), *present[at + 1 :]]}
    if present is not None and not isinstance(present, dict):
        raise InvalidInputError(f"--set: {brief(change.text)!r}: {key} is no table, so nothing is in it")
    return {**kept, key: _put(present or {}, change, rest)}


def _split(table: Mapping[str, Any], path: Path) -> tuple[str, Path]:
    """Return the first key of a path and the rest of it; a key with dots that is there needs no quotes."""
    for count in range(len(path), 1, -1):
        if (key := ".".join(path[:count])) in table:
            return key, path[count:]
    return path[0], path[1:]


def _place(tables: Sequence[Any], change: Change, word: str) -> int:
    """Return the place in a list that a word names."""
    names = [one.get("name") if isinstance(one, dict) else None for one in tables]
    if word in names:
        return names.index(word)
    if word.isascii() and word.isdigit() and 1 <= int(word) <= len(tables):
        return int(word) - 1
    known = ", ".join([f"1 to {len(tables)}", *(str(name) for name in names if name)])
    raise InvalidInputError(f"--set: {brief(change.text)!r}: {word!r} is none of them; there are {known}")


def _value(key: str, text: str, present: object) -> object:
    """Return what a text means: what it does in a TOML file, where that is of the kind that is there, else the text."""
    if (key in LISTS or isinstance(present, list)) and not text.startswith("["):
        whole = _of_toml(f"[{text}]")
        if isinstance(whole, list):
            return whole
        parts = _parts(text)
        return [_value("", part.strip(), None) for part in parts] or text
    found = _of_toml(text)
    return text if found is None or (isinstance(present, str) and not isinstance(found, str)) else found


def _parts(text: str) -> list[str]:
    """Return what is between commas, but for those in quotes; nothing of a text that is no such list."""
    try:
        return next(csv.reader([text], skipinitialspace=True)) if "," in text else []
    except csv.Error:  # there are lines in it
        return []


def _of_toml(text: str) -> object:
    """Return the value that a text is in TOML; None if it is none that a setting can have."""
    try:
        table = tomllib.loads(f"x = {text}")
    except (ValueError, RecursionError):
        return None
    found = table["x"] if table.keys() == {"x"} else None
    return found if isinstance(found, bool | int | float | str | list | dict) else None
