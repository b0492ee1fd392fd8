"""Inputs that are nearly right: plain data and vectors with something changed."""

from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import frames_of, input_of

SEEDS: Final = seeds()
EXTREMES: Final = st.sampled_from(
    [
        0,
        1,
        -1,
        2**31,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -(2**63),
        1e308,
        float("nan"),
        float("inf"),
        "",
        "a.",
        "\0",
        b"",
        None,
    ]
)
anything = st.recursive(
    EXTREMES | st.booleans() | st.text(max_size=8) | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Change one thing somewhere in a tree of plain data."""
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        index = draw(st.integers(0, len(value) - 1))
        how = draw(st.sampled_from(["inside", "inside", "inside", "drop", "repeat"]))
        middle = {"drop": [], "repeat": [value[index]] * 2}.get(how)
        middle = [draw(changed(value[index]))] if middle is None else middle
        return [*value[:index], *middle, *value[index + 1 :]]
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value, key=str)))
        how = draw(st.sampled_from(["inside", "inside", "inside", "drop", "rename"]))
        rest = {name: one for name, one in value.items() if name != key}
        if how == "inside":
            return {**value, key: draw(changed(value[key]))}
        return rest if how == "drop" else {**rest, draw(st.text(max_size=6)): value[key]}
    return draw(anything)


@st.composite
def mutated(draw: st.DrawFn, target: str) -> bytes:
    """Change one vector: a value in a frame that is msgpack, or a few bytes anywhere."""
    frames = frames_of(draw(st.sampled_from(SEEDS[target])))
    index = draw(st.integers(0, len(frames) - 1))
    try:
        tree = msgspec.msgpack.decode(frames[index])
        frames[index] = msgspec.msgpack.encode(draw(changed(tree)))
    except (msgspec.MsgspecError, OverflowError, TypeError, UnicodeError):
        frames[index] = draw(st.binary(max_size=20))
    data = bytearray(input_of(frames))
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=2)):
        data[place] = draw(st.integers(0, 255))
    return bytes(data)


def toml(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    return msgspec.json.encode(value).decode() if isinstance(value, str) else repr(value)
