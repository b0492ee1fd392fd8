"""The nodes of a workflow in ComfyUI's API format: reading an export, and finding inputs in it."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bus.contracts.paths import Path, at, scalars, written
from bus.protocol.validation import InvalidInputError
from pipeline_runner.metadata.texts import texts_of
from pipeline_runner.outputs.containers import format_of

SEED_INPUTS: Final = ("seed", "noise_seed")  # as ComfyUI's own nodes and most others name them
EXPORT: Final = (
    'export it with "Workflow > Export (API)"; older versions of ComfyUI have "Save (API Format)" in the menu once '
    "dev mode is on in the settings"
)
Graph = dict[str, dict[str, Any]]
"""Node id → `{"class_type": …, "inputs": {name: value, or a link [node id, slot]}}`."""

Convert = Callable[[dict[str, Any]], Graph]


class Target(NamedTuple):
    """One input of one node, or a part of one that holds a table or a list."""

    node: str
    input: str
    inner: Path = ()

    def __str__(self) -> str:
        """Write it as in a configuration."""
        return written((self.node, self.input, *self.inner))


class EditorFormatError(InvalidInputError):
    """The workflow is one for the editor; it can be converted by what the server's nodes take."""


def read_graph(data: bytes, convert: Convert | None = None) -> Graph:
    """Read an export, or a picture that ComfyUI has saved; what the server writes into that for itself is left out.

    `convert` makes nodes of a workflow for the editor.

    Raises:
        EditorFormatError: it is one, and there is no `convert`.
        InvalidInputError: it is neither; the sentence says how to make an export.
    """
    told = _embedded(data)
    try:
        found = json.loads(told)  # with NaN, which the server writes into pictures
    except (ValueError, RecursionError):
        raise InvalidInputError(f"config.workflow: the file is no JSON; {EXPORT}") from None
    if isinstance(found, dict) and isinstance(found.get("nodes"), list):
        if convert is None:
            raise EditorFormatError(f"config.workflow: the file is for the editor, not for the API; {EXPORT}")
        found = convert(found)
    if not isinstance(found, dict) or not found:
        raise InvalidInputError(f"config.workflow: the file has no nodes; {EXPORT}")
    return {node_id: _read_node(node_id, node) for node_id, node in found.items()}


def _embedded(data: bytes) -> bytes | str:
    """Return the workflow in a picture: its nodes, or else what the editor had; other bytes as they are."""
    if format_of(data) is None and data[4:8] != b"ftyp":  # an AVIF begins so
        return data
    texts = texts_of(data)
    told = list(texts.values())
    for name in ("prompt", "workflow"):
        marked = (text.partition(":")[2] for text in told if text.lower().startswith(f"{name}:"))  # as in Exif
        if found := texts.get(name) or next(marked, ""):
            return found
    raise InvalidInputError(f"config.workflow: the picture has no workflow in it; {EXPORT}")


def input_of(graph: Graph, target: Target) -> Any:
    """Return the value of an input or of its part, None if it does not exist: a server may have changed it."""
    found = graph.get(target.node, {}).get("inputs", {}).get(target.input)
    try:
        return at(found, target.inner)
    except (KeyError, IndexError, TypeError):
        return None


def source_of(value: object) -> str | None:
    """Return the node that feeds an input, None if the input has a value of its own."""
    match value:
        case [str() | int() as node_id, int()]:
            return str(node_id)
        case _:
            return None


def own_inputs(graph: Graph, node_id: str) -> list[Target]:
    """Return the single values that the inputs of a node hold, and that no other node feeds."""
    inputs = graph[node_id]["inputs"] if node_id in graph else {}
    return [
        Target(node_id, name, path)
        for name, value in inputs.items()
        if source_of(value) is None
        for path, _ in scalars(value)
    ]


def seed_inputs(graph: Graph) -> list[Target]:
    """Return the inputs that look like seeds; for one that another node feeds, the whole numbers of that node."""
    found: list[Target] = []
    for node_id, node in graph.items():
        for name in SEED_INPUTS:
            source = source_of(node["inputs"].get(name))
            candidates = [Target(node_id, name)] if source is None else own_inputs(graph, source)
            found += [one for one in candidates if not one.inner and _is_whole(input_of(graph, one))]
    return list(dict.fromkeys(found))


def described(graph: Graph, node_id: str) -> str:
    """Name a node for people."""
    return f"node {node_id} ({graph[node_id]['class_type']})" if node_id in graph else f"node {node_id}"


def _read_node(node_id: str, node: Any) -> dict[str, Any]:
    known = isinstance(node, dict) and isinstance(node.get("class_type"), str)
    if not known or not isinstance(node.get("inputs"), dict):
        raise InvalidInputError(f"config.workflow: {node_id!r} is no node with class_type and inputs; {EXPORT}")
    for name, value in node["inputs"].items():
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            text = f"{Target(node_id, name)} holds NaN or an infinity; set a number there and export it again"
            raise InvalidInputError(f"config.workflow: {text}") from None
    # a picture's nodes also have `is_changed`, what a node made of its files when the picture was made
    title = node.get("_meta")
    return {key: node[key] for key in ("class_type", "inputs")} | ({"_meta": title} if _is_title(title) else {})


def _is_title(meta: Any) -> bool:
    return isinstance(meta, dict) and all(isinstance(text, str) for text in meta.values())


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
