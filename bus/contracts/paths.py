"""Paths into a value of a configuration: `controlnet.args.0.weight` is a key, an item, and a key again.

A key may have dots of its own, as names of files and of scripts do: where a table has such a key, it is the one meant.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from bus.contracts.fields import Scalar
from bus.protocol.validation import near_miss

Path = tuple[str | int, ...]
_PLACE: Final = re.compile("[0-9]{1,9}")


def find(tree: Any, text: str) -> Path | None:
    """Return the keys and items that lead to a part, None if the value has no such part."""
    if isinstance(tree, dict):
        # the longest key first: `a.b` is meant before `b` within `a`
        keys = sorted((key for key in tree if text == key or text.startswith(f"{key}.")), key=len, reverse=True)
    elif isinstance(tree, list):
        first = text.partition(".")[0]
        keys = [first] if _PLACE.fullmatch(first) and int(first) < len(tree) else []
    else:
        return None
    for key in keys:
        step: str | int = key if isinstance(tree, dict) else int(key)
        if text == key:
            return (step,)
        rest = find(tree[step], text[len(key) + 1 :])
        if rest is not None:
            return (step, *rest)
    return None


def at(tree: Any, path: Path) -> Any:
    """Return the part of a value at a path that it has."""
    for step in path:
        tree = tree[step]
    return tree


def put(tree: Any, path: Path, value: Any) -> Any:
    """Return a value with the part at a path replaced; nothing that is shared is changed."""
    if not path:
        return value
    step, *rest = path
    copied: Any = list(tree) if isinstance(tree, list) else dict(tree)
    copied[step] = put(copied[step], tuple(rest), value)
    return copied


def written(path: Path) -> str:
    """Write a path with dots."""
    return ".".join(map(str, path))


def scalars(tree: Any) -> Iterator[tuple[Path, Scalar]]:
    """Yield every single value in a tree, with its path."""
    if isinstance(tree, bool | int | float | str):
        yield (), tree
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, part in items:
        for path, value in scalars(part):
            yield (step, *path), value


def missing(tree: Any, text: str) -> str:
    """Return the end of a sentence about a path that a value does not have: what it has instead."""
    return near_miss(text, [written(path) for path, _ in scalars(tree)])
