"""Jobs for the `sdnext` pipeline, run against the fake server."""

from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult, LearningContext
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.sdnext.offer import Offer, parse_offer
from pipeline_runner.pipelines.sdnext.pipeline import SdnextPipeline
from tests.servers.sdnext import FakeSdnext, lists
from tests.support.comfyui_jobs import Background
from tests.support.factories import Reports, record_of

CONFIG: Final[Config] = {"prompt": "a blue star", "steps": 4, "width": 64, "height": 64, "seed": 7}


def new_pipeline(root: Path, server: FakeSdnext, auth_file: Path | None = None) -> SdnextPipeline:
    """Make the pipeline, which has not asked the server yet."""
    address = ServerAddress(url=server.url, auth_file=auth_file)
    return SdnextPipeline(Setup(outputs=Outputs(root), servers={"sdnext": address}))


def pipeline_of(root: Path, server: FakeSdnext, auth_file: Path | None = None) -> SdnextPipeline:
    """Make the pipeline, and have it read what the server offers."""
    pipeline = new_pipeline(root, server, auth_file)
    assert pipeline.refresh() == ""
    return pipeline


def run(
    pipeline: SdnextPipeline,
    config: Config | None = None,
    *,
    stage: str = "txt2img",
    mark: LearningContext | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled = lambda: False,
    attempt: int = 1,
) -> JobResult:
    """Run a job to its end."""
    job = record_of(pipeline="sdnext", stage=stage, config=CONFIG if config is None else config, mark=mark)
    return pipeline.run(replace(job, attempt=attempt), Reports() if progress is None else progress, cancelled)


def start(pipeline: SdnextPipeline, config: Config | None = None, **options: Any) -> Background:
    """Run a job in a thread."""
    return Background(lambda cancelled: run(pipeline, config, cancelled=cancelled, **options))


def offer_of(**changes: list[Any]) -> Offer:
    """Return what a fake SD.Next offers, without a socket; a change replaces one of its lists."""
    return parse_offer({**lists(), **{name.replace("_", "-"): some for name, some in changes.items()}})
