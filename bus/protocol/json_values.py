"""Any body as data that JSON can express, also one of another application."""

import base64
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from bus.protocol.validation import DECODE_ERRORS, InvalidInputError, decode, explain

DEPTH: Final = 100  # of lists and maps in JSON that a stranger sends
_decoder = msgspec.msgpack.Decoder(Any, strict=False)


def to_json_value(body: msgspec.Raw | bytes) -> Any:
    """Decode a body into maps, lists, texts, numbers, true, false and null.

    What JSON has no form for: NaN and infinities become null, as in JavaScript; bytes become base64; an extension
    becomes `{"ext": code, "data": base64}`; keys become texts. A body that cannot be decoded is `{"error": why}`.
    """
    try:
        return _plain(decode(_decoder, body))
    except (InvalidInputError, TypeError) as error:  # TypeError: a map whose key is a map
        return {"error": f"cannot be read: {error}"}


def from_json(data: bytes) -> Any:
    """Decode JSON that a stranger sends; what is returned can be sent on as a message.

    Raises:
        InvalidInputError: it is no JSON, is nested over `DEPTH` deep, or has a number of more than 64 bits.
    """
    try:
        value = msgspec.json.decode(data)
        msgspec.msgpack.encode(value)
    except DECODE_ERRORS as error:
        raise InvalidInputError(explain(error, None)) from None
    if _is_deep(value):
        raise InvalidInputError(explain(RecursionError(), None))
    return value


def _is_deep(value: Any) -> bool:
    """Return whether lists and maps are nested over `DEPTH` deep: whoever walks through them has to stop somewhere."""
    level = [value]
    for _ in range(DEPTH):
        level = [inner for one in level for inner in _items(one)]
    return bool(level)


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one a type
    match value:
        case dict():
            return {key if isinstance(key, str) else _key(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode()
        case msgspec.msgpack.Ext():
            return {"ext": value.code, "data": base64.b64encode(bytes(value.data)).decode()}
        case datetime():
            return value.isoformat()
        case _:
            return value


def _key(key: object) -> str:
    shown = _plain(key)
    return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
