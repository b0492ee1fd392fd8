"""The node classes of a server and the inputs they take, from its `GET /object_info`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Raw, Struct

from bus.contracts.messages import Config
from bus.contracts.pipeline_specs import VariableSpec, check_value
from bus.protocol.validation import InvalidInputError, near_miss
from pipeline_runner.pipelines.comfyui.workflow import Graph, Target, Workflow, described
from pipeline_runner.pipelines.server_values import number

Inputs = Mapping[str, Sequence[VariableSpec | None]]
"""Variable → what its inputs take, None for any scalar."""


class NodeInfo(Struct, frozen=True):
    """The parts of a node class that are used here."""

    input: Any = None
    output_node: Any = False


class Nodes:
    """All classes of a server. The answer has tens of MB, so each class is decoded when it is asked for."""

    def __init__(self, data: bytes) -> None:
        """Read the answer.

        Raises:
            msgspec.DecodeError: it is no JSON map.
        """
        self._raw = _all_classes.decode(data)
        self._found: dict[str, NodeInfo] = {}
        # each job of a batch asks for the same; a workflow that nobody uses any more goes from here too
        self._inputs: WeakKeyDictionary[Workflow, Inputs] = WeakKeyDictionary()

    def __contains__(self, class_type: str) -> bool:
        """Return whether the server has this class."""
        return class_type in self._raw

    def names(self) -> list[str]:
        """Return the names of all classes."""
        return list(self._raw)

    def find(self, class_type: str) -> NodeInfo:
        """Return a class, with defaults for what its description lacks: custom nodes describe themselves."""
        if class_type not in self._found:
            try:
                self._found[class_type] = _one_class.decode(self._raw[class_type])
            except msgspec.DecodeError:
                self._found[class_type] = NodeInfo()
        return self._found[class_type]

    def inputs_of(self, workflow: Workflow) -> Inputs:
        """Check that the server has every node of a workflow; return what the inputs of each variable take.

        Raises:
            InvalidInputError: naming the field and what to do.
        """
        if workflow not in self._inputs:
            _check_classes(self, workflow)
            _check_output_nodes(self, workflow)
            self._inputs[workflow] = {
                name: _distinct(self._spec_of(workflow.graph, target) for target in targets)
                for name, targets in workflow.inputs.items()
            }
        return self._inputs[workflow]

    def _spec_of(self, graph: Graph, target: Target) -> VariableSpec | None:
        return input_spec(self.find(graph[target.node]["class_type"]), target.input)


_all_classes: Final = msgspec.json.Decoder(dict[str, Raw])
_one_class: Final = msgspec.json.Decoder(NodeInfo)


def check_against(nodes: Nodes, workflow: Workflow, config: Config) -> None:
    """Check that the server has every node of a workflow and takes every value that a configuration puts in.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    for name, specs in nodes.inputs_of(workflow).items():
        for spec in specs if name in config else ():
            check_value(f"config.{name}", spec, config[name])


def input_spec(info: NodeInfo, name: str) -> VariableSpec | None:
    """Return what an input takes, as far as it can be known; None for any scalar."""
    match _described_input(info, name):
        case [kind, dict() as options, *_]:
            return _spec(kind, options)
        case [kind]:
            return _spec(kind, {})
        case _:
            return None


def output_nodes(nodes: Nodes, graph: Graph) -> list[str]:
    """Return the output nodes of a workflow: only nodes that lead to one of them are executed."""
    return [node_id for node_id, node in graph.items() if nodes.find(node["class_type"]).output_node]


def _check_classes(nodes: Nodes, workflow: Workflow) -> None:
    for node_id, node in workflow.graph.items():
        if node["class_type"] not in nodes:
            raise InvalidInputError(
                f"config.workflow: the server lacks {described(workflow.graph, node_id)}; install the custom node "
                f"that brings it and start ComfyUI again; {near_miss(node['class_type'], nodes.names())}"
            )


def _distinct(specs: Iterable[VariableSpec | None]) -> list[VariableSpec | None]:
    """Return the specs without duplicates: a seed may go to hundreds of inputs of one kind."""
    found: list[VariableSpec | None] = []
    for spec in specs:
        if spec not in found:
            found.append(spec)
    return found


def _check_output_nodes(nodes: Nodes, workflow: Workflow) -> None:
    ends = output_nodes(nodes, workflow.graph)
    if not ends:
        raise InvalidInputError("config.workflow: it has no node that saves pictures; add a Save Image node")
    for node_id in workflow.output_nodes:
        if node_id not in ends:
            text = f"config.output_nodes: {described(workflow.graph, node_id)} saves nothing"
            raise InvalidInputError(f"{text}; {near_miss(node_id, ends)}")


def _described_input(info: NodeInfo, name: str) -> Any:
    for part in ("required", "optional"):
        inputs = info.input.get(part) if isinstance(info.input, dict) else None
        if isinstance(inputs, dict) and name in inputs:
            return inputs[name]
    return None


def _spec(kind: object, options: dict[str, Any]) -> VariableSpec | None:
    """Read both forms of choices, `[[…], {…}]` and `["COMBO", {"options": […]}]`, and the types that we know."""
    match kind:
        case list():
            return _choice(kind, options)
        case "COMBO":
            return _choice(options.get("options"), options)
        case "INT" | "FLOAT":
            low, high = number(options.get("min")), number(options.get("max"))
            return VariableSpec(kind="int" if kind == "INT" else "float", minimum=low, maximum=high)
        case "STRING" | "BOOLEAN":
            return VariableSpec(kind="str" if kind == "STRING" else "bool")
        case _:
            return None


def _choice(choices: object, options: dict[str, Any]) -> VariableSpec | None:
    """Return the spec of a list of choices; None where the list is not all: files can be uploaded to some."""
    if not isinstance(choices, list) or any(key.endswith("_upload") and value for key, value in options.items()):
        return None
    if all(isinstance(choice, str) for choice in choices):
        return VariableSpec(kind="str", choices=tuple(choices))
    if all(number(choice) is not None for choice in choices):
        return VariableSpec(kind="float", choices=tuple(choices))
    return None
