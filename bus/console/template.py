"""`tail --format`: a line from a template such as `{time:%H:%M:%S} {topic} {body[status]}`.

The syntax is that of `str.format` with plain keys alone: a field by its name, then keys in brackets. Attributes,
which would reach into the program, are refused. A field that an event does not have prints as nothing, as with
kubectl: one template serves events of several types.
"""

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from bus.protocol.json_values import to_json_value
from bus.protocol.validation import InvalidInputError, near_miss
from bus.subscriber.delivery import Delivery

FIELDS: Final = ("time", "source", "epoch", "offset", "topic", "body")
_FIELD = re.compile(r"(?P<name>\w+)(?P<keys>(?:\[[^\[\]]+\])*)")
_KEY = re.compile(r"\[([^\[\]]+)\]")
_WIDE: Final = re.compile(r"\d{4}")
_ESCAPES: Final = {r"\t": "\t", r"\n": "\n", r"\\": "\\"}
_SAMPLE: Final = {"time": datetime(2026, 1, 1), "source": "", "epoch": 1, "offset": 1, "topic": "", "body": {}}  # noqa: DTZ001 - never shown


class Template:
    """A template that has been checked; see the module's text."""

    def __init__(self, text: str) -> None:
        r"""Check a template; `\t` and `\n` in it stand for a tab and the end of a line.

        Raises:
            InvalidInputError: it is malformed, or names an unknown field.
        """
        self._text = re.sub(r"\\[tn\\]", lambda match: _ESCAPES[match[0]], text)
        self._formatter = _Formatter()
        try:
            self._formatter.vformat(self._text, (), _SAMPLE)
        except InvalidInputError:
            raise
        except (ValueError, LookupError, TypeError, MemoryError) as error:
            raise InvalidInputError(f"--format: {text[:80]!r} is malformed: {error}") from None

    def __call__(self, delivery: Delivery) -> str:
        """Write an event."""
        values = {
            "time": datetime.fromtimestamp(delivery.time_ns / 1e9).astimezone(),
            "source": delivery.source,
            "epoch": delivery.epoch,
            "offset": delivery.offset,
            "topic": delivery.topic,
            "body": to_json_value(delivery.body),
        }
        return self._formatter.vformat(self._text, (), values)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A value from a body; a format that does not fit its type is ignored."""

    value: Any

    def __str__(self) -> str:
        return _text(self.value)

    def __repr__(self) -> str:
        return repr(self.value)

    def __format__(self, spec: str) -> str:
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        try:
            return format(self.value if number else str(self), spec)
        except ValueError:
            return str(self)


class _Formatter(string.Formatter):
    """`str.format` without attributes."""

    def parse(self, format_string: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
        """Refuse a width that would fill the memory, or that an event would choose."""
        for part in super().parse(format_string):
            spec = part[2] or ""
            if "{" in spec or _WIDE.search(spec):
                raise InvalidInputError(
                    f"--format: {spec[:80]!r}: a width has at most three digits, and no field in it"
                )
            yield part

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        del args
        if key not in kwargs:
            word = str(key) or "{}"
            raise InvalidInputError(f"--format: there is no field {word!r}; {near_miss(word, list(FIELDS))}")
        return kwargs[str(key)]

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        match = _FIELD.fullmatch(field_name)
        if not match:
            raise InvalidInputError(
                f"--format: {{{field_name[:80]}}} is no field: write a name, with keys in brackets: {{body[status]}}"
            )
        name = match["name"]
        value = self.get_value(name, args, kwargs)
        if name != "body":
            if match["keys"]:
                raise InvalidInputError(f"--format: {name} has no keys; only body has")
            return value, name
        for key in _KEY.findall(match["keys"]):
            value = _item(value, key)
        return _Shown(value), name


def _item(value: Any, key: str) -> Any:
    """Take a key of a map or an index of a list; None if there is none."""
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None


def _text(value: Any) -> str:
    """Write a value as JSON does, but texts as they are and null as nothing; control characters become spaces."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "".join(char if char.isprintable() else " " for char in value)
    return msgspec.json.encode(value).decode()
