"""Workflows out of pictures, and workflows for the editor: what becomes nodes of the API, and what is refused."""

import io
import json
from typing import Any, Final

import pytest
from PIL import Image

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.editor import converted
from pipeline_runner.pipelines.comfyui.graph import EditorFormatError, read_graph
from pipeline_runner.pipelines.comfyui.nodes import Nodes
from tests.support.generated_pictures import COMFYUI, NODES, encoded, exif, png, text

LATENT: Final = ["LATENT", {}]
INFO: Final[dict[str, Any]] = {
    "KSampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"default": 0, "control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "cfg": ["FLOAT", {"default": 8.0}],
                "sampler_name": [["euler", "heun"], {}],
                "positive": ["CONDITIONING", {}],
                "latent_image": LATENT,
            },
            "optional": {"denoise": ["FLOAT", {"default": 1.0}], "fed": ["INT", {"forceInput": True}]},
        }
    },
    "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": ["COMBO", {"options": ["a.safetensors"]}]}}},
    "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}}},
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}], "flip": ["BOOLEAN", {}]}}},
    "Blur": {"input": {"required": {"latent": LATENT, "radius": ["INT", {"default": 1}], "must": ["STRING", {}]}}},
    "Save": {"input": {"required": {"samples": LATENT}}, "output_node": True},
    "Modern": {"input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": []}]}}},
    "Bare": {},
    "Power Lora Loader (rgthree)": {"input": {"required": {"model": ["MODEL"], "clip": ["CLIP"]}, "optional": {}}},
}
SERVER: Final = Nodes(json.dumps(INFO).encode())


def node(number: int, kind: str, values: object = None, inputs: object = (), **others: Any) -> dict[str, Any]:
    """Return a node as the editor saves it."""
    slots = [{"name": name, "type": of, "link": link} for name, of, link in inputs]  # type: ignore[attr-defined]
    return {"id": number, "type": kind, "mode": 0, "inputs": slots, "widgets_values": values, **others}


def editor(*nodes: dict[str, Any], links: object = ()) -> dict[str, Any]:
    """Return a workflow as the editor saves it."""
    return {"nodes": list(nodes), "links": links, "version": 0.4}


LINKS: Final = [
    [1, 4, 0, 3, 0, "MODEL"],
    [2, 20, 0, 3, 1, "CONDITIONING"],
    [3, 6, 0, 20, 0, "*"],
    [4, 30, 0, 3, 2, "LATENT"],
    [5, 5, 0, 30, 0, "LATENT"],
    [6, 21, 0, 3, 3, "INT"],
    [7, 3, 0, 9, 0, "LATENT"],
    [8, 4, 1, 6, 0, "CLIP"],
]


def whole() -> dict[str, Any]:
    """Return a workflow with a reroute, a primitive, a bypassed and a muted node, and a note."""
    sampler = [
        ("model", "MODEL", 1),
        ("positive", "CONDITIONING", 2),
        ("latent_image", "LATENT", 4),
        ("steps", "INT", 6),
    ]
    return editor(
        node(3, "KSampler", [42, "randomize", 20, 7.5, "euler", 0.9], sampler, title="Main"),
        node(4, "CheckpointLoaderSimple", ["a.safetensors"]),
        node(5, "Empty", None),
        node(6, "CLIPTextEncode", ["a red fox"], [("clip", "CLIP", 8)]),
        node(9, "Save", None, [("samples", "LATENT", 7)]),
        node(20, "Reroute", None, [("", "*", 3)]),
        node(21, "PrimitiveNode", [30, "fixed"]),
        node(30, "Blur", [3, "x"], [("latent", "LATENT", 5)], mode=4, outputs=[{"type": "LATENT"}]),
        node(31, "Save", None, [("samples", "LATENT", 7)], mode=2),
        node(32, "Note", ["for people"]),
        links=LINKS,
    )


def test_a_workflow_for_the_editor_is_converted_by_what_the_server_says() -> None:
    """Widgets get their names, and what exists only in the editor is gone."""
    graph = read_graph(json.dumps(whole()).encode(), lambda found: converted(found, SERVER))

    assert graph["3"] == {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 30,
            "cfg": 7.5,
            "sampler_name": "euler",
            "denoise": 0.9,
            "model": ["4", 0],
            "positive": ["6", 0],
            "latent_image": ["5", 0],
        },
        "_meta": {"title": "Main"},
    }
    assert graph["6"]["inputs"] == {"text": "a red fox", "clip": ["4", 1]}
    assert set(graph) == {"3", "4", "5", "6", "9"}


def test_values_by_name_uploads_missing_ones_and_newer_links_are_known() -> None:
    """Custom nodes save tables; the button of an upload has a value; what an older version had not has its default."""
    found = converted(
        editor(
            node(1, "LoadImage", ["a.png", "image", True, None]),
            node(2, "KSampler", {"seed": 7, "cfg": 3.0, "videopreview": {}}),
            node(5, "Bare", None, [("a", "INT", 1), ("b", "INT", 99), ("c", "INT", None)]),
            links=[{"id": 1, "origin_id": 1, "origin_slot": 0}],
        ),
        SERVER,
    )

    assert found["1"]["inputs"] == {"image": "a.png", "flip": True}
    assert found["2"]["inputs"] == {"seed": 7, "cfg": 3.0}
    assert found["5"]["inputs"] == {"a": ["1", 0]}
    few = editor(node(2, "KSampler", [7, "fixed", 9, 3.0, "heun"]))
    assert converted(few, SERVER)["2"]["inputs"]["denoise"] == 1.0


def test_the_loras_of_a_power_lora_loader_have_the_names_that_its_page_gives() -> None:
    """Each is a table, from 1 on; its header and its button are nothing to the server."""
    loras = [
        {"on": True, "lora": "detail.safetensors", "strength": 0.8, "strengthTwo": None},
        {"on": False, "lora": "film.safetensors", "strength": 1, "strengthTwo": 0.5},
    ]
    values = [{}, {"type": "PowerLoraLoaderHeaderWidget"}, *loras, {}, ""]
    inputs = [("model", "MODEL", 1), ("clip", "CLIP", None)]
    loader = node(18, "Power Lora Loader (rgthree)", values, inputs)

    found = converted(
        editor(node(4, "CheckpointLoaderSimple", ["a.safetensors"]), loader, links=[[1, 4, 0, 18, 0, "MODEL"]]), SERVER
    )

    assert found["18"]["inputs"] == {"lora_1": loras[0], "lora_2": loras[1], "model": ["4", 0]}
    bare = editor(node(18, "Power Lora Loader (rgthree)", None))
    assert converted(bare, SERVER)["18"]["inputs"] == {}


def test_what_a_muted_node_would_feed_has_nothing() -> None:
    """As in the editor; the server says what is missing then. A bypassed node without such an input brings nothing."""
    found = converted(
        editor(
            node(1, "Save", None, [("samples", "LATENT", 1)]),
            node(2, "Blur", [1, "x"], [], mode=2),
            node(3, "Save", None, [("samples", "LATENT", 2)]),
            node(4, "Blur", [1, "x"], [], mode=4, outputs=[{"type": "LATENT"}]),
            node(6, "Save", None, [("samples", "LATENT", 3)]),
            links=[[1, 2, 0, 1, 0, "LATENT"], [2, 4, 0, 3, 0, "LATENT"], [3, 32, 0, 6, 0, "LATENT"]],
        ),
        SERVER,
    )

    assert found["1"]["inputs"] == found["3"]["inputs"] == found["6"]["inputs"] == {}
    note = editor(
        node(32, "Note", ["x"]), node(1, "Save", None, [("samples", "LATENT", 1)]), links=[[1, 32, 0, 1, 0, "*"]]
    )
    assert converted(note, SERVER)["1"]["inputs"] == {}


def test_labels_and_switches_of_custom_nodes_are_no_nodes_of_the_server() -> None:
    """The server lacks their classes and nothing leads to them; what it lacks and needs is left in, to be named."""
    label = node(2, "Label (rgthree)", None)
    switch = node(3, "Fast Groups Muter (rgthree)", None, [("", "*", None)], outputs=[{"type": "*", "links": None}])
    lost = node(4, "Upscale (none)", None, [("latent", "LATENT", 1)])
    source = node(5, "Source (none)", None, outputs=[{"type": "LATENT", "links": [1]}])

    found = converted(editor(label, switch, lost, source, node(6, "Bare"), links=[[1, 5, 0, 4, 0, "LATENT"]]), SERVER)

    assert set(found) == {"4", "5", "6"}


@pytest.mark.parametrize(
    ("workflow", "why"),
    [
        (editor(node(1, "KSampler", [1, "fixed", "many"])), "node 1 .KSampler. has 'many' where steps was expected"),
        (editor(node(1, "KSampler", [True])), "has True where seed was expected"),
        (editor(node(1, "LoadImage", ["a.png", "image", "yes"])), "has 'yes' where flip was expected"),
        (editor(node(1, "CLIPTextEncode", [1])), "has 1 where text was expected"),
        (editor(node(1, "CheckpointLoaderSimple", [["a"]])), r"has \['a'\] where ckpt_name was expected"),
        (editor(node(1, "CheckpointLoaderSimple", ["a", "b"])), "has more values than inputs"),
        (editor(node(1, "Blur", [1])), "has no value for must"),
        (editor(node(1, "Modern", ["a"])), "the input mode has a form that only the editor knows"),
        (editor(node(1, "workflow>group", [])), "node 1 is a group of nodes or a subgraph"),
        ({**editor(node(1, "id-1")), "definitions": {"subgraphs": [{"id": "id-1"}]}}, "group of nodes or a subgraph"),
        (editor({"id": 1}), "no workflow that the editor has saved"),
        (
            editor(
                node(1, "Reroute", None, [("", "*", 1)]),
                node(2, "Save", None, [("samples", "*", 1)]),
                links=[[1, 1, 0, 1, 0, "*"]],
            ),
            "round in a circle",
        ),
    ],
)
def test_what_only_the_editor_knows_is_refused_with_how_to_export(workflow: dict[str, Any], why: str) -> None:
    """One sentence: what it is, and what to do."""
    with pytest.raises(InvalidInputError, match=f"cannot be converted: .*{why}; export it with"):
        converted(workflow, SERVER)


def test_a_workflow_is_taken_out_of_a_picture() -> None:
    """A PNG has chunks, a WebP and a JPEG have Exif; NaN is no hindrance."""
    for data in (
        png(text("prompt", COMFYUI)),
        encoded("WEBP", exif({0x0110: b"prompt:" + COMFYUI.encode()})),
        encoded("JPEG", exif({0x010E: b"Prompt:" + COMFYUI.encode()})),
        COMFYUI.encode(),
    ):
        assert read_graph(data)["3"]["inputs"] == NODES["3"]["inputs"]
    both = png(text("prompt", COMFYUI), text("workflow", json.dumps(whole())))
    assert set(read_graph(both)) == set(NODES)
    alone = png(text("workflow", json.dumps(whole())))
    with pytest.raises(EditorFormatError, match="for the editor"):
        read_graph(alone)
    assert set(read_graph(alone, lambda found: converted(found, SERVER))) == {"3", "4", "5", "6", "9"}


def test_a_picture_without_a_workflow_says_so() -> None:
    """Most pictures have none; the sentence says how to export one."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "AVIF")
    for data in (png(), buffer.getvalue()):
        with pytest.raises(InvalidInputError, match="the picture has no workflow in it; export it with"):
            read_graph(data)
