"""What a SwarmUI offers: which of its parameters can be varied, with which bounds and names."""

from typing import Any

import msgspec
import pytest

from bus.contracts.pipeline_specs import check_config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.swarmui.offer import parse_offer, stages_of, unavailable
from pipeline_runner.pipelines.time_limit import DEFAULT_TIMEOUT, timeout_of
from tests.servers.swarmui_params import FEATURES, listed, param, params
from tests.support.swarmui_jobs import CONFIG, offer_of


def offered(*more: dict[str, Any], features: tuple[str, ...] = FEATURES) -> dict[str, Any]:
    """Return the variables of txt2img, with further parameters."""
    offer = parse_offer({"list": [*params(), *more], "models": listed({"Stable-Diffusion": ["a"]})}, features)
    return dict(stages_of(offer)["txt2img"].variables)


def test_known_parameters_have_the_names_that_they_have_elsewhere() -> None:
    """An experiment file for another server fits; all others are called as the server calls them."""
    variables = stages_of(offer_of())["txt2img"].variables

    ours = {"negative_prompt", "cfg_scale", "sampler_name", "subseed", "subseed_strength", "distilled_cfg_scale"}
    assert ours <= set(variables)
    assert (variables["cfg_scale"].target, variables["cfg_scale"].minimum, variables["cfg_scale"].maximum) == (
        "cfgscale",
        0,
        100,
    )
    assert variables["refinerupscale"].target == "refinerupscale"
    assert (variables["model"].slow, variables["steps"].slow) == (True, False)


def test_what_makes_no_picture_of_ours_or_has_no_effect_is_not_offered() -> None:
    """Where results are kept, how many there are, videos, the page's own, and what needs a picture of its own."""
    variables = stages_of(offer_of())["img2img"].variables

    for name in ("images", "batchsize", "donotsave", "text2videoframes", "textvideoframes", "aspectratio", "maskblur"):
        assert name not in variables
    for name in ("yolomodelinternal", "placeholderparamgroupstarred", "initimage", "loras", "controlnetmodel"):
        assert name not in variables


def test_a_parameter_whose_backend_is_missing_is_not_offered() -> None:
    """But one that depends on the model of the job is, as no backend says so."""
    variables = offered(features=("refiners",))

    assert "sampler_name" not in variables
    assert "refinerupscale" in variables
    assert "distilled_cfg_scale" in variables
    assert "two" not in offered(param("Two", "integer", "1", max=5.0, feature_flag="comfyui, other"))


def test_only_img2img_has_what_belongs_to_the_picture_it_starts_from() -> None:
    """And it needs that picture."""
    stages = stages_of(offer_of())

    assert "denoising_strength" not in stages["txt2img"].variables
    assert "denoising_strength" in stages["img2img"].variables
    assert (stages["txt2img"].required, stages["img2img"].required) == (("model",), ("init_image", "model"))
    assert "init_image" not in stages["txt2img"].config


def test_no_seed_is_random_and_none_is_too_large_for_the_server() -> None:
    """-1 stands for a random one there; its largest number is rounded up on the way."""
    seed = stages_of(offer_of())["txt2img"].variables["seed"]

    assert (seed.minimum, seed.maximum) == (0, 2**63 - 1)


def test_two_zeros_are_no_bounds() -> None:
    """As the server itself reads them."""
    free = offered(param("Free", "decimal", "1"))["free"]

    assert (free.minimum, free.maximum) == (None, None)


def test_bounds_that_no_number_of_ours_holds_are_cut() -> None:
    """The least and the most of 64 bits."""
    wide = offered(param("Wide", "integer", "1", min=-1e30, max=1e30))["wide"]

    assert (wide.minimum, wide.maximum) == (-(2**63), 2**63 - 1)


def test_a_bound_may_be_missing() -> None:
    """An extension tells only one."""
    half = offered(param("Half", "integer", "1", min=None, max=9.0), param("Low", "integer", "1", min=2.0, max=None))

    assert (half["half"].minimum, half["half"].maximum) == (None, 9)
    assert (half["low"].minimum, half["low"].maximum) == (2, None)


def test_a_model_may_be_called_by_its_file_or_without_its_folder() -> None:
    """Unless two have that name."""
    offer = offer_of(
        models={"Stable-Diffusion": ["one/base.safetensors", "two/base.safetensors", "two/other.safetensors"]}
    )
    model = stages_of(offer)["txt2img"].variables["model"]

    assert model.choices == ("one/base", "two/base", "two/other")
    assert set(model.also) == {"one/base.safetensors", "two/base.safetensors", "two/other.safetensors", "other"}
    assert model.ambiguous == {"base": ("one/base", "two/base")}


def test_a_model_with_a_comma_in_its_name_is_offered() -> None:
    """Only LoRAs stand in lists."""
    offer = offer_of(models={"Stable-Diffusion": ["a, b: c.safetensors"]})

    assert stages_of(offer)["txt2img"].variables["model"].choices == ("a, b: c",)


def test_a_list_of_its_own_replaces_that_of_the_models() -> None:
    """Without what is of the page alone: a line that parts it, and a word that the server refuses in a request."""
    variables = stages_of(offer_of())["txt2img"].variables
    refiner = variables["refinermodel"]

    assert refiner.choices == ("(Use Base)", "real", "sd/base")
    assert set(refiner.also) == {"base"}
    assert variables["vae"].choices == ("None", "kl-f8", "sdxl_vae")


def test_a_lora_can_be_none_and_one_that_no_list_can_hold_is_left_out() -> None:
    """A comma in its name would make two of it; the prompt may name the others."""
    variables = stages_of(offer_of())["txt2img"].variables

    assert variables["lora"].choices == ("detail", "style/Ink")
    assert "" in variables["lora"].also
    assert variables["lora_strength"].needs == ("lora",)
    table = stages_of(offer_of())["img2img"].config["loras"]
    assert (table.choices, "" in table.also) == (("detail", "style/Ink"), False)
    check_config(stages_of(offer_of())["txt2img"], {**CONFIG, "loras": {"Ink": 0.5}, "loras.Ink": True})
    assert variables["prompt"].loras is not None
    assert {"detail", "Ink"} <= set(variables["prompt"].loras)
    bare = stages_of(offer_of(models={"LoRA": []}))["txt2img"]
    assert "lora" not in bare.variables
    assert "loras" not in bare.config


def test_older_versions_list_names_alone() -> None:
    """Without a class beside each; what is no name is skipped."""
    offer = parse_offer({"list": params(), "models": {"Stable-Diffusion": ["a.safetensors", ["b", None], [], 7]}}, ())

    assert stages_of(offer)["txt2img"].variables["model"].choices == ("a", "b")
    assert parse_offer({"list": params(), "models": {"LoRA": "none"}}, ()).loras.choices == ()


def test_an_entry_in_another_form_is_left_out() -> None:
    """An extension may have added it."""
    variables = offered({"id": "odd"}, {"id": "", "type": "text"}, param("Empty", "dropdown", "", values=None))

    assert "odd" not in variables
    assert "empty" not in variables


@pytest.mark.parametrize("told", [None, [], {"list": None, "models": {}}, {"list": [], "models": {}}, {"list": []}])
def test_another_answer_is_no_list(told: Any) -> None:
    """It is refused as a whole."""
    with pytest.raises(msgspec.ValidationError):
        parse_offer(told, FEATURES)


def test_a_plan_is_checked_against_what_there_is() -> None:
    """A model is needed, as the server would take whichever is loaded."""
    stage = stages_of(offer_of())["txt2img"]

    check_config(stage, {**CONFIG, "lora": "Ink", "lora_strength": 0.5, "timeout_seconds": 5})
    with pytest.raises(InvalidInputError, match=r"config.model: missing"):
        check_config(stage, {"prompt": "x"})
    with pytest.raises(InvalidInputError, match=r"config.cfgscale: unknown key; did you mean 'cfg_scale'"):
        check_config(stage, {**CONFIG, "cfgscale": 5})


def test_nothing_can_be_planned_before_it_was_read() -> None:
    """The reason stands in both stages."""
    assert {stage.unavailable for stage in unavailable("why").values()} == {"why"}


@pytest.mark.parametrize(("told", "seconds"), [(5, 5.0), (None, DEFAULT_TIMEOUT)])
def test_a_job_has_a_limit_of_its_own(told: float | None, seconds: float) -> None:
    """An hour unless given."""
    assert timeout_of({} if told is None else {"timeout_seconds": told}) == seconds
