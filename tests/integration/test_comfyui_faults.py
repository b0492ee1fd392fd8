"""The comfyui pipeline when the server, its other users, or the network misbehave."""

import pytest

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.server import ComfyServer
from tests.servers.comfyui import OUT_OF_MEMORY
from tests.servers.comfyui_nodes import Graph
from tests.support.comfyui_jobs import ComfyuiJobs, error_of, example, prompt_id
from tests.support.factories import Reports, context
from tests.support.helpers import wait_until

PAGE = b"<html>502 Bad Gateway</html>"


# what the server refuses or cannot do


def test_a_refused_prompt_is_explained_in_one_message(comfy: ComfyuiJobs) -> None:
    """Every node with an error is named with its input and the server's own words; nothing is tried again."""
    graph = example()
    graph["4"]["inputs"]["ckpt_name"] = "gone.safetensors"

    kind, text = error_of(comfy.run(comfy.config(graph, cfg_scale=200)))

    assert kind == "invalid_request"
    assert "node 3 (KSampler), input cfg: Value 200.0 bigger than max of 100.0" in text
    assert "node 4 (CheckpointLoaderSimple), input ckpt_name: Value not in list: 'gone.safetensors' not in" in text


def test_a_node_that_is_not_installed_is_named_by_the_server_too(comfy: ComfyuiJobs) -> None:
    """A refusal without errors of nodes is told as well."""
    graph = {**example(), "20": {"class_type": "Missing", "inputs": {}}}

    kind, text = error_of(comfy.run(comfy.config(graph)))

    assert (kind, "Node 'Missing' not found" in text) == ("invalid_request", True)


def second_output() -> Graph:
    """Return the example with a second output that the server leaves out, as its size is wrong."""
    graph = example()
    graph["22"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 1, "height": 512, "batch_size": 1}}
    graph["21"] = {"class_type": "VAEDecode", "inputs": {"samples": ["22", 0], "vae": ["4", 2]}}
    graph["20"] = {"class_type": "SaveImage", "inputs": {"images": ["21", 0], "filename_prefix": "second"}}
    return graph


def test_an_output_that_was_left_out_is_a_warning(comfy: ComfyuiJobs) -> None:
    """The server may take a prompt without one of its outputs; the job says so."""
    result = comfy.run(comfy.config(second_output()))

    assert len(result.images) == 1
    (warning,) = result.warnings
    assert "node 22 (EmptyLatentImage), input width: Value 1 smaller than min of 16" in warning


def test_an_output_that_is_wanted_and_was_left_out_is_a_failure(comfy: ComfyuiJobs) -> None:
    """Nothing is executed for a job that cannot give what it is for."""
    comfy.fake.hold()

    kind, text = error_of(comfy.run(comfy.config(second_output(), output_nodes=["20"])))

    assert kind == "invalid_request"
    assert text.startswith("node 20 gives nothing: node 22")
    wait_until(lambda: not comfy.fake.running + comfy.fake.pending, what="an empty queue")
    assert comfy.fake.executed == []


@pytest.mark.parametrize(
    "error",
    [
        ("ValueError", "bad mask"),
        ("safetensors.KeyError", "'lora'"),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)"),
        ("OSError", "No space left on device"),
    ],
)
def test_an_exception_in_a_node_is_told_as_it_is(comfy: ComfyuiJobs, error: tuple[str, str]) -> None:
    """Another try shows whether the values cause it: the runner decides that."""
    comfy.fake.behaviour.errors.append(error)

    found, text = error_of(comfy.run(comfy.config()))

    assert found == "server_error"
    assert text == f"node 3 (KSampler): {error[0].rpartition('.')[2]}: {error[1]}"
    assert comfy.pictures() == []


def test_a_prompt_without_memory_runs_again_after_the_models_are_unloaded(comfy: ComfyuiJobs) -> None:
    """Once is bad luck: the second run has an id of its own, and its picture is the job's."""
    comfy.fake.behaviour.errors.append(OUT_OF_MEMORY)

    result = comfy.run(comfy.config())

    assert result.success
    assert comfy.fake.freed == 1
    ids = [prompt["prompt_id"] for prompt in comfy.fake.prompts]
    assert ids == [prompt_id(1, number) for number in range(2)]


def test_a_prompt_that_never_has_memory_fails_with_advice(comfy: ComfyuiJobs) -> None:
    """Twice is a fact, with a kind of its own."""
    comfy.fake.behaviour.always = OUT_OF_MEMORY

    kind, text = error_of(comfy.run(comfy.config()))

    assert kind == "oom"
    assert text.startswith("node 3 (KSampler): OutOfMemoryError: Allocation on device")
    assert "lower the size or the batch" in text
    assert (len(comfy.fake.prompts), comfy.fake.freed) == (2, 1)


# what others do


def test_a_prompt_that_somebody_else_interrupted_is_no_result(comfy: ComfyuiJobs) -> None:
    """A person at the server pressed stop: the job has failed, with that reason."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")

    comfy.fake.post_interrupt({})

    assert error_of(job.result)[0] == "interrupted"
    assert comfy.pictures() == []


def test_prompts_of_others_are_waited_for_and_not_mistaken_for_ours(comfy: ComfyuiJobs) -> None:
    """The job waits behind another user's prompt, and neither its progress nor its end is taken for its own."""
    comfy.fake.hold()
    other = comfy.fake.submit_for_another()
    wait_until(lambda: comfy.fake.running == [other], what="the other prompt")
    reports = Reports()
    job = comfy.start(comfy.config(), reports=reports)
    wait_until(lambda: comfy.fake.pending, what="our prompt in the queue")
    assert reports == [(0.0, None, None)]

    comfy.fake.release()

    assert job.result.success
    assert comfy.fake.executed == [other, prompt_id(1, 0)]


def test_a_cleared_queue_is_noticed(comfy: ComfyuiJobs) -> None:
    """A prompt that is neither in the queue nor in the history will never end; the runner is to begin anew."""
    comfy.fake.hold()
    other = comfy.fake.submit_for_another()
    wait_until(lambda: comfy.fake.running == [other], what="the other prompt")
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.pending, what="our prompt in the queue")

    comfy.fake.forget_prompts()

    kind, text = error_of(job.result)
    assert kind == "unreachable"
    assert "started again, or somebody cleared its queue" in text


class LateServer(ComfyServer):
    """Answers the first question of which it knows the answer as it would have a moment before."""

    late = 1

    def history(self, prompt_id: str) -> Ended | None:
        """Say nothing of the end, once."""
        if self.late:
            wait_until(lambda: super(LateServer, self).history(prompt_id), what="the end of the prompt")
            self.late -= 1
            return None
        return super().history(prompt_id)


def test_a_prompt_that_ends_between_two_questions_is_not_taken_for_lost(
    comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not yet in the history, then no more in the queue: the history is asked once more before it counts as lost."""
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.prompt.QUEUE_SECONDS", 0.0)
    comfy.pipeline.server = server = LateServer(ServerAddress(url=comfy.fake.url))

    assert comfy.run(comfy.config()).success
    assert server.late == 0


# what is cached or substituted


def test_a_prompt_that_an_older_server_does_not_answer_again_is_executed_once_more(comfy: ComfyuiJobs) -> None:
    """It has all in its cache and names no picture; an input that no node has makes the last nodes run."""
    comfy.fake.behaviour.repeats_cached_outputs = False
    assert comfy.run(comfy.config()).success

    assert len(comfy.run(comfy.config(), name="job-2").images) == 1

    assert [prompt["prompt"]["9"]["inputs"].get("variantbus") for prompt in comfy.fake.prompts] == [
        None,
        None,
        comfy.fake.prompts[2]["prompt_id"],
    ]
    assert comfy.fake.prompts[2]["prompt"]["3"] == comfy.fake.prompts[0]["prompt"]["3"]


def test_a_cached_picture_counts_and_says_so(comfy: ComfyuiJobs) -> None:
    """The server names the old picture again: it is the right one."""
    first = comfy.run(comfy.config())

    second = comfy.run(comfy.config(), name="job-2")

    assert [image.sha256 for image in second.images] == [image.sha256 for image in first.images]
    assert second.warnings == ("the server had this very prompt in its cache",)


def test_a_workflow_without_any_seed_says_that_jobs_are_alike(comfy: ComfyuiJobs) -> None:
    """Where nothing is random there is no seed to map, and it makes no difference to a job."""
    graph: Graph = {
        "10": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["10", 0], "filename_prefix": "x"}},
    }
    config = comfy.config(graph, inputs={"prefix": "9.filename_prefix"}, prefix="y")
    comfy.check(config)

    result = comfy.run(config)

    assert result.effective == {"prefix": "y"}
    (warning,) = result.warnings
    assert warning.startswith("config.seed: the workflow has no input for it")


@pytest.mark.parametrize(("variable", "succeeds"), [("cfg_scale", False), ("steps", True)])
def test_another_value_than_the_one_that_was_asked_for_is_noticed(
    comfy: ComfyuiJobs, variable: str, *, succeeds: bool
) -> None:
    """Of the variable under test it is a failure, as the picture would be filed under a wrong value; else a warning."""
    comfy.fake.behaviour.substituted["3", "cfg"] = 5.0
    config = comfy.config(cfg_scale=7, steps=20)

    result = comfy.run(config, mark=context(variable=variable))

    assert result.success is succeeds
    text = result.warnings[0] if succeeds else error_of(result)[1]
    assert text == "config.cfg_scale: 7 was asked for at 3.cfg, but the server used 5.0"
    assert succeeds or error_of(result)[0] == "substituted"
    assert len(comfy.pictures()) == succeeds
    assert not succeeds or result.effective["cfg_scale"] == 5.0


def test_a_number_that_the_server_rounds_is_noticed(comfy: ComfyuiJobs) -> None:
    """7.5 steps become 7 without a word; whoever gets past the check is told."""
    result = comfy.run(comfy.config(steps=7.5))

    assert result.warnings == ("config.steps: 7.5 was asked for at 3.steps, but the server used 7",)


# the network
