"""A runner whose jobs make what a test says, and questions to it."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest, SubmitParams, SubmitReply
from bus.contracts.messages import ImageRef, JobCompleted, JobResult, LearningContext
from bus.contracts.outputs import OutputReply
from bus.contracts.pipeline_specs import StageSpec
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.client import request
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread
from tests.support.helpers import LOCALHOST, REPLY_SECONDS, wait_until


def picture(size: tuple[int, int] = (500, 400)) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


class PaintingPipeline(Pipeline):
    """Its jobs give what the test says."""

    def __init__(self, outputs: Outputs) -> None:
        """Give a picture, unless the test says otherwise."""
        self.outputs = outputs
        self.data: list[bytes] = [picture()]
        self.named: tuple[ImageRef, ...] = ()  # what is told in addition, without having been written
        self.told: str | None = None  # as its identity
        self.runs: list[str] = []
        self.metrics: dict[str, float] = {}

    def stages(self) -> dict[str, StageSpec]:
        """Take no settings."""
        return {"paint": StageSpec()}

    def identity(self, stage: str, config: Config) -> str | None:  # noqa: ARG002 - as of every pipeline
        """Return what the test says."""
        return self.told

    def run(self, job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Save the data."""
        self.runs.append(job.job_id)
        images = [
            self.outputs.save(job, one, suffix=".png", media_type="image/png", size=(500, 400), seed=1)
            for one in self.data
        ]
        return JobResult(success=True, images=(*images, *self.named), metrics=self.metrics)


class RunnerOfOne:
    """A runner with one pipeline, and questions to it."""

    def __init__(self, folder: Path, pipelines: dict[str, Pipeline], outputs: Outputs) -> None:
        """Start it."""
        self.root = outputs.root
        self.runner = ServiceThread(folder / "runner.db", self._make(pipelines, outputs))
        self.address = str(self.runner.service.publisher.control)

    def _make(self, pipelines: dict[str, Pipeline], outputs: Outputs) -> Callable[[Log, Loop], Runner]:
        """Return what makes the runner."""

        def make(log: Log, loop: Loop) -> Runner:
            return Runner(log, loop, pipelines, outputs, workers=2, feed=LOCALHOST, control=LOCALHOST)

        return make

    def ask(self, method: str, params: object, reply: type[Any] = dict) -> Any:
        """Ask the runner."""
        return request(self.address, method, params, reply, REPLY_SECONDS)

    def send(self, job: JobRequest) -> None:
        """Submit a job."""
        self.ask("job.submit", SubmitParams(jobs=[job]), SubmitReply)

    def ended(self, name: str) -> JobResult:
        """Wait for the end of a job, which is a good one, and return its result."""
        ended: list[JobCompleted] = []

        def is_told() -> bool:
            logged = self.runner.logged("job.completed.")
            ended[:] = [one for one in logged if isinstance(one, JobCompleted) and one.job_id == name]
            return bool(ended)

        wait_until(is_told, what=f"the end of {name}")
        assert ended[0].result.success, ended[0].result
        return ended[0].result


class PaintingRunner(RunnerOfOne):
    """A runner with the painting pipeline."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.painter = PaintingPipeline(Outputs(folder / "outputs"))
        super().__init__(folder, {"painter": self.painter}, self.painter.outputs)

    def submit(self, name: str, mark: LearningContext | None = None, seed: int = 1) -> None:
        """Submit a job."""
        config: Config = {"seed": seed}
        self.send(JobRequest(job_id=name, pipeline="painter", stage="paint", learning_context=mark, config=config))

    def paint(self, name: str = "job-1", mark: LearningContext | None = None) -> ImageRef:
        """Run a new job to its end and return the first picture that its message names."""
        return self.result(name, mark).images[0]

    def result(self, name: str, mark: LearningContext | None = None, seed: int = 1) -> JobResult:
        """Run a new job to its end, which is a good one, and return its result."""
        self.submit(name, mark, seed)
        return self.ended(name)

    def output(self, sha256: str, **params: Any) -> OutputReply:
        """Ask for part of a result."""
        reply = self.ask("output", {"sha256": sha256, **params}, OutputReply)
        assert isinstance(reply, OutputReply)
        return reply

    def refusal(self, method: str, **params: Any) -> tuple[str, str]:
        """Return code and text of a refusal."""
        with pytest.raises(ControlError) as refused:
            self.ask(method, params)
        return refused.value.code, refused.value.message
