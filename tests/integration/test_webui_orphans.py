"""A runner that was killed while the server made its picture: the next one ends that first, and nobody else's."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.http_client import Exchange, HttpClient
from tests.servers.webui import FakeWebui
from tests.servers.webui_site import API
from tests.support.helpers import wait_until
from tests.support.webui_jobs import CONFIG, picture, pipeline_of, run

Leave = Callable[[str], None]
pytestmark = pytest.mark.fault(item="F122")


@pytest.fixture
def server(fake_webui: Callable[..., FakeWebui], monkeypatch: pytest.MonkeyPatch) -> FakeWebui:
    """Return a fake web UI whose jobs end when they are interrupted, or released."""
    monkeypatch.setattr("pipeline_runner.pipelines.webui.generation.STOP_POLL_SECONDS", 0.02)
    server = fake_webui()
    server.hold()
    return server


@pytest.fixture
def leave(server: FakeWebui) -> Iterator[Leave]:
    """Send jobs as a runner does that is killed before it has an answer."""
    sent: list[Exchange] = []

    def send(task_id: str) -> None:
        body = {**CONFIG, "force_task_id": task_id, "steps": 9}
        sent.append(HttpClient(ServerAddress(url=server.url)).long_post(f"{API}/txt2img", body))
        wait_until(lambda: len(server.worker.fifo) == len(sent), what="the job at the server")

    yield send
    server.release()
    for one in sent:
        one.close()


def release_when_our_job_comes(server: FakeWebui, count: int) -> threading.Thread:
    """Let jobs end from the moment on at which so many have come."""

    def wait() -> None:
        wait_until(lambda: len(server.sent()) >= count, what="our job")
        server.release()

    thread = threading.Thread(target=wait, name="release")
    thread.start()
    return thread


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_made_for_the_run_before_is_interrupted(
    tmp_path: Path, server: FakeWebui, leave: Leave, number: int
) -> None:
    """It would run to its end before ours begins; the second one of a run follows an error of memory."""
    leave(f"task(job-1.1.{number})")
    thread = release_when_our_job_comes(server, 2)

    result = run(pipeline_of(tmp_path, server), attempt=2)

    thread.join()
    assert result.success
    assert len(server.bodies(f"{API}/interrupt")) == 1


def test_one_that_waits_is_interrupted_when_its_turn_comes(tmp_path: Path, server: FakeWebui, leave: Leave) -> None:
    """And the job of somebody else before it is not."""
    leave("task(somebody)")
    leave("task(job-1.1.1)")
    server.requests.clear()
    result = []
    thread = threading.Thread(
        target=lambda: result.append(run(pipeline_of(tmp_path, server), attempt=2)), name="our job"
    )
    thread.start()
    wait_until(lambda: len(server.bodies("/internal/progress")) > 3, what="some looks")
    assert server.bodies(f"{API}/interrupt") == []
    server.release()
    thread.join()

    assert result[0].success


def test_a_task_that_failed_costs_nobody_anything(tmp_path: Path, server: FakeWebui) -> None:
    """It seems active for ever, also while the server upscales a picture for somebody."""
    server.worker.current_task = "task(job-1.1.1)"
    pipeline = pipeline_of(tmp_path, server)
    config = {"init_image": picture(tmp_path), "upscaler": "Lanczos"}
    thread = threading.Thread(target=lambda: run(pipeline, config, stage="upscale"), name="somebody's")  # type: ignore[arg-type]
    thread.start()
    wait_until(lambda: server.worker.state.job == "extras", what="the upscaling")
    release_when_our_job_comes(server, 1).join(0)

    assert run(pipeline, attempt=2).success
    thread.join()
    assert server.bodies(f"{API}/interrupt") == []


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_first_run_and_a_server_without_its_page_ask_for_no_earlier_tasks(
    tmp_path: Path, fake_webui: Callable[..., FakeWebui], attempt: int
) -> None:
    """There are none, or nobody knows them."""
    server = fake_webui(page=attempt == 1)

    assert run(pipeline_of(tmp_path, server), attempt=attempt).success
    assert len({body["id_task"] for body in server.bodies("/internal/progress")}) == attempt + (attempt == 2)


def test_a_cancelled_job_waits_for_no_orphan(tmp_path: Path, server: FakeWebui, leave: Leave) -> None:
    """Nor does one whose time is over."""
    leave("task(somebody)")
    leave("task(job-1.1.1)")
    answers = iter([False, False])

    result = run(pipeline_of(tmp_path, server), attempt=2, cancelled=lambda: next(answers, True))

    assert result.cancelled
    assert len(server.sent()) == 2
