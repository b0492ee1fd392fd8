"""What the end of a prompt means for its job."""

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from bus.contracts.fields import Config
from bus.contracts.messages import JobError, JobResult, LearningContext
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.comfyui.history import Ended, OutputFile, OutputText
from pipeline_runner.pipelines.comfyui.results import Barren, Harvest, gave_nothing_again, judge
from pipeline_runner.pipelines.comfyui.workflow import Workflow, patched, read_workflow, values_of
from tests.support.comfyui_jobs import example, inputs
from tests.support.factories import context, record_of

SAVED, PREVIEW = OutputFile("9", "a.png", "", "output"), OutputFile("12", "b.png", "", "temp")
TEXT = OutputText("12", "a cat")
VIDEO = OutputFile("13", "x.mp4", "video", "output")
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
        "outputs": (SAVED, PREVIEW),
        "graph": sent,
        "cached": frozenset[str](),
        "seconds": 2.5,
    }
    return Ended(**{**usual, **changes})


def verdict_of(workflow: Workflow, node_errors: str = "", **changes: Any) -> JobResult | Harvest | Barren:
    """Judge a prompt that ended well, but for the changes."""
    sent = patched(workflow.graph, values_of(workflow, CONFIG))
    job = record_of(config=CONFIG, mark=context())
    return judge(ended_of(workflow, **changes), job, workflow, sent, node_errors)


def failure(verdict: JobResult | Harvest | Barren) -> tuple[str, str]:
    """Return kind and text of a failure."""
    assert isinstance(verdict, JobResult)
    assert verdict.error is not None
    return verdict.error.kind, verdict.error.message


def test_a_prompt_that_ended_well_is_worth_its_pictures() -> None:
    """Pictures that count, the values that were used, the time; nothing to warn of."""
    assert verdict_of(workflow_of()) == Harvest(outputs=[SAVED], effective={"seed": 5, "cfg_scale": 7}, warnings=())


@pytest.mark.parametrize(
    ("config", "outputs", "cached", "text"),
    [
        ({}, (), ("4", "6"), "the workflow gave nothing; add a node that saves, such as Save Image"),
        ({}, (), (), "the workflow gave nothing; add a node that saves, such as Save Image"),
        ({"output_nodes": ["12"]}, (SAVED,), (), "nothing came from node 12 (config.output_nodes)"),
    ],
)
def test_a_workflow_that_gives_nothing_never_will(
    config: dict[str, Any], outputs: tuple[OutputFile, ...], cached: tuple[str, ...], text: str
) -> None:
    """So the other jobs with it need not run."""
    assert verdict_of(workflow_of(**config), outputs=outputs, cached=frozenset(cached)) == Barren(text)


@pytest.mark.parametrize("outputs", [(PREVIEW,), ()])
def test_what_the_server_left_out_for_an_error_may_come_of_another_value(outputs: tuple[OutputFile, ...]) -> None:
    """The job has failed with that; a preview does not stand in for it."""
    verdict = verdict_of(workflow_of(), "node 9 (S): bad", outputs=outputs)

    assert failure(verdict) == ("invalid_request", "nothing was saved: node 9 (S): bad")


@pytest.mark.parametrize(("cached", "said"), [(("9",), True), (("3", "8", "9"), True), (("4", "6"), False)])
def test_a_prompt_that_was_not_executed_again_is_told(cached: tuple[str, ...], *, said: bool) -> None:
    """A loaded model is always cached, and the picture was made all the same."""
    verdict = verdict_of(workflow_of(), cached=frozenset(cached))

    assert isinstance(verdict, Harvest)
    assert (verdict.warnings == ("the server had this very prompt in its cache",)) is said


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"outputs": (), "cached": frozenset(workflow_of().graph)}, True),
        ({"outputs": (), "cached": frozenset({"4"})}, False),
        ({"outputs": (), "cached": frozenset(), "graph": {}}, False),
        ({"cached": frozenset(workflow_of().graph)}, False),
        ({"outputs": (), "cached": frozenset(workflow_of().graph), "state": "error"}, False),
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


@pytest.mark.parametrize(
    ("mark", "fails"),
    [
        (context(variable="steps"), False),
        (context(variable="steps x cfg_scale", value={"steps": 4, "cfg_scale": 7}), True),
        (structs.replace(context(variable="preset", value="fast"), settings=("cfg_scale", "steps")), True),
        (structs.replace(context(variable="cfg_scale", value="fast"), settings=("steps",)), False),
    ],
)
def test_another_value_of_anything_that_is_varied_is_a_failure(mark: LearningContext, *, fails: bool) -> None:
    """One of several variables, or what a preset sets; of all else it is a warning."""
    workflow = workflow_of()
    sent = patched(workflow.graph, values_of(workflow, CONFIG))

    verdict = judge(ended_of(workflow, graph=other(7.5)), record_of(config=CONFIG, mark=mark), workflow, sent, "")

    assert isinstance(verdict, JobResult) is fails
    if isinstance(verdict, JobResult):
        assert failure(verdict)[0] == "substituted"
    else:
        assert isinstance(verdict, Harvest)
        assert len(verdict.warnings) == 1


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


def test_all_that_is_saved_counts() -> None:
    """A video as well as a picture, and neither the preview nor the text beside them."""
    verdict = verdict_of(workflow_of(), outputs=(VIDEO, SAVED, PREVIEW, TEXT))

    assert isinstance(verdict, Harvest)
    assert verdict.outputs == [SAVED, VIDEO]
    assert verdict.warnings == ()


def test_texts_count_where_there_is_nothing_else_or_they_are_asked_for() -> None:
    """A node that shows a text beside the pictures is there for who looks at the page of the server."""
    alone = verdict_of(workflow_of(), outputs=(TEXT,))
    named = verdict_of(workflow_of(output_nodes=["12"]), outputs=(SAVED, TEXT))

    assert isinstance(alone, Harvest)
    assert isinstance(named, Harvest)
    assert alone.outputs == named.outputs == [TEXT]
    assert named.warnings == ()


def test_pictures_are_in_the_order_of_the_workflow() -> None:
    """Not in that of the server, which differs between versions; nodes that only the server knows come last."""
    graph = workflow_of().graph
    files = [OutputFile(node, f"{number}.png", "", "output") for number, node in enumerate(("77", "12", "9", "12"))]

    verdict = verdict_of(workflow_of(), outputs=tuple(files), graph=graph)

    assert isinstance(verdict, Harvest)
    assert verdict.outputs == [files[2], files[1], files[3], files[0]]


def test_previews_are_taken_where_nothing_is_saved() -> None:
    """With a word on how to keep pictures at the server; nothing is said where the preview was asked for."""
    taken = verdict_of(workflow_of(), outputs=(PREVIEW, TEXT))
    asked = verdict_of(workflow_of(output_nodes=["12"]), outputs=(PREVIEW, SAVED))

    assert isinstance(taken, Harvest)
    assert isinstance(asked, Harvest)
    assert taken.outputs == asked.outputs == [PREVIEW]
    assert "no node saves anything, so the previews of node 12 (PreviewImage) were taken" in taken.warnings[-1]
    assert asked.warnings == ()
