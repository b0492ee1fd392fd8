"""How a prompt has ended, read from the server's `GET /history/ID`, the only authority for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from bus.contracts.messages import JobError
from pipeline_runner.pipelines.comfyui.errors import execution_error
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.server_values import number

MILLISECONDS: Final = 1000.0
SAVED: Final = "output"  # the type of a file that is no preview
PREVIEW: Final = "temp"  # and of one
_MODEL: Final = "result"  # nodes that show a 3D model list its path under this name, and where the camera is
_TEXT: Final = "text"


class OutputFile(NamedTuple):
    """Where the server keeps a file that a node made: a picture, a video, a sound, whatever it is."""

    node: str
    filename: str
    subfolder: str
    type: str  # `SAVED` or `PREVIEW`


class OutputText(NamedTuple):
    """A text that a node shows."""

    node: str
    text: str


Output = OutputFile | OutputText


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a prompt.

    Attributes:
        state: Well, with an error, or interrupted by somebody.
        error: What went wrong in a node.
        outputs: What all output nodes gave: files, and texts that they show.
        graph: The nodes as the server executed them.
        cached: The nodes that were not executed, as the server had their results.
        seconds: How long it ran, None if the server does not tell.
    """

    state: Literal["success", "error", "interrupted"]
    error: JobError | None
    outputs: tuple[Output, ...]
    graph: Graph
    cached: frozenset[str]
    seconds: float | None


def read_ended(entry: Any) -> Ended:
    """Read an entry of the history. Any part may be missing: it differs by node and version."""
    told = _map(entry)
    messages = _messages(_map(told.get("status")).get("messages"))
    failed = _map(told.get("status")).get("status_str", "success") != "success"
    error = execution_error(messages.get("execution_error", {})) if failed else None
    state: Literal["success", "error", "interrupted"] = "success"
    if failed:
        state = "interrupted" if "execution_interrupted" in messages else "error"
    return Ended(
        state=state,
        error=error,
        outputs=tuple(_outputs(_map(told.get("outputs")))),
        graph=_graph(told.get("prompt")),
        cached=frozenset(str(node_id) for node_id in _list(messages.get("execution_cached", {}).get("nodes"))),
        seconds=_seconds(messages),
    )


def in_order(outputs: Iterable[Output], graph: Graph) -> tuple[Output, ...]:
    """Return outputs in the order of their nodes in the workflow; the server's own differs between versions."""
    places = {node_id: place for place, node_id in enumerate(graph)}
    return tuple(sorted(outputs, key=lambda output: places.get(output.node, len(places))))


def _messages(written: Any) -> dict[str, dict[str, Any]]:
    """Return what the server logged of the prompt, by name."""
    pairs = [pair for pair in _list(written) if isinstance(pair, list) and len(pair) == len(("name", "data"))]
    return {str(name): _map(data) for name, data in pairs}


def _outputs(told: dict[str, Any]) -> list[Output]:
    """Read what nodes gave; one that two lists name counts once, and what was there before is none."""
    found = [
        one
        for node_id, lists in told.items()
        for name, items in _map(lists).items()
        for one in _read(node_id, name, items)
    ]
    return [one for one in dict.fromkeys(found) if isinstance(one, OutputText) or one.type in (SAVED, PREVIEW)]


def _read(node_id: str, name: str, items: Any) -> Iterator[Output]:
    """Read one list of a node, whatever its name is: `images`, `gifs`, `audio`, `3d`, `files` and others have files."""
    if name == _MODEL:
        match items:
            case [str() as path, *_] if path:
                folder, _, filename = path.replace("\\", "/").rpartition("/")
                yield OutputFile(node_id, filename, folder, SAVED)
        return
    for item in _list(items):
        match item:
            case {"filename": str() as filename} if filename:
                yield OutputFile(node_id, filename, str(item.get("subfolder") or ""), str(item.get("type") or SAVED))
            case str() as text if name == _TEXT and text:
                yield OutputText(node_id, text)


def _graph(queued: Any) -> Graph:
    """Find the nodes in the item of the queue: number, id, nodes, and more."""
    match queued:
        case [_, _, dict() as graph, *_]:
            return {node_id: node for node_id, node in graph.items() if isinstance(_map(node).get("inputs"), dict)}
        case _:
            return {}


def _seconds(messages: dict[str, dict[str, Any]]) -> float | None:
    start, end = (number(messages.get(name, {}).get("timestamp")) for name in ("execution_start", "execution_success"))
    if start is not None and end is not None:
        return max(0.0, (end - start) / MILLISECONDS)
    return None


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
