"""Settings as programs write them, made into values that a message can hold."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from bus.contracts.fields import INT64_MAX, SEED_MAX, Scalar

Settings = dict[str, Scalar]
_WHOLE: Final = re.compile(r"-?\d{1,20}")
_DECIMAL: Final = re.compile(r"-?\d{1,30}\.\d{1,30}(?:[eE][+-]?\d{1,3})?")
UNUSABLE: Final = re.compile("[\0\ud800-\udfff]")  # no message holds a NUL here, or half of a character
_SIZE: Final = re.compile(r"\(?\s*(\d{1,6})\s*[x×,]\s*(\d{1,6})\s*\)?")  # noqa: RUF001 - some write the sign itself


def parsed(text: str) -> Any:
    """Return what a JSON text holds, with NaN, which ComfyUI writes; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def table(value: Any) -> dict[str, Any]:
    """Return a JSON object, also one that is a text within another one; an empty one of anything else."""
    found = parsed(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}


def scalar(value: Any) -> Scalar | None:
    """Return a value that a message can hold; None of lists, tables, infinities, and more than 64 bits."""
    match value:
        case bool():
            return value
        case int():
            return value if -INT64_MAX - 1 <= value <= SEED_MAX else None
        case float():
            return value if math.isfinite(value) else None
        case str():
            return UNUSABLE.sub("", value).strip()
        case _:
            return None


def value_of(text: str) -> Scalar:
    """Return what a written value is: a number where it looks like one, else the text."""
    text = UNUSABLE.sub("", text).strip()
    number = int(text) if _WHOLE.fullmatch(text) else float(text) if _DECIMAL.fullmatch(text) else None
    found = scalar(number)
    return text if found is None else found


def renamed(found: Mapping[str, Any], names: Mapping[str, str]) -> Settings:
    """Return those settings of a program's JSON that have a value, under our names; an unknown one keeps its own."""
    settings: Settings = {}
    for key, value in found.items():
        simple = scalar(value)
        name = names.get(key, key)
        if simple is not None and name:
            settings.setdefault(name, simple)
    return settings


def sized(settings: Settings, text: Any) -> Settings:
    """Return settings with width and height from a text such as `512x768` or `(512, 768)`."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    return {**settings, "width": int(match[1]), "height": int(match[2])} if match else settings
