"""JSON Schemas of types that msgspec writes out level by level, as one schema that refers to itself."""

from typing import Any, Final

import msgspec

Json = dict[str, Any]
_PREFIX: Final = "#/components/schemas/"


def referred(schemas: Json, name: str, kind: Any, description: str) -> Json:
    """Return schemas in which a type that nests has a schema of its own, and every place that takes it refers to it.

    `kind` is the union of what it is; its lists and tables hold the same again.
    """
    told = msgspec.json.schema(kind)
    ref = {"$ref": f"{_PREFIX}{name}"}
    return {**_replaced(schemas, told, ref), name: {"description": description, **_folded(told, ref)}}


def _replaced(value: Any, told: Json, ref: Json) -> Any:
    if isinstance(value, list):
        return [_replaced(one, told, ref) for one in value]
    if not isinstance(value, dict):
        return value
    if value == told:
        return ref
    return {key: _replaced(one, told, ref) for key, one in value.items()}


def _folded(told: Json, ref: Json) -> Json:
    """Return the union with what its lists and tables hold referred to."""
    inner = {"items", "additionalProperties"}
    return {"anyOf": [{key: ref if key in inner else part for key, part in one.items()} for one in told["anyOf"]]}
