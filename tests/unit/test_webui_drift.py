"""The drift guard: what is a difference between a job and what the web UI says of it, and what is none."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.fields import Config
from pipeline_runner.pipelines.difference import Difference, spoiled
from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.webui.answer import read_answer
from pipeline_runner.pipelines.webui.drift import differences, upscaled
from pipeline_runner.pipelines.webui.lists import Lists
from tests.support.factories import context
from tests.support.webui_jobs import lists_of

SIZE = (64, 64)


def found(  # a job, what is reported of it, and where
    config: Config,
    info: dict[str, Any] | None = None,
    text: str = "",
    *,
    lists: Lists | None = None,
    size: tuple[int, int] = SIZE,
    loras_told: bool = True,
) -> list[str]:
    """Compare a job with what is reported, and say the differences."""
    told = {"infotexts": [f"a prompt\n{text}"], **(info or {})}
    answer = read_answer("txt2img", Reply(200, json.dumps({"images": ["AAAA"], "info": json.dumps(told)}).encode()))
    return [str(one) for one in differences(config, lists or lists_of(), answer, size, None, loras_told=loras_told)]


@pytest.mark.parametrize(
    ("config", "info", "text", "difference"),
    [
        (
            {"sampler_name": "Euler a"},
            {"sampler_name": "DPM++ 2M"},
            "",
            "sampler_name: asked for 'Euler a', the server used 'DPM++ 2M'",
        ),
        (
            {"scheduler": "Karras"},
            {},
            "Steps: 4, Schedule type: Automatic",
            "scheduler: asked for 'Karras', the server used 'Automatic'",
        ),
        (
            {"sampler_name": "Euler a Karras"},
            {"sampler_name": "Euler a"},
            "Schedule type: Exponential",
            "scheduler: asked for 'Karras', the server used 'Exponential'",
        ),
        (
            {"model": "real"},
            {"sd_model_name": "sd15", "sd_model_hash": "6ce0161689"},
            "",
            "model: asked for 'real', the server used 'sd15'",
        ),
        ({"model": "new"}, {"sd_model_name": "sd15"}, "", "model: asked for 'new', the server used 'sd15'"),
        (
            {"vae": "vae-ft-mse.safetensors"},
            {"sd_vae_name": None},
            "",
            "vae: asked for 'vae-ft-mse.safetensors', the server used 'None'",
        ),
        ({"vae": "None"}, {"sd_vae_name": "kl-f8.ckpt"}, "", "vae: asked for 'None', the server used 'kl-f8.ckpt'"),
        ({"lora": "detail"}, {}, "Steps: 4", "lora: asked for 'detail', the server used 'none'"),
        (
            {"prompt": "x <lora:Ink:1>"},
            {},
            'Lora hashes: "detail: aa"',
            "lora: asked for 'Ink', the server used 'detail'",
        ),
        ({"width": 64}, {"width": 128}, "", "width: asked for 64, the server used 128"),
        ({"height": 128}, {}, "", "height: asked for 128, the server used 64"),
        ({"steps": 20}, {"steps": 10}, "", "steps: asked for 20, the server used 10"),
        ({"cfg_scale": 7}, {"cfg_scale": 1.0}, "", "cfg_scale: asked for 7, the server used 1.0"),
        ({"seed": 7}, {"all_seeds": [8]}, "", "seed: asked for 7, the server used 8"),
        (
            {"seed": 2**62},
            {"all_seeds": [2**62 + 1]},
            "",
            "seed: asked for 4611686018427387904, the server used 4611686018427387905",
        ),
        ({"clip_skip": 2}, {"clip_skip": 1}, "", "clip_skip: asked for 2, the server used 1"),
        (
            {"width": 64, "height": 64, "enable_hr": True, "hr_scale": 1.5},
            {"width": 64, "height": 64},
            "",
            "width: asked for 96, the server used 64",
        ),
    ],
)
def test_what_was_done_otherwise_is_told(config: Config, info: dict[str, Any], text: str, difference: str) -> None:
    """Each difference is one sentence that begins with the variable."""
    assert found(config, info, text)[0] == difference


@pytest.mark.parametrize(
    ("config", "info", "text"),
    [
        ({"cfg_scale": 7, "steps": 20.0}, {"cfg_scale": 7.0, "steps": 20}, ""),
        ({"cfg_scale": 0.1 + 0.2}, {"cfg_scale": 0.3}, ""),
        ({"sampler_name": "k_euler_a"}, {"sampler_name": "Euler a"}, ""),
        ({"sampler_name": "Euler a Karras"}, {"sampler_name": "Euler a"}, "Schedule type: Karras"),
        ({"scheduler": "karras"}, {}, "Schedule type: Karras"),
        ({"scheduler": "Automatic"}, {}, "Schedule type: Karras"),
        ({"model": "ab12cd34ef"}, {"sd_model_name": "renamed", "sd_model_hash": "ab12cd34ef"}, ""),
        ({"model": "real"}, {"sd_model_name": "real", "sd_model_hash": None}, ""),
        ({"model": "new.ckpt"}, {"sd_model_name": "new", "sd_model_hash": "0123456789"}, ""),
        ({"vae": "Automatic"}, {"sd_vae_name": None}, ""),
        ({"vae": "None"}, {"sd_vae_name": None}, ""),
        ({"vae": "kl-f8.ckpt"}, {"sd_vae_name": "kl-f8.ckpt"}, ""),
        ({"lora": "more_details"}, {}, 'Lora hashes: "detail: aa11, x: 1"'),
        ({"prompt": "<lora:Ink:1>"}, {}, 'Lora hashes: "Ink: dd44"'),
        ({"seed": 7, "clip_skip": 2, "steps": 5}, {}, ""),
        ({"sampler_name": "Euler", "scheduler": "Karras", "model": "real", "vae": "kl-f8.ckpt"}, {}, ""),
        ({"width": 64, "height": 64}, {"width": 64, "height": 64}, ""),
    ],
)
def test_what_is_the_same_or_not_reported_is_no_difference(config: Config, info: dict[str, Any], text: str) -> None:
    """Rounding, aliases, old names, hashes and titles are the same thing."""
    assert found(config, info, text) == []


def test_an_old_server_reports_its_combined_names() -> None:
    """There the sampler is compared as it is, and the schedule not at all."""
    old = lists_of(schedulers=False)

    assert found({"sampler_name": "DPM++ 2M Karras"}, {"sampler_name": "DPM++ 2M Karras"}, lists=old) == []
    assert found({"sampler_name": "Euler Karras"}, {"sampler_name": "Euler"}, lists=old) != []


def test_forge_reports_its_modules() -> None:
    """A module that it has not found is missing among them; where it reports none, nothing is known."""
    forge = lists_of(forge=True)
    config: Config = {"vae": "ae.safetensors"}

    assert found(config, {}, "Module 1: ae, Module 2: clip_l", lists=forge) == []
    assert found(config, {}, "Steps: 4", lists=forge) == []
    assert found(config, {}, "Module 1: clip_l", lists=forge) == [
        "vae: asked for 'ae.safetensors', the server used 'clip_l'"
    ]


def test_a_server_that_writes_no_hashes_of_loras_tells_nothing_of_them() -> None:
    """A setting decides it."""
    assert found({"lora": "detail"}, {}, "Steps: 4", loras_told=False) == []


def test_hires_fix_enlarges_the_picture() -> None:
    """What is reported is the size before."""
    config: Config = {"width": 64, "height": 64, "enable_hr": True}

    assert found(config, {"width": 64, "height": 64}, size=(128, 128)) == []


@pytest.mark.parametrize(
    ("variable", "spoils"),
    [("sampler_name", True), ("scheduler", True), ("steps", False)],
)
def test_a_difference_in_its_own_variable_spoils_an_experiment(variable: str, spoils: bool) -> None:
    """Any other is a warning; a job of no experiment cannot be spoiled."""
    some = [Difference("scheduler", "Karras", "Automatic", ("scheduler", "sampler_name"))]

    assert bool(spoiled(some, context(variable=variable))) == spoils
    assert spoiled(some, None) is None
    assert spoiled([], context(variable=variable)) is None


def test_a_grid_of_two_variables_is_spoiled_by_either() -> None:
    """Its value is a map."""
    some = [Difference("steps", 4, 5, ("steps",))]

    assert spoiled(some, context(variable="cfg_scale x steps", value={"cfg_scale": 2.0, "steps": 4}))


@pytest.mark.parametrize(
    ("settings", "spoils", "fails"),
    [
        (("sampler_name", "steps"), "steps", True),
        (("loras",), "loras.detail", True),
        (("alwayson",), "alwayson.controlnet.args.0.weight", True),
        (("loras.detail",), "loras.detail", True),
        (("steps",), "cfg_scale", False),
        (("lora",), "loras.detail", False),
        ((), "preset", False),
    ],
)
def test_a_value_with_a_name_is_spoiled_in_what_it_sets(settings: tuple[str, ...], spoils: str, *, fails: bool) -> None:
    """A preset, values that go together, a part of a text: the variable is called otherwise than its settings."""
    some = [Difference("eta", 1, 0, ("eta",)), Difference(spoils, 4, 5, (spoils,))]
    mark = replace(context(variable="preset", value="fast"), settings=settings)

    assert spoiled(some, mark) == (some[1] if fails else None)


@pytest.mark.parametrize(
    ("factor", "size", "same"),
    [
        (2, (40, 24), True),
        (2.0, (20, 12), False),
        (1, (20, 12), True),
        (1.5, (30, 18), True),
        (1.33, (26, 15), True),
        (4, (40, 24), False),
        (None, (40, 24), True),
    ],
)
def test_an_upscaled_picture_has_its_size(factor: float | None, size: tuple[int, int], same: bool) -> None:
    """One that came back as it was, did not pass through the upscaler."""
    config: Config = {} if factor is None else {"upscaling_factor": factor}
    some = upscaled(config, size, InitImage(b"", 20, 12))

    assert (some == []) == same
    assert bool(spoiled(some, context(variable="upscaler"))) != same
