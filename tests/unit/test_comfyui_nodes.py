"""What the nodes of a ComfyUI server take, in all the forms in which servers and custom nodes tell it."""

import json
from typing import Any

import msgspec
import pytest

from bus.contracts.pipeline_specs import VariableSpec, check_value
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.nodes import NodeInfo, Nodes, check_against, input_spec
from pipeline_runner.pipelines.comfyui.workflow import Workflow, read_workflow
from tests.support.comfyui_jobs import example, inputs


def spec(told: Any) -> VariableSpec | None:
    """Read how one input is described."""
    return input_spec(NodeInfo(input={"required": {"x": told}}), "x")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (["INT", {"min": 1, "max": 10000, "default": 20}], VariableSpec(kind="int", minimum=1, maximum=10000)),
        (["INT", {"min": 0, "max": 2**64 - 1}], VariableSpec(kind="int", minimum=0, maximum=2**64 - 1)),
        (["INT"], VariableSpec(kind="int")),
        (["FLOAT", {"min": 0.0, "step": 0.1, "round": False}], VariableSpec(kind="float", minimum=0.0)),
        (["FLOAT", {"min": None, "max": "many"}], VariableSpec(kind="float")),
        (["INT", {"min": -(10**400), "max": 10**400}], VariableSpec(kind="int")),
        (["STRING", {"multiline": True}], VariableSpec(kind="str")),
        (["BOOLEAN", {"default": True}], VariableSpec(kind="bool")),
        ([["euler", "heun"]], VariableSpec(kind="str", choices=("euler", "heun"))),
        ([["euler", "heun"], {"tooltip": "x"}], VariableSpec(kind="str", choices=("euler", "heun"))),
        (["COMBO", {"options": ["a", "b"]}], VariableSpec(kind="str", choices=("a", "b"))),
        ([[1, 2, 4]], VariableSpec(kind="float", choices=(1, 2, 4))),
        ([["a", 1, True]], None),
        (["COMBO", {"remote": {"route": "/x"}}], None),
        (["COMBO"], None),
        ([["example.png"], {"image_upload": True}], None),
        (["COMBO", {"options": ["a.mp4"], "video_upload": True}], None),
        ([["a"], {"image_upload": False}], VariableSpec(kind="str", choices=("a",))),
        (["MODEL"], None),
        (["INT,FLOAT", {}], None),
        ("INT", None),
        ([], None),
        (None, None),
        ([None, {}], None),
    ],
)
def test_an_input_is_read_in_old_and_new_forms(told: Any, expected: VariableSpec | None) -> None:
    """Choices come as a list or as COMBO with options; what cannot be known takes any scalar."""
    assert spec(told) == expected


@pytest.mark.parametrize("part", ["required", "optional"])
def test_required_and_optional_inputs_are_known(part: str) -> None:
    """A node may have both, and names none of them twice."""
    assert input_spec(NodeInfo(input={part: {"x": ["INT"]}}), "x") == VariableSpec(kind="int")


@pytest.mark.parametrize("told", [None, [], {"required": None}, {"required": []}, {"hidden": {"x": "PROMPT"}}])
def test_a_node_that_describes_itself_badly_takes_anything(told: Any) -> None:
    """Its own server has to live with it as well."""
    assert input_spec(NodeInfo(input=told), "x") is None


def test_values_are_checked_against_what_is_read() -> None:
    """Bounds are included, and a choice that is not offered names the nearest one."""
    steps, sampler = spec(["INT", {"min": 1, "max": 4}]), spec([["euler", "heun"]])
    check_value("config.steps", steps, 4)
    check_value("config.sampler", sampler, "heun")

    for value in (0, 5, 2.5, "2", True):
        with pytest.raises(InvalidInputError):
            check_value("config.steps", steps, value)
    with pytest.raises(InvalidInputError, match="did you mean 'euler'"):
        check_value("config.sampler", sampler, "eulr")


def test_a_class_is_decoded_when_it_is_asked_for() -> None:
    """One node that is described as nothing sensible does not spoil the others."""
    nodes = Nodes(json.dumps({"Good": {"input": {}, "output_node": True, "more": 1}, "Bad": [], "Odd": {}}).encode())

    assert "Good" in nodes
    assert "Gone" not in nodes
    assert nodes.find("Good").output_node is True
    assert nodes.find("Bad") == nodes.find("Odd") == NodeInfo()
    assert nodes.names() == ["Good", "Bad", "Odd"]


@pytest.mark.parametrize("data", [b"", b"[]", b"<html>", b'{"a": NaN}'])
def test_what_is_no_list_of_nodes_is_said_to_be_none(data: bytes) -> None:
    """The browser of the server's own page could not read it either."""
    with pytest.raises(msgspec.DecodeError):
        Nodes(data)


def described(**changes: Any) -> Nodes:
    """Return the classes of the example workflow, with these described otherwise, or None for one that is away."""
    sampler = {"seed": ["INT", {"min": 0}], "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}], "steps": ["INT"]}
    classes: dict[str, Any] = {node["class_type"]: {"input": {}} for node in example().values()}
    latent = {"width": ["INT", {"min": 16}], "height": ["INT", {"min": 16}]}
    classes["EmptyLatentImage"] = {"input": {"required": latent}}
    classes |= {"KSampler": {"input": {"required": sampler}}, "SaveImage": {"output_node": True}, **changes}
    return Nodes(json.dumps({name: told for name, told in classes.items() if told is not None}).encode())


def workflow_of(**config: Any) -> Workflow:
    """Return the example with two variables beside the seed, one of which goes to two inputs."""
    usual: dict[str, Any] = {"workflow": "x.json", "inputs": inputs("cfg_scale", "size")}
    return read_workflow(json.dumps(example()).encode(), {**usual, **config})


def test_the_inputs_of_a_workflow_are_read_once_and_without_duplicates() -> None:
    """A variable may go to hundreds of inputs of one kind."""
    nodes, workflow = described(), workflow_of()

    found = nodes.inputs_of(workflow)

    assert found == {
        "seed": [VariableSpec(kind="int", minimum=0)],
        "cfg_scale": [VariableSpec(kind="float", minimum=0, maximum=100)],
        "size": [VariableSpec(kind="int", minimum=16)],
    }
    assert nodes.inputs_of(workflow) is found


def test_a_configuration_is_checked_against_the_inputs_that_it_sets() -> None:
    """What it does not set stays as it is in the workflow."""
    check_against(described(), workflow_of(), {"cfg_scale": 7})
    with pytest.raises(InvalidInputError, match=r"^config\.cfg_scale: "):
        check_against(described(), workflow_of(), {"cfg_scale": 101})


def test_a_workflow_with_a_node_that_the_server_lacks_is_refused() -> None:
    """The sentence names it, and the nearest one that is there."""
    nodes = described(KSampler=None, KSampler2={})
    with pytest.raises(InvalidInputError, match=r"^config\.workflow: the server lacks node 3 .*mean 'KSampler2'"):
        nodes.inputs_of(workflow_of())


def test_a_workflow_has_to_save_a_picture() -> None:
    """Only nodes that lead to one that saves are executed."""
    with pytest.raises(InvalidInputError, match=r"^config\.workflow: it has no node that saves pictures"):
        described(SaveImage={}).inputs_of(workflow_of())


def test_the_nodes_that_count_have_to_save() -> None:
    """One that saves nothing would end each job without a picture."""
    described().inputs_of(workflow_of(output_nodes=["9"]))
    with pytest.raises(InvalidInputError, match=r"^config\.output_nodes: node 3 .* saves nothing"):
        described().inputs_of(workflow_of(output_nodes=["3"]))
