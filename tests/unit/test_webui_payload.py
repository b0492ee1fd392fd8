"""Requests to the web UI: what every one has, how values get there, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import InitImage, read_init_image
from pipeline_runner.pipelines.webui.asked import asked_for
from pipeline_runner.pipelines.webui.lists import Lists
from pipeline_runner.pipelines.webui.payload import Pictures, build, check_request
from tests.servers.webui_settings import MODELS, title
from tests.support.webui_jobs import CONFIG, lists_of, picture

INIT = InitImage(b"picture", 45, 33)


def request(
    config: Config, *, stage: str = "txt2img", lists: Lists | None = None, init: InitImage | None = None
) -> dict[str, Any]:
    """Build a request."""
    return build(stage, asked_for(config), lists or lists_of(), Pictures(init), "task(1)")


def refusal(config: Config) -> str:
    """Return the sentence with which a job is refused."""
    with pytest.raises(InvalidInputError) as refused:
        check_request("txt2img", asked_for(config), lists_of())
    return str(refused.value)


def test_a_request_asks_for_one_picture_and_leaves_nothing_to_chance() -> None:
    """No batch, seeds that are said, nothing saved at the server, settings restored, a task id of ours."""
    assert request({}) == {
        "batch_size": 1,
        "n_iter": 1,
        "seed": 0,
        "subseed": 0,
        "denoising_strength": 0.7,
        "send_images": True,
        "save_images": False,
        "override_settings": {},
        "override_settings_restore_afterwards": True,
        "force_task_id": "task(1)",
    }


def test_building_one_request_does_not_change_the_next() -> None:
    """Settings of one job never reach another."""
    request({"model": "real", "clip_skip": 2})

    assert request({})["override_settings"] == {}


def test_an_alias_is_sent_as_the_name() -> None:
    """The server takes its first sampler for an alias, and keeps its model for a name that it only lists."""
    built = request({"sampler_name": "k_euler_a", "scheduler": "karras", "model": "photo_real"})

    assert (built["sampler_name"], built["scheduler"]) == ("Euler a", "Karras")
    assert built["override_settings"]["sd_model_checkpoint"] == title(
        "photo/real.safetensors", MODELS["photo/real.safetensors"]
    )


def test_an_old_sampler_name_is_split_where_schedules_are_apart() -> None:
    """1.9 answers 404 to "DPM++ 2M Karras"; where it is a sampler, it is sent as it is."""
    config: Config = {"sampler_name": "DPM++ 2M Karras"}
    new, old = request(config), request(config, lists=lists_of(schedulers=False))

    assert (new["sampler_name"], new["scheduler"]) == ("DPM++ 2M", "Karras")
    assert (old["sampler_name"], "scheduler" in old) == ("DPM++ 2M Karras", False)


@pytest.mark.parametrize(
    ("config", "prompt"),
    [
        ({"prompt": "a star", "lora": "detail"}, "a star <lora:detail:1>"),
        ({"prompt": " a star", "lora": ""}, " a star"),
        ({"prompt": "", "lora": "detail"}, "<lora:detail:1>"),
        ({"prompt": "a star", "lora": "more_details", "lora_strength": 0.5}, "a star <lora:detail:0.5>"),
        ({"lora": "ink-style", "lora_strength": -1.0}, "<lora:ink-style:-1.0>"),
        ({"prompt": "<lora:Ink:1> x", "lora": "detail", "lora_strength": 1e-5}, "<lora:Ink:1> x <lora:detail:0.00001>"),
    ],
)
def test_a_lora_stands_behind_the_prompt(config: Config, prompt: str) -> None:
    """With its strength as a plain decimal."""
    assert request(config)["prompt"] == prompt


def test_forge_gets_its_modules_as_a_list_and_its_hires_fix_what_it_cannot_do_without() -> None:
    """Without the list of modules, Forge fails every job with hires fix."""
    forge = lists_of(forge=True)

    assert request({"vae": "ae.safetensors"}, lists=forge)["override_settings"] == {
        "forge_additional_modules": ["ae.safetensors"]
    }
    assert request({"enable_hr": True}, lists=forge)["hr_additional_modules"] == ["Use same choices"]
    assert "hr_additional_modules" not in request({"enable_hr": True})


def test_a_picture_to_start_from_gives_the_size_unless_one_is_asked_for() -> None:
    """The server would take 512x512 otherwise; sides are multiples of 8."""
    built = request({}, stage="img2img", init=INIT)

    assert (built["width"], built["height"], built["init_images"]) == (40, 32, ["cGljdHVyZQ=="])
    assert request({"width": 64}, stage="img2img", init=INIT)["width"] == 64


def test_upscaling_says_by_how_much() -> None:
    """It takes no task id and no seed."""
    assert request({"upscaler": "Lanczos", "seed": 7}, stage="upscale", init=INIT) == {
        "resize_mode": 0,
        "upscaling_resize": 2.0,
        "image": "cGljdHVyZQ==",
        "upscaler_1": "Lanczos",
    }


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"width": 513}, "config.width: 513 is no multiple of 8; take 512 or 520"),
        ({"height": 100}, "config.height: 100 is no multiple of 8; take 96 or 104"),
        (
            {"sampler_name": "Euler a Karras", "scheduler": "Simple"},
            "config.scheduler: sampler_name 'Euler a Karras' names one already; write 'Euler a' there",
        ),
        (
            {"prompt": "a <lora:detail", "lora": "ink-style"},
            "config.prompt: a '<' is not closed, which would swallow the LoRA; close it with '>'",
        ),
        (
            {"prompt": "a <lora:more_details:1>", "lora": "detail"},
            "config.prompt: <lora:more_details:…> is the variable lora already; remove it there",
        ),
        (
            {"distilled_cfg_scale": 3},
            "config.distilled_cfg_scale: the server does not offer it now; see what it offers, or start it",
        ),
    ],
)
def test_what_would_make_something_else_is_refused(config: Config, sentence: str) -> None:
    """The sentence names the field and says what to do."""
    assert refusal(config) == sentence


def test_a_model_that_is_gone_is_refused_and_never_replaced() -> None:
    """A job that was planned yesterday runs with what it names, or not at all."""

    def gone(answers: dict[str, Any]) -> None:
        answers["sd-models"] = answers["sd-models"][:1]

    with pytest.raises(InvalidInputError, match="'real' is not among the models of the server any more"):
        request({**CONFIG, "model": "real"}, lists=lists_of(gone))


def test_a_picture_to_start_from_is_read_with_its_size(tmp_path: Path) -> None:
    """Without one in the configuration there is none."""
    path = picture(tmp_path, (40, 24))

    assert read_init_image({}) is None
    assert read_init_image({"init_image": path}) == InitImage(Path(path).read_bytes(), 40, 24)


def test_a_file_that_is_no_picture_is_refused_with_its_path(tmp_path: Path) -> None:
    """Before the job is sent."""
    path = tmp_path / "notes.txt"
    path.write_text("no picture")

    with pytest.raises(InvalidInputError) as refused:
        read_init_image({"init_image": str(path)})
    assert str(refused.value).startswith(f"config.init_image: {path} has ")
