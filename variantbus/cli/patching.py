"""Puts settings into the text of a TOML or JSON file, and changes nothing else. No file access."""

import difflib
import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError

FORMATS: Final = (".toml", ".json")
_INDENT: Final = re.compile(r"\n([ \t]+)\S")
Path = tuple[str, ...]


def patched(text: str, suffix: str, settings: Config, keys: Mapping[str, str]) -> str:
    """Return the text with the settings in it: name -> value. `keys` says where, for names that are not found.

    A name is looked for in `config`, as in the files of jobs, and then at the top. TOML keeps its comments and its
    layout, JSON its indentation.

    Raises:
        InvalidInputError: the text cannot be read, or a setting has no place in it.
    """
    document = _read(text, suffix)
    for name, value in settings.items():
        path = place_of(document, name, keys.get(name))
        table = _table(document, path)
        present = table.get(path[-1])
        if isinstance(present, dict | list):
            raise InvalidInputError(f"{'.'.join(path)}: is a table or a list there; name another place with --key")
        table[path[-1]] = value
    if suffix == ".toml":
        return tomlkit.dumps(document)
    found = _INDENT.search(text)
    ending = text[len(text.rstrip()) :]
    return json.dumps(document, indent=found[1] if found else None, ensure_ascii=False) + ending


def place_of(document: Mapping[str, Any], name: str, key: str | None) -> Path:
    """Return the place of a setting, or the place where it belongs.

    Raises:
        InvalidInputError: there is no place for it, or the file varies it.
    """
    for place, knob in enumerate([document.get("variable"), *document.get("variables", [])]):
        if isinstance(knob, Mapping) and knob.get("name") == name:
            where = "variable" if place == 0 else f"variables #{place}"
            raise InvalidInputError(f"{where}: the file varies {name} itself; apply it to another file")
    if key:
        return tuple(key.split("."))
    if isinstance(document.get("config"), Mapping):
        return ("config", name)
    if name in document:
        return (name,)
    raise InvalidInputError(f"{name}: is not in the file; say with --key {name}=PLACE where it belongs")


def difference(before: str, after: str, name: str) -> str:
    """Return what changes, as `diff -u` shows it; "" if nothing changes."""
    names = f"{name} now", f"{name} then"
    lines = difflib.unified_diff(_lines(before), _lines(after), *names, lineterm="", n=2)
    return "\n".join(lines)


def _lines(text: str) -> list[str]:
    """Return the lines as an editor shows them; Python's own method also ends them at U+2028 and others."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _read(text: str, suffix: str) -> MutableMapping[str, Any]:
    if suffix not in FORMATS:
        raise InvalidInputError(f"{suffix or 'no suffix'}: is not one of {', '.join(FORMATS)}; give a file of these")
    try:
        document = tomlkit.parse(text) if suffix == ".toml" else json.loads(text)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"is no valid {suffix[1:].upper()}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInputError("is no table of names and values; give a file that is")
    return document


def _table(document: MutableMapping[str, Any], path: Path) -> MutableMapping[str, Any]:
    table = document
    for done, name in enumerate(path[:-1], 1):
        inner = table.get(name)
        if not isinstance(inner, dict):
            raise InvalidInputError(f"{'.'.join(path[:done])}: no table of the file; --key names a place that is there")
        table = inner
    return table
