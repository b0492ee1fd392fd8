"""The files that a ComfyUI experiment takes its workflow from: an export, a picture, and what the editor saves."""

import json
from typing import Any

import pytest

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.graph import Graph
from tests.support.comfyui_jobs import ComfyuiJobs, example
from tests.support.generated_pictures import encoded, exif, png, text


def as_in_the_editor(graph: Graph, info: dict[str, Any]) -> dict[str, Any]:
    """Return a workflow as the editor of a server with these nodes saves it."""
    nodes, links = list[dict[str, Any]](), list[list[Any]]()
    for name, node in graph.items():
        values: list[Any] = []
        for key in info[node["class_type"]]["input"]["required"]:
            if key in node["inputs"] and not isinstance(node["inputs"][key], list):
                values += [node["inputs"][key], *(["randomize"] if key == "seed" else [])]
        slots = list[dict[str, Any]]()
        for key, value in node["inputs"].items():
            if isinstance(value, list):
                links.append([len(links) + 1, int(value[0]), value[1], int(name), len(slots), "*"])
                slots.append({"name": key, "type": "*", "link": len(links)})
        nodes.append(
            {"id": int(name), "type": node["class_type"], "mode": 0, "inputs": slots, "widgets_values": values}
        )
    return {"nodes": nodes, "links": links, "version": 0.4}


def test_a_picture_and_what_the_editor_saves_are_run_as_the_export_is(comfy: ComfyuiJobs) -> None:
    """The server gets the same nodes, whichever file they come from."""
    graph = example()
    told = json.dumps({key: {**node, "is_changed": [float("nan")]} for key, node in graph.items()})
    editor = json.dumps(as_in_the_editor(graph, comfy.fake.object_info))
    files = {
        "export.json": json.dumps(graph).encode(),
        "picture.png": png(text("prompt", told), text("workflow", editor)),
        "picture.webp": encoded("WEBP", exif({0x0110: f"prompt:{told}".encode()})),
        "editor.json": editor.encode(),
        "editor.png": png(text("workflow", editor)),
    }
    sent = []
    for name, data in files.items():
        path = comfy.folder / name
        path.write_bytes(data)
        config = comfy.config() | {"workflow": str(path), "cfg_scale": 3.5}
        comfy.check(config)
        result = comfy.run(config, name=name)
        assert result.success, (name, result.error)
        nodes = comfy.fake.prompts[-1]["prompt"]
        sent.append({key: (node["class_type"], node["inputs"]) for key, node in nodes.items()})

    assert all(one == sent[0] for one in sent)
    assert sent[0]["3"][1]["cfg"] == 3.5


def test_what_the_server_says_too_little_of_is_refused_before_anything_runs(comfy: ComfyuiJobs) -> None:
    """The sentence says how to export it; without a server, that it is for the editor."""
    path = comfy.folder / "editor.json"
    graph = as_in_the_editor(example(), comfy.fake.object_info)
    graph["nodes"][0]["widgets_values"] += ["one", "too many"]
    path.write_text(json.dumps(graph))
    config = comfy.config() | {"workflow": str(path)}

    with pytest.raises(InvalidInputError, match="has more values than inputs; export it with"):
        comfy.check(config)
    with pytest.raises(InvalidInputError, match="for the editor, not for the API; export it with"):
        comfy.new_pipeline().check("workflow", config)
    assert comfy.fake.prompts == []
