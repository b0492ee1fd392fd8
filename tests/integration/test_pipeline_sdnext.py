"""The `sdnext` pipeline: what is sent and comes back, what the server does wrong, and what becomes of the job."""

from pathlib import Path

import pytest
from PIL import Image

from bus.contracts.fields import Config
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup, poller
from pipeline_runner.pipelines.sdnext import generation
from pipeline_runner.pipelines.sdnext.failures import INTERRUPTED, NO_PICTURE
from pipeline_runner.pipelines.webui.pipeline import WebuiPipeline
from tests.servers.sdnext import FakeSdnext
from tests.servers.sdnext_jobs import NOT_LIKED
from tests.support.comfyui_jobs import error_of
from tests.support.factories import Reports, context
from tests.support.helpers import wait_until
from tests.support.sdnext_jobs import CONFIG, new_pipeline, pipeline_of, run, start
from tests.support.swarmui_jobs import files

ACCOUNT = "me:secret"


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the server more often than it would like."""
    monkeypatch.setattr(poller, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(generation, "STOP_POLL_SECONDS", 0.02)


def test_a_picture_and_all_that_is_told_of_it(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """A JPEG as the server is set, with what was used; the request has nothing that the server would not know."""
    reports = Reports()
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()
    job = start(pipeline, progress=reports)
    wait_until(lambda: reports, what="progress")
    sdnext.release()
    result = job.result

    assert (result.success, result.warnings) == (True, ())
    assert {**CONFIG, "model": "real", "model_hash": "aaaaaaaaaa"}.items() <= result.effective.items()
    (image,) = result.images
    assert (image.width, image.height, image.seed, image.media_type) == (64, 64, 7, "image/jpeg")
    assert reports[0] == (0.5, 2, 4)
    (sent,) = sdnext.sent()
    assert "force_task_id" not in sent
    assert CONFIG.items() <= sent.items()


def test_each_stage_makes_its_picture(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """From a picture, in its size or enlarged."""
    path = tmp_path / "start.png"
    Image.new("RGB", (80, 64), "red").save(path)
    pipeline = pipeline_of(tmp_path / "out", sdnext)

    first = run(pipeline, {"init_image": str(path), "denoising_strength": 0.5, "seed": 3}, stage="img2img")
    second = run(pipeline, {"init_image": str(path), "upscaler": "ESRGAN 4x"}, stage="upscale")
    assert [(image.width, image.height) for image in (*first.images, *second.images)] == [(80, 64), (160, 128)]
    sdnext.behaviour.used = {"factor": 1}
    config: Config = {"init_image": str(path), "upscaler": "ESRGAN 4x"}
    assert error_of(run(pipeline, config, stage="upscale", mark=context(variable="upscaler")))[0] == "substituted"


@pytest.mark.parametrize(
    ("variable", "config", "used"),
    [
        ("model", {"model": "sd15, old: fixed"}, {"info": {"sd_model_hash": "aaaaaaaaaa"}}),
        ("sampler_name", {"sampler_name": "Euler"}, {"info": {"sampler_name": "UniPC"}}),
        ("lora", {"lora": "Ink"}, {"parameters": {"LoRA networks": None}}),
        ("vae", {"vae": "kl-f8.ckpt"}, {"parameters": {"VAE": None}}),
    ],
)
def test_a_job_whose_own_variable_was_substituted_has_failed(
    tmp_path: Path, sdnext: FakeSdnext, variable: str, config: Config, used: dict[str, object]
) -> None:
    """Its picture is not kept; for an experiment on something else it is a warning."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.behaviour.used = used
    assert error_of(run(pipeline, {**CONFIG, **config}, mark=context(variable=variable)))[0] == "substituted"
    assert files(tmp_path) == []
    other = run(pipeline, {**CONFIG, **config}, mark=context(variable="eta"))
    assert (other.success, len(other.warnings)) == (True, 1)


def test_odd_pictures(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """One more before the one that was made, another size, one of which nothing is told, and one of no known format."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.behaviour.annotates = True
    assert [image.width for image in run(pipeline).images] == [64]
    sdnext.behaviour.annotates = False
    sdnext.behaviour.real_size = (64, 32)
    assert run(pipeline).warnings == ("height: asked for 64, the server used 32",)
    sdnext.behaviour.real_size = (64, 64)
    sdnext.behaviour.silent = True
    told = run(pipeline)
    assert (told.warnings, told.images[0].seed) == (("info: the server does not say what it used",), 7)
    sdnext.behaviour.image_format = "TIFF"
    kind, text = error_of(run(pipeline))
    assert (kind, "samples_format" in text) == ("server_error", True)


def test_a_server_that_cannot_be_used_says_why(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """Away, another web UI, a proxy, or one that wants a password."""
    sdnext.canned["status"] = (404, b'{"detail":"Not Found"}')
    assert "is no SD.Next, or has not started yet" in new_pipeline(tmp_path, sdnext).refresh()
    sdnext.canned["status"] = (200, b'{"status": "ok"}')
    assert "take the pipeline webui" in new_pipeline(tmp_path, sdnext).refresh()
    del sdnext.canned["status"]
    sdnext.canned["samplers"] = (200, b'{"a": 1}')
    assert "lists what it offers in an unknown form" in new_pipeline(tmp_path, sdnext).refresh()
    del sdnext.canned["samplers"]
    sdnext.password = ACCOUNT
    pipeline = new_pipeline(tmp_path, sdnext)
    assert "VARIANTBUS_SDNEXT_AUTH_FILE" in pipeline.refresh()
    assert error_of(run(pipeline))[0] == "unreachable"
    path = tmp_path / "auth"
    path.write_text(f"{ACCOUNT}\n", encoding="utf-8")
    path.chmod(0o600)
    assert run(pipeline_of(tmp_path, sdnext, path)).success
    assert "auth_file" in new_pipeline(tmp_path, sdnext, tmp_path / "none").refresh()
    sdnext.stop()
    assert "VARIANTBUS_SDNEXT_URL" in new_pipeline(tmp_path, sdnext).refresh()


def test_the_pipeline_of_the_web_ui_sends_to_this_one(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """Whoever takes SD.Next for a web UI, whose paths it has, reads what to write instead."""
    setup = Setup(outputs=Outputs(tmp_path), servers={"webui": ServerAddress(url=sdnext.url)})

    assert "an SD.Next needs the pipeline sdnext" in WebuiPipeline(setup).refresh()


@pytest.mark.fault(item="F188")
def test_memory_that_runs_out_is_read_from_the_log(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """The answer is a success, with half a picture. It is tried once more, after the model was unloaded."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.behaviour.errors.append("OutOfMemoryError")
    assert run(pipeline).success
    assert sdnext.engine.freed == 1

    sdnext.behaviour.errors.extend(["OutOfMemoryError", "OutOfMemoryError"])
    kind, text = error_of(run(pipeline))
    assert (kind, "take a smaller width" in text) == ("oom", True)
    sdnext.behaviour.errors.extend(["OutOfMemoryError", "ValueError"])
    assert error_of(run(pipeline))[0] == "server_error"


@pytest.mark.fault(item="F188")
def test_another_error_is_read_from_the_log(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """Where the server keeps no half, too; a server that does not show its log has said nothing."""
    pipeline = pipeline_of(tmp_path, sdnext)
    for keeps in (True, False):
        sdnext.behaviour.keeps_half = keeps
        sdnext.behaviour.errors.append("ValueError")
        kind, text = error_of(run(pipeline))
        assert (kind, text.endswith("its log says: Processing: ValueError")) == ("server_error", True)
    sdnext.behaviour.logs = False
    sdnext.behaviour.errors.append("ValueError")
    assert error_of(run(pipeline)) == ("server_error", f"{NO_PICTURE}, or with half of one; its log may say why")
    assert files(tmp_path) == []


@pytest.mark.fault(item="F188")
@pytest.mark.parametrize("history", [True, False])
def test_half_a_picture_of_a_job_that_could_not_be_followed(
    tmp_path: Path, sdnext: FakeSdnext, *, history: bool
) -> None:
    """It waited behind that of another, and an older server has no history either: then nobody knows why."""
    sdnext.behaviour.history = history
    sdnext.behaviour.errors.extend(["", "OutOfMemoryError"])
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()
    theirs = sdnext.job_of_another()
    ours = start(pipeline)
    wait_until(sdnext.sent, what="our job in the queue")
    sdnext.release()
    theirs.join(60)

    result = ours.result
    assert (result.success, sdnext.engine.freed) == (history, int(history))
    if not history:
        assert error_of(result)[0] == "server_error"
        assert files(tmp_path) == []


@pytest.mark.fault(item="F188")
@pytest.mark.parametrize("keeps", [True, False])
def test_a_job_that_somebody_interrupts_has_failed(tmp_path: Path, sdnext: FakeSdnext, *, keeps: bool) -> None:
    """The server answers with a success, and with half of a picture or none."""
    sdnext.behaviour.keeps_half = keeps
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()
    job = start(pipeline)
    wait_until(lambda: sdnext.engine.begun, what="the job at the server")
    sdnext.engine.interrupt()

    assert error_of(job.result) == ("interrupted", INTERRUPTED)
    assert files(tmp_path) == []


def test_a_cancelled_job_is_interrupted_until_the_server_hears_it(
    tmp_path: Path, sdnext: FakeSdnext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It forgets an interruption with the next part of the job."""
    monkeypatch.setattr(generation, "INTERRUPT_AGAIN_SECONDS", 0.1)
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.behaviour.deaf = True
    sdnext.hold()
    reports = Reports()
    job = start(pipeline, progress=reports)
    wait_until(lambda: reports, what="progress")
    job.cancel()

    assert job.result.cancelled
    assert sdnext.engine.interrupts >= 2  # of those it hears the second one, and may end the job only after a third
    assert run(pipeline, cancelled=lambda: True).cancelled
    assert len(sdnext.sent()) == 1


@pytest.mark.parametrize("history", [True, False])
def test_a_job_of_another_is_never_interrupted(tmp_path: Path, sdnext: FakeSdnext, *, history: bool) -> None:
    """Ours waits behind it, is cancelled, and left to the server; so it is where the server has no history."""
    sdnext.behaviour.history = history
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()
    theirs = sdnext.job_of_another()
    ours = start(pipeline)
    wait_until(sdnext.sent, what="our job in the queue")
    ours.cancel()
    looks = len(sdnext.requests)
    wait_until(lambda: len(sdnext.requests) > looks + 20, what="some looks at it")
    sdnext.release()

    assert ours.result.cancelled
    theirs.join(60)
    assert sdnext.engine.interrupts == 0
    assert [one["prompt"] for one in sdnext.engine.made] == ["theirs", "a blue star"]


def test_a_job_of_the_page_is_never_interrupted(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """It shows between its parts that it does nothing, but for its task."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.engine.page_task = "task(1)"
    sdnext.hold()
    ours = start(pipeline)
    wait_until(lambda: sdnext.engine.begun, what="our job at the server")
    ours.cancel()
    looks = len(sdnext.requests)
    wait_until(lambda: len(sdnext.requests) > looks + 20, what="some looks at it")
    sdnext.release()

    assert ours.result.cancelled
    assert sdnext.engine.interrupts == 0


def test_a_job_that_takes_too_long_is_interrupted(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """`timeout_seconds` counts the server's queue too."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()

    assert error_of(run(pipeline, {**CONFIG, "timeout_seconds": 0.3})) == ("timeout", generation.TIMED_OUT)
    assert sdnext.engine.interrupts == 1


def test_a_server_that_does_not_end_the_job_is_left(
    tmp_path: Path, sdnext: FakeSdnext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is closed, also where no interruption gets through."""
    monkeypatch.setattr(generation, "LEAVE_SECONDS", 0.2)
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.canned["interrupt"] = (500, b"{}")
    sdnext.hold()
    job = start(pipeline)
    wait_until(lambda: sdnext.engine.begun, what="the job at the server")
    job.cancel()

    assert job.result.cancelled
    sdnext.release()


def test_a_server_that_is_killed_in_the_middle_of_a_job(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """The job waits until it is back, and runs again then."""
    pipeline = pipeline_of(tmp_path, sdnext)
    sdnext.hold()
    job = start(pipeline)
    wait_until(lambda: sdnext.engine.begun, what="the job at the server")
    sdnext.stop()

    assert error_of(job.result)[0] == "unreachable"
    assert error_of(run(pipeline))[0] == "unreachable"
    sdnext.start()
    assert run(pipeline).success


def test_what_the_server_refuses(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """In its own words; a limit on requests is none of the job's faults."""
    pipeline = pipeline_of(tmp_path, sdnext)
    kind, text = error_of(run(pipeline, {**CONFIG, "cfg_scale": NOT_LIKED}))
    assert (kind, "a number that nobody likes" in text) == ("server_error", True)
    sdnext.canned["txt2img"] = (429, b'{"error": "HTTPException", "detail": "rate limit exceeded"}')
    assert error_of(run(pipeline))[0] == "busy"
    sdnext.canned["txt2img"] = (502, b"<html>")
    assert error_of(run(pipeline))[0] == "unreachable"
    assert error_of(run(pipeline, {**CONFIG, "sampler_name": "gone"}))[0] == "invalid_request"


def test_jobs_are_followed_again_after_one_that_ended_in_an_error(tmp_path: Path, sdnext: FakeSdnext) -> None:
    """The server's history never tells the end of such a job; until the next one begins it may run still."""
    pipeline = pipeline_of(tmp_path, sdnext)
    assert not run(pipeline, {**CONFIG, "cfg_scale": NOT_LIKED}).success
    assert run(pipeline).success
    sdnext.hold()
    reports = Reports()
    job = start(pipeline, progress=reports)
    wait_until(lambda: reports, what="progress")
    job.cancel()

    assert job.result.cancelled
    assert sdnext.engine.interrupts == 1
