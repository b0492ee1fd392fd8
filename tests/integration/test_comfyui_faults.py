"""The comfyui pipeline when the server, its other users, or the network misbehave."""

import json
from collections import deque

import pytest

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.server import ComfyServer
from pipeline_runner.pipelines.http_client import ServerFault
from tests.servers.comfyui import OUT_OF_MEMORY
from tests.servers.comfyui_nodes import Graph
from tests.support.comfyui_jobs import Bench, error_of, example, inputs, prompt_id
from tests.support.factories import Reports, context
from tests.support.helpers import wait_until

PAGE = b"<html>502 Bad Gateway</html>"


# what the server refuses or cannot do


def test_a_refused_prompt_is_explained_in_one_message(comfy: Bench) -> None:
    """Every node with an error is named with its input and the server's own words; nothing is tried again."""
    graph = example()
    graph["4"]["inputs"]["ckpt_name"] = "gone.safetensors"

    kind, text = error_of(comfy.run(comfy.config(graph, cfg_scale=200)))

    assert kind == "invalid_request"
    assert "node 3 (KSampler), input cfg: Value 200.0 bigger than max of 100.0" in text
    assert "node 4 (CheckpointLoaderSimple), input ckpt_name: Value not in list: 'gone.safetensors' not in" in text


def test_a_node_that_is_not_installed_is_named_by_the_server_too(comfy: Bench) -> None:
    """A refusal without errors of nodes is told as well."""
    graph = {**example(), "20": {"class_type": "Missing", "inputs": {}}}

    kind, text = error_of(comfy.run(comfy.config(graph)))

    assert (kind, "Node 'Missing' not found" in text) == ("invalid_request", True)


def second_output() -> Graph:
    """Give the example with a second output that the server leaves out, as its size is wrong."""
    graph = example()
    graph["22"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 1, "height": 512, "batch_size": 1}}
    graph["21"] = {"class_type": "VAEDecode", "inputs": {"samples": ["22", 0], "vae": ["4", 2]}}
    graph["20"] = {"class_type": "SaveImage", "inputs": {"images": ["21", 0], "filename_prefix": "second"}}
    return graph


def test_an_output_that_was_left_out_is_a_warning(comfy: Bench) -> None:
    """The server may take a prompt without one of its outputs; the job says so."""
    result = comfy.run(comfy.config(second_output()))

    assert len(result.images) == 1
    (warning,) = result.warnings
    assert "node 22 (EmptyLatentImage), input width: Value 1 smaller than min of 16" in warning


def test_an_output_that_is_wanted_and_was_left_out_is_a_failure(comfy: Bench) -> None:
    """Nothing is executed for a job that cannot give what it is for."""
    comfy.fake.hold()

    kind, text = error_of(comfy.run(comfy.config(second_output(), output_nodes=["20"])))

    assert kind == "invalid_request"
    assert text.startswith("node 20 gives nothing: node 22")
    wait_until(lambda: not comfy.fake.running + comfy.fake.pending, what="an empty queue")
    assert comfy.fake.executed == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (("ValueError", "bad mask"), "invalid_request"),
        (("safetensors.KeyError", "'lora'"), "invalid_request"),
        (("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)"), "invalid_request"),
        (("RuntimeError", "CUDA error: an illegal memory access was encountered"), "server_error"),
        (("OSError", "No space left on device"), "server_error"),
    ],
)
def test_an_exception_in_a_node_is_judged_by_whether_it_would_come_again(
    comfy: Bench, error: tuple[str, str], kind: str
) -> None:
    """What the values cause fails at once; what the machine may have caused is tried again by the runner."""
    comfy.fake.behaviour.errors.append(error)

    found, text = error_of(comfy.run(comfy.config()))

    assert found == kind
    assert text == f"node 3 (KSampler): {error[0].rpartition('.')[2]}: {error[1]}"
    assert comfy.pictures() == []


def test_a_prompt_without_memory_runs_again_after_the_models_are_unloaded(comfy: Bench) -> None:
    """Once is bad luck: the second run has an id of its own, and its picture is the job's."""
    comfy.fake.behaviour.errors.append(OUT_OF_MEMORY)

    result = comfy.run(comfy.config())

    assert result.success
    assert comfy.fake.freed == 1
    ids = [prompt["prompt_id"] for prompt in comfy.fake.prompts]
    assert ids == [prompt_id(1, number) for number in range(2)]


def test_a_prompt_that_never_has_memory_fails_with_advice(comfy: Bench) -> None:
    """Twice is a fact, with a kind of its own."""
    comfy.fake.behaviour.always = OUT_OF_MEMORY

    kind, text = error_of(comfy.run(comfy.config()))

    assert kind == "oom"
    assert text.startswith("node 3 (KSampler): OutOfMemoryError: Allocation on device")
    assert "lower the size or the batch" in text
    assert (len(comfy.fake.prompts), comfy.fake.freed) == (2, 1)


# what others do


def test_a_prompt_that_somebody_else_interrupted_is_no_result(comfy: Bench) -> None:
    """A person at the server pressed stop: the job has failed, with that reason."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")

    comfy.fake.post_interrupt({})

    assert error_of(job.result)[0] == "interrupted"
    assert comfy.pictures() == []


def test_prompts_of_others_are_waited_for_and_not_mistaken_for_ours(comfy: Bench) -> None:
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


def test_a_cleared_queue_is_noticed(comfy: Bench) -> None:
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
        ended = super().history(prompt_id)
        if ended and self.late:
            self.late -= 1
            return None
        return ended


def test_a_prompt_that_ends_between_two_questions_is_not_taken_for_lost(
    comfy: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not yet in the history, then no more in the queue: the history is asked once more before it counts as lost."""
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.prompt.QUEUE_SECONDS", 0.0)
    comfy.pipeline.server = server = LateServer(ServerAddress(url=comfy.fake.url))

    assert comfy.run(comfy.config()).success
    assert server.late == 0


# what is cached or substituted


def test_the_same_prompt_again_gives_no_picture_and_the_reason_is_told(comfy: Bench) -> None:
    """The server executes nothing that it has had before; without outputs that is a failure, not a silent success."""
    assert comfy.run(comfy.config()).success

    kind, text = error_of(comfy.run(comfy.config(), name="job-2"))

    assert kind == "invalid_request"
    assert "map the seed in config.inputs" in text


def test_a_cached_picture_counts_but_its_time_does_not(comfy: Bench) -> None:
    """Newer servers name the old picture again: it is the right one, made in no time."""
    comfy.fake.behaviour.repeats_cached_outputs = True
    first = comfy.run(comfy.config())

    second = comfy.run(comfy.config(), name="job-2")

    assert [image.sha256 for image in second.images] == [image.sha256 for image in first.images]
    assert second.seconds is None
    assert ["cache" in warning for warning in second.warnings] == [True]


def test_a_workflow_without_any_seed_says_that_jobs_are_alike(comfy: Bench) -> None:
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
    comfy: Bench, variable: str, *, succeeds: bool
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


def test_a_number_that_the_server_rounds_is_noticed(comfy: Bench) -> None:
    """7.5 steps become 7 without a word; whoever gets past the check is told."""
    result = comfy.run(comfy.config(steps=7.5))

    assert result.warnings == ("config.steps: 7.5 was asked for at 3.steps, but the server used 7",)


# the network


@pytest.mark.parametrize("accepted", [True, False])
def test_without_a_websocket_the_history_decides(comfy: Bench, *, accepted: bool) -> None:
    """A refused or dropped websocket costs the progress, not the job."""
    comfy.fake.behaviour.websocket = accepted
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    if accepted:
        wait_until(lambda: comfy.fake.sockets, what="the websocket")
        comfy.fake.behaviour.websocket = False
        for peer in list(comfy.fake.sockets.values()):
            peer.drop()

    comfy.fake.release()

    assert job.result.success


def test_a_websocket_that_drops_is_connected_again(comfy: Bench) -> None:
    """Progress goes on under the same client id."""
    comfy.fake.hold()
    reports = Reports()
    job = comfy.start(comfy.config(), reports=reports)
    wait_until(lambda: (0.5, 2, 4) in reports, what="progress")
    (old,) = comfy.fake.sockets.values()
    old.drop()
    wait_until(lambda: comfy.fake.sockets and old not in comfy.fake.sockets.values(), what="another connection")

    comfy.fake.tell_progress(3)

    wait_until(lambda: (0.75, 3, 4) in reports, what="more progress")
    comfy.fake.release()
    assert job.result.success


def test_a_server_that_goes_away_leaves_the_job_to_be_run_again(comfy: Bench) -> None:
    """Whatever the moment, the runner learns that the server, and not the job, is at fault."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")

    comfy.fake.stop()

    assert error_of(job.result)[0] == "unreachable"
    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"


def test_a_job_runs_anew_at_a_server_that_was_started_again(comfy: Bench) -> None:
    """The next attempt finds nothing of the first one and submits its own prompt."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    comfy.fake.stop()
    assert error_of(job.result)[0] == "unreachable"
    comfy.fake.release()
    comfy.fake.start()

    assert comfy.run(comfy.config(), attempt=2).success
    assert comfy.fake.executed == [prompt_id(2, 0)]


@pytest.mark.parametrize("path", ["/prompt", "/history", "/view", "/queue"])
def test_behind_a_page_of_a_proxy_the_server_is_away(comfy: Bench, path: str) -> None:
    """Jobs wait for it; status and beginning of the page are shown."""
    exact = f"/history/{prompt_id(2, 0)}" if path == "/history" else path
    comfy.fake.behaviour.answers[exact] = deque([(502, PAGE)])

    kind, text = error_of(comfy.run(comfy.config(), attempt=2))

    assert kind == "unreachable"
    assert f"answered 502 to {path}" in text
    assert "502 Bad Gateway" in text
    assert comfy.pictures() == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, PAGE, "unreachable"),
        (403, b"", "unreachable"),
        (404, PAGE, "unreachable"),
        (408, PAGE, "server_error"),
        (429, b'{"error": "slow down"}', "server_error"),
        (400, b'{"error": "no"}', "invalid_request"),
    ],
)
def test_a_status_says_whether_the_job_is_to_blame(comfy: Bench, status: int, body: bytes, kind: str) -> None:
    """A proxy that is started again, or asks for a password, ends no job."""
    comfy.fake.behaviour.answers["/prompt"] = deque([(status, body)])

    assert error_of(comfy.run(comfy.config()))[0] == kind


def test_a_picture_that_is_cut_in_the_middle_is_fetched_again_by_the_next_attempt(comfy: Bench) -> None:
    """Half a picture is none; the next attempt finds the prompt in the history and executes nothing."""
    comfy.fake.behaviour.cut_views = 1

    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"
    assert comfy.pictures() == []
    assert comfy.run(comfy.config(), attempt=2).success

    assert comfy.fake.executed == [prompt_id(1, 0)]


def test_of_several_pictures_all_are_saved_or_none(comfy: Bench) -> None:
    """A job whose second picture cannot be fetched has no first one either."""
    graph = example()
    graph["5"]["inputs"]["batch_size"] = 2
    comfy.fake.behaviour.answers["/view"] = deque([None, (200, b"whatever")])

    kind, text = error_of(comfy.run(comfy.config(graph)))

    assert kind == "invalid_request"
    assert "no whole PNG, JPEG or WebP picture" in text
    assert comfy.pictures() == []


class SlowServer(ComfyServer):
    """Does not answer in time when the history is asked for the first time."""

    slow = 1

    def history(self, prompt_id: str) -> Ended | None:
        """Give up waiting, once."""
        if self.slow:
            self.slow -= 1
            raise ServerFault("timeout", "no answer within 10 s")
        return super().history(prompt_id)


def test_an_answer_that_comes_late_is_asked_for_again(comfy: Bench) -> None:
    """A server that loads a model may be silent for long, which is not the end of its prompt."""
    comfy.pipeline.server = server = SlowServer(ServerAddress(url=comfy.fake.url))

    assert comfy.run(comfy.config()).success
    assert server.slow == 0


def test_a_slow_answer_is_no_slow_job(comfy: Bench) -> None:
    """Where no answer can be done without, the job is run again; `timeout` is for its own limit."""
    comfy.pipeline.server = SlowServer(ServerAddress(url=comfy.fake.url))

    assert error_of(comfy.run(comfy.config(), attempt=2))[0] == "unreachable"


# older servers


def test_a_server_that_chooses_its_own_ids_is_followed_by_them(comfy: Bench) -> None:
    """Before they took the client's id, servers gave one of their own in the answer."""
    comfy.fake.behaviour.keeps_prompt_ids = False
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    job.cancel()
    assert job.result.cancelled
    wait_until(lambda: not comfy.fake.running, what="the end of the prompt")
    comfy.fake.release()

    assert comfy.run(comfy.config(seed=8), name="job-2").success


def test_a_history_without_status_counts_by_its_pictures(comfy: Bench) -> None:
    """Very old servers tell only outputs."""
    comfy.fake.behaviour.status = False

    result = comfy.run(comfy.config())

    assert (result.success, result.seconds) == (True, None)
    assert json.loads(json.dumps(result.effective)) == {"seed": 7, "cfg_scale": 7.0, "steps": 20}


def test_a_seed_of_64_bits_in_the_workflow_can_be_told(comfy: Bench) -> None:
    """Its own seed may be larger than any number in a message; it is told as a text."""
    graph = example()
    graph["3"]["inputs"]["seed"] = 2**64 - 1
    config = comfy.config(graph, inputs=inputs("steps"))
    del config["seed"]

    assert comfy.run(config).effective["seed"] == "18446744073709551615"
