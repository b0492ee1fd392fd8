"""How a prompt has ended, read from the server's `GET /history/ID`, the only authority for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal, NamedTuple

from bus.contracts.messages import JobError
from pipeline_runner.pipelines.comfyui.errors import execution_error
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.server_values import number

MILLISECONDS: Final = 1000.0
PICTURE_SUFFIXES: Final = ("", ".png", ".jpg", ".jpeg", ".jfif", ".webp")


class ImageFile(NamedTuple):
    """Where the server keeps a picture; it lists videos among them."""

    node: str
    filename: str
    subfolder: str
    type: str  # `output` for what is saved, `temp` for previews

    @property
    def is_picture(self) -> bool:
        """Whether the name is that of a picture."""
        return PurePosixPath(self.filename).suffix.lower() in PICTURE_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a prompt.

    Attributes:
        state: Well, with an error, or interrupted by somebody.
        error: What went wrong in a node.
        images: The pictures and videos of all output nodes.
        graph: The nodes as the server executed them.
        cached: The nodes that were not executed, as the server had their results.
        seconds: How long it ran, None if the server does not tell.
    """

    state: Literal["success", "error", "interrupted"]
    error: JobError | None
    images: tuple[ImageFile, ...]
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
        images=tuple(_images(_map(told.get("outputs")))),
        graph=_graph(told.get("prompt")),
        cached=frozenset(str(node_id) for node_id in _list(messages.get("execution_cached", {}).get("nodes"))),
        seconds=_seconds(messages),
    )


def in_order(images: Iterable[ImageFile], graph: Graph) -> tuple[ImageFile, ...]:
    """Return pictures in the order of their nodes in the workflow; the server's own differs between versions."""
    places = {node_id: place for place, node_id in enumerate(graph)}
    return tuple(sorted(images, key=lambda image: places.get(image.node, len(places))))


def _messages(written: Any) -> dict[str, dict[str, Any]]:
    """Return what the server logged of the prompt, by name."""
    pairs = [pair for pair in _list(written) if isinstance(pair, list) and len(pair) == len(("name", "data"))]
    return {str(name): _map(data) for name, data in pairs}


def _images(outputs: dict[str, Any]) -> list[ImageFile]:
    return [
        ImageFile(node_id, image["filename"], str(image.get("subfolder") or ""), str(image.get("type") or "output"))
        for node_id, output in outputs.items()
        for image in _list(_map(output).get("images"))
        if isinstance(image, dict) and isinstance(image.get("filename"), str)
    ]


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
