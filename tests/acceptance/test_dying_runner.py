"""`kill -9` of the runner at every point of a job's life: one end for each job, and no half picture."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Final

import pytest

from bus.messages import JobCompleted
from bus.requester import request
from bus.requests import JobParams, JobRequest, JobView, SubmitParams, SubmitReply
from bus.wire import ControlError
from tests.acceptance.checker import check_jobs, messages_of, whole_log
from tests.acceptance.harness import COMMAND_SECONDS, ROOT, House, Running, ServiceProcess
from tests.factories import context
from tests.helpers import wait_until

SHARES: Final = 4  # of the points, so that they can be tried side by side
PICTURE: Final = ROOT / "docs" / "images" / "contact-sheet.png"
# a program that is done at once: what is tried here is what the runner does before and after
JOBS: Final = [
    JobRequest(
        job_id=f"job-{number}",
        pipeline="command",
        stage="run",
        config={"command": ["/bin/cp", str(PICTURE), "{output_dir}/picture.png"]},
        learning_context=context(number, float(number)),
    )
    for number in range(2)
]


def submit(control: str) -> bool:
    """Submit the jobs, as somebody who repeats it until there is an answer; False if there is none now."""
    try:
        request(control, "job.submit", SubmitParams(jobs=JOBS), SubmitReply, timeout=1.0)
    except ControlError as error:
        if error.code != "unavailable":
            raise
        return False
    return True


def have_ended(control: str) -> bool:
    """Have all jobs ended, as far as the runner says?"""
    try:
        views = [request(control, "job.show", JobParams(job_id=job.job_id), JobView, timeout=1.0) for job in JOBS]
    except ControlError:
        return False
    return all(view.finished_at for view in views)


def check(runner: ServiceProcess, outputs: Path, point: int) -> None:
    """Check that each job has one end and one whole picture, and that nothing else is left."""
    events = whole_log(runner)
    check_jobs(events, [job.job_id for job in JOBS])
    ended = messages_of(events, JobCompleted)
    named = set()
    for message in ended:
        assert message.result.success, (point, message.result)
        (image,) = message.result.images
        path = outputs / image.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == image.sha256 == path.stem, point
        sidecar = path.with_name(f"{image.sha256}.{message.job_id}.json")
        assert json.loads(sidecar.read_text(encoding="utf-8"))["job_id"] == message.job_id, point
        named |= {path, sidecar}
    found = {path for path in outputs.rglob("*") if path.is_file() and ".thumbnails" not in path.parts}
    assert found == named, point


def die_at(house: House, point: int, data: Path) -> bool:
    """Run the jobs in a runner that dies at a point; False if all of them ended before it was reached."""
    reached = data.with_suffix(".reached")
    script = str(ROOT / "tests" / "acceptance" / "dying_runner.py")
    options = ["--data-dir", str(data), "--feed-port", "0", "--control-port", "0", "--workers", "1"]
    dying: Running = house.start(f"dying-{point}", sys.executable, script, str(point), str(reached), *options)
    words = dying.wait_for_line("listening").split()
    control = dict(word.split("=", 1) for word in words[1:])["control"]
    submit(control)
    wait_until(lambda: not dying.lives or have_ended(control), COMMAND_SECONDS, what=f"point {point}")
    if dying.lives:
        dying.terminate()
    assert reached.exists() == (dying.popen.returncode == -9), dying.errors()
    return reached.exists()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_runner_that_dies_at_any_point_ends_each_job_once(house: House, share: int) -> None:
    """After the restart there is exactly one `job.completed` for each job, and no picture is half written."""
    point = share + 1
    while True:
        data = house.folder / f"point-{point}"
        died = die_at(house, point, data)
        runner = house.runner("--workers", "1", data=data)
        wait_until(lambda at=runner: submit(at.control), what="the repeated submission")  # type: ignore[misc]  # bound now
        wait_until(lambda at=runner: have_ended(at.control), COMMAND_SECONDS, what=f"the end after point {point}")  # type: ignore[misc]  # bound now
        check(runner, data / "outputs", point)
        runner.terminate()
        if not died:
            break
        point += SHARES
    assert point > 5 * SHARES, "there are many more points than that"
