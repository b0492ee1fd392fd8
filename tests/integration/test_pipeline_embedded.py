"""The embedded pipeline: from a job to a PNG on disk, the same bytes every time."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import check_config
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.embedded.pipeline import EmbeddedPipeline
from tests.support.factories import Reports, context, record_of

SMALL: Config = {
    "prompt": "a blue star",
    "steps": 4,
    "cfg_scale": 1.5,
    "sampler_name": "euler",
    "scheduler": "karras",
    "seed": 7,
    "width": 32,
    "height": 24,
}


def make(root: Path, config: Config, *, stage: str = "txt2img") -> JobResult:
    """Run a job to its end."""
    job = record_of(stage=stage, config=config, mark=context())
    return EmbeddedPipeline(Setup(outputs=Outputs(root))).run(job, Reports(), lambda: False)


def sha256(root: Path, config: Config, *, stage: str = "txt2img") -> str:
    """Run a job that ends well and return the hash of its picture, which is that of the file."""
    result = make(root, config, stage=stage)
    assert result.error is None
    (image,) = result.images
    assert hashlib.sha256((root / image.path).read_bytes()).hexdigest() == image.sha256
    return image.sha256


def init_image(root: Path) -> str:
    """Write a picture to start from."""
    path = root / "start.png"
    Image.new("RGB", (20, 20), "red").save(path)
    return str(path)


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """Another runner, another folder, another time: the same file."""
    assert sha256(tmp_path / "one", SMALL) == sha256(tmp_path / "two", SMALL)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"cfg_scale": 6.0},
        {"steps": 5},
        {"sampler_name": "heun"},
        {"sampler_name": "euler_a"},
        {"scheduler": "linear"},
        {"prompt": "a red circle"},
        {"width": 40},
        {"height": 40},
    ],
    ids=str,
)
def test_every_knob_changes_the_picture(tmp_path: Path, change: dict[str, Any]) -> None:
    """Seed, guidance, steps, sampler, schedule, prompt and size each make another file."""
    assert sha256(tmp_path, SMALL) != sha256(tmp_path, {**SMALL, **change})


def test_the_result_refers_to_the_picture(tmp_path: Path) -> None:
    """Size, seed and media type are those of the file; the match with the prompt is a metric in 0..1."""
    result = make(tmp_path, SMALL)

    (image,) = result.images
    assert result.success
    assert (image.width, image.height, image.seed, image.media_type) == (32, 24, 7, "image/png")
    assert 0 <= result.metrics["prompt_match"] <= 1
    with Image.open(tmp_path / image.path) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (32, 24), "RGB")


def test_the_png_has_its_parameters_as_the_web_ui_writes_them(tmp_path: Path) -> None:
    """Dropped into "PNG info", the file tells how it was made."""
    (image,) = make(tmp_path, SMALL).images

    with Image.open(tmp_path / image.path) as picture:
        assert picture.info["parameters"].splitlines() == [
            "a blue star",
            (
                "Steps: 4, Sampler: euler, Schedule type: karras, CFG scale: 1.5, Seed: 7, Size: 32x24, "
                "Model: embedded, Version: variantbus"
            ),
        ]


def test_what_was_not_configured_has_defaults_that_are_reported(tmp_path: Path) -> None:
    """`effective` says everything that decided the picture."""
    effective = make(tmp_path, {"width": 16, "height": 16, "steps": 2}).effective

    assert effective == {
        "prompt": "",
        "steps": 2,
        "cfg_scale": 1.5,
        "sampler_name": "euler",
        "scheduler": "karras",
        "seed": 0,
        "width": 16,
        "height": 16,
    }


def test_progress_is_reported_step_by_step(tmp_path: Path) -> None:
    """The last report is the whole."""
    reports = Reports()

    EmbeddedPipeline(Setup(outputs=Outputs(tmp_path))).run(record_of(config=SMALL), reports, lambda: False)

    assert reports == [(0.25, 1, 4), (0.5, 2, 4), (0.75, 3, 4), (1.0, 4, 4)]


def test_a_cancelled_job_writes_nothing(tmp_path: Path) -> None:
    """The pipeline asks before each step; a picture that is not finished is not kept."""
    result = EmbeddedPipeline(Setup(outputs=Outputs(tmp_path))).run(record_of(config=SMALL), Reports(), lambda: True)

    assert (result.success, result.cancelled) == (False, True)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_can_start_from_another_one(tmp_path: Path) -> None:
    """The denoising strength decides how much of it is left, and is reported."""
    config: Config = {**SMALL, "init_image": init_image(tmp_path)}
    shas = {sha256(tmp_path, {**config, "denoising_strength": s}, stage="img2img") for s in (0.0, 0.5, 1.0)}
    effective = make(tmp_path, {**config, "denoising_strength": 0.5}, stage="img2img").effective

    assert len(shas) == 3
    assert effective["denoising_strength"] == 0.5


def corrupt(path: Path) -> None:
    """Write a PNG whose pixels fail their checksum."""
    Image.new("RGB", (20, 20), "red").save(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 12] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Write the first half of a PNG."""
    Image.effect_noise((64, 64), 50).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder", "cut", "corrupt", "nul"])
def test_a_bad_start_picture_fails_the_job_with_a_sentence(tmp_path: Path, kind: str) -> None:
    """Whatever is wrong with the file, it is the request that was invalid, and the runner goes on."""
    path = tmp_path / "start.png"
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("no picture")
        case "folder":
            path.mkdir()
        case "cut":
            cut(path)
        case "corrupt":
            corrupt(path)
    name = "a\0b" if kind == "nul" else str(path)

    result = make(tmp_path / "out", {**SMALL, "init_image": name}, stage="img2img")

    assert not result.success
    assert result.error is not None
    assert result.error.kind == "invalid_request"
    assert result.error.message.startswith("config.init_image: ")
    assert result.images == ()


def test_what_the_pipeline_takes_is_what_it_announces(tmp_path: Path) -> None:
    """The configurations of these tests pass the check that a runner makes."""
    stages = EmbeddedPipeline(Setup(outputs=Outputs(tmp_path))).stages()

    check_config(stages["txt2img"], SMALL)
    check_config(stages["img2img"], {**SMALL, "init_image": "a.png", "denoising_strength": 0.5})


def test_the_defaults_that_it_announces_are_those_that_it_uses(tmp_path: Path) -> None:
    """Whoever leaves a field of the form empty was shown what comes of it."""
    stage = EmbeddedPipeline(Setup(outputs=Outputs(tmp_path))).stages()["txt2img"]
    used = make(tmp_path, {"prompt": "a blue star"}).effective
    announced = {name: spec.default for name, spec in stage.variables.items() if name != "prompt"}
    assert announced == {name: str(value) for name, value in used.items() if name in announced}
    assert set(announced) <= set(used)
