"""What a job takes, whatever the server had in its cache.

The server executes only what has changed since its last prompt. Its own time of a prompt is therefore that of some
nodes, and another job's time that of others: the first job loads the model, and where a variable comes after the
sampler only the first variant samples. So the time of a job is that of the nodes on which its variables have an
influence: what others took is left out, and what one of these took when it was executed is added where it was not
executed again. The websocket tells when each node begins.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

from pipeline_runner.pipelines.comfyui.graph import Graph, Target, described, source_of
from pipeline_runner.pipelines.comfyui.history import Ended

MOST_NODES: Final = 10_000  # whose times are kept
NODES_SHOWN: Final = 3


class Stopwatch:
    """Measures the nodes of one prompt by the messages about it; times are those of a clock that never goes back."""

    def __init__(self) -> None:
        """Wait for the prompt to begin."""
        self._seconds = dict[str, float]()
        self.node: str | None = None  # that runs
        self._since: float | None = None  # None before the prompt begins
        self._ended = False

    @property
    def seconds(self) -> Mapping[str, float] | None:
        """What each executed node took; None if not all of it was seen."""
        return self._seconds if self._ended else None

    def start(self, now: float) -> None:
        """Begin to measure."""
        self._seconds, self.node, self._since, self._ended = dict[str, float](), None, now, False

    def enter(self, node: str, now: float) -> None:
        """Go on to a node."""
        self._leave(now)
        self.node = node

    def end(self, now: float) -> None:
        """Come to the end of the prompt."""
        self._leave(now)
        self._ended = self._since is not None

    def _leave(self, now: float) -> None:
        if self._since is None:
            return
        if self.node is not None:
            self._seconds[self.node] = self._seconds.pop(self.node, 0.0) + now - self._since  # the last one is the last
        self.node, self._since = None, now


class NodeTimes:
    """What nodes took when they were executed, by all that decides what they do."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: OrderedDict[str, float] = OrderedDict()

    def learn(self, signatures: Mapping[str, str], seconds: Mapping[str, float]) -> None:
        """Keep what nodes took; the oldest are forgotten where there are too many."""
        for node, took in seconds.items():
            if node in signatures:
                self._known[signatures[node]] = took
                self._known.move_to_end(signatures[node])
        while len(self._known) > MOST_NODES:
            self._known.popitem(last=False)

    def of(self, signatures: Mapping[str, str], nodes: Iterable[str]) -> dict[str, float | None]:
        """Return what nodes took when they were executed, None where that is unknown."""
        return {node: self._known.get(signatures.get(node, "")) for node in nodes}


def whole_time(
    ended: Ended, graph: Graph, targets: Collection[Target], seen: Mapping[str, float] | None, known: NodeTimes
) -> tuple[float | None, str]:
    """Return what the nodes take on which the variables have an influence, and why that is unknown, "" if it is not.

    Args:
        ended: The prompt.
        graph: The nodes as they were sent.
        targets: The inputs that variables go to.
        seen: What the executed nodes took, None if the websocket did not tell.
        known: What nodes took when this runner had them executed.

    Returns:
        Seconds; None if the server does not tell, or a node came from the cache that somebody else had executed. The
        second one is a sentence.
    """
    if ended.seconds is None:
        return None, ""
    varying = dependents_of(graph, targets) if targets else set(graph)
    skipped = known.of(signatures_of(graph), [node for node in graph if node in varying and node in ended.cached])
    unknown = [described(graph, node) for node, took in skipped.items() if took is None]
    if unknown:
        text = f"{' and '.join(unknown[:NODES_SHOWN])} came from the server's cache"
        return None, f"{text}, and what it takes was not measured, so the time of this job is not known"
    shared = sum(took for node, took in (seen or {}).items() if node not in varying)
    return max(0.0, ended.seconds - shared + sum(took or 0.0 for took in skipped.values())), ""


def fitted(seen: Mapping[str, float] | None, total: float | None) -> Mapping[str, float] | None:
    """Return what nodes took, without what the last message came too late; `total` is the server's own time."""
    late = sum(seen.values()) - total if seen and total is not None else 0.0
    if not seen or late <= 0:
        return seen
    last = list(seen)[-1]
    return {**seen, last: max(0.0, seen[last] - late)}


def signatures_of(graph: Graph) -> dict[str, str]:
    """Return for each node a text that is the same where class, values and all nodes before it are the same."""
    found: dict[str, str] = {}
    for node in in_order_of_execution(graph):
        inputs = {
            name: [found.get(source), value[1]] if (source := source_of(value)) else value
            for name, value in graph[node]["inputs"].items()
        }
        text = json.dumps([graph[node]["class_type"], inputs], sort_keys=True)
        found[node] = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return found


def dependents_of(graph: Graph, targets: Collection[Target]) -> set[str]:
    """Return the nodes on which the value of one of these inputs has an influence."""
    found = {target.node for target in targets}
    for node in in_order_of_execution(graph):
        if any(source_of(value) in found for value in graph[node]["inputs"].values()):
            found.add(node)
    return found


def ends_of(graph: Graph) -> list[str]:
    """Return the nodes that feed no other: the output nodes among others."""
    sources = {source_of(value) for node in graph.values() for value in node["inputs"].values()}
    return [node for node in graph if node not in sources]


def in_order_of_execution(graph: Graph) -> list[str]:
    """Return the nodes so that each comes after those that feed it; none if they feed each other in a circle."""
    before = {node: _sources(graph, node) for node in graph}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        return []


def _sources(graph: Graph, node: str) -> list[str]:
    found = (source_of(value) for value in graph[node]["inputs"].values())
    return [source for source in found if source in graph]
