"""What the tests of the comfyui pipeline share: workflows, configurations, and a pipeline at a fake server."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.messages import JobResult, LearningContext
from bus.contracts.pipeline_specs import check_config
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.comfyui.pipeline import ComfyuiPipeline
from pipeline_runner.pipelines.comfyui.prompt import prompt_id_of
from tests.servers.comfyui import FakeComfy
from tests.support.factories import Reports, record_of
from tests.support.helpers import PATIENCE, TIME_FACTOR

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "comfyui_workflow.json"
QUEUED_AT: Final = 10.0
SAMPLER: Final = "57:3"  # as it is called in a subgraph
INPUTS: Final[dict[str, Scalar | list[Scalar]]] = {
    "seed": "3.seed",
    "cfg_scale": "3.cfg",
    "steps": "3.steps",
    "sampler_name": "3.sampler_name",
    "scheduler": "3.scheduler",
    "denoising_strength": "3.denoise",
    "prompt": "6.text",
    "negative_prompt": "7.text",
    "model": "4.ckpt_name",
    "width": "5.width",
    "size": ["5.width", "5.height"],
}


def example() -> Graph:
    """Return the example workflow: SD 1.5 from a text to a picture."""
    graph: Graph = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return graph


def with_subgraph() -> Graph:
    """Return the example with its sampler and its size inside a subgraph, and a refiner that shares its seed."""
    graph = json.loads(json.dumps(example()).replace('["3", 0]', f'["{SAMPLER}", 0]'))
    graph[SAMPLER] = graph.pop("3")
    refiner = {**graph[SAMPLER]["inputs"], "noise_seed": 0, "add_noise": "enable", "latent_image": [SAMPLER, 0]}
    for name in ("seed", "denoise"):
        del refiner[name]
    graph["57:8"] = {"class_type": "KSamplerAdvanced", "inputs": refiner}
    graph["8"]["inputs"]["samples"] = ["57:8", 0]
    found: Graph = graph
    return found


def with_loras(**lora: Scalar) -> Graph:
    """Return the example with a node that holds LoRAs in tables, each with its switch and strength."""
    graph = json.loads(json.dumps(example()).replace('["4", 0]', '["18", 0]').replace('["4", 1]', '["18", 1]'))
    first = {"on": True, "lora": "add_detail.safetensors", "strength": 1, **lora}
    second = {"on": False, "lora": "film.safetensors", "strength": 0.5}
    inputs = {"PowerLoraLoaderHeaderWidget": {"type": "PowerLoraLoaderHeaderWidget"}, "lora_1": first, "lora_2": second}
    linked = {"model": ["4", 0], "clip": ["4", 1]}
    graph["18"] = {"class_type": "Power Lora Loader (rgthree)", "inputs": {**inputs, "Add Lora": "", **linked}}
    found: Graph = graph
    return found


def prompt_id(attempt: int, number: int, queued_at: float = QUEUED_AT) -> str:
    """Return the id of a prompt of the job that `ComfyuiJobs.run` runs unless told otherwise."""
    return prompt_id_of("job-1", queued_at, attempt, number)


def inputs(*names: str) -> dict[str, Scalar | list[Scalar]]:
    """Return the map of some variables of the example, the seed always among them."""
    return {name: INPUTS[name] for name in ("seed", *names)}


class ComfyuiJobs:
    """A pipeline at a fake server, and a folder for its files."""

    def __init__(self, folder: Path, fake: FakeComfy) -> None:
        """Ask the server nothing yet."""
        self.folder, self.fake = folder, fake
        self.pipeline = self.new_pipeline()

    def new_pipeline(self) -> ComfyuiPipeline:
        """Make a pipeline as a runner does that is started again."""
        setup = Setup(outputs=Outputs(self.folder / "outputs"), servers={"comfyui": ServerAddress(url=self.fake.url)})
        return ComfyuiPipeline(setup)

    def config(self, graph: Graph | None = None, **changes: ConfigValue) -> Config:
        """Return a configuration of the example workflow, with cfg_scale and steps mapped."""
        path = self.folder / "workflow.json"
        path.write_text(json.dumps(example() if graph is None else graph), encoding="utf-8")
        usual: Config = {"workflow": str(path), "inputs": inputs("cfg_scale", "steps"), "seed": 7}
        return {**usual, **changes}

    def check(self, config: Config) -> None:
        """Check as a runner does before it queues a job."""
        check_config(self.pipeline.stages()["workflow"], config)
        self.pipeline.check("workflow", config)

    def run(
        self,
        config: Config,
        cancelled: Callable[[], bool] = lambda: False,
        *,
        attempt: int = 1,
        queued_at: float = QUEUED_AT,
        name: str = "job-1",
        mark: LearningContext | None = None,
        reports: Reports | None = None,
    ) -> JobResult:
        """Run a job to its end; each time that a person has it run again it was queued later."""
        job = record_of(name, pipeline="comfyui", stage="workflow", config=config, mark=mark)
        job = replace(job, attempt=attempt, queued_at=queued_at)
        return self.pipeline.run(job, Reports() if reports is None else reports, cancelled)

    def start(self, config: Config, **options: Any) -> "Background":
        """Run a job in a thread."""
        return Background(lambda cancelled: self.run(config, cancelled, **options))

    def pictures(self) -> list[Path]:
        """Return all pictures that were saved."""
        return sorted((self.folder / "outputs").rglob("*.png"))


class Background:
    """A job in a thread of its own."""

    def __init__(self, work: Callable[[Callable[[], bool]], JobResult]) -> None:
        """Start it."""
        self._work, self._stop = work, threading.Event()
        self._result: JobResult | None = None
        self._thread = threading.Thread(target=self._run, name="job", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to stop."""
        self._stop.set()

    @property
    def result(self) -> JobResult:
        """Wait for its end."""
        self._thread.join(PATIENCE * TIME_FACTOR)
        assert self._result is not None, "the job does not end"
        return self._result

    def _run(self) -> None:
        self._result = self._work(self._stop.is_set)


@contextmanager
def open_comfyui_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ComfyuiJobs]:
    """Yield a pipeline that knows its fake server, and asks it more often than it would."""
    for name, seconds in (("prompt.POLL_SECONDS", 0.05), ("prompt.QUEUE_SECONDS", 0.1), ("prompt.TICK_SECONDS", 0.02)):
        monkeypatch.setattr(f"pipeline_runner.pipelines.comfyui.{name}", seconds)
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.progress.RECONNECT_SECONDS", 0.1)
    fake = FakeComfy()
    jobs = ComfyuiJobs(folder, fake)
    try:
        assert jobs.pipeline.refresh() == ""
        yield jobs
    finally:
        fake.release()
        fake.stop()


def error_of(result: JobResult) -> tuple[str, str]:
    """Return kind and text of a failure."""
    assert result.error is not None, result
    assert not result.success
    return result.error.kind, result.error.message
