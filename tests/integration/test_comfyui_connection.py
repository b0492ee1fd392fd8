"""The comfyui pipeline when the connection to the server, or its answers, fail."""

import json
from collections import deque

import pytest

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.server import ComfyServer
from pipeline_runner.pipelines.http_client import ServerFault
from tests.support.comfyui_jobs import ComfyuiJobs, error_of, example, inputs, prompt_id
from tests.support.factories import Reports
from tests.support.helpers import wait_until

PAGE = b"<html>502 Bad Gateway</html>"


@pytest.mark.parametrize("accepted", [True, False])
def test_without_a_websocket_the_history_decides(comfy: ComfyuiJobs, *, accepted: bool) -> None:
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


def test_a_websocket_that_drops_is_connected_again(comfy: ComfyuiJobs) -> None:
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


def test_a_server_that_goes_away_leaves_the_job_to_be_run_again(comfy: ComfyuiJobs) -> None:
    """Whatever the moment, the runner learns that the server, and not the job, is at fault."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")

    comfy.fake.stop()

    assert error_of(job.result)[0] == "unreachable"
    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"


def test_a_job_runs_anew_at_a_server_that_was_started_again(comfy: ComfyuiJobs) -> None:
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
def test_behind_a_page_of_a_proxy_the_server_is_away(comfy: ComfyuiJobs, path: str) -> None:
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
        (408, PAGE, "busy"),
        (429, b'{"error": "slow down"}', "busy"),
        (400, b'{"error": "no"}', "invalid_request"),
    ],
)
def test_a_status_says_whether_the_job_is_to_blame(comfy: ComfyuiJobs, status: int, body: bytes, kind: str) -> None:
    """A proxy that is started again, or asks for a password, ends no job."""
    comfy.fake.behaviour.answers["/prompt"] = deque([(status, body)])

    assert error_of(comfy.run(comfy.config()))[0] == kind


def test_a_picture_that_is_cut_in_the_middle_is_fetched_again_by_the_next_attempt(comfy: ComfyuiJobs) -> None:
    """Half a picture is none; the next attempt finds the prompt in the history and executes nothing."""
    comfy.fake.behaviour.cut_views = 1

    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"
    assert comfy.pictures() == []
    assert comfy.run(comfy.config(), attempt=2).success

    assert comfy.fake.executed == [prompt_id(1, 0)]


def test_of_several_pictures_all_are_saved_or_none(comfy: ComfyuiJobs) -> None:
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
        """Return up waiting, once."""
        if self.slow:
            self.slow -= 1
            raise ServerFault("timeout", "no answer within 10 s")
        return super().history(prompt_id)


def test_an_answer_that_comes_late_is_asked_for_again(comfy: ComfyuiJobs) -> None:
    """A server that loads a model may be silent for long, which is not the end of its prompt."""
    comfy.pipeline.server = server = SlowServer(ServerAddress(url=comfy.fake.url))

    assert comfy.run(comfy.config()).success
    assert server.slow == 0


def test_a_slow_answer_is_no_slow_job(comfy: ComfyuiJobs) -> None:
    """Where no answer can be done without, the job is run again; `timeout` is for its own limit."""
    comfy.pipeline.server = SlowServer(ServerAddress(url=comfy.fake.url))

    assert error_of(comfy.run(comfy.config(), attempt=2))[0] == "unreachable"


# older servers


def test_a_server_that_chooses_its_own_ids_is_followed_by_them(comfy: ComfyuiJobs) -> None:
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


def test_a_history_without_status_counts_by_its_pictures(comfy: ComfyuiJobs) -> None:
    """Very old servers tell only outputs."""
    comfy.fake.behaviour.status = False

    result = comfy.run(comfy.config())

    assert (result.success, result.seconds) == (True, None)
    assert json.loads(json.dumps(result.effective)) == {"seed": 7, "cfg_scale": 7.0, "steps": 20}


@pytest.mark.fault(item="F134")
def test_a_server_that_ends_names_the_node_that_it_was_executing(comfy: ComfyuiJobs) -> None:
    """That node may have taken the process with it; the job is tried again, as often as any other."""
    comfy.fake.hold()
    reports = Reports()
    job = comfy.start(comfy.config(), reports=reports)
    wait_until(lambda: any(report[1] for report in reports), what="the first step")

    comfy.fake.stop()

    kind, text = error_of(job.result)
    assert kind == "unreachable"
    assert text.endswith("; it was executing node 3 (KSampler)")


def test_a_seed_of_64_bits_in_the_workflow_can_be_told(comfy: ComfyuiJobs) -> None:
    """ComfyUI's nodes take as much."""
    graph = example()
    graph["3"]["inputs"]["seed"] = 2**64 - 1
    config = comfy.config(graph, inputs=inputs("steps"))
    del config["seed"]

    assert comfy.run(config).effective["seed"] == 2**64 - 1
