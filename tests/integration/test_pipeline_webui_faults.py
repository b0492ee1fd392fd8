"""What a web UI does wrong, and what becomes of the job: never a picture of something else, never a silent loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from tests.servers.webui import FakeWebui, Spoiled
from tests.servers.webui_site import API
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.webui_jobs import CONFIG, picture, pipeline_of, run

Fake = Callable[..., FakeWebui]
OOM = {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of memory. Tried to allocate 1 GiB"}


def failure(result: JobResult) -> tuple[str, str]:
    """Return kind and text of a failure."""
    assert result.error is not None, result
    assert not result.success
    return result.error.kind, result.error.message


def files(root: Path) -> list[Path]:
    """Return all that was saved."""
    return [path for path in root.rglob("*") if path.is_file()]


SUBSTITUTIONS: list[tuple[str, Config, dict[str, Any]]] = [
    ("sampler_name", {"sampler_name": "Euler a"}, {"sampler_name": "DPM++ 2M"}),
    ("scheduler", {"scheduler": "Karras", "sampler_name": "Euler"}, {"scheduler": "Automatic"}),
    ("model", {"model": "real"}, {"model": "sd15.safetensors"}),
    ("vae", {"vae": "kl-f8.ckpt"}, {"vae": None}),
    ("lora", {"lora": "detail"}, {"loras": []}),
    ("lora_strength", {"lora": "detail", "lora_strength": 0.5}, {"loras": []}),
    ("prompt", {"prompt": "a star <lora:Ink:1>"}, {"loras": []}),
    ("width", {"width": 64}, {"width": 128}),
    ("height", {"height": 64}, {"real_size": (64, 32)}),
    ("steps", {"steps": 4}, {"steps": 8}),
    ("cfg_scale", {"cfg_scale": 5}, {"cfg_scale": 1.0}),
    ("seed", {"seed": 7}, {"seed": 8}),
    ("clip_skip", {"clip_skip": 2}, {"clip_skip": 1}),
]


@pytest.mark.parametrize(("variable", "config", "used"), SUBSTITUTIONS, ids=[name for name, _, _ in SUBSTITUTIONS])
def test_a_job_whose_own_variable_was_substituted_has_failed(
    tmp_path: Path, fake_webui: Fake, variable: str, config: Config, used: dict[str, Any]
) -> None:
    """The server answers 200; the picture is not kept, and the text says what was used and what to do."""
    server = fake_webui()
    server.worker.substitute = used
    result = run(pipeline_of(tmp_path, server), {**CONFIG, **config}, mark=context(variable=variable))

    kind, text = failure(result)
    assert kind == "substituted"
    assert "asked for" in text
    assert "look in the web UI" in text
    assert files(tmp_path) == []


@pytest.mark.parametrize(("variable", "config", "used"), SUBSTITUTIONS, ids=[name for name, _, _ in SUBSTITUTIONS])
def test_another_substitution_is_a_warning(
    tmp_path: Path, fake_webui: Fake, variable: str, config: Config, used: dict[str, Any]
) -> None:
    """The job of an experiment on something else, or of none, has its picture and says what was used."""
    server = fake_webui()
    server.worker.substitute = used
    pipeline = pipeline_of(tmp_path, server)

    for mark in (context(variable="eta"), None):
        result = run(pipeline, {**CONFIG, **config}, mark=mark)
        assert result.success
        assert len(result.warnings) == 1, variable
        assert "asked for" in result.warnings[0]


def test_forge_that_drops_a_module_is_noticed(tmp_path: Path, fake_webui: Fake) -> None:
    """It says nothing of a name that it has not found."""
    server = fake_webui(forge=True)
    server.worker.substitute = {"modules": ["clip_l.safetensors"]}
    config: Config = {**CONFIG, "vae": "ae.safetensors"}

    assert failure(run(pipeline_of(tmp_path, server), config, mark=context(variable="vae")))[0] == "substituted"


def test_an_upscaled_picture_that_came_back_as_it_was_is_noticed(tmp_path: Path, fake_webui: Fake) -> None:
    """For an experiment on the upscaler or the factor it has failed."""
    server = fake_webui()
    server.worker.substitute = {"factor": 1}
    config: Config = {"init_image": picture(tmp_path), "upscaler": "Lanczos"}
    result = run(pipeline_of(tmp_path, server), config, stage="upscale", mark=context(variable="upscaler"))

    assert failure(result)[0] == "substituted"
    assert result.warnings == ("upscaling_factor: asked for '80x48', the server used '40x24'",)


def test_an_old_server_runs_its_combined_names(tmp_path: Path, fake_webui: Fake) -> None:
    """Without GET /schedulers, "DPM++ 2M Karras" is a sampler."""
    server = fake_webui(schedulers=False)
    config: Config = {**CONFIG, "sampler_name": "Euler a Karras"}
    result = run(pipeline_of(tmp_path, server), config, mark=context(variable="sampler_name"))

    assert (result.success, result.warnings) == (True, ())
    assert result.effective["sampler_name"] == "Euler a Karras"


def test_a_server_that_does_not_say_what_it_used_is_told(tmp_path: Path, fake_webui: Fake) -> None:
    """Nothing was compared."""
    server = fake_webui()
    answer = server.worker.diffuse

    def silent(fields: Any, name: str) -> dict[str, Any]:
        return {**answer(fields, name), "info": "{}"}

    server.worker.diffuse = silent  # type: ignore[method-assign]  # of this one server

    assert run(pipeline_of(tmp_path, server)).warnings == ("info: the server does not say what it used",)


def test_out_of_memory_is_tried_again_with_the_memory_freed(tmp_path: Path, fake_webui: Fake) -> None:
    """Within the same run; the model is brought back, as the server leaves it in main memory."""
    server = fake_webui()
    server.fail(500, OOM)

    assert run(pipeline_of(tmp_path, server)).success
    order = [request.path.rpartition("/")[2] for request in server.requests if request.method == "POST"]
    jobs = [name for name in order if name != "progress"]
    assert jobs == ["txt2img", "unload-checkpoint", "reload-checkpoint", "txt2img"]
    first, second = server.sent()
    assert first.pop("force_task_id") != second.pop("force_task_id")
    assert first == second


def test_out_of_memory_twice_is_the_end(tmp_path: Path, fake_webui: Fake) -> None:
    """With advice."""
    server = fake_webui()
    server.fail(500, OOM)
    server.fail(500, OOM)

    kind, text = failure(run(pipeline_of(tmp_path, server)))
    assert kind == "oom"
    assert "Tried to allocate" in text
    assert "take a smaller width and height" in text
    assert len(server.sent()) == 2


def test_the_model_is_not_taken_from_somebody_elses_job(tmp_path: Path, fake_webui: Fake) -> None:
    """Unloading is no job in the queue: it would hit whatever runs."""
    server = fake_webui()
    pipeline = pipeline_of(tmp_path, server)
    server.fail(500, OOM)
    original = server.worker._fail_if_told

    def then_others() -> None:
        if server.worker.failures:
            server.other_job()  # behind ours, in front of our second try
        original()

    server.worker._fail_if_told = then_others  # type: ignore[method-assign]  # of this one server
    wait_for_second = [False]

    def cancelled() -> bool:
        if len(server.sent()) == 2 and not wait_for_second[0]:
            wait_for_second[0] = True
            server._others[0].finish()
        return False

    assert run(pipeline, cancelled=cancelled).success
    assert server.bodies(f"{API}/unload-checkpoint") == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, {"error": "NansException", "errors": "A tensor with NaNs was produced in Unet."}, "server_error"),
        (500, {"error": "KeyError", "detail": "", "body": "", "errors": "'filter_nsfw'"}, "server_error"),
        (422, {"detail": [{"loc": ["body", "steps"], "msg": "no integer"}]}, "invalid_request"),
        (422, {"error": "HTTPException", "detail": "Script 'x' not found", "errors": ""}, "invalid_request"),
        (404, {"detail": "Sampler not found"}, "invalid_request"),
        (404, {"detail": "Not Found"}, "unreachable"),
        (401, {"detail": "Incorrect username or password"}, "unreachable"),
        (502, b"<html>Bad Gateway</html>", "unreachable"),
        (503, b"", "unreachable"),
    ],
)
def test_a_refusal_ends_the_job_with_its_kind(
    tmp_path: Path, fake_webui: Fake, status: int, body: Any, kind: str
) -> None:
    """Which says what the runner does next; it is asked once only."""
    server = fake_webui()
    server.fail(status, body)

    assert failure(run(pipeline_of(tmp_path, server)))[0] == kind
    assert len(server.sent()) == 1


@pytest.mark.parametrize(
    ("spoiled", "kind"),
    [("cut", "unreachable"), ("garbage", "server_error"), ("half", "server_error"), ("empty", "server_error")],
)
def test_half_an_answer_is_no_picture(tmp_path: Path, fake_webui: Fake, spoiled: Spoiled, kind: str) -> None:
    """Though the status is 200; nothing is saved."""
    server = fake_webui()
    server.spoiled.append(spoiled)

    assert failure(run(pipeline_of(tmp_path, server)))[0] == kind
    assert files(tmp_path) == []


def test_a_server_that_dies_under_the_job_is_unreachable(tmp_path: Path, fake_webui: Fake) -> None:
    """Also where it had been idle for long: the connection is gone."""
    server = fake_webui()
    server.hold()
    pipeline = pipeline_of(tmp_path, server)

    def cancelled() -> bool:
        if server.worker.state.job:
            server._server.cut()
        return False

    assert failure(run(pipeline, cancelled=cancelled))[0] == "unreachable"


def test_a_setting_that_the_server_has_lost_is_not_sent(tmp_path: Path, fake_webui: Fake) -> None:
    """It would answer 500 KeyError."""
    server = fake_webui()
    del server.options["CLIP_stop_at_last_layers"]

    kind, text = failure(run(pipeline_of(tmp_path, server), {**CONFIG, "clip_skip": 2}))
    assert kind == "invalid_request"
    assert text.startswith("config.clip_skip: ")
    assert server.sent() == []


@pytest.mark.parametrize("how", ["interrupt", "skip"])
def test_a_job_that_somebody_interrupts_has_failed(tmp_path: Path, fake_webui: Fake, how: str) -> None:
    """The server answers 200 with half a picture, which is not kept."""
    server = fake_webui()
    server.hold()

    def cancelled() -> bool:
        if server.worker.state.sampling_step and not server.worker.state.interrupted:
            getattr(server, how)()
        return False

    assert failure(run(pipeline_of(tmp_path, server), cancelled=cancelled))[0] == "interrupted"
    assert files(tmp_path) == []
    assert server.bodies(f"{API}/interrupt") == []


def test_an_interrupted_job_of_before_is_not_ours(tmp_path: Path, fake_webui: Fake) -> None:
    """Its marks stay until the next job begins."""
    server = fake_webui()
    pipeline = pipeline_of(tmp_path, server)
    other = server.other_job()
    server.interrupt()
    wait_until(lambda: other.interrupted, what="the end of somebody's job")

    assert run(pipeline).success


def test_progress_that_says_nothing_does_no_harm(
    tmp_path: Path, fake_webui: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a hint: the answer ends the job, whether progress is stuck or not there at all."""
    monkeypatch.setattr("pipeline_runner.pipelines.poller.POLL_SECONDS", 0.01)
    server = fake_webui()
    server.stuck_progress = 0.01
    assert run(pipeline_of(tmp_path, server)).success

    server.canned |= {f"{API}/progress": (500, b"oops"), "/internal/progress": (200, b"[]")}
    assert run(pipeline_of(tmp_path, server)).success


def square(folder: Path, *, smooth: bool = False) -> str:
    """Write a picture with edges, which each way of resizing draws otherwise, or one without."""
    image = Image.new("RGB", (40, 24), "red")
    image.paste("white", (20, 12, 20 if smooth else 30, 20))
    image.save(folder / "start.png")
    return str(folder / "start.png")


@pytest.mark.fault(item="F121")
def test_an_upscaler_whose_model_is_missing_is_noticed(tmp_path: Path, fake_webui: Fake) -> None:
    """The server resizes the picture and answers 200; for an experiment on the upscaler the job has failed."""
    server = fake_webui()
    server.settings.missing.add("R-ESRGAN 4x+")
    pipeline = pipeline_of(tmp_path, server)
    config: Config = {"init_image": square(tmp_path), "upscaler": "R-ESRGAN 4x+", "upscaling_factor": 1.5}

    failed = run(pipeline, config, stage="upscale", mark=context(variable="upscaler"))
    warned = run(pipeline, config, stage="upscale", mark=context(variable="upscaling_factor"))

    assert failure(failed)[0] == "substituted"
    assert failed.warnings == warned.warnings
    assert (
        "asked for 'R-ESRGAN 4x+', the server used 'a plain resize: it could not load the model" in warned.warnings[0]
    )
    assert warned.success


@pytest.mark.fault(item="F121")
@pytest.mark.parametrize(
    ("missing", "more"),
    [
        ("", {"upscaler": "R-ESRGAN 4x+"}),
        ("", {"upscaler": "Lanczos"}),
        ("R-ESRGAN 4x+", {"upscaler": "R-ESRGAN 4x+", "gfpgan_visibility": 0.5}),
    ],
)
def test_an_upscaler_that_works_or_of_which_nobody_can_tell_is_no_fault(
    tmp_path: Path, fake_webui: Fake, missing: str, more: Config
) -> None:
    """Further steps change the picture."""
    server = fake_webui()
    server.settings.missing.add(missing)
    result = run(pipeline_of(tmp_path, server), {"init_image": square(tmp_path), **more}, stage="upscale")

    assert (result.success, result.warnings) == (True, ())


@pytest.mark.fault(item="F121")
@pytest.mark.parametrize(("form", "smooth"), [("jpg", False), ("png", True)])
def test_what_nobody_can_tell_of_an_upscaler_is_no_fault(
    tmp_path: Path, fake_webui: Fake, form: str, smooth: bool
) -> None:
    """A picture with losses, and one without edges."""
    server = fake_webui()
    server.settings.missing.add("R-ESRGAN 4x+")
    server.options["samples_format"] = form
    config: Config = {"init_image": square(tmp_path, smooth=smooth), "upscaler": "R-ESRGAN 4x+"}

    assert run(pipeline_of(tmp_path, server), config, stage="upscale").warnings == ()


@pytest.mark.fault(item="F121")
def test_loras_are_compared_by_the_setting_of_the_moment(tmp_path: Path, fake_webui: Fake) -> None:
    """It was changed after the lists were read: off, the server tells nothing; on, a missing one is noticed."""
    server = fake_webui()
    pipeline, config = pipeline_of(tmp_path, server), {**CONFIG, "lora": "detail"}
    server.settings.change({"lora_add_hashes_to_infotext": False})
    assert run(pipeline, config, mark=context(variable="lora")).success
    pipeline.refresh()
    server.settings.change({"lora_add_hashes_to_infotext": True})
    server.settings.missing.add("detail")

    assert failure(run(pipeline, config, mark=context(variable="lora")))[0] == "substituted"


def test_a_picture_format_that_the_api_does_not_know_is_told_with_what_to_do(tmp_path: Path, fake_webui: Fake) -> None:
    """The server's page can write such pictures."""
    server = fake_webui()
    server.options["samples_format"] = "avif"

    assert failure(run(pipeline_of(tmp_path, server)))[1] == (
        "the server says: Invalid image format; its API knows png, jpg and webp only: "
        "choose one in its settings as `samples_format`"
    )
