"""A runner whose only pipeline is a web UI, and jobs of experiments for it."""

from pathlib import Path

from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest, PipelinesReply
from bus.contracts.messages import JobResult
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup
from pipeline_runner.pipelines.webui.pipeline import WebuiPipeline
from tests.servers.webui import FakeWebui
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.painting_runner import RunnerOfOne
from tests.support.webui_jobs import CONFIG


class WebuiRunner(RunnerOfOne):
    """It has read what the server offers."""

    def __init__(self, folder: Path, server: FakeWebui) -> None:
        """Start it."""
        outputs = Outputs(folder / "outputs")
        self.pipeline = WebuiPipeline(Setup(outputs=outputs, servers={"webui": ServerAddress(url=server.url)}))
        super().__init__(folder, {"webui": self.pipeline}, outputs)

        def is_read() -> bool:
            return not self.ask("pipelines", {}, PipelinesReply).pipelines["webui"]["txt2img"].unavailable

        wait_until(is_read, what="the web UI's lists")

    def start(self, name: str, **changes: object) -> None:
        """Submit a job of an experiment of its own."""
        config: Config = {**CONFIG, **changes}  # type: ignore[dict-item]  # as the test says
        mark = context(experiment=f"exp-{name}")
        self.send(JobRequest(job_id=name, pipeline="webui", stage="txt2img", learning_context=mark, config=config))

    def run(self, name: str, **changes: object) -> JobResult:
        """Run such a job to its end."""
        self.start(name, **changes)
        return self.ended(name)

    def reused(self, name: str, **changes: object) -> str | None:
        """Run such a job and return whose result it has got."""
        return self.run(name, **changes).reused_from
