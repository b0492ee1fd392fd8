"""What the end of a prompt means for its job."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bus.contracts.fields import Config
from bus.contracts.messages import JobError, JobResult
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.comfyui.history import Ended, ImageFile
from pipeline_runner.pipelines.comfyui.results import Harvest, gave_nothing_again, judge
from pipeline_runner.pipelines.comfyui.workflow import Workflow, patched, read_workflow, values_of
from tests.support.comfyui_jobs import example, inputs
from tests.support.factories import context, record_of

SAVED, PREVIEW = ImageFile("9", "a.png", "", "output"), ImageFile("12", "b.png", "", "temp")
VIDEO = ImageFile("13", "x.mp4", "video", "output")
CONFIG: Config = {"workflow": "x.json", "cfg_scale": 7, "seed": 5}


def workflow_of(**config: Any) -> Workflow:
    """Return the example with cfg_scale mapped."""
    graph = {**example(), "12": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}
    return read_workflow(json.dumps(graph).encode(), {**CONFIG, "inputs": inputs("cfg_scale"), **config})


def ended_of(workflow: Workflow, **changes: Any) -> Ended:
    """Return the end of a prompt that ended well, but for the changes."""
    sent = patched(workflow.graph, values_of(workflow, CONFIG))
    usual: dict[str, Any] = {
        "state": "success",
        "error": None,
        "images": (SAVED, PREVIEW),
        "graph": sent,
        "cached": frozenset[str](),
        "seconds": 2.5,
    }
    return Ended(**{**usual, **changes})


def verdict_of(workflow: Workflow, node_errors: str = "", **changes: Any) -> JobResult | Harvest:
    """Judge a prompt that ended well, but for the changes."""
    sent = patched(workflow.graph, values_of(workflow, CONFIG))
    job = record_of(config=CONFIG, mark=context())
    return judge(ended_of(workflow, **changes), job, workflow, sent, node_errors)


def failure(verdict: JobResult | Harvest) -> tuple[str, str]:
    """Return kind and text of a failure."""
    assert isinstance(verdict, JobResult)
    assert verdict.error is not None
    return verdict.error.kind, verdict.error.message


def test_a_prompt_that_ended_well_is_worth_its_pictures() -> None:
    """Pictures that count, the values that were used, the time; nothing to warn of."""
    assert verdict_of(workflow_of()) == Harvest(images=[SAVED], effective={"seed": 5, "cfg_scale": 7}, warnings=())


@pytest.mark.parametrize(
    ("config", "images", "cached", "node_errors", "text"),
    [
        ({}, (), ("4", "6"), "", "the workflow gave no picture; add a Save Image node"),
        ({}, (), (), "", "the workflow gave no picture; add a Save Image node"),
        ({}, (PREVIEW,), (), "node 9 (S): bad", "no picture was saved: node 9 (S): bad"),
        ({}, (VIDEO,), (), "", "x.mp4 of node 13 is no picture and was left at the server, and no picture came; add"),
        ({"output_nodes": ["12"]}, (SAVED,), (), "", "no picture came from node 12 (config.output_nodes)"),
        ({}, (), (), "node 3 (K): bad", "no picture was saved: node 3 (K): bad"),
    ],
)
def test_a_success_without_a_picture_is_a_failure_with_its_reason(
    config: dict[str, Any], images: tuple[ImageFile, ...], cached: tuple[str, ...], node_errors: str, text: str
) -> None:
    """Cached, only previewed, from another node, or left out by the server: each is told apart."""
    verdict = verdict_of(workflow_of(**config), node_errors, images=images, cached=frozenset(cached))

    kind, found = failure(verdict)
    assert kind == "invalid_request"
    assert found.startswith(text)


@pytest.mark.parametrize(("cached", "said"), [(("9",), True), (("3", "8", "9"), True), (("4", "6"), False)])
def test_a_prompt_that_was_not_executed_again_is_told(cached: tuple[str, ...], *, said: bool) -> None:
    """A loaded model is always cached, and the picture was made all the same."""
    verdict = verdict_of(workflow_of(), cached=frozenset(cached))

    assert isinstance(verdict, Harvest)
    assert (verdict.warnings == ("the server had this very prompt in its cache",)) is said


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"images": (), "cached": frozenset(workflow_of().graph)}, True),
        ({"images": (), "cached": frozenset({"4"})}, False),
        ({"images": (), "cached": frozenset(), "graph": {}}, False),
        ({"cached": frozenset(workflow_of().graph)}, False),
        ({"images": (), "cached": frozenset(workflow_of().graph), "state": "error"}, False),
    ],
)
def test_an_older_server_that_names_no_cached_pictures_is_known(changes: dict[str, Any], *, again: bool) -> None:
    """Then the prompt is executed once more."""
    assert gave_nothing_again(ended_of(workflow_of(), **changes)) is again


def other(value: Any) -> Graph:
    """Return nodes that were executed with another guidance."""
    graph = example()
    graph["3"]["inputs"] |= {"cfg": value, "seed": 5}
    return graph


@pytest.mark.parametrize(("used", "same"), [(7, True), (7.0, True), (7.5, False), ("7", False), (None, False)])
def test_a_value_is_the_same_only_if_it_is_equal(used: Any, *, same: bool) -> None:
    """A whole number may come back as 7.0; a text, another number, or nothing is a substitution."""
    verdict = verdict_of(workflow_of(), graph=other(used))

    assert isinstance(verdict, Harvest) is same
    assert same or failure(verdict)[0] == "substituted"


def test_without_executed_nodes_nothing_can_be_compared() -> None:
    """Then what was sent counts as what was used."""
    verdict = verdict_of(workflow_of(), graph={})

    assert isinstance(verdict, Harvest)
    assert verdict.effective == {"seed": 5, "cfg_scale": 7}


@pytest.mark.parametrize("kind", ["oom", "server_error"])
def test_advice_is_given_where_there_is_some(kind: str) -> None:
    """Memory can be saved; other errors speak for themselves."""
    found, text = failure(verdict_of(workflow_of(), state="error", error=JobError(kind=kind, message="x")))

    assert found == kind
    assert ("lower the size" in text) is (kind == "oom")


def test_a_prompt_that_somebody_interrupted_is_a_failure() -> None:
    """At the server's own page, say: it is no cancel of ours."""
    assert failure(verdict_of(workflow_of(), state="interrupted")) == (
        "interrupted",
        "somebody interrupted the prompt at the server",
    )


def test_outputs_that_were_left_out_and_a_seed_without_a_place_are_warned_of() -> None:
    """The picture counts; people see what is odd about it."""
    mapped = workflow_of()
    seedless = replace(mapped, inputs={"cfg_scale": mapped.inputs["cfg_scale"]})

    verdict = verdict_of(seedless, "node 12 (P): bad")

    assert isinstance(verdict, Harvest)
    assert verdict.warnings == (
        "some outputs were left out: node 12 (P): bad",
        "config.seed: the workflow has no input for it, so all jobs of a variant are the same",
    )


def test_videos_among_the_pictures_are_left_at_the_server() -> None:
    """ComfyUI lists them in the same place; the pictures are what the job was for."""
    videos = (VIDEO, ImageFile("9", "a.webm", "", "output"))

    verdict = verdict_of(workflow_of(), images=(*videos, SAVED))

    assert isinstance(verdict, Harvest)
    assert verdict.images == [SAVED]
    assert verdict.warnings == (
        "a.webm and 1 more files of node 9 (SaveImage) and node 13 is no picture and was left at the server",
    )


def test_pictures_are_in_the_order_of_the_workflow() -> None:
    """Not in that of the server, which differs between versions; nodes that only the server knows come last."""
    graph = workflow_of().graph
    files = [ImageFile(node, f"{number}.png", "", "output") for number, node in enumerate(("77", "12", "9", "12"))]

    verdict = verdict_of(workflow_of(), images=tuple(files), graph=graph)

    assert isinstance(verdict, Harvest)
    assert verdict.images == [files[2], files[1], files[3], files[0]]


def test_previews_are_taken_where_nothing_is_saved() -> None:
    """With a word on how to keep pictures at the server; nothing is said where the preview was asked for."""
    taken = verdict_of(workflow_of(), images=(PREVIEW, VIDEO))
    asked = verdict_of(workflow_of(output_nodes=["12"]), images=(PREVIEW, SAVED))

    assert isinstance(taken, Harvest)
    assert isinstance(asked, Harvest)
    assert taken.images == asked.images == [PREVIEW]
    assert "no node saves pictures, so the previews of node 12 (PreviewImage) were taken" in taken.warnings[-1]
    assert asked.warnings == ()
