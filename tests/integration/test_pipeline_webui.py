"""The `webui` pipeline against a fake server: what it offers, and a job from its configuration to a file."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import check_config, find_stage
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup
from pipeline_runner.pipelines.registry import load_pipelines
from pipeline_runner.pipelines.webui.pipeline import WebuiPipeline
from tests.servers.webui import FakeWebui
from tests.servers.webui_site import API
from tests.support.factories import Reports, context
from tests.support.webui_jobs import CONFIG, picture, pipeline_of, run

Fake = Callable[..., FakeWebui]


def unread(root: Path, url: str, auth_file: Path | None = None) -> WebuiPipeline:
    """Make the pipeline; nothing has been asked."""
    return WebuiPipeline(Setup(outputs=Outputs(root), servers={"webui": ServerAddress(url=url, auth_file=auth_file)}))


def reason_of(pipeline: WebuiPipeline) -> str:
    """Return why nothing can be planned."""
    with pytest.raises(ControlError) as refused:
        find_stage({"webui": pipeline.stages()}, "webui", "txt2img")
    assert refused.value.code == "unavailable"
    return str(refused.value)


def test_it_is_installed() -> None:
    """By its entry point; without a setting it looks where the web UI is by default."""
    found = load_pipelines(Setup(outputs=Outputs(Path("unused"))))["webui"]

    assert isinstance(found, WebuiPipeline)
    assert set(found.stages()) == {"txt2img", "img2img", "upscale"}


def test_before_it_has_asked_it_says_so(tmp_path: Path) -> None:
    """Whoever plans too early tries again."""
    assert reason_of(unread(tmp_path, "http://host:1")) == (
        "webui: http://host:1 has not been asked yet; try again in a moment"
    )


def test_a_server_that_is_not_there_is_told_with_what_to_do(tmp_path: Path, fake_webui: Fake) -> None:
    """One sentence, for refresh and for plans."""
    server = fake_webui()
    server.close()
    pipeline = unread(tmp_path, server.url)

    reason = pipeline.refresh()

    assert reason == reason_of(pipeline)
    assert reason.startswith(f"webui: {server.url} cannot be reached: ")
    assert reason.endswith("; start the web UI with --api, or the runner with VARIANTBUS_WEBUI_URL set")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"api": False}, "has no API; start the web UI with --api"), ({"password": "a:b"}, "VARIANTBUS_WEBUI_AUTH_FILE")],
)
def test_a_server_that_refuses_is_told_with_what_to_do(
    tmp_path: Path, fake_webui: Fake, options: dict[str, Any], words: str
) -> None:
    """Started without --api, or with --api-auth."""
    pipeline = unread(tmp_path, fake_webui(**options).url)

    assert words in pipeline.refresh()
    assert words in reason_of(pipeline)
    assert "VARIANTBUS_WEBUI_URL" not in reason_of(pipeline)


@pytest.mark.parametrize(("url", "file"), [("nowhere", None), ("http://host:1", "missing")])
def test_settings_that_are_wrong_are_told(tmp_path: Path, url: str, file: str | None) -> None:
    """By the pipeline's stages; the runner starts all the same."""
    pipeline = unread(tmp_path, url, tmp_path / file if file else None)

    assert pipeline.refresh() == reason_of(pipeline)
    assert "write http://HOST:PORT" in reason_of(pipeline) or "cannot be read" in reason_of(pipeline)


def test_a_list_in_an_unknown_form_is_a_reason(tmp_path: Path, fake_webui: Fake) -> None:
    """Not a traceback."""
    server = fake_webui()
    server.canned[f"{API}/sd-models"] = (200, b'[{"name": "x"}]')

    assert "lists what it offers in an unknown form" in unread(tmp_path, server.url).refresh()


def test_what_was_read_stays_while_the_server_is_away(tmp_path: Path, fake_webui: Fake) -> None:
    """Jobs can be planned overnight."""
    server = fake_webui()
    pipeline = pipeline_of(tmp_path, server)
    server.close()

    assert "cannot be reached" in pipeline.refresh()
    check_config(find_stage({"webui": pipeline.stages()}, "webui", "txt2img"), CONFIG)


def test_a_server_that_comes_later_is_read(tmp_path: Path, fake_webui: Fake) -> None:
    """Also one that is another one than before."""
    first = fake_webui()
    pipeline = pipeline_of(tmp_path, first)
    first.close()
    assert pipeline.refresh() != ""
    fake_webui(port=first.port, forge=True)

    assert pipeline.refresh() == ""
    assert "distilled_cfg_scale" in pipeline.stages()["txt2img"].variables


def test_a_job_before_the_first_answer_asks_for_no_lists_itself(tmp_path: Path, fake_webui: Fake) -> None:
    """They are read in one thread alone, and until then no job is started; one that is waits."""
    server = fake_webui()
    result = run(unread(tmp_path, server.url))

    assert result.error is not None
    assert (result.error.kind, server.requests) == ("unreachable", [])


def test_a_job_becomes_a_file_with_its_parameters(tmp_path: Path, fake_webui: Fake) -> None:
    """As the server gave it, with its seed, and what was used."""
    result = run(pipeline_of(tmp_path, fake_webui()), {**CONFIG, "sampler_name": "Euler a"}, mark=context())

    (image,) = result.images
    assert (result.success, result.warnings) == (True, ())
    assert (image.width, image.height, image.seed, image.media_type) == (64, 64, 7, "image/png")
    assert result.effective["sampler_name"] == "Euler a"
    assert result.effective["model"] == "sd15"
    assert result.seconds is not None
    with Image.open(tmp_path / image.path) as opened:
        assert opened.info["parameters"].startswith("a blue star\nSteps: 4, Sampler: Euler a")


@pytest.mark.parametrize("seed", [156680208700286, 2**53 + 1, 2**64 - 1])
def test_a_seed_arrives_and_is_reported_with_all_its_digits(tmp_path: Path, fake_webui: Fake, seed: int) -> None:
    """The server takes 64 bits."""
    server = fake_webui()
    pipeline = pipeline_of(tmp_path, server)
    config: Config = {**CONFIG, "seed": seed}
    check_config(find_stage({"webui": pipeline.stages()}, "webui", "txt2img"), config)

    result = run(pipeline, config)

    assert (server.sent()[0]["seed"], result.images[0].seed, result.effective["seed"]) == (seed, seed, seed)
    assert result.warnings == ()


@pytest.mark.parametrize(("form", "media_type"), [("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_a_server_may_encode_otherwise(tmp_path: Path, fake_webui: Fake, form: str, media_type: str) -> None:
    """The media type is that of the bytes."""
    server = fake_webui()
    server.options["samples_format"] = form

    (image,) = run(pipeline_of(tmp_path, server)).images

    assert image.media_type == media_type


def test_a_grid_and_what_extensions_add_are_no_result(tmp_path: Path, fake_webui: Fake) -> None:
    """There is one picture a job."""
    server = fake_webui()
    server.worker.grid, server.worker.appended = True, 2

    (image,) = run(pipeline_of(tmp_path, server)).images

    assert (image.width, image.height) == (64, 64)
    with Image.open(tmp_path / image.path) as opened:
        assert opened.info["parameters"].startswith("a blue star")


def test_a_picture_can_be_changed_and_enlarged(tmp_path: Path, fake_webui: Fake) -> None:
    """img2img takes its size; upscaling multiplies it."""
    pipeline, start = pipeline_of(tmp_path, fake_webui()), picture(tmp_path)

    (changed,) = run(pipeline, {"init_image": start, "prompt": "x", "seed": 1}, stage="img2img").images
    config: Config = {"init_image": start, "upscaler": "Lanczos", "upscaling_factor": 3, "seed": 1}
    (enlarged,) = run(pipeline, config, stage="upscale").images

    assert (changed.width, changed.height, changed.seed) == (40, 24, 1)
    assert (enlarged.width, enlarged.height, enlarged.seed) == (120, 72, None)


@pytest.mark.parametrize(
    ("start", "factor", "size"),
    [
        ((100, 75), 2, (200, 144)),
        ((100, 75), 1, (96, 72)),
        ((100, 75), 1.25, (120, 88)),
        ((512, 512), 1.1, (560, 560)),
        ((512, 512), 1.7, (864, 864)),
    ],
)
def test_an_enlarged_side_that_is_no_multiple_of_8_is_no_fault(
    tmp_path: Path, fake_webui: Fake, start: tuple[int, int], factor: float, size: tuple[int, int]
) -> None:
    """The server rounds it down, since 1.6.0."""
    config: Config = {"init_image": picture(tmp_path, start), "upscaler": "Lanczos", "upscaling_factor": factor}

    result = run(
        pipeline_of(tmp_path, fake_webui()), config, stage="upscale", mark=context(variable="upscaling_factor")
    )

    assert result.success, result
    assert result.warnings == ()
    assert (result.images[0].width, result.images[0].height) == size


@pytest.mark.parametrize(
    ("more", "size", "used"),
    [
        ({}, 128, 0.7),
        ({"hr_scale": 1.5}, 96, 0.7),
        ({"hr_scale": 2.3}, 144, 0.7),
        ({"hr_upscaler": "Latent"}, 128, 0.7),
        ({"hr_second_pass_steps": 3, "denoising_strength": 0.5}, 128, 0.5),
    ],
)
def test_hires_fix_has_a_denoising_strength(
    tmp_path: Path, fake_webui: Fake, more: Config, size: int, used: float
) -> None:
    """The API's own default is null, with which the server fails after the first pass."""
    result = run(
        pipeline_of(tmp_path, fake_webui()), {**CONFIG, "enable_hr": True, **more}, mark=context(variable="enable_hr")
    )

    assert result.success, result
    assert result.warnings == ()
    assert (result.images[0].width, result.effective["denoising_strength"]) == (size, used)


def damaged_dds() -> bytes:
    """Make a file of another format, for which Pillow raises what it raises for none of ours."""
    return b"DDS " + struct.pack("<I", 124) + bytes(120)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"half", damaged_dds(), b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_picture_to_start_from_that_is_none_is_refused(
    tmp_path: Path, fake_webui: Fake, content: bytes | None
) -> None:
    """Before the job is queued, and if it has gone since, by the job."""
    path = Path(picture(tmp_path))
    whole = path.read_bytes()
    pipeline = pipeline_of(tmp_path, fake_webui())
    config: Config = {"init_image": str(path), "prompt": "x"}
    pipeline.check("img2img", config)
    path.unlink()
    if content is not None:
        path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)

    with pytest.raises(InvalidInputError, match=r"config\.init_image: .*start\.png"):
        pipeline.check("img2img", config)
    result = run(pipeline, config, stage="img2img")
    assert result.error is not None
    assert result.error.kind == "invalid_request"


def test_progress_is_that_of_our_job(tmp_path: Path, fake_webui: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never falls and never says that it is done."""
    monkeypatch.setattr("pipeline_runner.pipelines.poller.POLL_SECONDS", 0.01)
    server = fake_webui()
    server.hold()

    class Counted(Reports):
        def __call__(
            self, fraction: float, step: int | None = None, steps: int | None = None, *, preview: bytes | None = None
        ) -> None:
            super().__call__(fraction, step, steps, preview=preview)
            if sum(told[1:] == (3, 4) for told in self) == 3:  # before, it may only be known that the job has begun
                server.release()

    reports = Counted()
    assert run(pipeline_of(tmp_path, server), progress=reports).success

    fractions = [fraction for fraction, _, _ in reports]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] <= 0.99


def test_a_picture_is_decoded_twice_at_most(tmp_path: Path, fake_webui: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to see that it is whole, and once for its thumbnail: a large one takes as long as all the rest."""
    pipeline = pipeline_of(tmp_path, fake_webui())
    opened = []
    original = Image.open

    def count(*args: Any, **options: Any) -> Image.Image:
        opened.append(args)
        return original(*args, **options)

    monkeypatch.setattr(Image, "open", count)

    assert run(pipeline).success
    assert len(opened) == 2


@pytest.mark.parametrize(
    ("sizes", "count"), [({"batch_size": 4}, 4), ({"n_iter": 3}, 3), ({"batch_size": 2, "n_iter": 2}, 4)]
)
@pytest.mark.parametrize("grid", [False, True])
def test_a_batch_gives_all_its_pictures_each_with_its_seed(
    tmp_path: Path, fake_webui: Fake, sizes: dict[str, Any], count: int, *, grid: bool
) -> None:
    """Not the grid that stands before them, nor what extensions add behind them."""
    server = fake_webui()
    server.worker.grid, server.worker.appended = grid, 2

    result = run(pipeline_of(tmp_path, server), {**CONFIG, **sizes})

    assert [image.seed for image in result.images] == list(range(7, 7 + count))
    assert len({image.sha256 for image in result.images}) == count
    for image in result.images:
        with Image.open(tmp_path / image.path) as opened:
            assert f"Seed: {image.seed}" in opened.info["parameters"]
    assert result.warnings == ()


def test_a_batch_of_which_some_do_not_come_is_told(tmp_path: Path, fake_webui: Fake) -> None:
    """What came counts."""
    server = fake_webui()
    server.worker.withheld = 1

    result = run(pipeline_of(tmp_path, server), {**CONFIG, "batch_size": 3})

    assert len(result.images) == 2
    assert result.warnings == ("2 of 3 pictures came",)
