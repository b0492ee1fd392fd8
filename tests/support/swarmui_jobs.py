"""Jobs for the `swarmui` pipeline, run against the fake server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult, LearningContext
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.swarmui.offer import Offer, parse_offer
from pipeline_runner.pipelines.swarmui.pipeline import SwarmuiPipeline
from tests.servers.swarmui import FakeSwarmui
from tests.servers.swarmui_params import FEATURES, MODELS, listed, params
from tests.support.comfyui_jobs import Background
from tests.support.factories import Reports, record_of

CONFIG: Final[Config] = {"prompt": "a blue star", "model": "real", "steps": 4, "width": 64, "height": 64, "seed": 7}


def new_pipeline(root: Path, server: FakeSwarmui, token_file: Path | None = None) -> SwarmuiPipeline:
    """Make the pipeline, which has not asked the server yet."""
    address = ServerAddress(url=server.url, auth_file=token_file)
    return SwarmuiPipeline(Setup(outputs=Outputs(root), servers={"swarmui": address}))


def pipeline_of(root: Path, server: FakeSwarmui, token_file: Path | None = None) -> SwarmuiPipeline:
    """Make the pipeline, and have it read what the server offers."""
    pipeline = new_pipeline(root, server, token_file)
    assert pipeline.refresh() == ""
    return pipeline


def run(
    pipeline: SwarmuiPipeline,
    config: Config | None = None,
    *,
    stage: str = "txt2img",
    mark: LearningContext | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled = lambda: False,
    attempt: int = 1,
) -> JobResult:
    """Run a job to its end."""
    job = record_of(pipeline="swarmui", stage=stage, config=CONFIG if config is None else config, mark=mark)
    return pipeline.run(replace(job, attempt=attempt), Reports() if progress is None else progress, cancelled)


def start(pipeline: SwarmuiPipeline, config: Config | None = None, **options: Any) -> Background:
    """Run a job in a thread."""
    return Background(lambda cancelled: run(pipeline, config, cancelled=cancelled, **options))


def offer_of(*, models: Mapping[str, list[str]] = MODELS) -> Offer:
    """Return what a fake SwarmUI offers, without a socket."""
    return parse_offer({"list": params(), "models": listed({**MODELS, **models})}, FEATURES)


def files(root: Path) -> list[Path]:
    """Return all that was saved."""
    return [path for path in root.rglob("*") if path.is_file()]
