"""The `embedded` pipeline: a real diffusion sampler without weights, so that everything can be tried at once."""

import io
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bus import __version__
from bus.contracts.fields import SEED_MAX, Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError, decoded
from pipeline_runner.outputs.infotext import infotext
from pipeline_runner.pipelines import Cancelled as AskCancelled
from pipeline_runner.pipelines import Pipeline, Progress, Setup
from pipeline_runner.pipelines.embedded import (
    SAMPLERS,
    SCHEDULERS,
    Cancelled,
    Picture,
    Settings,
    generate,
    knows,
    warm_up,
)
from pipeline_runner.pipelines.input_files import find_file, read_file
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

UNKNOWN_PROMPT: Final = "config.prompt: names no colour and no shape that this pipeline can draw; any may come out"
_SETTINGS: Final = {
    "prompt": VariableSpec(kind="str"),
    "steps": VariableSpec(kind="int", minimum=1, maximum=150),
    "cfg_scale": VariableSpec(kind="float", minimum=0, maximum=30),
    "sampler_name": VariableSpec(kind="str", choices=SAMPLERS),
    "scheduler": VariableSpec(kind="str", choices=SCHEDULERS),
    "seed": VariableSpec(kind="int", minimum=0, maximum=SEED_MAX),
    "width": VariableSpec(kind="int", minimum=16, maximum=256, unit="pixels"),
    "height": VariableSpec(kind="int", minimum=16, maximum=256, unit="pixels"),
}
# each is the sampler's setting of the same name
_DEFAULTS: Final = {one.name: str(one.default) for one in fields(Settings)}
_TXT2IMG: Final = {
    name: replace(spec, target=f"setting {name}", default=_DEFAULTS[name]) for name, spec in _SETTINGS.items()
}
_DENOISING: Final = VariableSpec(
    kind="float", minimum=0, maximum=1, target="setting denoising_strength", default=_DEFAULTS["denoising_strength"]
)
PROMPT_MATCH: Final = "prompt_match"
_METRICS: Final = (PROMPT_MATCH,)
_STAGES: Final = {
    "txt2img": StageSpec(variables=_TXT2IMG, metrics=_METRICS),
    "img2img": StageSpec(
        variables={**_TXT2IMG, "denoising_strength": _DENOISING},
        config={"init_image": VariableSpec(kind="str", target="the picture to begin with")},
        required=("init_image",),
        metrics=_METRICS,
    ),
}


class EmbeddedPipeline(Pipeline):
    """Draws small pictures of coloured shapes by exact diffusion; see `pipeline_runner.pipelines.embedded`."""

    def __init__(self, setup: Setup) -> None:
        """Write pictures to the output folder."""
        self._outputs = setup.outputs

    def stages(self) -> Mapping[str, StageSpec]:
        """Return `txt2img`, and `img2img` from a picture file on the runner's machine."""
        return _STAGES

    def check(self, _stage: str, config: Config) -> None:
        """Refuse a picture to start from that is none.

        Raises:
            InvalidInputError: naming it.
        """
        if "init_image" in config:
            find_file("config.init_image", Path(str(config["init_image"])))

    def identity(self, stage: str, config: Config) -> str | None:  # noqa: ARG002 - as of every pipeline
        """Nothing but the version decides a picture, unless it begins with another one, which may change."""
        return None if "init_image" in config else __version__

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: AskCancelled) -> JobResult:
        """Make one picture."""
        try:
            settings = _settings(job.config)
        except ValueError as error:
            return failed_result("invalid_request", str(error))
        warm_up(settings)  # the first job of a size draws the picture set, which says nothing about its settings
        start = time.perf_counter()
        try:
            picture = generate(settings, lambda done, total: progress(done / total, done, total), cancelled)
        except Cancelled:
            return cancelled_result()
        seconds = time.perf_counter() - start
        effective: Config = {
            "prompt": settings.prompt,
            "steps": settings.steps,
            "cfg_scale": settings.cfg_scale,
            "sampler_name": settings.sampler_name,
            "scheduler": settings.scheduler,
            "seed": settings.seed,
            "width": settings.width,
            "height": settings.height,
        }
        if job.stage == "img2img":
            effective["denoising_strength"] = settings.denoising_strength
        image = self._outputs.save(
            job,
            _png(picture, effective),
            suffix=".png",
            media_type="image/png",
            size=(settings.width, settings.height),
            seed=settings.seed,
        )
        metrics = {PROMPT_MATCH: picture.prompt_match}
        return JobResult(
            success=True,
            images=(image,),
            metrics=metrics,
            effective=effective,
            warnings=() if knows(settings.prompt) else (UNKNOWN_PROMPT,),
            seconds=seconds,
        )


def _settings(config: Config) -> Settings:
    """Turn a checked configuration into settings; what it leaves out has the sampler's default."""
    known: dict[str, Any] = {key: value for key, value in config.items() if key != "init_image"}
    if "init_image" in config:
        known["init_image"] = _load(Path(str(config["init_image"])))
    return Settings(**known)


def _load(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    data = read_file("config.init_image", path)
    try:
        return decoded(data, lambda image: np.asarray(image.convert("RGB"), dtype=np.uint8))[0]
    except NoImageError as error:
        raise InvalidInputError(f"config.init_image: {path} is {error}") from None


def _png(picture: Picture, effective: Config) -> bytes:
    """Encode without anything that differs between two runs: the same settings give the same bytes."""
    text = PngInfo()
    text.add_itxt("parameters", infotext({**effective, "model": "embedded"}))
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()
