"""What an SD.Next offers, and the request of a job for it."""

import base64
from typing import Any

import msgspec
import pytest

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec, check_config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.loras import gathered
from pipeline_runner.pipelines.sdnext.offer import parse_offer, stages_of, unavailable
from pipeline_runner.pipelines.sdnext.request import build, check_request
from tests.support.sdnext_jobs import CONFIG, offer_of

INIT = InitImage(b"picture", 45, 100)
OFFER = offer_of()
BASE: dict[str, Any] = {"prompt": "", "seed": 0, "subseed": 0, "batch_size": 1, "n_iter": 1} | {
    "send_images": True,
    "save_images": False,
    "override_settings_restore_afterwards": True,
}


def request(config: Config, stage: str = "txt2img", init: InitImage | None = None) -> dict[str, Any]:
    """Build a request."""
    return build(stage, config, OFFER, init)


def test_names_come_from_the_server() -> None:
    """A model may be called by its title, name, file or hash; a LoRA by its alias, or be none."""
    variables = stages_of(OFFER)["txt2img"].variables

    assert variables["sampler_name"].choices == ("UniPC", "Euler", "Euler a", "DPM++ 2M")
    assert variables["model"].choices == ("real [aaaaaaaaaa]", "sd15, old: fixed [bbbbbbbbbb]", "new")
    assert {"real", "real.safetensors", "aaaaaaaaaa", "new.safetensors"} <= set(variables["model"].also)
    assert variables["vae"].choices == ("Automatic", "Default", "kl-f8.ckpt", "sdxl_vae.safetensors")
    assert (variables["lora"].choices, variables["lora"].also) == (("detail", "Ink"), ("detail_v1", ""))
    assert set(variables["prompt"].loras or ()) == {"detail", "Ink", "detail_v1"}
    assert stages_of(OFFER)["upscale"].variables["upscaler"].choices == ("Resize Lanczos", "ESRGAN 4x")


def test_each_stage_has_what_has_an_effect_there() -> None:
    """And needs what it starts from."""
    stages = stages_of(OFFER)

    assert "denoising_strength" not in stages["txt2img"].variables
    assert "denoising_strength" in stages["img2img"].variables
    assert set(stages["upscale"].variables) == {"upscaler", "upscaling_factor"}
    assert [stage.required for stage in stages.values()] == [(), ("init_image",), ("init_image", "upscaler")]
    assert "init_image" not in stages["txt2img"].config


def test_what_a_server_has_none_of_is_not_offered() -> None:
    """An ambiguous name is refused, and an entry in another form is left out."""
    bare = stages_of(parse_offer({"samplers": [{"name": "Euler"}, {"nam": ""}]}))["txt2img"].variables
    twins = [{"title": f"{name}/a", "model_name": "a"} for name in ("x", "y")]

    assert not {"model", "lora", "lora_strength"} & set(bare)
    assert bare["sampler_name"].choices == ("Euler",)
    assert bare["prompt"].loras == ()
    assert stages_of(offer_of(sd_models=twins))["txt2img"].variables["model"].ambiguous == {"a": ("x/a", "y/a")}
    assert {stage.unavailable for stage in unavailable("why").values()} == {"why"}


@pytest.mark.parametrize("samplers", [{}, [{"label": "Euler"}]])
def test_another_answer_is_no_list(samplers: Any) -> None:
    """It is refused as a whole."""
    with pytest.raises(msgspec.ValidationError):
        parse_offer({"samplers": samplers})


def test_what_every_request_has() -> None:
    """One picture, which only we keep, and no seed by chance."""
    assert request({}) == BASE
    assert request({"upscaler": "ESRGAN 4x", "init_image": "x"}, "upscale", INIT) == {
        "upscaling_resize": 2.0,
        "image": base64.b64encode(b"picture").decode(),
        "upscaler_1": "ESRGAN 4x",
    }


def test_each_value_goes_to_its_place() -> None:
    """By the server's own name of it; settings hold for the job alone."""
    config: Config = {**CONFIG, "model": "real", "vae": "kl-f8.ckpt", "clip_skip": 2, "timeout_seconds": 5}

    assert request(config) == {
        **BASE,
        **CONFIG,
        "clip_skip": 2,
        "override_settings": {"sd_model_checkpoint": "real [aaaaaaaaaa]", "sd_vae": "kl-f8.ckpt"},
    }
    with pytest.raises(InvalidInputError, match="'gone' is not among the models of the server any more"):
        request({"model": "gone"})


def test_a_lora_stands_behind_the_prompt() -> None:
    """With its strength as a plain decimal; none is none."""
    assert request({"prompt": "a", "lora": "detail_v1"})["prompt"] == "a <lora:detail:1>"
    assert request({"lora": "Ink", "lora_strength": 0.00001})["prompt"] == "<lora:Ink:0.00001>"
    assert request({"lora": "", "lora_strength": 2}) == BASE
    with pytest.raises(InvalidInputError, match="not among the loras"):
        request({"lora": "gone"})
    with pytest.raises(InvalidInputError, match="is the variable lora already"):
        request({"prompt": "<lora:detail:1>", "lora": "detail_v1"})
    with pytest.raises(InvalidInputError, match="is not closed"):
        request({"prompt": "a < b", "lora": "Ink"})
    assert request({"prompt": "<lora:detail:1>", "lora": "Ink"})["prompt"] == "<lora:detail:1> <lora:Ink:1>"


def test_a_table_of_loras_is_several_marks() -> None:
    """In their order; one that is off has none."""
    config = gathered({"prompt": "a", "loras": {"detail_v1": 0.5, "Ink": False}, "loras.Ink": True})

    assert request(config)["prompt"] == "a <lora:detail:0.5> <lora:Ink:1>"
    assert request({"loras": {"Ink": 0}})["prompt"] == ""
    check_config(stages_of(OFFER)["txt2img"], {"loras": {"detail_v1": 0.5, "Ink": True}, "loras.Ink": False})
    with pytest.raises(InvalidInputError, match="does not offer it now"):
        check_request("upscale", {"loras": {"Ink": 1}}, OFFER)


def test_a_picture_to_start_from_gives_its_size() -> None:
    """Which holds only where the server resizes at all; a given size counts."""
    found = request({"init_image": "x"}, "img2img", INIT)

    assert (found["init_images"], found["resize_mode"]) == ([base64.b64encode(b"picture").decode()], 1)
    assert (found["width"], found["height"]) == (64, 96)
    assert request({"init_image": "x", "width": 128}, "img2img", INIT)["width"] == 128


@pytest.mark.parametrize(
    ("config", "stage", "text"),
    [
        ({"width": 65}, "txt2img", r"config.width: 65 is no multiple of 8; take 64 or 72"),
        ({"denoising_strength": 0.5}, "txt2img", r"config.denoising_strength: the server does not offer it now"),
        ({"init_image": "x"}, "txt2img", r"config.init_image: the server does not offer it now"),
        ({"steps": 4}, "upscale", r"config.steps: the server does not offer it now"),
    ],
)
def test_what_would_make_another_picture_is_refused(config: Config, stage: str, text: str) -> None:
    """In one sentence that names the field; a seed is taken everywhere, as every experiment has one."""
    with pytest.raises(InvalidInputError, match=text):
        check_request(stage, config, OFFER)
    check_request(stage, {"seed": 3}, OFFER)
    check_config(stages_of(OFFER)["txt2img"], CONFIG)


def values_of(name: str, spec: VariableSpec) -> tuple[Any, Any]:
    """Return two values of a variable."""
    if name in ("width", "height"):
        return 64, 128
    if spec.choices:
        return spec.choices[0], spec.choices[1]
    return {"str": ("a", "b"), "bool": (True, False), "int": (3, 4), "float": (0.25, 0.75)}[spec.kind]


def targets() -> list[tuple[str, str, VariableSpec]]:
    """Return each variable of each stage."""
    return [(stage, name, spec) for stage, told in stages_of(OFFER).items() for name, spec in told.variables.items()]


@pytest.mark.parametrize(("stage", "name", "spec"), targets(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_variable_changes_its_place_and_no_other(stage: str, name: str, spec: VariableSpec) -> None:
    """The requests of two values differ in the place that is told, and nowhere else."""
    needed: Config = {other: "detail" if other == "lora" else 1 for other in spec.needs}
    one, two = (request({**needed, name: value}, stage) for value in values_of(name, spec))

    place = spec.target.partition(":")[0].partition(".")[0]
    assert {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)} == {place}
    if place == "override_settings":
        last = spec.target.partition(".")[2]
        assert one[place].keys() == two[place].keys() == {last}
