"""What a ComfyUI server tells: refusals, errors of nodes, the history, and messages while a prompt runs."""

import json
import math
from typing import Any

import pytest

from pipeline_runner.pipelines.comfyui.errors import dropped_outputs, execution_error, node_errors_text, refusal_text
from pipeline_runner.pipelines.comfyui.history import Ended, OutputFile, OutputText, read_ended
from pipeline_runner.pipelines.comfyui.progress import Entered, News, Steps, read_message
from pipeline_runner.pipelines.comfyui.prompt import client_id_of, prompt_id_of
from pipeline_runner.pipelines.refusals import TEXT_LIMIT

SAMPLER_ERROR = {
    "type": "value_not_in_list",
    "message": "Value not in list",
    "details": "sampler_name: 'x' not in ['euler']",
    "extra_info": {"input_name": "sampler_name"},
}
RANGE_ERROR = {
    "type": "value_smaller_than_min",
    "message": "Value 0 smaller than min of 1",
    "details": "steps",
    "extra_info": {"input_name": "steps"},
}
NODE_ERRORS = {
    "3": {"errors": [SAMPLER_ERROR, RANGE_ERROR], "dependent_outputs": ["9", "12"], "class_type": "KSampler"},
    "4": {"errors": [{"message": "Dependency cycle detected", "details": ""}], "class_type": "Loader"},
}
WHOLE = {"error": {"message": "Prompt has no outputs", "details": ""}, "node_errors": {}}


def test_errors_of_nodes_become_one_text() -> None:
    """Node, class, input, message and details, each once."""
    assert node_errors_text(NODE_ERRORS) == (
        "node 3 (KSampler), input sampler_name: Value not in list: 'x' not in ['euler']; "
        "node 3 (KSampler), input steps: Value 0 smaller than min of 1; "
        "node 4 (Loader): Dependency cycle detected"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"error": {"message": "Prompt outputs failed validation"}, "node_errors": NODE_ERRORS},
            "node 3 (KSampler), in",
        ),
        (WHOLE, "Prompt has no outputs"),
        (
            {"error": {"message": "Node 'X' not found.", "details": "Node ID '#20'"}},
            "Node 'X' not found.: Node ID '#20'",
        ),
        ({"error": "no"}, "no"),
        ("no", "no"),
        (None, "None"),
    ],
)
def test_a_refusal_is_put_into_words_whatever_its_form(body: Any, text: str) -> None:
    """The errors of nodes say more than that of the whole, which says more than nothing."""
    assert refusal_text(body).startswith(text)


@pytest.mark.parametrize("told", [None, [], {}, {"3": None}, {"3": {"errors": [None]}}, {"3": {"errors": None}}])
def test_no_errors_are_no_text(told: Any) -> None:
    """Other servers than the one that we know may write something else there."""
    assert node_errors_text(told) == ""
    assert dropped_outputs(told) == set()


def test_a_long_refusal_is_cut() -> None:
    """A list of thousands of models does not become part of every message."""
    error = {"message": "Value not in list", "details": "x" * 100_000}

    assert len(refusal_text({"node_errors": {"1": {"errors": [error] * 3}}})) <= TEXT_LIMIT


def test_outputs_that_are_left_out_are_known() -> None:
    """They are those that depend on a node with an error."""
    assert dropped_outputs(NODE_ERRORS) == {"9", "12"}


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", "oom"),
        ("torch.cuda.OutOfMemoryError", "x", "oom"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 9 GB)", "oom"),
        ("MemoryError", "", "oom"),
        ("ValueError", "x", "server_error"),
        ("RuntimeError", "CUDA error: unspecified launch failure", "server_error"),
        ("requests.exceptions.ConnectionError", "x", "server_error"),
        ("", "", "server_error"),
    ],
)
def test_an_exception_is_judged_by_its_type(kind: str, message: str, expected: str) -> None:
    """Memory has a kind of its own; of the rest another try shows whether it would come again."""
    data = {"node_id": "3", "node_type": "K", "exception_type": kind, "exception_message": message}

    assert execution_error(data).kind == expected


def test_an_error_of_which_nothing_is_told_has_a_text_all_the_same() -> None:
    """A job never fails without a reason."""
    assert execution_error({"node_id": 3, "node_type": "K"}).message == "node 3 (K): failed without a message"


def entry(**changes: Any) -> dict[str, Any]:
    """Return the history of a prompt that ended well."""
    messages = [
        ["execution_start", {"prompt_id": "p", "timestamp": 1000}],
        ["execution_cached", {"nodes": ["4"], "prompt_id": "p", "timestamp": 1001}],
        ["execution_success", {"prompt_id": "p", "timestamp": 3500}],
    ]
    usual = {
        "prompt": [1, "p", {"3": {"class_type": "K", "inputs": {"cfg": 7}}}, {"client_id": "c"}, ["9"]],
        "outputs": {
            "9": {"images": [{"filename": "a.png", "subfolder": "s", "type": "output"}]},
            "12": {"images": [{"filename": "b.png", "subfolder": "", "type": "temp"}], "animated": [False]},
            "13": {"text": ["hello"]},
        },
        "status": {"status_str": "success", "completed": True, "messages": messages},
    }
    return {**usual, **changes}


A, B = OutputFile("9", "a.png", "s", "output"), OutputFile("12", "b.png", "", "temp")


def test_the_history_of_a_good_prompt_is_read() -> None:
    """Pictures, nodes, what was cached, and how long it ran."""
    assert read_ended(entry()) == Ended(
        state="success",
        error=None,
        outputs=(A, B, OutputText("13", "hello")),
        graph={"3": {"class_type": "K", "inputs": {"cfg": 7}}},
        cached=frozenset({"4"}),
        seconds=2.5,
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [  # as ComfyUI's own nodes and those of others list what they made
        (
            {"images": [{"filename": "v_00001_.webm", "subfolder": "video", "type": "output"}], "animated": [True]},
            [OutputFile("9", "v_00001_.webm", "video", "output")],
        ),
        (
            {
                "gifs": [
                    {
                        "filename": "AnimateDiff_00001.mp4",
                        "subfolder": "",
                        "type": "output",
                        "format": "video/h264-mp4",
                        "frame_rate": 8.0,
                        "workflow": "AnimateDiff_00001.png",
                        "fullpath": "/srv/ComfyUI/output/AnimateDiff_00001.mp4",
                    }
                ]
            },
            [OutputFile("9", "AnimateDiff_00001.mp4", "", "output")],
        ),
        (
            {"audio": [{"filename": "a_00001_.flac", "subfolder": "audio", "type": "output"}]},
            [OutputFile("9", "a_00001_.flac", "audio", "output")],
        ),
        (
            {"3d": [{"filename": "mesh_00001_.glb", "subfolder": "mesh", "type": "output"}]},
            [OutputFile("9", "mesh_00001_.glb", "mesh", "output")],
        ),
        ({"result": ["mesh/x.glb", {"fov": 35}, None]}, [OutputFile("9", "x.glb", "mesh", "output")]),
        ({"result": ["x.glb", None]}, [OutputFile("9", "x.glb", "", "output")]),
        ({"result": [None, {}]}, []),
        ({"result": [""]}, []),
        ({"result": {}}, []),
        (
            {"text": ["a cat"], "files": [{"filename": "t.txt", "subfolder": "", "type": "output"}]},
            [OutputText("9", "a cat"), OutputFile("9", "t.txt", "", "output")],
        ),
        ({"text": ["", 3], "tags": ["a cat"], "unfinished_batch": [True]}, []),
        ({"images": [{"filename": "in.mp4", "subfolder": "", "type": "input"}]}, []),
        ({"images": [{"filename": "", "type": "output"}]}, []),
        (
            {"images": [{"filename": "a.png"}], "a_images": [{"filename": "a.png", "type": "output"}]},
            [OutputFile("9", "a.png", "", "output")],
        ),
        (
            {"latents": [{"filename": "l.latent", "subfolder": "", "type": "output"}]},
            [OutputFile("9", "l.latent", "", "output")],
        ),
    ],
)
def test_each_node_lists_its_files_in_its_own_way(told: Any, found: list[Any]) -> None:
    """Whatever the list is called; what a node has read is no result."""
    assert list(read_ended(entry(outputs={"9": told})).outputs) == found


@pytest.mark.parametrize(
    ("event", "state", "kind"),
    [("execution_error", "error", "server_error"), ("execution_interrupted", "interrupted", None)],
)
def test_the_history_of_a_bad_prompt_is_read(event: str, state: str, kind: str | None) -> None:
    """An error and an interruption have the same status, and are told apart by the messages."""
    data = {"prompt_id": "p", "node_id": "3", "node_type": "K", "exception_type": "ValueError"}
    status = {"status_str": "error", "completed": False, "messages": [[event, data]]}

    ended = read_ended(entry(outputs={}, status=status))

    assert (ended.state, ended.outputs, ended.seconds) == (state, (), None)
    assert ended.error is not None
    assert kind in (None, ended.error.kind)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"status": None, "prompt": None, "outputs": None},
        {"status": {"messages": [None, [], ["execution_cached"], ["execution_cached", None]]}},
        {"outputs": {"9": None, "10": {"images": None}, "11": {"images": [None, {}, {"filename": 3}]}}},
        {"prompt": [1, "p"]},
        {"prompt": [1, "p", {"3": None, "4": {"inputs": []}}]},
    ],
)
def test_a_history_that_lacks_parts_is_read_as_far_as_it_goes(told: Any) -> None:
    """Versions differ in what they keep; none of them makes a job crash."""
    ended = read_ended(told)

    assert (ended.state, ended.outputs, ended.graph, ended.seconds) == ("success", (), {}, None)


@pytest.mark.parametrize(
    ("kind", "data", "news"),
    [
        ("progress", {"value": 3, "max": 20, "node": "3"}, Steps(3, 20)),
        ("progress", {"value": 3, "max": 0}, None),
        ("progress", {"value": "3", "max": 20}, None),
        ("progress", {"value": math.nan, "max": 20}, None),
        ("progress", {"value": 3, "max": math.inf}, None),
        ("progress", {"value": 1e300, "max": 1e300}, None),
        ("progress", {"value": 1, "max": 10**400}, None),
        ("progress", {"value": True, "max": 2}, None),
        ("progress_state", {"nodes": {"3": {"value": 1.0, "max": 4.0, "state": "running"}}}, Steps(1, 4)),
        ("progress_state", {"nodes": {"3": {"value": 1, "max": 1, "state": "finished"}, "4": None}}, None),
        ("progress_state", {"nodes": []}, None),
        ("executing", {"node": "3"}, Entered("3")),
        ("executing", {"node": "5.0.1", "display_node": "5"}, Entered("5")),
        ("execution_start", {}, "started"),
        ("progress_state", {"nodes": {"3": {"value": 0.0, "max": 1.0, "state": "running"}}}, None),
        ("executing", {"node": None}, "ended"),
        ("executing", {}, None),
        ("execution_success", {}, "ended"),
        ("execution_error", {}, "ended"),
        ("execution_interrupted", {}, "ended"),
        ("executed", {"node": "9", "output": {}}, None),
        ("something_new", {"value": 1, "max": 2}, None),
    ],
)
def test_a_message_is_read_if_it_is_about_our_prompt(kind: str, data: dict[str, Any], news: News) -> None:
    """Progress and ends count; the same message about another prompt, or about none, does not."""
    assert read_message(json.dumps({"type": kind, "data": {**data, "prompt_id": "p"}}), "p") == news
    assert read_message(json.dumps({"type": kind, "data": {**data, "prompt_id": "q"}}), "p") is None
    assert read_message(json.dumps({"type": kind, "data": data}), "p") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"type": 1}', '{"type": "x", "data": []}', "[" * 100_000])
def test_what_is_no_message_is_passed_over(text: str) -> None:
    """Custom nodes send what they like."""
    assert read_message(text, "p") is None


def test_ids_are_the_same_whoever_computes_them() -> None:
    """An attempt of a job finds the prompts of the earlier ones; newer servers want a UUID in its usual form."""
    assert prompt_id_of("exp-1.0.0.0", 1.5, 1, 0) == "e4b720a7-86a0-570a-957a-bd54cb1fe664"
    runs = [(queued_at, *run) for queued_at in (1.0, 1.1) for run in ((1, 0), (1, 1), (2, 0))]
    ids = {prompt_id_of(job, *run) for job in ("a", "b") for run in runs}
    assert len(ids) == 12
    assert client_id_of("a") != client_id_of("b")


def test_errors_in_another_form_are_passed_over() -> None:
    """Custom nodes write what they like."""
    assert node_errors_text({"1": {"errors": 7}, "2": 8, "3": {"errors": [9]}}) == ""
    assert dropped_outputs({"1": {"dependent_outputs": 7}}) == set()


def test_times_that_no_number_can_hold_are_none() -> None:
    """They are a custom server's, and the job is well without them."""
    messages = [[f"execution_{name}", {"timestamp": 10**400}] for name in ("start", "success")]

    assert read_ended({"status": {"status_str": "success", "messages": messages}}).seconds is None
