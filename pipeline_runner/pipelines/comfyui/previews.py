"""The binary messages of the websocket: what a sampler has made so far. What they are sent as is not believed.

| bytes | with metadata (type 4) | without (type 1) |
|---|---|---|
| 4, big-endian | 4 | 1 |
| 4, big-endian | the length of the metadata | 1 for JPEG, 2 for PNG |
| that length | JSON: `prompt_id`, `node_id`, `image_type` … | |
| the rest | the picture | the picture |
"""

import json
from typing import Any, Final, NamedTuple

FRAME_BYTES: Final = 2 << 20  # a larger message is no preview that anybody would show
WITH_METADATA: Final = 4
FLAGS: Final = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
"""Asks for metadata; it has to be the first message. Older servers pass over it and send previews without."""
_WITHOUT: Final = 1
_HEAD: Final = 8


class Shown(NamedTuple):
    """A preview; `is_ours` where it names our prompt, else nobody knows which prompt it is of."""

    picture: bytes
    is_ours: bool


def read_frame(frame: bytes, prompt_id: str) -> Shown | None:
    """Read a binary message; None if it is no preview, or one of another prompt."""
    if not _HEAD < len(frame) <= FRAME_BYTES:
        return None
    kind, length = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:_HEAD], "big")
    if kind == _WITHOUT:
        return Shown(frame[_HEAD:], is_ours=False)
    end = _HEAD + length
    if kind == WITH_METADATA and end < len(frame) and _prompt_of(frame[_HEAD:end]) == prompt_id:
        return Shown(frame[end:], is_ours=True)
    return None


def _prompt_of(metadata: bytes) -> Any:
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    return found.get("prompt_id") if isinstance(found, dict) else None
