"""What a door takes: in a file or a request an unknown key, an unknown word or a number out of bounds is a mistake.

The types themselves are tolerant, because the same ones travel in messages and replies and lie in storage: there a
newer version may have written a field, a word or a number that this one does not know, and must not stop it. So what
is strict follows from a type by `strict`, and is written down nowhere else.
"""

from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct, defstruct, field

from bus.protocol.validation import convert

T = TypeVar("T")

_DOOR: Final = "door"  # in `Meta.extra`: what a door has instead of this mark
_SCHEMA: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
}


def words(*known: str) -> Meta:
    """Mark a text that has to be one of some words at a door; elsewhere a newer version may have written another."""
    return Meta(extra={_DOOR: Literal[known]}, extra_json_schema={"examples": list(known)})


def bounds(**limits: float) -> Meta:
    """Mark a number or text with bounds that hold at a door; a newer version may have wider ones."""
    schema = {_SCHEMA[name]: limit for name, limit in limits.items()}
    return Meta(extra={_DOOR: Meta(**cast("Any", limits))}, extra_json_schema=schema)


def take(value: object, kind: type[T]) -> T:
    """Turn plain data that a person wrote (of TOML, of JSON) into a Struct.

    Raises:
        InvalidInputError: a key or word is unknown, at any depth, or a value has the wrong type or is out of bounds.
    """
    door = strict(kind)
    taken = convert(value, door)
    return taken if door is kind else convert(value, kind)


def strict(kind: type[T]) -> type[T]:
    """Return the type as a door has it: the Structs in it refuse unknown keys, and words and bounds hold.

    It is the type itself where nothing differs. What is decoded by it is only checked: Structs of two types are never
    equal, so the values that go on are decoded by the type itself.
    """
    return cast("type[T]", _strict(kind))


def _strict(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _strict_struct(hint)
    origin, parts = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal:
        return hint
    if origin is Annotated:
        return _strict_annotated(hint, *parts)
    changed = tuple(_strict(part) for part in parts)
    if changed == parts:
        return hint
    return Union[changed] if origin in (Union, UnionType) else origin[changed]  # noqa: UP007 - of a tuple


def _strict_annotated(hint: Any, inner: Any, *marks: Any) -> Any:
    changed = _strict(inner)
    kept: list[Any] = []
    for mark in marks:
        door = (mark.extra or {}).get(_DOOR) if isinstance(mark, Meta) else None
        if get_origin(door) is Literal:
            changed = door
        else:
            kept.append(door or mark)
    if changed == inner and tuple(kept) == marks:
        return hint
    return Annotated[(changed, *kept)] if kept else changed


@cache
def _strict_struct(kind: type[Struct]) -> type[Struct]:
    """Return a subclass whose fields are strict and which has no others; the Struct itself if it is that already."""
    hints = get_type_hints(kind, include_extras=True)
    changed = [
        (one.name, door, _default(one))
        for one in msgspec.structs.fields(kind)
        if (door := _strict(hints[one.name])) is not hints[one.name]
    ]
    config = kind.__struct_config__
    if not changed and config.forbid_unknown_fields:
        return kind
    return defstruct(
        kind.__name__,
        [one if one[2] is not NODEFAULT else one[:2] for one in changed],
        bases=(kind,),
        module=kind.__module__,
        forbid_unknown_fields=True,
        kw_only=True,
        frozen=config.frozen,
        gc=config.gc,
        tag=config.tag,
        tag_field=config.tag_field,
    )


def _default(one: msgspec.structs.FieldInfo) -> Any:
    return field(default_factory=one.default_factory) if one.default_factory is not NODEFAULT else one.default
