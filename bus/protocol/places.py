"""Places in typed data: what a type allows at a path such as `$.variable.values[1]`, and how a path is shown to people.

Paths are those of msgspec: `[0]` is an item of a list, and `[...]` a value of a table, whose key it does not tell.
"""

import re
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

ITEM: Final = "[0]"  # any item of a list
VALUE: Final = "[...]"  # any value of a table
LISTS: Final = (list, tuple, set, frozenset)
_STEP: Final = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<item>\d+|\.\.\.)\]")


class Option(NamedTuple):
    """One of the types that a place may have, with its marks."""

    base: Any
    marks: tuple[Meta, ...] = ()

    @property
    def fields(self) -> list[str]:
        """Return the names of the fields if it is a Struct."""
        return list(self.base.__struct_fields__) if is_struct(self.base) else []

    @property
    def words(self) -> list[str]:
        """Return the words if it has to be one of some."""
        return [str(word) for word in get_args(self.base)] if get_origin(self.base) is Literal else []

    def inner(self, step: str) -> Any:
        """Return the type of a field, of an `ITEM` or of a `VALUE`; None if there is none."""
        origin, parts = get_origin(self.base), get_args(self.base)
        if step == ITEM:
            return parts[0] if parts and origin in LISTS else None
        if step == VALUE:
            return parts[1] if parts and origin is dict else None
        if not is_struct(self.base):
            return None
        config = self.base.__struct_config__
        if step == config.tag_field:
            return Literal[config.tag]
        return get_type_hints(self.base, include_extras=True).get(step)


def is_struct(kind: Any) -> bool:
    """Return whether a type is a Struct."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def options(hint: Any, marks: tuple[Meta, ...] = ()) -> list[Option]:
    """Return what a type allows, its unions and marks taken apart."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return options(parts[0], (*marks, *(mark for mark in parts[1:] if isinstance(mark, Meta))))
    if origin in (Union, UnionType):
        return [one for part in parts for one in options(part, marks)]
    return [Option(hint, marks)]


def options_at(kind: Any, path: str) -> list[Option]:
    """Return what a type allows at a path; nothing if the path is none of the type."""
    found = options(kind)
    for step in _STEP.finditer(path):
        inner = [one.inner(step["name"] or (VALUE if step["item"] == "..." else ITEM)) for one in found]
        found = [one for hint in inner if hint is not None for one in options(hint)]
    return found


def named(path: str, value: object, kind: Any) -> str:
    """Return a path with the keys of its tables: each `[...]` becomes the key whose value is refused."""
    head, mark, _ = path.partition(VALUE)
    table = _value_at(value, head)
    if not mark or not isinstance(table, dict):
        return path
    hints = [hint for one in options_at(kind, head) if (hint := one.inner(VALUE)) is not None]
    for key, item in table.items():
        for hint in hints:
            try:
                msgspec.convert(item, hint)
            except msgspec.ValidationError as error:
                inner = re.search(r" - at (?:`key` in )?`\$([^`]*)`$", str(error))
                return f"{head}.{key}{named(inner[1], item, hint) if inner else ''}"
    return path


def _value_at(value: Any, path: str) -> Any:
    for step in _STEP.finditer(path):
        if step["name"] and isinstance(value, dict):
            value = value.get(step["name"])
        elif step["item"] and isinstance(value, list):
            value = value[int(step["item"])]
    return value


def shown(path: str) -> str:
    """Return a path as people write it, its items counted from 1: `variables #1.values #7`.

    It ends before a value whose key is not known.
    """
    head = path.partition(VALUE)[0]
    return re.sub(r"\[(\d+)\]", lambda found: f" #{int(found[1]) + 1}", head).strip(". ") or "input"
