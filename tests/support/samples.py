"""Samples of types as plain data, with the places in them at which another version may have written something else."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct, UnsetType

TEXT: Final = "a" * 64  # also a content hash and an id
NEW: Final = "a_word_of_a_newer_version " * 20
LONG: Final = 2000  # elements of a list
PLAIN: Final[dict[Any, Any]] = {
    bool: True,
    bytes: b"a",
    int: 1,
    float: 0.75,
    str: TEXT,
    NoneType: None,
    Any: 1,
    Raw: {},
}


class Place(NamedTuple):
    """A Struct somewhere in a sample: its path as error sentences write it, its type, and its data."""

    path: str
    kind: type[Struct]
    data: dict[str, Any] | list[Any]


class Word(NamedTuple):
    """A field of a sample with a word, or a bound, that holds only at a door."""

    path: str
    data: dict[str, Any]
    name: str
    other: str | int | list[Any]  # what a newer version may have written there


class Sample:
    """Valid data of a type in which every field is there, and every list and map has something in it."""

    def __init__(self, kind: Any) -> None:
        """Build it."""
        self.places: list[Place] = []
        self.words: list[Word] = []
        self.literals: list[str] = []  # paths of words that are fixed everywhere
        self._open: list[Any] = []  # the Structs around the place that is built
        self.data = self._of(kind, "")

    def _of(self, hint: Any, path: str) -> Any:  # noqa: PLR0911 - one a form of type
        if isinstance(hint, type) and issubclass(hint, Struct):
            return self._struct(hint, path)
        if hint in PLAIN:
            return {} if hint is Raw else PLAIN[hint]
        origin, parts = get_origin(hint), get_args(hint)
        if origin is Annotated:
            door = _door(hint)
            least = max((mark.ge for mark in parts[1:] if isinstance(mark, Meta) and mark.ge), default=0)
            return get_args(door)[0] if get_origin(door) is Literal else max(least, 0) or self._of(parts[0], path)
        if origin is Literal:
            self.literals.append(path)
            return parts[0]
        if origin in (Union, UnionType):
            return self._of(_richest([part for part in parts if part not in (NoneType, UnsetType)]), path)
        if origin is list or (origin is tuple and parts[-1] is ...):
            return [self._of(parts[0], f"{path}[0]")]
        if origin is tuple:
            return [self._of(part, f"{path}[{index}]") for index, part in enumerate(parts)]
        if origin in (dict, Mapping):
            if self._open.count(parts[1]) > 1:  # a Struct that may hold others of its kind has one of them
                return {}
            return {TEXT: self._of(parts[1], f"{path}[...]")}
        raise AssertionError(f"{path}: no sample of {hint}")

    def _struct(self, kind: type[Struct], path: str) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        config = kind.__struct_config__
        data: Any = [] if config.array_like else {}
        self.places.append(Place(path, kind, data))
        self._open.append(kind)
        if config.tag is not None:
            data[config.tag_field] = config.tag
        for one in msgspec.structs.fields(kind):
            inside = f"{path}.{one.name}" if path else one.name
            value = self._of(hints[one.name], inside)
            if config.array_like:
                data.append(value)
                continue
            data[one.name] = value
            if door := _door(hints[one.name]):
                self.words.append(Word(inside, data, one.name, _beyond(door, value)))
        self._open.pop()
        return data


def _beyond(door: Any, value: Any) -> str | int | list[Any]:
    """Return what a newer version may have written: another word, a longer text or list, or a smaller number."""
    if get_origin(door) is Literal or isinstance(value, str):
        return NEW
    return value * LONG if isinstance(value, list) else -(10**12)


def _richest(parts: list[Any]) -> Any:
    """Return the alternative with a Struct somewhere in it, else the first one."""
    return next((part for part in parts if _has_struct(part)), parts[0])


def _has_struct(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return True
    return any(_has_struct(part) for part in get_args(hint) if part is not ...)


def _door(hint: Any) -> Any:
    """Return what a door has in the place of a mark; of an optional field, of what is there."""
    if get_origin(hint) in (Union, UnionType):
        return next((door for part in get_args(hint) if (door := _door(part))), None)
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((mark.extra["door"] for mark in marks if isinstance(mark, Meta) and mark.extra), None)
