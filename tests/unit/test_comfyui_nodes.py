"""What the nodes of a ComfyUI server take, in all the forms in which servers and custom nodes tell it."""

import json
from typing import Any

import msgspec
import pytest

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec, check_value
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.comfyui.input_specs import described_input, input_spec, is_empty_list, types_of
from pipeline_runner.pipelines.comfyui.nodes import NodeInfo, Nodes, check_against
from pipeline_runner.pipelines.comfyui.workflow import Workflow, read_workflow
from tests.support.comfyui_jobs import example, inputs


def spec(told: Any) -> VariableSpec | None:
    """Read how one input is described."""
    return input_spec(described_input({"required": {"x": told}}, "x", {}))


def match_type(types: str) -> list[Any]:
    """Describe an input that takes what is of the same type as another one."""
    return ["COMFY_MATCHTYPE_V3", {"template": {"allowed_types": types}}]


def dynamic(*options: Any) -> list[Any]:
    """Describe an input whose choices have inputs of their own."""
    return ["COMFY_DYNAMICCOMBO_V3", {"options": list(options)}]


def growing(described: Any) -> list[Any]:
    """Describe an input of which there may be many."""
    return ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": described}}}}]


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
        (["INT,FLOAT", {}], VariableSpec(kind="float")),
        (["IMAGE,MASK", {}], None),
        ([[True, False]], VariableSpec(kind="bool", choices=(True, False))),
        (match_type("FLOAT,INT"), VariableSpec(kind="float")),
        (match_type("IMAGE,MASK"), None),
        (match_type("COMFY_MATCHTYPE_V3"), None),
        (["COMFY_MATCHTYPE_V3", {}], None),
        (
            dynamic({"key": "a"}, {"key": "b"}),
            VariableSpec(kind="str", choices=("a", "b")),
        ),
        (dynamic({"key": "a"}, None), None),
        (["COMFY_DYNAMICCOMBO_V3", {}], None),
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
    assert input_spec(described_input({part: {"x": ["INT"]}}, "x", {})) == VariableSpec(kind="int")


@pytest.mark.parametrize("told", [None, [], {"required": None}, {"required": []}, {"hidden": {"x": "PROMPT"}}])
def test_a_node_that_describes_itself_badly_takes_anything(told: Any) -> None:
    """Its own server has to live with it as well."""
    assert input_spec(described_input(told, "x", {})) is None
    assert types_of(told) == set()


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
    with pytest.raises(InvalidInputError, match=r"^config\.workflow: the server lacks node 3 .*are 'KSampler2'; up"):
        nodes.inputs_of(workflow_of())


def test_a_workflow_has_to_save_something() -> None:
    """Only nodes that lead to one that saves are executed."""
    with pytest.raises(InvalidInputError, match=r"^config\.workflow: no node of it saves or shows anything"):
        described(SaveImage={}).inputs_of(workflow_of())


def takes(kind: str, module: str | None) -> dict[str, Any]:
    """Describe an output node."""
    return {"input": {"required": {"x": [kind]}}, "output_node": True, "python_module": module}


@pytest.mark.parametrize(
    ("class_type", "info", "given"),
    [
        ("SaveVideo", takes("VIDEO", "comfy_extras.nodes_video"), True),
        ("SaveWEBM", takes("IMAGE", "comfy_extras.nodes_video"), True),
        ("SaveAudio", takes("AUDIO", "comfy_extras.nodes_audio"), True),
        ("SaveGLB", takes("MESH", "comfy_extras.nodes_hunyuan3d"), True),
        ("Preview3D", takes("STRING", "comfy_extras.nodes_load_3d"), True),
        ("SaveLatent", takes("LATENT", "nodes"), True),
        ("PreviewAny", takes("*", "comfy_extras.nodes_preview_any"), True),
        ("CheckpointSave", takes("MODEL,CLIP,VAE", "comfy_extras.nodes_model_merging"), False),
        ("SaveLoRA", takes("LORA_MODEL", "comfy_extras.nodes_train"), False),
        ("SaveImageWebsocket", takes("IMAGE", "custom_nodes.websocket_image_save"), False),
        ("PreviewImage", takes("IMAGE", "nodes"), True),
        ("MaskPreview", takes("MASK", "comfy_extras.nodes_mask"), True),
        ("KSampler (Efficient)", takes("MODEL", "custom_nodes.efficiency"), True),
        ("Old", takes("MODEL", None), True),
    ],
)
def test_a_workflow_that_can_give_nothing_is_refused(class_type: str, info: dict[str, Any], *, given: bool) -> None:
    """Of ComfyUI's own nodes it is known; what a custom node gives nobody knows before it ran."""
    graph = {**example(), "9": {"class_type": class_type, "inputs": {"images": ["8", 0]}}}
    workflow = read_workflow(json.dumps(graph).encode(), {"inputs": inputs()})
    named = read_workflow(json.dumps(graph).encode(), {"inputs": inputs(), "output_nodes": ["9"]})
    nodes = described(SaveImage=None, **{class_type: info})

    if given:
        nodes.inputs_of(workflow)
        nodes.inputs_of(named)
    else:
        with pytest.raises(InvalidInputError, match=r"^config\.workflow: node 9 .* no result that can be kept, nor"):
            nodes.inputs_of(workflow)
        with pytest.raises(InvalidInputError, match=r"^config\.output_nodes: node 9 .* no result that can be kept$"):
            nodes.inputs_of(named)


@pytest.mark.parametrize(
    ("class_type", "text"),
    [
        ("Power Lora Loader (rgthree)", ", perhaps of the custom nodes rgthree-comfy; update ComfyUI, or install"),
        ("VAEDecod", ", nearest are 'VAEDecode'; update"),
        ("VHS_VAEDecode", ", perhaps of the custom nodes ComfyUI-VideoHelperSuite, nearest are 'VAEDecode'; update"),
        ("Zzz", "; update ComfyUI, or install the custom nodes that bring it, and start ComfyUI again"),
    ],
)
def test_a_missing_node_is_told_by_what_is_near_it_and_where_it_may_come_from(class_type: str, text: str) -> None:
    """A list of thousands of classes from A on would help nobody."""
    graph = {**example(), "18": {"class_type": class_type, "inputs": {}}}
    workflow = read_workflow(json.dumps(graph).encode(), {"inputs": inputs()})

    with pytest.raises(InvalidInputError) as refused:
        described().inputs_of(workflow)

    assert str(refused.value).startswith(f"config.workflow: the server lacks node 18 ({class_type}){text}")


def test_all_missing_nodes_are_told_in_one_sentence() -> None:
    """Whoever has to install several packs does it once."""
    graph = {**example(), **{f"2{at}": {"class_type": f"Zzz{at}", "inputs": {}} for at in range(7)}}

    with pytest.raises(InvalidInputError, match=r"node 20 \(Zzz0\); .* node 24 \(Zzz4\); and 2 more classes; up"):
        described().inputs_of(read_workflow(json.dumps(graph).encode(), {"inputs": inputs()}))


BY = {"key": "by", "inputs": {"required": {"amount": ["FLOAT", {"max": 8.0}]}}}
TO = {"key": "to", "inputs": {"required": {"amount": ["INT", {"max": 16384}], "width": ["INT", {}]}}}
WITHIN = {
    "required": {
        "resize_type": dynamic(BY, TO),
        "damaged": dynamic(None, {"key": "x", "inputs": None}),
        "images": growing(["FLOAT", {"min": 0}]),
        "empty": ["COMFY_AUTOGROW_V3", {"template": {}}],
        "slot": ["COMFY_DYNAMICSLOT_V3", {"inputs": {"optional": {"strength": ["FLOAT", {}]}}}],
        "plain": ["INT", {}],
    }
}


@pytest.mark.parametrize(
    ("name", "selected", "expected"),
    [
        ("resize_type.amount", "by", VariableSpec(kind="float", maximum=8)),
        ("resize_type.amount", "to", VariableSpec(kind="int", maximum=16384)),
        ("resize_type.width", "by", VariableSpec(kind="int")),
        ("resize_type.nothing", "by", None),
        ("images.image0", "by", VariableSpec(kind="float", minimum=0)),
        ("empty.image0", "by", None),
        ("damaged.x", "by", None),
        ("slot.strength", "by", VariableSpec(kind="float")),
        ("plain.x", "by", None),
        ("resize_type", "by", VariableSpec(kind="str", choices=("by", "to"))),
    ],
)
def test_an_input_within_an_input_is_checked(name: str, selected: str, expected: VariableSpec | None) -> None:
    """The choice that the workflow has decides what stands behind the dot."""
    assert input_spec(described_input(WITHIN, name, {"resize_type": selected})) == expected


def test_the_types_of_a_node_are_those_of_all_its_inputs() -> None:
    """Also within an input that grows."""
    told = {
        "required": {"a": growing(["IMAGE"])},
        "optional": {"b": match_type("MASK,LATENT"), "c": [[1]], "d": ["*"]},
    }

    assert types_of(told) == {"IMAGE", "MASK", "LATENT", "*"}


@pytest.mark.parametrize(
    ("told", "empty"),
    [
        (["COMBO", {"options": []}], True),
        (["COMBO", {}], True),
        (["COMBO"], True),
        ([[]], True),
        ([[], {"image_upload": True}], False),
        (["COMBO", {"options": [], "video_upload": True}], False),
        (["COMBO", {"remote": {"route": "/x"}}], False),
        (["COMBO", {"options": ["a"]}], False),
        (["INT", {}], False),
        (None, False),
    ],
)
def test_a_list_without_anything_in_it_is_known(told: Any, *, empty: bool) -> None:
    """The server would refuse every value."""
    assert is_empty_list(told) is empty


def test_an_input_for_which_nothing_is_offered_is_refused() -> None:
    """As of a folder without a model; but for a node whose choices its page makes up."""
    graph = {**example(), "18": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "x.pth"}}}
    mapped: Config = {"inputs": {"seed": "3.seed", "upscaler": "18.model_name"}}
    lacking = {"input": {"required": {"model_name": ["COMBO", {"options": []}]}}}

    with pytest.raises(InvalidInputError, match=r"^config\.inputs\.upscaler: the server has nothing to choose"):
        described(UpscaleModelLoader=lacking).inputs_of(read_workflow(json.dumps(graph).encode(), mapped))
    graph["18"]["class_type"] = "CustomCombo"
    described(CustomCombo=lacking).inputs_of(read_workflow(json.dumps(graph).encode(), mapped))


def power(**lora: Any) -> Graph:
    """Return a workflow with a node that holds LoRAs in tables, of which its server says nothing."""
    inputs = {"lora_1": {"on": True, "lora": "a.safetensors", "strength": 1, **lora}, "Add Lora": ""}
    return {**example(), "18": {"class_type": "Power Lora Loader (rgthree)", "inputs": inputs}}


@pytest.mark.parametrize(
    ("part", "value", "sentence"),
    [
        ("strength", 0.5, ""),
        ("strength", -1, ""),
        ("strength", "strong", "config.x: must be a number, not 'strong'"),
        ("strength", True, "config.x: must be a number, not true"),
        ("on", False, ""),
        ("on", 0, "config.x: must be true or false, not 0"),
        ("lora", "b.safetensors", ""),
        ("lora", "None", ""),
        ("lora", "c.safetensors", "config.x: 'c.safetensors' is not offered; did you mean"),
        ("lora", 7, "config.x: must be text, not 7"),
        ("note", "anything", ""),
        ("file", "c.safetensors", "config.x: 'c.safetensors' is not offered"),
    ],
)
def test_a_part_of_a_table_takes_what_is_like_the_workflows_own_value(part: str, value: Any, sentence: str) -> None:
    """The server checks nothing within a table, and a node goes on without a LoRA that it does not find."""
    graph = power(note="x", file="b.safetensors")
    config: Config = {"inputs": {"seed": "3.seed", "x": f"18.lora_1.{part}"}, "x": value}
    loader = {"input": {"required": {"lora_name": [["a.safetensors", "b.safetensors"]]}}}
    told = {"Power Lora Loader (rgthree)": {"input": {"optional": {}}}, "LoraLoader": loader}
    workflow = read_workflow(json.dumps(graph).encode(), config)

    if not sentence:
        check_against(described(**told), workflow, config)
        return
    with pytest.raises(InvalidInputError) as refused:
        check_against(described(**told), workflow, config)
    assert str(refused.value).startswith(sentence)


def test_without_a_list_of_loras_a_part_takes_any_text() -> None:
    """As of a server without LoRAs: what it has not told is not known."""
    config: Config = {"inputs": {"seed": "3.seed", "x": "18.lora_1.lora"}, "x": "new.safetensors"}
    workflow = read_workflow(json.dumps(power()).encode(), config)

    check_against(described(**{"Power Lora Loader (rgthree)": {}}), workflow, config)


def test_the_nodes_that_count_have_to_save() -> None:
    """One that saves nothing would end each job without a picture."""
    described().inputs_of(workflow_of(output_nodes=["9"]))
    with pytest.raises(InvalidInputError, match=r"^config\.output_nodes: node 3 .* saves nothing"):
        described().inputs_of(workflow_of(output_nodes=["3"]))
