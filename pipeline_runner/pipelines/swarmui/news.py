"""What a message of SwarmUI says about the one job whose websocket it comes from."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pipeline_runner.pipelines.http_client import ServerFault
from pipeline_runner.pipelines.server_values import number, whole
from pipeline_runner.pipelines.swarmui.errors import refusal_of

HIGHEST: Final = 0.99  # a server's progress is a hint; only the picture ends a job
_DATA: Final = "data:"
_BASE64: Final = ";base64,"


class Moved(NamedTuple):
    """The job is so far, as a fraction; with what it has made so far, if that was sent."""

    fraction: float
    preview: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the server says of a picture.

    Attributes:
        params: The parameters that were used, by its names; None if it says nothing.
        unused: The parameters that no part of the work has asked for.
        seconds: What the work took, without waiting and loading; None if it does not say.
    """

    params: Mapping[str, Any] | None = None
    unused: frozenset[str] = frozenset()
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """The picture of the job: where it is, or what it is itself."""

    place: str
    told: Told = field(default_factory=Told)


class Ended(NamedTuple):
    """Nothing more comes; `discarded` says whether an extension of the server refused the picture."""

    discarded: bool


class Working(NamedTuple):
    """A backend works on the job now; before that it waits, or loads a model."""


News = Moved | Painted | Ended | Working | ServerFault | None


def read_message(text: str, url: str) -> News:
    """Read one message; None if it says nothing that matters here."""
    body = _map(text)
    if refusal := refusal_of(body, url):
        return refusal
    match body:
        case {"gen_progress": dict() as told}:
            return _moved(told)
        case {"image": str() as place} if whole(_number(body.get("batch_index"))) == 0:
            return Painted(place=place, told=read_told(body.get("metadata")))
        case {"discard_indices": list() as indices}:
            return Ended(discarded=0 in indices)
        case {"status": dict() as counts} if whole(counts.get("live_gens")):
            return Working()
        case _:
            return None


def read_told(found: Any) -> Told:
    """Read the metadata of a picture, which is JSON in a text."""
    body = _map(found) if isinstance(found, str) else {}
    params, extra = body.get("sui_image_params"), body.get("sui_extra_data")
    if not isinstance(params, dict):
        return Told()
    more = extra if isinstance(extra, dict) else {}
    unused = more.get("unused_parameters")
    names = frozenset(name for name in unused if isinstance(name, str)) if isinstance(unused, list) else frozenset()
    # a server that passes the work on to another one asks for nothing itself
    real = frozenset() if {"prompt", "model", "steps"} & names else names
    return Told(params=params, unused=real, seconds=_seconds(more.get("generation_time")))


def picture_in(place: str) -> bytes | None:
    """Return the bytes of a picture that is told as a text, None if it is told as a place.

    Raises:
        ServerFault: it is something else than a picture (`invalid_request`), or no base64 (`server_error`).
    """
    if not place.startswith(_DATA):
        return None
    kind, _, text = place.removeprefix(_DATA).partition(_BASE64)
    if not kind.startswith("image/"):
        told = f"the server made {kind[:40] or 'something'}, which is no picture; take a model that makes pictures"
        raise ServerFault("invalid_request", told)
    data = _decoded(text)
    if not data:
        raise ServerFault("server_error", "the server answered with a picture that is no base64")
    return data


def _map(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _moved(told: Mapping[str, Any]) -> Moved:
    fraction = number(told.get("overall_percent")) or 0.0
    preview = told.get("preview")
    data = _decoded(preview.partition(_BASE64)[2]) if isinstance(preview, str) else b""
    return Moved(min(HIGHEST, max(0.0, float(fraction))), data or None)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _seconds(found: Any) -> float | None:
    """Read "4.84 sec" or "2.10 min", with a comma on some servers."""
    value, _, unit = found.partition(" ") if isinstance(found, str) else ("", "", "")
    seconds = _number(value.replace(",", "."))
    return None if seconds is None or seconds < 0 else seconds * (60 if unit == "min" else 1)


def _number(found: Any) -> float | None:
    """Read a number, which may stand in a text."""
    if not isinstance(found, str):
        return number(found)
    try:
        return number(float(found))
    except ValueError:
        return None
