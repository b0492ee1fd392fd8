"""The request of a job for SwarmUI, and what is refused before it is sent."""

import base64
from typing import Any

import pytest

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.loras import gathered
from pipeline_runner.pipelines.swarmui.offer import stages_of
from pipeline_runner.pipelines.swarmui.request import build, check_request
from tests.support.swarmui_jobs import CONFIG, offer_of

INIT = InitImage(b"picture", 45, 100)
OFFER = offer_of()
BASE = {"images": 1, "donotsave": True, "prompt": "", "seed": 0}


def request(config: Config, stage: str = "txt2img", init: InitImage | None = None) -> dict[str, Any]:
    """Build a request."""
    return build(stage, config, OFFER, init)


def test_one_picture_that_only_we_keep_and_no_seed_by_chance() -> None:
    """Whatever the configuration leaves open."""
    assert request({}) == BASE


def test_each_value_goes_to_its_parameter() -> None:
    """By the server's own name of it."""
    config: Config = {**CONFIG, "cfg_scale": 4.5, "negative_prompt": "blur", "sampler_name": "dpmpp_2m"}

    assert request(config) == {
        **BASE,
        "prompt": "a blue star",
        "model": "real",
        "steps": 4,
        "width": 64,
        "height": 64,
        "seed": 7,
        "cfgscale": 4.5,
        "negativeprompt": "blur",
        "sampler": "dpmpp_2m",
    }


def test_the_full_name_is_sent() -> None:
    """The server would take the shortest name that has the given one in it."""
    assert request({"model": "XL base 1.0"})["model"] == "sd/XL base 1.0"
    assert request({"model": "real.safetensors"})["model"] == "real"
    with pytest.raises(InvalidInputError, match=r"config.model: the server has no 'gone' any more"):
        request({"model": "gone"})


def test_a_lora_and_its_strength_are_two_lists() -> None:
    """Of one entry each; none is none."""
    found = request({"lora": "Ink", "lora_strength": -0.5})

    assert (found["loras"], found["loraweights"]) == (["style/Ink"], ["-0.5"])
    assert request({"lora": "detail"})["loraweights"] == ["1"]
    assert request({"lora": "", "lora_strength": 0.5}) == BASE
    with pytest.raises(InvalidInputError, match="'gone' is not among the loras"):
        request({"lora": "gone"})


def test_a_lora_in_the_prompt_is_not_used_twice() -> None:
    """Both would add up."""
    with pytest.raises(InvalidInputError, match="is the variable lora already"):
        check_request("txt2img", {"prompt": "a <lora:style/Ink:1>", "lora": "Ink"}, OFFER)
    check_request("txt2img", {"prompt": "a <lora:detail:1>", "lora": "Ink"}, OFFER)
    check_request("txt2img", {"prompt": "a <lora:detail:1>"}, OFFER)


def test_a_table_of_loras_is_two_longer_lists() -> None:
    """In their order; one that is off is not among them."""
    found = request(gathered({"loras": {"Ink": 0.5, "detail": True}, "loras.Ink": 0.25}))

    assert (found["loras"], found["loraweights"]) == (["style/Ink", "detail"], ["0.25", "1"])
    assert request({"loras": {"Ink": 0}}) == BASE
    with pytest.raises(InvalidInputError, match=r"config.lora: loras.Ink is the same LoRA"):
        check_request("txt2img", {"loras": {"Ink": 0}, "lora": "style/Ink"}, OFFER)


def test_a_second_seed_is_not_random() -> None:
    """Without one, the server takes one by chance."""
    assert request({"subseed_strength": 0.5})["variationseed"] == 0
    assert request({"subseed_strength": 0.5, "subseed": 3})["variationseed"] == 3


def test_a_picture_to_start_from_gives_its_size() -> None:
    """On the grid of every model, and never too small; a given size counts."""
    found = request({}, "img2img", INIT)

    assert (found["initimage"], found["width"], found["height"]) == (base64.b64encode(b"picture").decode(), 64, 96)
    assert request({"width": 128, "init_image": "x"}, "img2img", INIT)["width"] == 128


@pytest.mark.parametrize(
    ("config", "stage", "text"),
    [
        ({"width": 65}, "txt2img", "config.width: 65 is no multiple of 8; take 64 or 72"),
        ({"height": 513}, "txt2img", "config.height: 513"),
        ({"denoising_strength": 0.5}, "txt2img", "config.denoising_strength: the server does not offer it now"),
        ({"init_image": "x"}, "txt2img", "config.init_image: the server does not offer it now"),
        ({"gone": 1}, "img2img", "config.gone: the server does not offer it now"),
    ],
)
def test_what_would_make_another_picture_is_refused(config: Config, stage: str, text: str) -> None:
    """In one sentence that names the field."""
    with pytest.raises(InvalidInputError, match=text):
        check_request(stage, config, OFFER)


def values_of(name: str, spec: VariableSpec) -> tuple[Any, Any]:
    """Return two values of a variable that the server does not take for the same."""
    if name in ("width", "height"):
        return 64, 128
    if spec.choices:
        return spec.choices[0], spec.choices[1]
    return {"str": ("a", "b"), "bool": (True, False), "int": (200, 201), "float": (0.25, 0.75)}[spec.kind]


def targets() -> list[tuple[str, str, VariableSpec]]:
    """Return each variable of each stage."""
    stages: dict[str, StageSpec] = stages_of(OFFER)
    return [(stage, name, spec) for stage, told in stages.items() for name, spec in told.variables.items()]


@pytest.mark.parametrize(("stage", "name", "spec"), targets(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_variable_changes_its_parameter_and_no_other(stage: str, name: str, spec: VariableSpec) -> None:
    """The requests of two values differ in the place that is told, and nowhere else."""
    needed: Config = {other: "detail" if other == "lora" else 1 for other in spec.needs}
    one, two = (request({**needed, name: value}, stage) for value in values_of(name, spec))

    assert {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)} == {spec.target} | (
        {"loraweights"} - one.keys() if name == "lora" else set()
    )
