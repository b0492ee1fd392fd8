"""Where fuzzing begins: the test vectors and the example files, one input for each."""

import json
from pathlib import Path
from typing import Final

from bus.protocol.frames import feed_decoder
from tests.fuzz.targets import input_of

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


def vectors(kind: str) -> list[list[bytes]]:
    """Return the frames of each vector of a file."""
    text = (ROOT / "tests" / "vectors" / f"{kind}.json").read_text(encoding="utf-8")
    return [[bytes.fromhex(frame) for frame in one["hex"]] for one in json.loads(text)]


def seeds() -> dict[str, list[bytes]]:
    """Return the first inputs of each target."""
    beats, messages = vectors("heartbeats"), vectors("feed")
    answers = [*vectors("replies"), *vectors("errors")]
    info = next(frames for frames in answers if b"epochs" in frames[2])
    return {
        "feed": [input_of([*beats[0], *message, *message, *beats[-1]]) for message in messages],
        "reply": [input_of([*info[1:], *answer[1:], *answer[1:]]) for answer in answers],
        "request": [input_of(frames) for frames in vectors("requests")],
        "body": [bytes(feed_decoder.decode(frames[1]).body) for frames in messages],
        "topic": [frames[0] for frames in vectors("topics")],
        "address": [
            b"tcp://127.0.0.1:5561",
            b"tcp://localhost:0",
            b"tcp://[::1]:65535",
            b"tcp://runner-1.example:5560",
        ],
        "experiment": [path.read_bytes() for path in sorted((ROOT / "examples").glob("*.toml"))],
    }


def kept(target: str) -> list[Path]:
    """Return the inputs that were worth keeping: what led fuzzing on, and what once failed."""
    return [path for folder in ("corpus", "crashes") for path in sorted((HERE / folder / target).glob("*"))]
