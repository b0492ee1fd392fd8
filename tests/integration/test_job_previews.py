"""The previews of running jobs: told with their progress, read from the runner, and gone at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bus.contracts.jobs import PreviewReply
from bus.contracts.messages import JobProgress, JobResult
from bus.eventlog.log import Log
from bus.subscriber.sync import Start, Subscriber
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread
from tests.support.held_pipelines import Local, ask, refusal, submit, wait_for
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, deadline
from tests.support.odd_pictures import plain


class Showing(Local):
    """Its jobs show what a test gives, and are held."""

    def __init__(self) -> None:
        """Show a picture a moment after the first progress."""
        super().__init__()
        self.shown = [plain("JPEG")]

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Show, and wait."""
        progress(0.1)
        for data in self.shown:
            progress(0.25, 1, 4, preview=data)
        return super().run(job, lambda *_, **_options: None, cancelled)


@pytest.fixture
def showing() -> Showing:
    """Return the pipeline."""
    return Showing()


@pytest.fixture
def runner(no_leaks: None, tmp_path: Path, showing: Showing) -> Iterator[ServiceThread[Runner]]:  # noqa: ARG001 - it looks after us
    """Start a runner with it."""

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(tmp_path / "outputs")
        return Runner(log, loop, {"local": showing}, outputs, workers=2, feed=LOCALHOST, control=LOCALHOST)

    service = ServiceThread(tmp_path / "runner.db", make)
    yield service
    showing.released.set()
    service.stop()


def told(runner: ServiceThread[Runner], start: Callable[[], object], count: int) -> list[JobProgress]:
    """Return the first messages of progress after a start."""
    found: list[JobProgress] = []
    limit = deadline()
    with Subscriber([str(runner.service.publisher.control)], ["job.progress"], start=Start.NOW) as subscriber:
        subscriber.wait_ready(PATIENCE * TIME_FACTOR)
        start()
        while len(found) < count:
            assert not limit.passed, found
            found += [one.message for one in subscriber.receive(0.1) if isinstance(one.message, JobProgress)]
    return found


@pytest.mark.fault(item="F136")
def test_a_preview_is_told_read_and_dropped_at_the_end(runner: ServiceThread[Runner], showing: Showing) -> None:
    """It follows too soon upon other progress, and is told all the same; the message has its number, not its bytes."""
    first, second = told(runner, lambda: submit(runner, "one"), 2)

    assert (first.fraction, first.preview) == (0.1, msgspec.UNSET)
    assert b"preview" not in msgspec.msgpack.encode(first)
    assert (second.fraction, second.step, second.preview) == (0.25, 1, 1)
    reply = ask(runner, "job.preview", {"job_id": "one"}, PreviewReply)
    assert reply == PreviewReply(number=1, media_type="image/jpeg", data=plain("JPEG"))

    showing.released.set()
    wait_for(runner, "one", "completed")
    assert refusal(runner, "job.preview", {"job_id": "one"})[0] == "not_found"


@pytest.mark.fault(item="F136")
def test_what_is_no_picture_is_not_shown(runner: ServiceThread[Runner], showing: Showing) -> None:
    """And harms no job: a page of somebody's, and too much."""
    showing.shown = [b"<svg onload='alert(1)'/>", plain("BMP", "RGB"), plain("JPEG") + bytes(2 << 20)]
    found = told(runner, lambda: submit(runner, "one"), 1)
    assert {one.preview for one in found} == {msgspec.UNSET}
    code, text = refusal(runner, "job.preview", {"job_id": "one"})
    assert (code, text[:31]) == ("not_found", "job 'one' has no preview: a run")
    showing.released.set()
    assert wait_for(runner, "one", "completed").result is not None


@pytest.mark.parametrize("params", [{}, {"job_id": 1}, {"job_id": ""}, {"job_id": "one", "after": 1}])
def test_a_bad_request_for_a_preview_is_refused(runner: ServiceThread[Runner], params: dict[str, object]) -> None:
    """With the field."""
    code, text = refusal(runner, "job.preview", params)
    assert code == "invalid_request"
    assert "job_id" in text or "after" in text
