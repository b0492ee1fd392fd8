"""What a job passes on to the web UI: LoRAs, settings, styles, scripts and masks, and what is refused before."""

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import check_config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.webui.asked import asked_for, other_names
from pipeline_runner.pipelines.webui.lists import Lists, Script
from pipeline_runner.pipelines.webui.payload import Pictures, build, check_request, read_pictures
from pipeline_runner.pipelines.webui.registry import stages_of
from tests.support.webui_jobs import CONFIG, lists_of, picture

UNIT = {"enabled": True, "module": "canny", "model": "control_v11p_sd15_canny", "weight": 1.0, "image": "aGk="}
CONTROLNET: Config = {"alwayson": {"ControlNet": {"args": [UNIT]}}}


def request(config: Config, *, stage: str = "txt2img", lists: Lists | None = None) -> dict[str, Any]:
    """Build a request as a job does, checked as its plan is."""
    known, asked = lists or lists_of(), asked_for(config)
    check_config(stages_of(known)[stage], config)
    return build(stage, asked, known, read_pictures(asked), "task(1)")


def refusal(config: Config, *, stage: str = "txt2img", lists: Lists | None = None) -> str:
    """Return the sentence with which a job is refused."""
    with pytest.raises(InvalidInputError) as refused:
        request(config, stage=stage, lists=lists)
    return str(refused.value)


@pytest.mark.parametrize(
    ("config", "prompt"),
    [
        ({"loras": {"detail": 0.6, "ink-style": -1}}, "<lora:detail:0.6> <lora:ink-style:-1>"),
        ({"loras": {"ink-style": 1, "detail": 0.6}}, "<lora:ink-style:1> <lora:detail:0.6>"),
        ({"prompt": "a star", "loras": {"more_details": 1e-5}}, "a star <lora:detail:0.00001>"),
        ({"prompt": "a star", "loras": {"detail": 0, "ink-style": False}}, "a star"),
        ({"loras": {"detail": True}}, "<lora:detail:1>"),
        ({"loras": {"detail": 0.6}, "loras.detail": 0.3}, "<lora:detail:0.3>"),
        ({"loras": {"detail": 0.6}, "loras.detail": False}, ""),
        ({"loras": {"detail": 0.6}, "loras.detail": True}, "<lora:detail:0.6>"),
        ({"loras": {"detail": 0}, "loras.detail": True}, "<lora:detail:1>"),
        ({"loras.ink-style": 0.5, "loras": {"detail": 0.6}}, "<lora:detail:0.6> <lora:ink-style:0.5>"),
        ({"loras": {"detail": 0.6}, "lora": "Ink", "lora_strength": 2}, "<lora:detail:0.6> <lora:ink-style:2>"),
        ({"prompt": "<lora:Ink:1> x", "loras": {"detail": 1}}, "<lora:Ink:1> x <lora:detail:1>"),
    ],
)
def test_each_lora_stands_behind_the_prompt_with_its_strength(config: Config, prompt: str) -> None:
    """In the order of the table; of strength 0, or off, none: a mark would load it."""
    assert request(config).get("prompt", "") == prompt


def test_the_prompt_of_hires_fix_has_the_loras_too() -> None:
    """The server reads the marks of the second pass in its own prompt alone, and without one it takes the first."""
    hires: Config = {"enable_hr": True, "prompt": "a", "hr_prompt": "b", "loras": {"detail": 0.5}}

    assert request(hires)["hr_prompt"] == "b <lora:detail:0.5>"
    assert (
        "hr_prompt" not in request({**hires, "hr_prompt": ""}) or request({**hires, "hr_prompt": ""})["hr_prompt"] == ""
    )
    assert refusal({**hires, "hr_prompt": "b <lora:more_details:1>"}) == (
        "config.hr_prompt: <lora:more_details:…> is the variable loras.detail already; remove it there"
    )


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"loras": {"detial": 1}}, "config.loras: 'detial' is not offered; did you mean 'detail'?"),
        ({"loras": {"detail": 9}}, "config.loras.detail: 9 is out of bounds; allowed: -5 to 5"),
        (
            {"loras": {"detail": 1, "more_details": 0}},
            "config.loras.more_details: loras.detail is the same LoRA; remove one of them",
        ),
        ({"loras": {"detail": 1}, "lora": "detail"}, "config.lora: loras.detail is the same LoRA; remove one of them"),
        (
            {"loras": {"detail": 0}, "prompt": "a <lora:detail:1>"},
            "config.prompt: <lora:detail:…> is the variable loras.detail already; remove it there",
        ),
        (
            {"loras": {"detail": 1}, "prompt": "a <lora"},
            "config.prompt: a '<' is not closed, which would swallow the LoRA; close it with '>'",
        ),
    ],
)
def test_loras_that_would_not_be_read_as_they_are_meant_are_refused(config: Config, sentence: str) -> None:
    """Also while they are off, as another value of their variable is not."""
    assert refusal(config) == sentence


def test_settings_of_the_server_are_passed_on_and_those_that_are_variables_are_these() -> None:
    """Whatever a person calls them; the server keeps its own value for a name that it does not know."""
    built = request({"override_settings": {"randn_source": "CPU"}, "override_settings.eta_noise_seed_delta": 31337})
    assert built["override_settings"] == {"randn_source": "CPU", "eta_noise_seed_delta": 31337}

    named: Config = {"override_settings": {"sd_model_checkpoint": "real", "CLIP_stop_at_last_layers": 2}}
    assert request(named)["override_settings"] == request({"model": "real", "clip_skip": 2})["override_settings"]
    assert other_names("clip_skip") == ("clip_skip", "override_settings.CLIP_stop_at_last_layers")
    assert other_names("steps") == ("steps",)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"override_settings": {"filter_nsfw": True}}, "config.override_settings.filter_nsfw: unknown key;"),
        ({"override_settings.rand_source": "CPU"}, "config.override_settings.rand_source: unknown key; did you mean"),
        ({"override_settings": {"randn_source": 1}}, "config.override_settings.randn_source: must be text, not 1"),
        (
            {"override_settings": {"sd_model_checkpoint": "reel"}},
            "config.override_settings.sd_model_checkpoint: 'reel' is not offered; known are",
        ),
        (
            {"clip_skip": 1, "override_settings": {"CLIP_stop_at_last_layers": 2}},
            "config.clip_skip: override_settings.CLIP_stop_at_last_layers says the same; remove one of them",
        ),
    ],
)
def test_settings_that_the_server_would_not_take_are_refused(config: Config, sentence: str) -> None:
    """An unknown one would fail the job."""
    assert refusal(config).startswith(sentence)


def test_a_setting_takes_values_like_the_one_that_it_has() -> None:
    """One that has none yet takes any, and lists and tables take lists and tables."""
    known: dict[str, Any] = {"new": None, "listed": ["a"], "table": {"a": 1}, "scale": 0.5}
    lists = lists_of(lambda answers: answers["options"].update(known))
    taken: list[dict[str, Any]] = [{"new": "x"}, {"new": 3}, {"listed": ["b"]}, {"table": {"a": [2]}}, {"scale": 1}]
    for settings in taken:
        assert request({"override_settings": settings}, lists=lists)["override_settings"] == settings
    for wrong, said in (
        ({"new": None}, "new: is nothing"),
        ({"listed": "a"}, "listed: must be a list"),
        ({"table": 1}, "table: must be a table"),
        ({"scale": True}, "scale: must be a number, not true"),
    ):
        assert refusal({"override_settings": wrong}, lists=lists).startswith(f"config.override_settings.{said}")


def test_modules_of_forge_are_passed_on_together() -> None:
    """Models that need text encoders have them beside their VAE; what Forge does not find, it leaves out silently."""
    forge = lists_of(forge=True)
    both: Config = {"override_settings": {"forge_additional_modules": ["ae.safetensors", "clip_l.safetensors"]}}

    assert request(both, lists=forge)["override_settings"] == both["override_settings"]
    assert refusal({"override_settings": {"forge_additional_modules": ["clip_g.safetensors"]}}, lists=forge) == (
        "config.override_settings.forge_additional_modules: 'clip_g.safetensors' is not offered; did you mean "
        "'clip_l.safetensors'?"
    )
    assert refusal({**both, "vae": "ae.safetensors"}, lists=forge).startswith("config.vae: override_settings.forge_add")


def test_styles_are_passed_on_by_name() -> None:
    """The variable comes last, and the empty one is none; an unknown one would be none without a word."""
    assert request({"styles": ["film"], "style": "ink"})["styles"] == ["film", "ink"]
    assert "styles" not in request({"style": ""})
    assert refusal({"styles": ["flim"]}) == "config.styles: 'flim' is not offered; did you mean 'film'?"
    assert refusal({"style": "flim"}) == "config.style: 'flim' is not offered; did you mean 'film'?"


def test_the_refiner_and_the_model_of_hires_fix_are_sent_by_title() -> None:
    """The empty one is none, so that with and without it can be compared."""
    built = request(
        {"refiner_checkpoint": "real", "refiner_switch_at": 0.8, "enable_hr": True, "hr_checkpoint_name": "real"}
    )
    title = "photo/real.safetensors [ab12cd34ef]"
    assert [built[key] for key in ("refiner_checkpoint", "refiner_switch_at", "hr_checkpoint_name")] == [
        title,
        0.8,
        title,
    ]
    assert "refiner_checkpoint" not in request({"refiner_checkpoint": ""})
    assert refusal({"model": "ab12cd34ef", "refiner_checkpoint": "real"}) == (
        "config.refiner_checkpoint: is the model itself, and would change nothing; take another"
    )


def test_scripts_are_passed_on_with_the_servers_own_names() -> None:
    """Values go by their places, and one may be varied by its path."""
    built = request({**CONTROLNET, "alwayson.ControlNet.args.0.weight": 0.25})

    unit = {**UNIT, "model": "control_v11p_sd15_canny [d14c016b]", "weight": 0.25}
    assert built["alwayson_scripts"] == {"ControlNet": {"args": [unit]}}
    assert UNIT["weight"] == 1.0, "what is shared stays as it was"
    names: Config = {"alwayson": {"Dynamic Thresholding (CFG Scale Fix)": {"args": [True, 7]}}}
    assert request({**names, "alwayson.Dynamic Thresholding (CFG Scale Fix).args.1": 4})["alwayson_scripts"] == {
        "Dynamic Thresholding (CFG Scale Fix)": {"args": [True, 4]}
    }


@pytest.mark.parametrize(
    ("scripts", "sentence"),
    [
        ({"controlnet": {"args": [{**UNIT, "model": "canny_v2"}]}}, ".args #1.model: 'canny_v2' is not offered"),
        (
            {"controlnet": {"args": [{**UNIT, "module": "cany"}]}},
            ".args #1.module: 'cany' is not offered; did you mean",
        ),
        ({"controlnet": {"args": [{"weight": 1}]}}, ".args #1.enabled: missing; write true or false"),
        (
            {"controlnet": {"args": [{"enabled": True, "module": "canny"}]}},
            ".args #1.image: missing, so the unit would do",
        ),
        ({"controlnet": {"args": [True]}}, ".args #1: must be a table, a unit of ControlNet"),
        ({"controlnet": {"args": [UNIT] * 4}}, ".args: 4 are given; the server takes 3 and drops the others"),
        ({"controlnet": {"args": {"weight": 1}}}, ": must be a table with args, the list of its values"),
        ({"controlnet": [UNIT]}, ": must be a table with args, the list of its values"),
        ({"controlnet": {"arg": [UNIT]}}, ".arg: unknown key; its values are in args"),
        ({"controlnett": {"args": []}}, "t: the server has no such script; did you mean 'controlnet'?"),
        ({"controlnet": {"args": [{**UNIT, "image": {"file": "/no.png"}}]}}, ".args #1.image.file: /no.png cannot be"),
    ],
)
def test_scripts_that_would_get_something_else_are_refused(scripts: Config, sentence: str) -> None:
    """The server answers all but one of these with a picture that was made without them."""
    assert refusal({"alwayson": scripts}).startswith(f"config.alwayson.controlnet{sentence}")


def test_a_script_that_runs_alone_is_refused() -> None:
    """The server would refuse the whole job."""
    assert refusal({"alwayson": {"X/Y/Z plot": {"args": []}}}) == (
        "config.alwayson.X/Y/Z plot: the server runs this script alone and not with others; leave it out"
    )


def test_units_that_are_off_or_of_an_unknown_server_are_passed_on_as_they_are() -> None:
    """What is off does nothing, and of what a server does not tell nothing is known."""
    off: Config = {"alwayson": {"controlnet": {"args": [{"enabled": False, "model": "x"}, {**UNIT, "model": "None"}]}}}
    assert request(off)["alwayson_scripts"]["controlnet"] == off["alwayson"]["controlnet"]  # type: ignore[index,call-overload]

    silent = lists_of(extensions=False)
    assert silent.scripts is None
    free: Config = {"alwayson": {"controlnet": {"args": [{**UNIT, "model": "x"}] * 9}, "new": {"args": [1]}}}
    assert request(free, lists=silent)["alwayson_scripts"] == free["alwayson"]
    assert request({"alwayson": {"adetailer": {}}})["alwayson_scripts"] == {"adetailer": {"args": []}}


def test_pictures_are_sent_in_place_of_their_files(tmp_path: Path) -> None:
    """Wherever they stand; a path that has changed is read again."""
    path = picture(tmp_path)
    image = {"image": {"file": path}, "mask": {"file": path}}
    built = request(
        {"alwayson": {"controlnet": {"args": [{**UNIT, "image": image}]}, "adetailer": {"args": [{"file": path}]}}}
    )

    data = base64.b64encode(Path(path).read_bytes()).decode()
    assert built["alwayson_scripts"]["controlnet"]["args"][0]["image"] == {"image": data, "mask": data}
    assert built["alwayson_scripts"]["adetailer"]["args"] == [data]


def test_a_mask_has_the_size_of_its_picture(tmp_path: Path) -> None:
    """The server would cut out another place of a picture than the mask has."""
    init = shutil.copy(picture(tmp_path), tmp_path / "init.png")
    mask = picture(tmp_path)
    config: Config = {**CONFIG, "init_image": str(init), "mask": mask, "mask_blur": 8, "inpaint_full_res_padding": 32}

    built = request(config, stage="img2img")
    assert built["mask"] == base64.b64encode(Path(mask).read_bytes()).decode()
    assert (built["mask_blur"], built["inpaint_full_res_padding"]) == (8, 32)
    Image.new("L", (24, 40)).save(mask)
    assert refusal(config, stage="img2img") == (
        "config.mask: has 24x40 pixels, and config.init_image 40x24; make them the same size"
    )
    assert refusal({**CONFIG, "init_image": str(init), "mask": "/no.png"}, stage="img2img").startswith(
        "config.mask: /no"
    )
    without: Config = {"init_image": str(init), "mask_blur": 8}
    assert refusal(without, stage="img2img") == "config.mask: missing; mask_blur has no effect without it"


def test_a_unit_without_a_picture_takes_the_one_of_its_job(tmp_path: Path) -> None:
    """Where there is one; else it would do nothing, and only the server's console would tell."""
    config: Config = {"init_image": picture(tmp_path), "alwayson": {"controlnet": {"args": [{"enabled": True}]}}}

    assert request(config, stage="img2img")["alwayson_scripts"] == config["alwayson"]


def test_a_part_that_its_table_lacks_is_refused() -> None:
    """Also of a job that was planned with another table."""
    with pytest.raises(InvalidInputError, match=r"^config\.alwayson: has no controlnet\.args\.1\.weight; did you mean"):
        asked_for({"alwayson": {"controlnet": {"args": [UNIT]}}, "alwayson.controlnet.args.1.weight": 1})


def test_a_server_that_lacks_a_table_refuses_it_as_a_key() -> None:
    """As one without scripts, and one that has lost them since the plan."""
    lists = lists_of(extensions=False)
    assert "styles" not in stages_of(lists)["txt2img"].config
    assert refusal({"styles": ["film"]}, lists=lists).startswith("config.styles: unknown key")
    bare = lists_of(lambda answers: answers.update({"script-info": []}))
    with pytest.raises(InvalidInputError, match=r"^config\.alwayson: the server does not offer it now"):
        check_request("txt2img", asked_for(CONTROLNET), bare)
    assert "loras" not in stages_of(lists_of(loras=False))["txt2img"].config
    assert "alwayson" not in stages_of(lists_of())["upscale"].config


def test_scripts_are_read_by_stage() -> None:
    """What an extension tells wrongly is left out, and a server that tells nothing is believed to have any."""
    found = lists_of().scripts
    assert found is not None
    assert found["img2img"]["controlnet"] == Script(is_alwayson=True, values=3)
    assert lists_of(lambda answers: answers.update({"script-info": [{"x": 1}]})).scripts is None
    assert "styles" not in lists_of(lambda answers: answers.update({"prompt-styles": [{"x": 1}]})).names
    assert "controlnets" not in lists_of(lambda answers: answers.update({"model_list": {"model_list": [1]}})).names
    assert Pictures().mask is None
