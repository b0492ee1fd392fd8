"""Workflows of ComfyUI: what is an API export, where variables go, and what is put there."""

import copy
import json
from typing import Any, Final

import pytest

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.graph import Graph, Target, seed_inputs
from pipeline_runner.pipelines.comfyui.workflow import effective_values, patched, read_workflow, values_of
from tests.support.comfyui_jobs import INPUTS, SAMPLER, example, inputs, with_subgraph

POWER: Final = {"on": True, "lora": "detail.safetensors", "strength": 1}


def read(graph: Any, **config: Any) -> Any:
    """Read a workflow with the seed mapped, unless a map is given."""
    return read_workflow(json.dumps(graph).encode(), {"workflow": "x.json", "inputs": inputs(), **config})


def refusal(graph: Any, **config: Any) -> str:
    """Return the sentence with which a workflow or its map is refused."""
    with pytest.raises(InvalidInputError) as refused:
        read(graph, **config)
    return str(refused.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x89PNG", "config.workflow: the file is no JSON; export it"),
        (b"", "config.workflow: the file is no JSON"),
        (b"[" * 100_000, "config.workflow: the file is no JSON"),
        (b'{"nodes": [], "links": [], "version": 0.4}', "the file is for the editor, not for the API; export it with"),
        (b"{}", "config.workflow: the file has no nodes"),
        (b"[1]", "config.workflow: the file has no nodes"),
        (b'{"prompt": {"3": {}}}', "'prompt' is no node with class_type and inputs"),
        (b'{"3": {"class_type": "KSampler", "inputs": []}}', "'3' is no node with class_type and inputs"),
    ],
)
def test_what_is_no_api_export_is_refused_with_how_to_make_one(data: bytes, text: str) -> None:
    """Most people save the editor's own file first: they are told where the export is, in old and new versions."""
    with pytest.raises(InvalidInputError) as refused:
        read_workflow(data, {"workflow": "x.json", "inputs": {}})

    assert text in str(refused.value)
    assert "Workflow > Export (API)" in str(refused.value)
    assert "dev mode" in str(refused.value)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("33.cfg", "config.inputs.knob: the workflow has no node '33'; did you mean '3'?"),
        ("KSampler.cfg", "config.inputs.knob: the workflow has no node 'KSampler'; known are: 3, 4, 5, 6, 7, 8, 9"),
        ("3.cgf", "config.inputs.knob: node 3 (KSampler) has no input 'cgf'; did you mean 'cfg'?"),
        ("cfg", "config.inputs.knob: 'cfg' is no input of a node; write NODE.INPUT, such as 3.cfg"),
        (3, "config.inputs.knob: 3 is no input of a node; write NODE.INPUT, such as 3.cfg"),
        ([], "config.inputs.knob: empty; name at least one input, such as 3.cfg"),
        (
            ["3.cfg", "3.nothing"],
            "config.inputs.knob: node 3 (KSampler) has no input 'nothing'; known are: cfg, denoise",
        ),
        (["3.cfg", "3.cfg"], "config.inputs.knob: 3.cfg is set by inputs.knob already; remove one of them"),
        ("3.seed", "config.inputs.knob: 3.seed is set by inputs.seed already; remove one of them"),
        ("8.samples", "config.inputs.knob: 8.samples comes from node 3 (KSampler); map 3.seed or 3.steps or 3.cfg"),
        ("9.images", "config.inputs.knob: 9.images comes from node 8 (VAEDecode); map an input of a node before it"),
    ],
)
def test_an_input_that_cannot_be_set_is_refused(target: Any, text: str) -> None:
    """The sentence names the variable and what was perhaps meant, or where a linked input comes from."""
    assert refusal(example(), inputs={"seed": "3.seed", "knob": target}).startswith(text)


def test_a_link_to_a_node_that_is_not_there_is_named() -> None:
    """A damaged workflow is refused as any other linked input."""
    graph = example()
    graph["8"]["inputs"]["samples"] = ["99", 0]

    text = refusal(graph, inputs={"seed": "3.seed", "knob": "8.samples"})

    assert text == "config.inputs.knob: 8.samples comes from node 99; map an input of a node before it"


def test_keys_of_the_configuration_are_no_variables() -> None:
    """A variable with the name of a key could never be set."""
    text = refusal(example(), inputs={"seed": "3.seed", "images": "3.cfg"})

    assert text == "config.inputs.images: images has a meaning of its own; give the variable another name"


@pytest.mark.parametrize("text", ["3.seed", f"{SAMPLER}.seed"])
def test_the_seed_has_to_be_mapped_and_candidates_are_named(text: str) -> None:
    """Without it the server would answer every job from its cache."""
    graph = example() if text == "3.seed" else with_subgraph()

    sentence = refusal(graph, inputs={})

    assert sentence.startswith("config.inputs.seed: missing; map it to ")
    assert f'"{text}"' in sentence
    assert [str(target) in sentence for target in seed_inputs(graph)] == [True] * len(seed_inputs(graph))


def test_a_seed_that_another_node_feeds_is_looked_for_there() -> None:
    """Newer workflows have the number in a node of its own, perhaps for several samplers."""
    graph = with_subgraph()
    graph["30"] = {"class_type": "PrimitiveInt", "inputs": {"value": 7, "mode": "fixed"}}
    graph[SAMPLER]["inputs"]["seed"] = graph["57:8"]["inputs"]["noise_seed"] = ["30", 0]

    assert seed_inputs(graph) == [Target("30", "value")]
    assert 'map it to "30.value", or' in refusal(graph, inputs={})


def test_a_seed_that_is_nowhere_is_not_asked_for() -> None:
    """What a node computes can not be set, and a workflow may draw no noise at all."""
    graph = example()
    graph["3"]["inputs"]["seed"] = ["30", 0]

    assert seed_inputs(graph) == []
    assert read(graph, inputs={"width": "5.width"}).inputs == {"width": (Target("5", "width"),)}


def test_node_ids_and_inputs_may_have_dots_and_colons() -> None:
    """The nodes of the workflow say where an id ends and the name of an input begins."""
    node = {"class_type": "X", "inputs": {"seed": 1, "images.image0": 2}}
    graph: Graph = {"57:3": copy.deepcopy(node), "57:3.1": copy.deepcopy(node)}

    workflow = read(
        graph, inputs={"seed": ["57:3.seed", "57:3.1.seed"], "a": "57:3.images.image0", "b": "57:3.1.images.image0"}
    )

    assert len(workflow.targets) == 4
    assert workflow.inputs == {
        "seed": (Target("57:3", "seed"), Target("57:3.1", "seed")),
        "a": (Target("57:3", "images.image0"),),
        "b": (Target("57:3.1", "images.image0"),),
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"output_nodes": ["19"]}, "config.output_nodes: the workflow has no node '19'; did you mean '9'?"),
        ({"images": {"10.image": 5}}, "config.images.10.image: must be the path of a picture file"),
        ({"images": {"10.image": "x.png"}}, "config.images.10.image: the workflow has no node '10'"),
        ({"images": {"3.model": "x.png"}}, "config.images.3.model: 3.model comes from node 4 (CheckpointLoaderSimple)"),
        ({"images": {"3.seed": "x.png"}}, "config.images.3.seed: 3.seed is set by inputs.seed already"),
    ],
)
def test_images_and_output_nodes_are_checked_alike(changes: dict[str, Any], text: str) -> None:
    """Whatever names a node or an input is refused in the same way."""
    assert refusal(example(), **changes).startswith(text)


@pytest.mark.parametrize("name", INPUTS)
def test_a_value_goes_to_its_inputs_and_nothing_else_changes(name: str) -> None:
    """What is put in stands there with its type; the nodes that were read stay as they were."""
    graph = example()
    workflow = read(graph, inputs=inputs(name))
    value = 12345 if name == "seed" else "new"

    changed = patched(workflow.graph, values_of(workflow, {name: value}))

    differences = {
        f"{node_id}.{key}": changed[node_id]["inputs"][key]
        for node_id, node in graph.items()
        for key in node["inputs"]
        if changed[node_id]["inputs"][key] != node["inputs"][key]
    }
    targets = INPUTS[name]
    assert differences == {str(target): value for target in (targets if isinstance(targets, list) else [targets])}
    assert workflow.graph == graph
    assert effective_values(workflow, changed)[name] == value


def test_a_variable_that_is_not_set_keeps_the_workflows_value() -> None:
    """The map alone changes nothing, and what the workflow has is told as the effective value."""
    workflow = read(example(), inputs=inputs("cfg_scale", "model"))
    config: Config = {"workflow": "x.json", "seed": 7}

    graph = patched(workflow.graph, values_of(workflow, config))

    assert graph == {**example(), "3": graph["3"]}
    assert effective_values(workflow, graph) == {
        "seed": 7,
        "cfg_scale": 7.0,
        "model": "v1-5-pruned-emaonly.safetensors",
    }


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", '{"a": [NaN]}'])
def test_an_input_that_is_no_finite_number_is_named(value: str) -> None:
    """Python's servers write it, but a picture cannot be made of it."""
    with pytest.raises(InvalidInputError, match=r"^config\.workflow: 3\.cfg holds NaN or an infinity"):
        read_workflow(b'{"3": {"class_type": "K", "inputs": {"cfg": %s}}}' % value.encode(), {"inputs": {}})


def test_the_nodes_in_a_picture_are_an_export_too() -> None:
    """The server writes NaN beside the inputs there, and nothing of it is sent back."""
    node = '{"class_type": "K", "inputs": {"seed": 1}, "is_changed": [NaN], "_meta": {"title": "Sampler"}}'

    workflow = read_workflow(b'{"3": %s}' % node.encode(), {"inputs": {"seed": "3.seed"}})

    assert workflow.graph == {"3": {"class_type": "K", "inputs": {"seed": 1}, "_meta": {"title": "Sampler"}}}


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (POWER, "map 18.lora_1.on or 18.lora_1.lora or 18.lora_1.strength"),
        ({"__value__": [1, 2]}, "map 18.lora_1.__value__.0 or 18.lora_1.__value__.1"),
        (["a", "b", "c"], "map 18.lora_1.0 or 18.lora_1.1 or 18.lora_1.2"),
        ([], "map another input"),
    ],
)
@pytest.mark.parametrize("key", ["inputs", "images"])
def test_a_table_or_list_is_never_replaced_by_one_value(key: str, value: Any, advice: str) -> None:
    """A LoRA with its switch and strength is no number; the sentence names the node, and what can be mapped."""
    graph = {**example(), "18": {"class_type": "Power Lora Loader (rgthree)", "inputs": {"lora_1": value}}}
    mapped = {"inputs": {"seed": "3.seed", "x": "18.lora_1"}} if key == "inputs" else {"images": {"18.lora_1": "x.png"}}

    assert refusal(graph, **mapped) == (
        f"config.{'inputs.x' if key == 'inputs' else 'images.18.lora_1'}: 18.lora_1 of node 18 (Power Lora Loader "
        f"(rgthree)) holds a table or a list, which one value cannot replace; {advice}"
    )


def test_a_value_goes_into_a_table_and_leaves_the_rest_of_it() -> None:
    """As in the nodes that hold a LoRA with its switch and strength; what was read stays as it was."""
    inner = {"lora_1": POWER, "Add Lora": "", "list": [{"w": 1}, {"w": 2}], "model": ["4", 0]}
    graph = {**example(), "18": {"class_type": "Power Lora Loader (rgthree)", "inputs": copy.deepcopy(inner)}}
    parts = {"strength": "18.lora_1.strength", "on": "18.lora_1.on", "w": ["18.list.1.w", "18.list.0.w"]}
    workflow = read(graph, inputs={"seed": "3.seed", **parts})
    config: Config = {"strength": 0.5, "on": False, "w": 7}

    changed = patched(workflow.graph, values_of(workflow, config))

    assert changed["18"]["inputs"] == {
        **inner,
        "lora_1": {"on": False, "lora": "detail.safetensors", "strength": 0.5},
        "list": [{"w": 7}, {"w": 7}],
    }
    assert workflow.graph["18"]["inputs"] == inner
    assert {name: effective_values(workflow, changed)[name] for name in config} == config
    assert effective_values(workflow, {}) == {}, "a server may tell no nodes, or others"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("18.lora_1.strenght", "node 18 (Power Lora Loader (rgthree)) has no input 'lora_1.strenght'; did you mean"),
        ("18.lora_2.on", "node 18 (Power Lora Loader (rgthree)) has no input 'lora_2.on'; did you mean 'lora_1.on'?"),
        ("18.model.0", "18.model comes from node 4 (CheckpointLoaderSimple); map 4.ckpt_name"),
        ("18.lora_1.on.x", "node 18 (Power Lora Loader (rgthree)) has no input 'lora_1.on.x'"),
    ],
)
def test_a_part_that_is_not_there_is_refused(text: str, sentence: str) -> None:
    """A mistyped part would be a new one that no node reads, and all values would give one picture."""
    node = {"class_type": "Power Lora Loader (rgthree)", "inputs": {"lora_1": POWER, "model": ["4", 0]}}

    assert refusal({**example(), "18": node}, inputs={"seed": "3.seed", "x": text}).startswith(
        f"config.inputs.x: {sentence}"
    )


def test_the_advice_to_map_a_seed_names_whole_numbers_alone() -> None:
    """A switch is an integer for Python, and none for a seed."""
    graph = example()
    graph["20"] = {"class_type": "Seeds", "inputs": {"__required": True, "value": 5, "text": "x", "table": {"a": 1}}}
    graph["21"] = {"class_type": "Odd", "inputs": {"seed": "random", "noise_seed": False}}
    graph["3"]["inputs"]["seed"] = ["20", 0]

    assert seed_inputs(graph) == [Target("20", "value")]
