"""A workflow in ComfyUI's API format, and a job's configuration put into it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bus.contracts import paths
from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.pipeline_specs import SEED, StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError, near_miss
from pipeline_runner.pipelines.comfyui.graph import (
    Convert,
    Graph,
    Target,
    described,
    input_of,
    own_inputs,
    read_graph,
    seed_inputs,
    source_of,
)
from pipeline_runner.pipelines.server_values import scalar

DEFAULT_TIMEOUT: Final = 3600.0  # seconds
PARTS_SHOWN: Final = 8  # of a table, in a sentence
STAGE: Final = StageSpec(
    config={
        "workflow": VariableSpec(kind="str"),
        "inputs": VariableSpec(kind="map"),
        "images": VariableSpec(kind="map"),
        "output_nodes": VariableSpec(kind="list"),
        "timeout_seconds": VariableSpec(kind="float", minimum=1, maximum=7 * 86_400, unit="seconds"),
    },
    required=("workflow", "inputs"),
    map="inputs",
    metrics=(),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Workflow:
    """What a job runs: the nodes, and what the configuration says of them, all of it checked against the nodes.

    Attributes:
        graph: The nodes as exported.
        inputs: Where the value of each variable goes.
        images: The picture file for each input that takes one.
        output_nodes: The nodes whose pictures count; empty for all that save theirs.
        timeout_seconds: How long the server may take, its queue included.
    """

    graph: Graph
    inputs: dict[str, tuple[Target, ...]]
    images: dict[Target, Path]
    output_nodes: tuple[str, ...]
    timeout_seconds: float

    @property
    def targets(self) -> frozenset[Target]:
        """All inputs that variables go to."""
        return frozenset(target for targets in self.inputs.values() for target in targets)


def read_workflow(data: bytes, config: Config, convert: Convert | None = None) -> Workflow:
    """Read an exported workflow and what a configuration, whose types are checked, says of it.

    `convert` makes nodes of a workflow for the editor.

    Raises:
        EditorFormatError: it is one, and there is no `convert`.
        InvalidInputError: naming the field and what to do.
    """
    graph = read_graph(data, convert)
    timeout = config.get("timeout_seconds", DEFAULT_TIMEOUT)
    workflow = Workflow(
        graph=graph,
        inputs=_read_inputs(graph, _table(config, "inputs")),
        images=_read_images(graph, _table(config, "images")),
        output_nodes=_read_output_nodes(graph, config.get("output_nodes")),
        timeout_seconds=float(timeout) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT,
    )
    _check_targets(workflow)
    _check_seed(workflow)
    return workflow


def values_of(workflow: Workflow, config: Config) -> dict[Target, Scalar]:
    """Return the values that a configuration sets in the nodes; other inputs keep the workflow's value."""
    return {
        target: value
        for name, targets in workflow.inputs.items()
        if isinstance(value := config.get(name), bool | int | float | str)
        for target in targets
    }


def patched(graph: Graph, values: Mapping[Target, Scalar]) -> Graph:
    """Return a copy of the nodes with values put in."""
    copied = copy.deepcopy(graph)
    for target, value in values.items():
        inputs = copied[target.node]["inputs"]
        inputs[target.input] = paths.put(inputs[target.input], target.inner, value) if target.inner else value
    return copied


def effective_values(workflow: Workflow, graph: Graph) -> Config:
    """Return the value of each variable as some nodes have it; of several targets, the first one's."""
    found = {name: input_of(graph, targets[0]) for name, targets in workflow.inputs.items()}
    return {name: _sendable(value) for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _sendable(value: Scalar) -> Scalar:
    """Return a value that a message can hold: a seed in a workflow may be unsigned with 64 bits."""
    return str(value) if scalar(value) is None else value


def _table(config: Config, key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _read_inputs(graph: Graph, table: Mapping[str, ConfigValue]) -> dict[str, tuple[Target, ...]]:
    inputs = {}
    for name, written in table.items():
        where = f"config.inputs.{name}"
        if name in STAGE.config:
            raise InvalidInputError(f"{where}: {name} has a meaning of its own; give the variable another name")
        texts = written if isinstance(written, list) else [written]
        if not texts:
            raise InvalidInputError(f"{where}: empty; name at least one input, such as 3.cfg")
        inputs[name] = tuple(_find_input(graph, where, text) for text in texts)
    return inputs


def _read_images(graph: Graph, table: Mapping[str, ConfigValue]) -> dict[Target, Path]:
    images = {}
    for text, written in table.items():
        where = f"config.images.{text}"
        if not isinstance(written, str):
            raise InvalidInputError(f"{where}: must be the path of a picture file")
        images[_find_input(graph, where, text)] = Path(written)
    return images


def _read_output_nodes(graph: Graph, written: ConfigValue) -> tuple[str, ...]:
    ids = [str(entry) for entry in written] if isinstance(written, list) else []
    for node_id in ids:
        if node_id not in graph:
            hint = near_miss(node_id, list(graph))
            raise InvalidInputError(f"config.output_nodes: the workflow has no node {node_id!r}; {hint}")
    return tuple(ids)


def _find_input(graph: Graph, where: str, text: ConfigValue) -> Target:
    """Find the input that `NODE.INPUT` names, or `NODE.INPUT.KEY` of one that holds a table.

    Each part may have dots of its own, so the nodes say where it ends.
    """
    written = text if isinstance(text, str) else ""
    splits = [Target(written[:at], written[at + 1 :]) for at, char in enumerate(written) if char == "."]
    if not splits:
        raise InvalidInputError(f"{where}: {text!r} is no input of a node; write NODE.INPUT, such as 3.cfg")
    candidates = [target for target in splits if target.node in graph]
    if not candidates:
        hint = near_miss(splits[0].node, list(graph))
        raise InvalidInputError(f"{where}: the workflow has no node {splits[0].node!r}; {hint}")
    for target in candidates:
        path = paths.find(graph[target.node]["inputs"], target.input)
        if path is not None:  # what a link is made of is no part of a value
            is_fed = source_of(graph[target.node]["inputs"][path[0]]) is not None
            return Target(target.node, str(path[0]), () if is_fed else path[1:])
    node, name = candidates[0].node, candidates[0].input
    parts = [str(one)[len(node) + 1 :] for one in own_inputs(graph, node) if one.inner]
    hint = near_miss(name, [*graph[node]["inputs"], *parts])
    raise InvalidInputError(f"{where}: {described(graph, node)} has no input {name!r}; {hint}")


def _check_targets(workflow: Workflow) -> None:
    """Refuse an input that another node feeds, one with a table or list of its own, and one that two keys would set."""
    named = [(f"inputs.{name}", target) for name, targets in workflow.inputs.items() for target in targets]
    named += [(f"images.{target}", target) for target in workflow.images]
    owners: dict[Target, str] = {}
    for key, target in named:
        source = source_of(input_of(workflow.graph, target))
        if source is not None:
            raise InvalidInputError(f"config.{key}: {target} comes from {_instead(workflow.graph, source)}")
        if isinstance(value := input_of(workflow.graph, target), list | dict):
            what = f"{target} of {described(workflow.graph, target.node)} holds a table or a list"
            parts = [f"{target}.{paths.written(path)}" for path, _ in islice(paths.scalars(value), PARTS_SHOWN)]
            advice = f"map {' or '.join(parts)}" if parts else "map another input"
            raise InvalidInputError(f"config.{key}: {what}, which one value cannot replace; {advice}")
        if target in owners:
            raise InvalidInputError(f"config.{key}: {target} is set by {owners[target]} already; remove one of them")
        owners[target] = key


def _instead(graph: Graph, source: str) -> str:
    """Return an error text: which node feeds a linked input, and which of its inputs may be mapped."""
    own = " or ".join(str(target) for target in own_inputs(graph, source))
    return f"{described(graph, source)}; map {own or 'an input of a node before it'}"


def _check_seed(workflow: Workflow) -> None:
    """Require that a seed is mapped if there is one: the server answers a repeated prompt from its cache."""
    candidates = seed_inputs(workflow.graph)
    if SEED in workflow.inputs or not candidates:
        return
    named = " or ".join(f'"{target}"' for target in candidates)
    raise InvalidInputError(
        f"config.inputs.seed: missing; map it to {named}, or to a list of them: "
        "without it all jobs of a variant would be the same picture"
    )
