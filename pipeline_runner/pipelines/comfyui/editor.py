"""A workflow as the editor saves it, made into nodes of the API format by what the server says that its nodes take.

The editor numbers links instead of inputs, lists the values of widgets without names, and has nodes that exist only in
it. What it alone knows, such as the widgets that a custom node makes in the page, cannot be converted, and is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.graph import EXPORT, SEED_INPUTS, Graph
from pipeline_runner.pipelines.comfyui.nodes import Nodes

MUTED: Final = 2
BYPASSED: Final = 4
PRIMITIVE: Final = "PrimitiveNode"
REROUTE: Final = "Reroute"
POWER_LORA_LOADER: Final = "Power Lora Loader (rgthree)"
OF_THE_EDITOR: Final = frozenset({"Note", "MarkdownNote", PRIMITIVE, REROUTE})
AFTER_GENERATE: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
WIDGETS: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
DEPTH: Final = 100  # links that are followed: more go round in a circle
_LINK: Final = 6  # entries of a link: its id, node and slot where it begins, node and slot where it ends, type


def converted(editor: Mapping[str, Any], nodes: Nodes) -> Graph:
    """Return the nodes of a workflow for the editor.

    Raises:
        InvalidInputError: it has something that only the editor can resolve; the sentence says how to export it.
    """
    try:
        return _Converter(editor, nodes).graph()
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise _refused("it is no workflow that the editor has saved") from None


class _Converter:
    """The nodes and links of one workflow."""

    def __init__(self, editor: Mapping[str, Any], nodes: Nodes) -> None:
        self._nodes = nodes
        self._by_id = {str(node["id"]): node for node in editor["nodes"]}
        self._links = dict(map(_link, editor.get("links") or []))
        subgraphs = {str(one.get("id")) for one in (editor.get("definitions") or {}).get("subgraphs") or []}
        for name, node in self._by_id.items():
            if str(node["type"]) in subgraphs or str(node["type"]).startswith(("workflow>", "workflow/")):
                raise _refused(f"node {name} is a group of nodes or a subgraph")

    def graph(self) -> Graph:
        """Return all nodes that the server runs."""
        made: Graph = {}
        for name, node in self._by_id.items():
            kind = str(node["type"])
            if node.get("mode") in (MUTED, BYPASSED) or self._is_of_the_editor(name, node):
                continue
            title = node.get("title")
            made[name] = {
                "class_type": kind,
                "inputs": self._inputs(name, node),
                **({"_meta": {"title": title}} if isinstance(title, str) else {}),
            }
        for one in made.values():  # what a muted node would feed has nothing
            one["inputs"] = {key: value for key, value in one["inputs"].items() if not _is_dangling(value, made)}
        return made

    def _is_of_the_editor(self, name: str, node: Mapping[str, Any]) -> bool:
        """Return whether the server has nothing to do with a node, as with labels and switches of custom nodes."""
        kind = str(node["type"])
        if kind in self._nodes or kind in OF_THE_EDITOR:
            return kind not in self._nodes
        is_fed = any(slot.get("link") is not None for slot in node.get("inputs") or [])
        return not is_fed and all(name != source for source, _ in self._links.values())

    def _inputs(self, name: str, node: Mapping[str, Any]) -> dict[str, Any]:
        inputs = dict(self._values(name, node)) if str(node["type"]) in self._nodes else {}
        for slot in node.get("inputs") or []:
            if slot.get("link") is not None:
                inputs[str(slot["name"])] = self._source(slot["link"], DEPTH)
        return inputs

    def _source(self, link: Any, depth: int) -> Any:
        """Return what a link brings: `[node, slot]`, or the value of a primitive; None of nothing."""
        if link is None or link not in self._links:
            return None
        name, slot = self._links[link]
        node = self._by_id.get(name)
        if node is None or node.get("mode") == MUTED:
            return None
        if not depth:
            raise _refused("its links go round in a circle")
        kind = str(node["type"])
        if kind == PRIMITIVE and kind not in self._nodes:
            return node["widgets_values"][0]
        inputs = node.get("inputs") or []
        if kind == REROUTE and kind not in self._nodes:
            return self._source(inputs[0].get("link"), depth - 1)
        if node.get("mode") == BYPASSED:
            wanted = node["outputs"][slot].get("type")
            fitting = [one for one in (*inputs[slot : slot + 1], *inputs) if one.get("type") in (wanted, "*")]
            return self._source(fitting[0].get("link"), depth - 1) if fitting else None
        return [name, slot]

    def _values(self, name: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the values of a node's widgets with their names."""
        given = node.get("widgets_values")
        if node["type"] == POWER_LORA_LOADER:  # its page names them, by their order
            loras = [one for one in given or [] if isinstance(one, dict) and "lora" in one]
            yield from ((f"lora_{number}", one) for number, one in enumerate(loras, 1))
            return
        widgets = list(_widgets(self._nodes.find(str(node["type"])).input))
        if isinstance(given, dict):
            yield from ((key, given[key]) for key, _, _ in widgets if key in given)
            return
        left = list(given or [])
        for key, kind, options in widgets:
            if not left:
                if "default" not in options:
                    raise _refused(f"node {name} ({node['type']}) has no value for {key}")
                yield key, options["default"]
                continue
            value = left.pop(0)
            if not _fits(value, kind):
                raise _refused(f"node {name} ({node['type']}) has {value!r} where {key} was expected")
            yield key, value
            if left and left[0] in AFTER_GENERATE and (key in SEED_INPUTS or options.get("control_after_generate")):
                left.pop(0)
            if left and any(option.endswith("_upload") and on for option, on in options.items()):
                left.pop(0)  # the button
        if any(value is not None for value in left):
            raise _refused(f"node {name} ({node['type']}) has more values than inputs")


def _link(link: Any) -> tuple[Any, tuple[str, int]]:
    """Return the id of a link, and where it begins; newer versions of the editor write names."""
    if isinstance(link, dict):
        return link["id"], (str(link["origin_id"]), int(link["origin_slot"]))
    number, node, slot, *_ = link[:_LINK]
    return number, (str(node), int(slot))


def _widgets(told: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield those inputs that have a widget in the editor, in its order: name, type and options."""
    for part in ("required", "optional"):
        for name, described in ((told or {}).get(part) or {}).items():
            kind, *rest = described if isinstance(described, list) else [described]
            options = rest[0] if rest and isinstance(rest[0], dict) else {}
            known = "COMBO" if isinstance(kind, list) else str(kind)
            if known.endswith("_V3"):
                raise _refused(f"the input {name} has a form that only the editor knows")
            if known in WIDGETS and not options.get("forceInput"):
                yield name, known, options


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "INT" | "FLOAT":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "BOOLEAN":
            return isinstance(value, bool)
        case "STRING":
            return isinstance(value, str)
    return isinstance(value, str | int | float)


def _is_dangling(value: Any, made: Graph) -> bool:
    """Return whether an input has nothing, or a link to a node that is not run."""
    if value is None:
        return True
    match value:
        case [str() as name, int()]:
            return name not in made
    return False


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(f"config.workflow: the file is for the editor, and cannot be converted: {why}; {EXPORT}")
