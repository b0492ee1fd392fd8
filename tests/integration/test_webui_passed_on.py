"""From the file of an experiment to the payload at a fake web UI, and what comes back of all that is passed on."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from learning_service.experiments.plan import PlannedJob, check_plan, job_request
from pipeline_runner.queue.jobs import new_record
from tests.servers.webui import FakeWebui
from tests.servers.webui_settings import Refused
from tests.support.factories import Reports, context
from tests.support.webui_jobs import CONFIG, picture, pipeline_of, run
from variantbus.files.reading import read_experiment

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
Fake = Callable[..., FakeWebui]
UNIT: Final = {"enabled": True, "module": "canny", "model": "control_v11p_sd15_canny", "weight": 1.0, "image": "aGk="}


def ran(path: Path, folder: Path, server: FakeWebui) -> list[JobResult]:
    """Plan the experiment of a file, and run one job of each value."""
    pipeline, plan = pipeline_of(folder, server), read_experiment(path).definition
    results = []
    for index, value in enumerate(check_plan(plan, {"webui": pipeline.stages()})):
        job = new_record(job_request("exp", plan, value, PlannedJob(index, 0)), 0.0)
        pipeline.check(plan.stage, job.config)
        results.append(pipeline.run(job, Reports(), lambda: False))
    return results


def test_the_example_with_two_loras_makes_a_picture_of_each_pair(tmp_path: Path, fake_webui: Fake) -> None:
    """From the file to the prompts that come: one strength, the other, both, none; in the order of the table."""
    server = fake_webui()
    results = ran(EXAMPLES / "webui_loras.toml", tmp_path, server)

    scene = "a lighthouse on a cliff at dusk"
    assert [sent["prompt"] for sent in server.sent()] == [
        scene,
        f"{scene} <lora:ink-style:0.6>",
        f"{scene} <lora:detail:0.4>",
        f"{scene} <lora:detail:0.4> <lora:ink-style:0.6>",
        f"{scene} <lora:detail:0.8>",
        f"{scene} <lora:detail:0.8> <lora:ink-style:0.6>",
    ]
    assert [result.warnings for result in results] == [()] * 6
    assert len({image.sha256 for result in results for image in result.images}) == 6


def test_the_example_with_controlnet_sends_each_weight_and_the_picture(tmp_path: Path, fake_webui: Fake) -> None:
    """The file in place of the path, the model by its whole name, and what the server says of it agrees."""
    server = fake_webui()
    text = (EXAMPLES / "webui_controlnet.toml").read_text(encoding="utf-8")
    path = tmp_path / "experiment.toml"
    path.write_text(text.replace("/home/me/lighthouse.png", picture(tmp_path)), encoding="utf-8")

    results = ran(path, tmp_path, server)

    units = [sent["alwayson_scripts"]["controlnet"]["args"][0] for sent in server.sent()]
    assert [unit["weight"] for unit in units] == [0.25, 0.5, 0.75, 1]
    assert {unit["model"] for unit in units} == {"control_v11p_sd15_canny [d14c016b]"}
    assert len({unit["image"] for unit in units}) == 1
    assert [(result.success, result.warnings) for result in results] == [(True, ())] * 4


@pytest.mark.parametrize("forge", [False, True])
def test_a_lora_that_the_server_has_lost_fails_the_variant_of_its_strength(
    tmp_path: Path, fake_webui: Fake, *, forge: bool
) -> None:
    """Its picture would stand under a strength that it does not have."""
    server = fake_webui(forge=forge)
    pipeline = pipeline_of(tmp_path, server)
    server.settings.missing.add("detail")
    mark = msgspec.structs.replace(context(1, 0.4), variable_under_test="loras.detail")

    result = run(pipeline, {**CONFIG, "loras.detail": 0.4}, mark=mark)

    assert result.error is not None
    assert result.error.kind == "substituted"
    assert result.error.message.startswith("lora: asked for 'detail', the server used 'none'")
    assert run(pipeline, {**CONFIG, "loras.detail": False}, mark=mark).success


def test_a_setting_that_is_passed_on_is_put_back(tmp_path: Path, fake_webui: Fake) -> None:
    """A web UI restores only what somebody has saved once; the next job has the server's own again."""
    server = fake_webui()
    server.settings.unsaved.add("eta_noise_seed_delta")
    pipeline = pipeline_of(tmp_path, server)

    assert run(pipeline, {**CONFIG, "override_settings": {"eta_noise_seed_delta": 31337}}).success

    assert server.taken[0]["override_settings"] == {"eta_noise_seed_delta": 31337}
    assert server.options["eta_noise_seed_delta"] == 0


FAILURES: Final[list[tuple[Config, str]]] = [
    (
        {"alwayson": {"adetailer": {"args": [True, False, {"ad_model": "face_yolov8n.pt", "ad_size": 1}]}}},
        "face_yolov8n",
    ),
    ({"alwayson": {"controlnet": {"args": [{**UNIT, "weight": 3.0}]}}}, "canny"),
]


@pytest.mark.parametrize(("config", "asked"), FAILURES)
def test_a_script_that_failed_in_silence_is_a_warning(
    tmp_path: Path, fake_webui: Fake, config: Config, asked: str
) -> None:
    """The server answers with a picture that was made without it; only its text tells."""
    result = run(pipeline_of(tmp_path, fake_webui()), {**CONFIG, **config})

    assert result.success
    (warning,) = result.warnings
    assert f"asked for '{asked}" in warning
    assert "nothing that the text of its picture tells" in warning


@pytest.mark.parametrize("forge", [False, True])
def test_a_script_that_is_gone_since_the_plan_fails_the_job(tmp_path: Path, fake_webui: Fake, *, forge: bool) -> None:
    """In the words of either server."""
    server = fake_webui(forge=forge)
    pipeline = pipeline_of(tmp_path, server)
    server.fail(*refused_by(server))

    result = run(pipeline, {**CONFIG, "alwayson": {"adetailer": {"args": [True]}}})

    assert result.error is not None
    assert (result.error.kind, result.error.message) == (
        "invalid_request",
        "the server says: Script 'gone' not found",
    )


def refused_by(server: FakeWebui) -> tuple[int, Any]:
    """Return how a server refuses a script that it lacks."""
    with pytest.raises(Refused) as refused:
        server.worker.diffuse({"alwayson_scripts": {"gone": {}}}, "txt2img")
    return refused.value.status, refused.value.body


def test_what_the_page_shows_is_planned_and_arrives(tmp_path: Path, fake_webui: Fake) -> None:
    """Each of its files, with a picture that is here."""
    page = (EXAMPLES.parent / "docs" / "webui.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        server, path = fake_webui(), tmp_path / f"{number}.toml"
        head = 'name = "A page"\npipeline = "webui"\n'
        path.write_text(head + block.replace("/home/me/lighthouse.png", picture(tmp_path)), encoding="utf-8")
        results = ran(path, tmp_path, server)
        assert [(result.success, result.warnings) for result in results] == [(True, ())] * len(results)
        assert len({image.sha256 for result in results for image in result.images}) == len(results) > 1
    scripts = server.taken[0]["alwayson_scripts"]
    assert list(scripts) == ["controlnet", "adetailer", "Dynamic Thresholding (CFG Scale Fix)"]
    assert server.taken[0]["override_settings"] == {"eta_noise_seed_delta": 31337}


def test_a_refiner_that_the_server_does_not_come_to_fails_its_variant(tmp_path: Path, fake_webui: Fake) -> None:
    """With four steps, nine tenths of them are never over before the end."""
    pipeline = pipeline_of(tmp_path, fake_webui())
    mark = msgspec.structs.replace(context(1, 0.9), variable_under_test="refiner_switch_at")
    refined: Config = {**CONFIG, "refiner_checkpoint": "real"}

    good = run(pipeline, {**refined, "refiner_switch_at": 0.5}, mark=mark)
    assert good.success
    assert (good.effective["refiner_checkpoint"], good.effective["refiner_switch_at"]) == ("real [ab12cd34ef]", 0.5)
    late = run(pipeline, {**refined, "refiner_switch_at": 0.9}, mark=mark)
    assert late.error is not None
    assert late.error.message.startswith("refiner_checkpoint: asked for 'real', the server used 'none'")


def test_styles_change_the_prompt_that_is_told_and_nothing_is_claimed_of_it(tmp_path: Path, fake_webui: Fake) -> None:
    """The server appends them, so what it tells is longer than what was asked for."""
    server = fake_webui()
    result = run(pipeline_of(tmp_path, server), {**CONFIG, "styles": ["film"], "style": "ink"})

    assert server.taken[0]["styles"] == ["film", "ink"]
    assert result.effective["prompt"] == "a blue star, film grain, ink drawing"
    assert result.warnings == ()


def test_a_mask_goes_with_its_picture(tmp_path: Path, fake_webui: Fake) -> None:
    """And what the server says of it agrees."""
    server, path = fake_webui(), picture(tmp_path)
    config: Config = {**CONFIG, "init_image": path, "mask": path, "mask_blur": 6, "inpaint_full_res_padding": 16}

    result = run(pipeline_of(tmp_path, server), config, stage="img2img")

    assert result.success
    assert result.warnings == ()
    assert result.effective["mask_blur"] == 6
    assert server.taken[0]["mask"] == server.taken[0]["init_images"][0]
