"""Jobs for the `webui` pipeline, run against the fake server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult, LearningContext
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.webui.lists import Lists, parse_lists
from pipeline_runner.pipelines.webui.pipeline import WebuiPipeline
from tests.servers.webui import FakeWebui
from tests.servers.webui_settings import Refused
from tests.servers.webui_site import API, Request, Site
from tests.support.factories import Reports, record_of

CONFIG: Final[Config] = {"prompt": "a blue star", "steps": 4, "width": 64, "height": 64, "seed": 7}


def pipeline_of(root: Path, server: FakeWebui, auth_file: Path | None = None) -> WebuiPipeline:
    """Make the pipeline, and have it read what the server offers."""
    pipeline = WebuiPipeline(
        Setup(outputs=Outputs(root), servers={"webui": ServerAddress(url=server.url, auth_file=auth_file)})
    )
    assert pipeline.refresh() == ""
    return pipeline


def run(
    pipeline: WebuiPipeline,
    config: Config | None = None,
    *,
    stage: str = "txt2img",
    mark: LearningContext | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled = lambda: False,
    attempt: int = 1,
) -> JobResult:
    """Run a job to its end."""
    job = record_of(pipeline="webui", stage=stage, config=CONFIG if config is None else config, mark=mark)
    return pipeline.run(replace(job, attempt=attempt), Reports() if progress is None else progress, cancelled)


def picture(folder: Path, size: tuple[int, int] = (40, 24)) -> str:
    """Write a picture to start from and return its path."""
    path = folder / "start.png"
    Image.new("RGB", size, "red").save(path)
    return str(path)


def lists_of(change: Callable[[dict[str, Any]], object] = lambda _: None, **options: Any) -> Lists:
    """Return the lists of a fake web UI, without a socket; `change` is applied to its answers before."""
    site = Site(**options)
    names: tuple[str, ...] = (
        "samplers",
        "schedulers",
        "sd-models",
        "sd-modules",
        "sd-vae",
        "loras",
        "upscalers",
        "options",
    )
    names += ("latent-upscale-modes", "script-info", "prompt-styles")
    answers: dict[str, Any] = {name: _answer(site, f"{API}/{name}") for name in names}
    answers |= {name: _answer(site, f"/controlnet/{name}") for name in ("model_list", "module_list")}
    answers["labels"] = _answer(site, "/controlnet/module_list", {"alias_names": "true"})
    change(answers)
    return parse_lists(answers)


def _answer(site: Site, path: str, query: dict[str, str] | None = None) -> Any:
    try:
        return site.answer(Request("GET", path, query or {}, None))
    except Refused:  # it is not there
        return None
