"""`kill -9` of the runner at every point of a job's life: one end for each job, and no half picture."""

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from bus.contracts.fields import Config
from bus.contracts.jobs import CancelParams, CancelReply, JobParams, JobRequest, JobView, SubmitParams, SubmitReply
from bus.contracts.messages import JobCompleted
from bus.protocol.control import ControlError
from bus.transport.client import request
from tests.servers.webui import FakeWebui
from tests.support.checker import check_jobs, messages_of, whole_log
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ROOT, Running, ServiceProcess, Workspace

LEAST_POINTS: Final = 24  # of the life of one job
RECOVERY_POINTS: Final = 24  # of a start; what follows is the life of a job
SCRIPT: Final = str(ROOT / "tests" / "support" / "dying_runner.py")
PICTURE: Final = str(ROOT / "docs" / "images" / "contact-sheet.png")
# a program that is done at once: what is tried here is what the runner does before and after
COPY: Final[Config] = {"command": ["/bin/cp", PICTURE, "{output_dir}/picture.png"]}
WAIT: Final[Config] = {"command": ["/bin/sh", "-c", "sleep 60"]}


@dataclass(frozen=True)
class Scenario:
    """What happens in a runner until it dies; `begin` says from where the points are counted (see dying_runner)."""

    begin: str
    jobs: list[JobRequest]
    act: Callable[[str, list[JobRequest]], object]
    state: str = "completed"  # how all jobs have to end


def job(number: int, pipeline: str, stage: str, config: Config) -> JobRequest:
    """Return a job of the example experiment."""
    mark = context(number, float(number))
    return JobRequest(job_id=f"job-{number}", pipeline=pipeline, stage=stage, config=config, learning_context=mark)


def submit(control: str, jobs: list[JobRequest]) -> bool:
    """Submit the jobs, as somebody who repeats it until there is an answer; False if there is none now."""
    return answered(control, "job.submit", SubmitParams(jobs=jobs), SubmitReply)


def cancel(control: str, jobs: list[JobRequest]) -> bool:
    """Submit the jobs, and cancel their experiment as soon as one of them runs."""
    if submit(control, jobs):
        wait_until(lambda: states(control, jobs) & {"running", "", "cancelled"}, what="a running job")
    return answered(control, "job.cancel", CancelParams(experiment_id="exp-1"), CancelReply)


def answered(control: str, method: str, params: object, reply: type[object]) -> bool:
    """Ask the runner; False if there is no answer now."""
    try:
        request(control, method, params, reply, timeout=1.0)
    except ControlError as error:
        if error.code != "unavailable":
            raise
        return False
    return True


def states(control: str, jobs: list[JobRequest]) -> set[str]:
    """Return the states of the jobs, "" where there is no answer."""
    try:
        return {request(control, "job.show", JobParams(job_id=one.job_id), JobView, timeout=1.0).state for one in jobs}
    except ControlError:
        return {""}


def die_at(workspace: Workspace, scenario: Scenario, point: int, data: Path) -> bool:
    """Run the jobs in a runner that dies at a point; False if all of them ended before it was reached."""
    reached = data.with_suffix(".reached")
    options = ["--data-dir", str(data), "--feed-port", "0", "--control-port", "0", "--workers", "1"]
    dying: Running = workspace.start(
        f"dying-{point}", sys.executable, SCRIPT, scenario.begin, str(point), str(reached), *options
    )
    wait_until(lambda: not dying.lives or "listening" in dying.text(), COMMAND_SECONDS, what=f"start at point {point}")
    if dying.lives:
        words = dying.wait_for_line("listening").split()
        control = dict(word.split("=", 1) for word in words[1:])["control"]
        wait_until(lambda: scenario.act(control, scenario.jobs) or not dying.lives, what=f"the act at point {point}")
        ended = partial(states, control, scenario.jobs)
        wait_until(lambda: not dying.lives or ended() == {scenario.state}, COMMAND_SECONDS, what=f"point {point}")
    if dying.lives:
        dying.terminate()
    assert reached.exists() == (dying.popen.returncode == -9), dying.errors()
    return reached.exists()


def die_and_recover(workspace: Workspace, scenario: Scenario, point: int) -> bool:
    """Let a runner die at a point, and check what the next one makes of it; False if there is no such point."""
    data = workspace.folder / f"point-{point}"
    died = die_at(workspace, scenario, point, data)
    recover(workspace, scenario, point, data)
    return died


def recover(workspace: Workspace, scenario: Scenario, point: int, data: Path) -> None:
    """Do the same again with the next runner, and check what it makes of what a dead one has left."""
    runner = workspace.runner("--workers", "1", data=data)
    wait_until(partial(scenario.act, runner.control, scenario.jobs), what="the same again")
    ended = partial(states, runner.control, scenario.jobs)
    wait_until(lambda: ended() == {scenario.state}, COMMAND_SECONDS, what=f"the end after {point}")
    check(runner, scenario, data / "outputs", point)
    runner.terminate()


def die_everywhere(workspace: Workspace, scenario: Scenario, share: int = 0, shares: int = 1) -> None:
    """Let runners die at every point of a share of them, and check each time what the next one makes of it."""
    point = first = share + 1
    while die_and_recover(workspace, scenario, point):
        point += shares
    assert point > first, "there are more points than that"


def check(runner: ServiceProcess, scenario: Scenario, outputs: Path, point: int) -> None:
    """Check that each job has one end, each completed one a whole picture, and that nothing else is left."""
    events = whole_log(runner)
    check_jobs(events, [one.job_id for one in scenario.jobs])
    named = set()
    for message in messages_of(events, JobCompleted):
        assert message.result.success == (scenario.state == "completed"), (point, message.result)
        for image in message.result.images:
            path = outputs / image.path
            assert hashlib.sha256(path.read_bytes()).hexdigest() == image.sha256 == path.stem, point
            sidecar = path.with_name(f"{image.sha256}.{message.job_id}.json")
            assert json.loads(sidecar.read_text(encoding="utf-8"))["job_id"] == message.job_id, point
            named |= {path, sidecar}
    assert bool(named) == (scenario.state == "completed"), point
    found = {path for path in outputs.rglob("*") if path.is_file() and ".thumbnails" not in path.parts}
    assert found == named, point


def test_a_runner_that_dies_at_some_point_ends_each_job_once(workspace: Workspace) -> None:
    """A short life of one job, at a point that is another one each time; below are all points, and more to die of."""
    point = random.randint(1, LEAST_POINTS)  # noqa: S311 - which point is tried

    assert die_and_recover(workspace, Scenario("submit", [job(0, "command", "run", COPY)], submit), point)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(4))
def test_a_runner_that_dies_at_any_point_ends_each_job_once(workspace: Workspace, share: int) -> None:
    """After the restart there is exactly one `job.completed` for each job, and no picture is half written."""
    jobs = [job(number, "command", "run", COPY) for number in range(2)]

    die_everywhere(workspace, Scenario("submit", jobs, submit), share, 4)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_runner_that_dies_while_it_cancels_cancels_each_job_once(workspace: Workspace) -> None:
    """Whatever of the wish was on disk, and whoever repeats it: each job is cancelled, once."""
    jobs = [job(number, "command", "run", WAIT) for number in range(3)]

    die_everywhere(workspace, Scenario("cancel_experiment", jobs, cancel, "cancelled"))


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_runner_that_dies_at_an_image_server_ends_each_job_once(workspace: Workspace) -> None:
    """The server makes some pictures twice, but one of them is the job's, and it is whole."""
    with fake_webui() as server:
        workspace.environment["VARIANTBUS_WEBUI_URL"] = server.url
        config: Config = {"prompt": "a star", "steps": 2, "seed": 7}
        jobs = [job(0, "webui", "txt2img", config)]

        die_everywhere(workspace, Scenario("advance", jobs, submit))


@contextmanager
def fake_webui() -> Iterator[FakeWebui]:
    """Yield a fake web UI, and close it."""
    server = FakeWebui()
    try:
        yield server
    finally:
        server.close()


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_runner_that_dies_while_it_recovers_ends_each_job_once(workspace: Workspace) -> None:
    """A second death, at any point of the start after the first one, changes nothing."""
    jobs = [job(number, "command", "run", COPY) for number in range(2)]
    for point in range(1, RECOVERY_POINTS):
        data = workspace.folder / f"point-{point}"
        assert die_at(workspace, Scenario("_judge", jobs, submit), 1, data), "it dies with a job that has run"
        data.with_suffix(".reached").unlink()
        die_at(workspace, Scenario("start", jobs, submit), point, data)
        recover(workspace, Scenario("start", jobs, submit), point, data)
