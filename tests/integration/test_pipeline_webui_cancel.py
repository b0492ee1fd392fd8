"""Cancelling at a web UI, which interrupts whatever runs: it has to be our own job, and no half picture is kept."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from pipeline_runner.pipelines.webui.generation import TICK_SECONDS
from tests.servers.webui import FakeWebui
from tests.servers.webui_site import API
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.webui_jobs import CONFIG, picture, pipeline_of, run

Fake = Callable[..., FakeWebui]
CANCELLED = JobResult(success=False, cancelled=True)


class Started:
    """A job that runs in a thread, and can be cancelled."""

    def __init__(self, root: Path, server: FakeWebui, config: Config | None = None, stage: str = "txt2img") -> None:
        """Start it."""
        self._root, self._server, self._stage = root, server, stage
        self._config = CONFIG if config is None else config
        self._cancelled = threading.Event()
        self.asked = 0
        self.result: JobResult | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def cancel(self) -> None:
        """Ask it to end."""
        self._cancelled.set()

    def end(self) -> JobResult | None:
        """Wait for its end."""
        self.thread.join(PATIENCE * TIME_FACTOR)
        assert not self.thread.is_alive(), "the job does not end"
        return self.result

    def _run(self) -> None:
        pipeline = pipeline_of(self._root / "outputs", self._server)
        self.result = run(pipeline, self._config, stage=self._stage, cancelled=self._ask)

    def _ask(self) -> bool:
        self.asked += 1
        return self._cancelled.is_set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look more often than a real server deserves; all that runs is ended before the server is."""
    monkeypatch.setattr("pipeline_runner.pipelines.poller.POLL_SECONDS", 0.02)
    monkeypatch.setattr("pipeline_runner.pipelines.webui.generation.STOP_POLL_SECONDS", 0.02)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("POST", "progress of"))]


def interrupts(server: FakeWebui) -> int:
    """Count how often somebody was interrupted."""
    return len(server.bodies(f"{API}/interrupt"))


def looks(server: FakeWebui) -> int:
    """Count how often the server was asked how far it is."""
    return sum(request.path == f"{API}/progress" for request in server.requests)


def several_looks(server: FakeWebui) -> None:
    """Wait until the job has looked at the server several times."""
    before = looks(server)
    wait_until(lambda: looks(server) >= before + 5, what="looks at the progress")


def files(root: Path) -> list[Path]:
    """Return all that was saved."""
    return [path for path in (root / "outputs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("page", [True, False], ids=["page", "nowebui"])
@pytest.mark.parametrize("same_second", [False, True])
def test_our_running_job_is_interrupted(tmp_path: Path, fake_webui: Fake, page: bool, same_second: bool) -> None:
    """The half picture of the answer is not saved, though its status is 200."""
    server = fake_webui(page=page)
    server.worker.same_second = same_second
    server.hold()
    job = Started(tmp_path, server)
    wait_until(lambda: server.worker.state.sampling_step, what="the job's start")

    job.cancel()

    assert job.end() == CANCELLED
    assert interrupts(server) == 1
    assert files(tmp_path) == []


def test_upscaling_has_no_task_and_is_interrupted_all_the_same(tmp_path: Path, fake_webui: Fake) -> None:
    """The server was idle right before, and no other job has begun since."""
    server = fake_webui()
    server.hold()
    config: Config = {"init_image": picture(tmp_path), "upscaler": "Lanczos"}
    job = Started(tmp_path, server, config, "upscale")
    wait_until(lambda: server.worker.state.job_count == 1, what="the job's start")

    job.cancel()

    assert job.end() == CANCELLED
    assert interrupts(server) == 1


def test_a_job_behind_somebody_elses_is_interrupted_only_when_it_runs(tmp_path: Path, fake_webui: Fake) -> None:
    """The other one is left alone and ends well."""
    server = fake_webui()
    server.hold()
    other = server.other_job()
    job = Started(tmp_path, server)
    wait_until(lambda: len(server.worker.fifo) == 2, what="our job in the queue")

    job.cancel()
    several_looks(server)
    assert interrupts(server) == 0
    other.finish()

    assert job.end() == CANCELLED
    assert not other.interrupted
    assert interrupts(server) == 1
    assert files(tmp_path) == []


def test_without_the_page_a_job_behind_somebody_elses_interrupts_nobody(tmp_path: Path, fake_webui: Fake) -> None:
    """Nobody can tell whose job it is that runs next: ours ends by itself, and its picture is discarded."""
    server = fake_webui(page=False)
    server.hold()
    other = server.other_job()
    job = Started(tmp_path, server)
    wait_until(lambda: len(server.worker.fifo) == 2, what="our job in the queue")

    job.cancel()
    several_looks(server)
    other.finish()
    wait_until(lambda: server.worker.state.job_timestamp.endswith("2"), what="our job's start")
    several_looks(server)
    assert interrupts(server) == 0
    server.release()

    assert job.end() == CANCELLED
    assert not other.interrupted
    assert interrupts(server) == 0
    assert files(tmp_path) == []


def test_a_job_of_somebody_else_behind_ours_is_left_alone(tmp_path: Path, fake_webui: Fake) -> None:
    """Once ours has ended, nothing is interrupted any more."""
    server = fake_webui()
    server.hold()
    job = Started(tmp_path, server)
    wait_until(lambda: server.worker.state.sampling_step, what="the job's start")
    other = server.other_job()

    job.cancel()

    assert job.end() == CANCELLED
    wait_until(lambda: other.runs, what="the other job")
    other.finish()
    assert not other.interrupted
    assert interrupts(server) == 1


def test_a_task_that_seems_active_for_ever_interrupts_nobody(tmp_path: Path, fake_webui: Fake) -> None:
    """After a failure the server goes on to say so; each job of ours has an id of its own."""
    server = fake_webui()
    server.fail(500, {"error": "NansException", "errors": "NaN"})
    failed = Started(tmp_path, server).end()
    assert failed is not None
    assert failed.error is not None
    assert server.worker.current_task is not None
    server.hold()
    other = server.other_job()
    again = Started(tmp_path, server)
    wait_until(lambda: len(server.worker.fifo) == 2, what="our job in the queue")

    again.cancel()
    several_looks(server)
    other.finish()

    assert again.end() == CANCELLED
    assert not other.interrupted


def test_a_job_that_takes_too_long_is_interrupted(tmp_path: Path, fake_webui: Fake) -> None:
    """It has failed, and says which setting allows more."""
    server = fake_webui()
    server.hold()
    result = Started(tmp_path, server, {**CONFIG, "timeout_seconds": 0.2}).end()

    assert result is not None
    assert result.error is not None
    assert result.error.kind == "timeout"
    assert "config.timeout_seconds" in result.error.message
    assert interrupts(server) == 1
    assert files(tmp_path) == []


def test_a_job_that_is_cancelled_before_it_starts_is_not_sent(tmp_path: Path, fake_webui: Fake) -> None:
    """Nothing has to be interrupted."""
    server = fake_webui()

    assert run(pipeline_of(tmp_path, server), cancelled=lambda: True) == CANCELLED
    assert server.sent() == []


@pytest.mark.parametrize("status", [200, 500])
def test_a_server_that_does_not_end_the_job_is_left(
    tmp_path: Path, fake_webui: Fake, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """After a while the connection is closed, so that no thread waits forever."""
    monkeypatch.setattr("pipeline_runner.pipelines.webui.generation.LEAVE_SECONDS", 0.2)
    server = fake_webui()
    server.canned[f"{API}/interrupt"] = (status, b"{}")
    server.hold()
    job = Started(tmp_path, server)
    wait_until(lambda: server.worker.state.sampling_step, what="the job's start")

    job.cancel()

    assert job.end() == CANCELLED


def test_a_server_that_cannot_be_interrupted_ends_by_itself(tmp_path: Path, fake_webui: Fake) -> None:
    """SD.Next may answer 500 to an interruption."""
    server = fake_webui()
    server.canned[f"{API}/interrupt"] = (500, b"")
    server.hold()
    job = Started(tmp_path, server)
    wait_until(lambda: server.worker.state.sampling_step, what="the job's start")
    job.cancel()
    wait_until(lambda: interrupts(server), what="the interruption")
    server.release()

    assert job.end() == CANCELLED
    assert files(tmp_path) == []


def test_a_slow_server_does_not_keep_the_job_from_noticing_its_cancellation(tmp_path: Path, fake_webui: Fake) -> None:
    """It is asked at least 10 times a second, whatever becomes of the progress."""
    server = fake_webui()
    server.hold()
    job = Started(tmp_path, server)
    wait_until(lambda: server.worker.state.sampling_step, what="the job's start")
    server.deaf = True
    before = looks(server)
    wait_until(lambda: looks(server) > before, what="a look that is not answered")

    asked = job.asked
    wait_until(lambda: job.asked >= asked + 10, what="ten questions while it is deaf")
    assert TICK_SECONDS <= 0.1
    server.deaf = False
    server.release()

    result = job.end()
    assert result is not None
    assert result.success
