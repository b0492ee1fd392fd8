"""The node classes of a server and the inputs they take, from its `GET /object_info`."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Raw, Struct

from bus.contracts.fields import Config, Scalar
from bus.contracts.pipeline_specs import VariableSpec, alike, check_value
from bus.protocol.validation import InvalidInputError, near_miss
from pipeline_runner.pipelines.comfyui.graph import Graph, Target, described, input_of
from pipeline_runner.pipelines.comfyui.input_specs import described_input, input_spec, is_empty_list, types_of
from pipeline_runner.pipelines.comfyui.node_packs import pack_of
from pipeline_runner.pipelines.comfyui.workflow import Workflow

Inputs = Mapping[str, Sequence[VariableSpec | None]]
"""Variable → what its inputs take, None for any scalar."""
CLASSES_SHOWN: Final = 5
OWN_MODULES: Final = ("comfy_extras.", "comfy_api_nodes.")  # and "nodes": where ComfyUI's own classes are
# ComfyUI's own output nodes that take these alone save weights, of which its history tells nothing
WEIGHTS: Final = frozenset({"MODEL", "CLIP", "VAE", "CLIP_VISION", "CONTROL_NET", "LORA_MODEL"})
_PLAIN: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
# and those that write into folders for training, or send messages in the place of files
NOTHING_TOLD: Final = frozenset(
    {"SaveImageDataSetToFolder", "SaveImageTextDataSetToFolder", "SaveImageWebsocket", "SaveTrainingDataset"}
)
NO_LORA: Final = "None"  # what the nodes that hold LoRAs in tables call none
FILLED_BY_THE_PAGE: Final = ("CustomCombo",)  # classes whose choices only the page of the server knows


class NodeInfo(Struct, frozen=True):
    """The parts of a node class that are used here."""

    input: Any = None
    output_node: Any = False
    python_module: Any = ""


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
                name: _distinct(self._spec_of(workflow.graph, name, target) for target in targets)
                for name, targets in workflow.inputs.items()
            }
        return self._inputs[workflow]

    def _spec_of(self, graph: Graph, name: str, target: Target) -> VariableSpec | None:
        node = graph[target.node]
        if target.inner:  # of which no server says anything
            return _part_spec(input_of(graph, target), target.inner[-1], self._lora_files())
        told = described_input(self.find(node["class_type"]).input, target.input, node["inputs"])
        if is_empty_list(told) and node["class_type"] not in FILLED_BY_THE_PAGE:
            raise InvalidInputError(
                f"config.inputs.{name}: the server has nothing to choose from for {target}; "
                "put a file into the folder of its models, or map another input"
            )
        return input_spec(told)

    def _lora_files(self) -> tuple[Scalar, ...]:
        """Return the LoRAs that ComfyUI's own loader offers; what custom nodes offer in a table, they do not say."""
        told = self.find("LoraLoader").input if "LoraLoader" in self else None
        spec = input_spec(described_input(told, "lora_name", {}))
        return spec.choices if spec else ()


def _part_spec(value: object, name: str | int, loras: tuple[Scalar, ...]) -> VariableSpec | None:
    """Return what a part of a table takes: a value like that of the workflow, and a LoRA where it has one.

    A node that does not find the file of a LoRA goes on without it, and says so on its console alone.
    """
    if isinstance(value, str) and loras and (name == "lora" or value in loras):
        return VariableSpec(kind="str", choices=loras, also=(NO_LORA,))
    return alike(value)


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


def output_nodes(nodes: Nodes, graph: Graph) -> list[str]:
    """Return the output nodes of a workflow: only nodes that lead to one of them are executed."""
    return [node_id for node_id, node in graph.items() if nodes.find(node["class_type"]).output_node]


def _check_classes(nodes: Nodes, workflow: Workflow) -> None:
    """Name all classes that are missing, each with the nearest that are there; a list of all would help nobody."""
    missing = {node["class_type"]: node_id for node_id, node in workflow.graph.items()}
    told = [
        _missing(nodes, class_type, described(workflow.graph, node_id))
        for class_type, node_id in missing.items()
        if class_type not in nodes
    ]
    if told:
        more = f"; and {len(told) - CLASSES_SHOWN} more classes" if len(told) > CLASSES_SHOWN else ""
        raise InvalidInputError(
            f"config.workflow: the server lacks {'; '.join(told[:CLASSES_SHOWN])}{more}; update ComfyUI, or install "
            "the custom nodes that bring it, and start ComfyUI again"
        )


def _missing(nodes: Nodes, class_type: str, name: str) -> str:
    pack = pack_of(class_type)
    nearest = difflib.get_close_matches(class_type, nodes.names(), n=3)
    hints = [f"perhaps of the custom nodes {pack}"] if pack else []
    hints += [f"nearest are {', '.join(map(repr, nearest))}"] if nearest else []
    return f"{name}, {', '.join(hints)}" if hints else name


def _distinct(specs: Iterable[VariableSpec | None]) -> list[VariableSpec | None]:
    """Return the specs without duplicates: a seed may go to hundreds of inputs of one kind."""
    found: list[VariableSpec | None] = []
    for spec in specs:
        if spec not in found:
            found.append(spec)
    return found


def _check_output_nodes(nodes: Nodes, workflow: Workflow) -> None:
    graph = workflow.graph
    ends = output_nodes(nodes, graph)
    if not ends:
        raise InvalidInputError("config.workflow: no node of it saves or shows anything; add one, such as Save Image")
    giving = [node_id for node_id in ends if _may_give(nodes, graph[node_id]["class_type"])]
    for node_id in workflow.output_nodes:
        if node_id not in ends:
            text = f"config.output_nodes: {described(graph, node_id)} saves nothing"
            raise InvalidInputError(f"{text}; {near_miss(node_id, ends)}")
        if node_id not in giving:
            raise InvalidInputError(
                f"config.output_nodes: {described(graph, node_id)} gives no result that can be kept"
            )
    if not giving:
        raise InvalidInputError(
            f"config.workflow: {described(graph, ends[0])} gives no result that can be kept, nor does another node; "
            "add one that saves, such as Save Image"
        )


def _may_give(nodes: Nodes, class_type: str) -> bool:
    """Return whether the history may name results of an output node. Of custom nodes nobody knows before they ran."""
    info = nodes.find(class_type)
    own = info.python_module == "nodes" or str(info.python_module).startswith(OWN_MODULES)
    types = types_of(info.input) - _PLAIN
    return class_type not in NOTHING_TOLD and not (own and types and types <= WEIGHTS)
