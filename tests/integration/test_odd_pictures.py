"""Pictures with broken or endless metadata, through every pipeline: no job fails for them, and the file is kept."""

import base64
import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.jobs import SubmitParams, SubmitReply
from bus.contracts.messages import JobResult
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs, thumbnail_path
from pipeline_runner.pipelines import Pipeline, Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from pipeline_runner.pipelines.embedded.pipeline import EmbeddedPipeline
from pipeline_runner.pipelines.webui.pipeline import WebuiPipeline
from pipeline_runner.service import Runner
from tests.servers.webui import FakeWebui
from tests.support.comfyui_jobs import ComfyuiJobs
from tests.support.factories import Reports, ServiceThread, context, record_of, request_for
from tests.support.held_pipelines import ask, wait_for
from tests.support.helpers import LOCALHOST
from tests.support.odd_pictures import SIZE, UNREADABLE, plain
from tests.support.webui_jobs import CONFIG, pipeline_of
from tests.support.webui_jobs import run as run_webui
from variantbus.client.pictures import read_picture

COPY = "import pathlib, shutil, sys; shutil.copy(sys.argv[1], pathlib.Path(sys.argv[2], sys.argv[3]))"
ODD = UNREADABLE["a large zTXt"]


@pytest.fixture
def runner(no_leaks: None, tmp_path: Path) -> Iterator[ServiceThread[Runner]]:  # noqa: ARG001 - it looks after us
    """Return a runner with the command pipeline."""

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(tmp_path / "outputs")
        pipelines: dict[str, Pipeline] = {"command": CommandPipeline(Setup(outputs=outputs))}
        return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

    thread = ServiceThread(tmp_path / "runner.db", make)
    yield thread
    thread.stop()


def copying(source: Path, name: str) -> Config:
    """Return the configuration of a program that writes a file of some bytes."""
    return {"command": [sys.executable, "-c", COPY, str(source), "{output_dir}", name]}


def kept(root: Path, result: JobResult) -> bytes:
    """Return the bytes of the one picture, which must be what its hash says."""
    assert result.error is None
    (image,) = result.images
    assert (image.width, image.height) == SIZE
    data = (root / image.path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == image.sha256
    assert (root / thumbnail_path(image.sha256)).stat().st_size > 0
    return data


@pytest.mark.fault(item="B64")
@pytest.mark.parametrize(
    ("data", "name", "media_type", "warning"),
    [
        (ODD, "a.png", "image/png", "its metadata cannot be read"),
        (plain("JPEG"), "a.png", "image/jpeg", ""),
        (plain(), "a.dat", "image/png", ""),
    ],
    ids=["large metadata", "a wrong suffix", "no suffix of a picture"],
)
def test_a_program_s_picture_is_kept_with_a_warning(
    runner: ServiceThread[Runner], tmp_path: Path, data: bytes, name: str, media_type: str, warning: str
) -> None:
    """Byte for byte; the warning is in the job's result, where commands and screens find it."""
    source = tmp_path / "source"
    source.write_bytes(data)
    job = request_for("one", pipeline="command", stage="run", config=copying(source, name))

    ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
    result = wait_for(runner, "one", "completed").result

    assert result
    assert kept(tmp_path / "outputs", result) == data
    assert result.images[0].media_type == media_type
    assert [warning in one for one in result.warnings] == ([True] if warning else [])


@pytest.mark.fault(item="B65")
def test_what_is_called_a_picture_and_is_none_is_kept_with_a_warning(
    runner: ServiceThread[Runner], tmp_path: Path
) -> None:
    """It has neither size nor thumbnail."""
    source = tmp_path / "source"
    source.write_bytes(b"no picture")
    job = request_for("one", pipeline="command", stage="run", config=copying(source, "a.png"))

    ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
    result = wait_for(runner, "one", "completed").result

    assert result
    (image,) = result.images
    assert (tmp_path / "outputs" / image.path).read_bytes() == b"no picture"
    assert (image.width, image.height) == (0, 0)
    (warning,) = result.warnings
    assert "it has no thumbnail" in warning


@pytest.mark.fault(item="B64")
@pytest.mark.parametrize("name", ["a large zTXt", "a large profile", "a JPEG with a broken profile"])
def test_a_picture_of_the_webui_is_kept(
    tmp_path: Path, fake_webui: Callable[..., FakeWebui], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As the server gave it."""
    server = fake_webui()
    monkeypatch.setattr(server.worker, "_encode", lambda *_: base64.b64encode(UNREADABLE[name]).decode())
    pipeline = pipeline_of(tmp_path, server)

    result = run_webui(pipeline, {**CONFIG, "width": SIZE[0], "height": SIZE[1]}, mark=context())

    assert kept(tmp_path, result) == UNREADABLE[name]


@pytest.mark.fault(item="B64")
def test_a_picture_of_comfyui_is_kept(comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the server gave it."""
    monkeypatch.setattr("tests.servers.comfyui_execution.picture", lambda *_: ODD)

    result = comfy.run(comfy.config())

    assert kept(comfy.folder / "outputs", result) == ODD


@pytest.mark.fault(item="B64")
@pytest.mark.parametrize("name", ["a large zTXt", "a JPEG with a broken profile"])
def test_a_picture_to_start_from_may_have_any_metadata(
    tmp_path: Path, fake_webui: Callable[..., FakeWebui], name: str
) -> None:
    """Both pipelines that take one read its pixels."""
    start = tmp_path / "start"
    start.write_bytes(UNREADABLE[name])
    config: dict[str, Any] = {"init_image": str(start), "prompt": "a blue star", "steps": 2}
    embedded = EmbeddedPipeline(Setup(outputs=Outputs(tmp_path / "embedded")))
    webui: WebuiPipeline = pipeline_of(tmp_path / "webui", fake_webui())

    job = record_of(stage="img2img", config={**config, "width": 16, "height": 16}, mark=context())
    embedded.check("img2img", job.config)
    webui.check("img2img", config)

    assert embedded.run(job, Reports(), lambda: False).error is None
    assert run_webui(webui, config, stage="img2img").error is None


@pytest.mark.fault(item="B64")
@pytest.mark.parametrize("data", [*UNREADABLE.values(), plain("GIF"), plain("BMP")])
def test_the_commands_that_show_pictures_read_them_too(data: bytes) -> None:
    """So do the contact sheet and the comparison of two pictures; what is none is no error."""
    picture = read_picture(data)

    assert picture
    assert picture.size == SIZE
    assert read_picture(b"no picture") is None


def test_a_picture_of_too_many_pixels_is_not_shown() -> None:
    """The dashboard draws what a program has made; a few kilobytes would take a gigabyte of its memory."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")

    assert read_picture(buffer.getvalue()) is None


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_shown_over_a_checkerboard(mode: str) -> None:
    """It was black, or whatever colour stood below; half of the pixels are light, and half are dark."""
    buffer = io.BytesIO()
    picture = Image.new("RGBA", (240, 120), (10, 20, 30, 0))
    picture.paste((90, 90, 90, 255), (0, 0, 10, 10))
    picture.convert(mode).save(buffer, "PNG", **({"transparency": 0} if mode == "P" else {}))

    shown = read_picture(buffer.getvalue())

    assert shown
    assert shown.mode == "RGB"
    found = {colour for _, colour in shown.crop((120, 0, 240, 120)).getcolors() or []}
    assert found == {(255, 255, 255), (204, 204, 204)}
    assert shown.getpixel((200, 5)) != shown.getpixel((210, 5))


def test_sixteen_bits_and_a_turned_photo_are_shown_as_their_thumbnails_are() -> None:
    """Not cut off at 255, and upright."""
    grey, turned = io.BytesIO(), io.BytesIO()
    Image.new("I;16", (20, 10), 128 * 256).save(grey, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (20, 10), "#ff0000").save(turned, "JPEG", exif=exif)

    shown, upright = read_picture(grey.getvalue()), read_picture(turned.getvalue())

    assert shown
    assert shown.getpixel((0, 0)) == (128, 128, 128)
    assert upright
    assert upright.size == (10, 20)
