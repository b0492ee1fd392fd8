"""Workflows of the kinds that people share, by their structure: which are planned, and what comes of them.

`tests/workflows/` has them as ComfyUI exports them, and in `object_info.json` what a server says of their nodes.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.history import read_ended
from pipeline_runner.pipelines.comfyui.nodes import Nodes, check_against
from pipeline_runner.pipelines.comfyui.results import Barren, Harvest, judge
from pipeline_runner.pipelines.comfyui.workflow import patched, read_workflow, values_of
from tests.support.factories import record_of

FOLDER: Final = Path(__file__).parents[1] / "workflows"
SERVER: Final = Nodes((FOLDER / "object_info.json").read_bytes())


def listed(filename: str, folder: str = "", kind: str = "output", **more: Any) -> dict[str, Any]:
    """Return a file as a node lists it."""
    return {"filename": filename, "subfolder": folder, "type": kind, **more}


def video(filename: str) -> dict[str, Any]:
    """Return a video as VideoHelperSuite lists it."""
    return listed(filename, format="video/h264-mp4", frame_rate=8.0, workflow="a.png", fullpath=f"/srv/{filename}")


PICTURE: Final = {"images": [listed("ComfyUI_00001_.png")]}
SHOWN: Final = {"images": [listed("ComfyUI_temp_hhnkq_00001_.png", kind="temp")]}
MOVING: Final = {"images": [listed("ComfyUI_00001_.webp")], "animated": [True]}
# name → where variables go and to what values, what the nodes list, and what counts
CASES: Final[dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]]] = {
    "txt2img": ({"seed": "3.seed", "cfg": "3.cfg"}, {"cfg": 7.5}, {"9": PICTURE}, ["ComfyUI_00001_.png"]),
    "txt2img_flux": (
        {"seed": "25.noise_seed", "guidance": "26.guidance"},
        {"guidance": 2.5},
        {"9": PICTURE},
        ["ComfyUI_00001_.png"],
    ),
    "img2img": ({"seed": "3.seed", "strength": "3.denoise"}, {"strength": 0.6}, {"9": PICTURE}, ["ComfyUI_00001_.png"]),
    "hires": (
        {"seed": ["3.seed", "11.seed"], "scale": "10.scale_by"},
        {"scale": 2.0},
        {"9": SHOWN, "12": PICTURE},
        ["ComfyUI_00001_.png"],
    ),
    "controlnet": (
        {"seed": "3.seed", "weight": "13.strength"},
        {"weight": 0.5},
        {"14": SHOWN, "9": PICTURE},
        ["ComfyUI_00001_.png"],
    ),
    "lora_stack": (
        {"seed": "3.seed", "film": ["11.strength_model", "11.strength_clip"]},
        {"film": 0.0},
        {"9": {"images": [listed("ComfyUI_00001_.png"), listed("ComfyUI_00002_.png")]}},
        ["ComfyUI_00001_.png", "ComfyUI_00002_.png"],
    ),
    "upscale": (
        {"upscaler": "2.model_name"},
        {"upscaler": "RealESRGAN_x4.pth"},
        {"5": {"images": [listed("upscaled_00001_.png")]}},
        ["upscaled_00001_.png"],
    ),
    "video_animatediff": (
        {"seed": "3.seed", "rate": "11.frame_rate"},
        {"rate": 12},
        {"11": {"gifs": [video("AnimateDiff_00001.mp4")]}},
        ["AnimateDiff_00001.mp4"],
    ),
    "video_wan": (
        {"seed": "3.seed", "shift": "48.shift"},
        {"shift": 5.0},
        {"47": {"images": [listed("ComfyUI_00001_.webm")], "animated": [True]}, "28": MOVING},
        ["ComfyUI_00001_.webp", "ComfyUI_00001_.webm"],
    ),
    "video_svd": (
        {"seed": "3.seed", "motion": "12.motion_bucket_id"},
        {"motion": 80},
        {"25": {"images": [listed("svd_00001_.mp4", "video")], "animated": [True]}},
        ["svd_00001_.mp4"],
    ),
    "audio_stable": (
        {"seed": "3.seed", "cfg": "3.cfg"},
        {"cfg": 6.0},
        {"19": {"audio": [listed("ComfyUI_00001_.mp3", "audio")]}},
        ["ComfyUI_00001_.mp3"],
    ),
    "model_3d": (
        {"seed": "3.seed", "resolution": "61.octree_resolution"},
        {"resolution": 384},
        {"67": {"3d": [listed("ComfyUI_00001_.glb", "mesh")]}},
        ["ComfyUI_00001_.glb"],
    ),
    "text_tags": (
        {"threshold": "2.threshold"},
        {"threshold": 0.5},
        {"2": {"tags": ["castle, sky"]}, "3": {"text": ["castle, sky"]}},
        ["castle, sky"],
    ),
}


def export(name: str) -> bytes:
    """Return a workflow as it was exported."""
    return (FOLDER / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_a_public_workflow_is_planned_and_gives_what_it_saves(name: str) -> None:
    """Whether it ends in a picture, a video, a sound, a model or a text; previews beside what is saved are left."""
    mapped, values, outputs, counted = CASES[name]
    config: Config = {"workflow": f"{name}.json", "inputs": mapped, **values, "seed": 7}
    workflow = read_workflow(export(name), config)
    check_against(SERVER, workflow, config)
    graph = patched(workflow.graph, values_of(workflow, config))
    status = {"status_str": "success", "completed": True, "messages": []}
    ended = read_ended({"prompt": [1, "p", graph, {}, list(outputs)], "outputs": outputs, "status": status})

    verdict = judge(ended, record_of(config=config), workflow, graph, "")

    assert isinstance(verdict, Harvest)
    assert [one[1] for one in verdict.outputs] == counted
    assert values.items() <= verdict.effective.items()


def test_a_workflow_that_saves_weights_alone_is_refused_before_an_hour_of_work() -> None:
    """A merge of two models: nothing of it could be kept or looked at."""
    config: Config = {"workflow": "merge.json", "inputs": {"ratio": "3.ratio"}, "ratio": 0.5}
    workflow = read_workflow(export("merge"), config)

    with pytest.raises(InvalidInputError, match=r"node 4 \(CheckpointSave\) gives no result that can be kept"):
        check_against(SERVER, workflow, config)


def test_a_workflow_that_gave_nothing_is_known() -> None:
    """A combiner of videos waits for more batches: only a run can tell."""
    config: Config = {"workflow": "x.json", "inputs": {"seed": "3.seed"}, "seed": 7}
    workflow = read_workflow(export("video_animatediff"), config)
    ended = read_ended({"outputs": {"11": {"unfinished_batch": [True]}}, "status": {"status_str": "success"}})

    assert isinstance(judge(ended, record_of(config=config), workflow, workflow.graph, ""), Barren)


def test_each_workflow_is_a_case() -> None:
    """None lies there unread."""
    assert {path.stem for path in FOLDER.glob("*.json")} == {*CASES, "merge", "object_info"}
    assert len(json.loads((FOLDER / "object_info.json").read_text(encoding="utf-8"))) > len(CASES)
