"""What a pipeline takes, as data, and how values are checked against it."""

import re
import time

import msgspec
import pytest

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.pipeline_specs import (
    StageSpec,
    VariableSpec,
    bounds_text,
    check_config,
    check_value,
    find_stage,
    variables_of,
)
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from tests.support.factories import PROGRAM_STAGE
from tests.support.helpers import TIME_FACTOR

IMAGES = StageSpec(
    variables={
        "prompt": VariableSpec(kind="str"),
        "steps": VariableSpec(kind="int", minimum=1, maximum=150),
        "cfg_scale": VariableSpec(kind="float", minimum=0),
        "strength": VariableSpec(kind="float", maximum=1),
        "sampler_name": VariableSpec(kind="str", choices=("euler", "heun")),
        "tiling": VariableSpec(kind="bool"),
    },
    config={"init_image": VariableSpec(kind="str")},
    required=("init_image",),
)
PIPELINES = {"images": {"img2img": IMAGES}, "command": {"run": PROGRAM_STAGE}}


def refusal(spec: StageSpec, config: Config) -> str:
    """Return the sentence with which a configuration is refused."""
    with pytest.raises(InvalidInputError) as refused:
        check_config(spec, config)
    return str(refused.value)


def test_a_stage_is_found_by_pipeline_and_name() -> None:
    """What is there is given."""
    assert find_stage(PIPELINES, "images", "img2img") is IMAGES


@pytest.mark.parametrize(
    ("pipeline", "stage", "message"),
    [
        ("image", "img2img", "pipeline: 'image' is unknown; did you mean 'images'?"),
        ("xyz", "img2img", "pipeline: 'xyz' is unknown; known are: command, images"),
        ("images", "img2im", "stage: images has no stage 'img2im'; did you mean 'img2img'?"),
        ("command", "img2img", "stage: command has no stage 'img2img'; known are: run"),
    ],
)
def test_an_unknown_stage_is_refused_with_a_hint(pipeline: str, stage: str, message: str) -> None:
    """The sentence names the field and what there is."""
    with pytest.raises(InvalidInputError) as refused:
        find_stage(PIPELINES, pipeline, stage)

    assert str(refused.value) == message


def test_without_any_pipeline_the_refusal_says_so() -> None:
    """A runner whose pipelines could not be loaded offers none."""
    with pytest.raises(InvalidInputError, match="there are none"):
        find_stage({}, "images", "img2img")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", ""),
        ("steps", 1),
        ("steps", 150),
        ("cfg_scale", 0),
        ("cfg_scale", 7.5),
        ("cfg_scale", 10**300),
        ("strength", -5),
        ("strength", 1.0),
        ("sampler_name", "heun"),
        ("tiling", False),
    ],
)
def test_a_value_within_its_bounds_is_accepted(name: str, value: ConfigValue) -> None:
    """Bounds are included, and a whole number is a number."""
    check_value(name, IMAGES.variables[name], value)


@pytest.mark.fault(item="B31")
@pytest.mark.fault(item="B35")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prompt", 1, "must be text, not 1"),
        ("steps", 0, "0 is out of bounds; allowed: 1 to 150"),
        ("steps", 151, "151 is out of bounds; allowed: 1 to 150"),
        ("steps", 20.0, "must be a whole number, not 20.0"),
        ("steps", True, "must be a whole number, not true"),
        ("steps", "20", "must be a whole number, not '20'"),
        ("cfg_scale", -0.1, "-0.1 is out of bounds; allowed: at least 0"),
        ("cfg_scale", True, "must be a number, not true"),
        ("cfg_scale", None, "must be a number, not nothing"),
        ("cfg_scale", float("nan"), "nan is not a finite number"),
        ("cfg_scale", float("inf"), "inf is not a finite number"),
        ("strength", 1.5, "1.5 is out of bounds; allowed: at most 1"),
        ("sampler_name", "huen", "'huen' is not offered; did you mean 'heun'?"),
        ("sampler_name", "xyz", "'xyz' is not offered; known are: euler, heun"),
        ("tiling", 1, "must be true or false, not 1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name: str, value: ConfigValue, message: str) -> None:
    """The sentence begins with where the value stands, and says what would fit."""
    with pytest.raises(InvalidInputError) as refused:
        check_value(f"config.{name}", IMAGES.variables[name], value)

    assert str(refused.value) == f"config.{name}: {message}"


@pytest.mark.parametrize("value", ["a", 1, 1.5, True])
def test_a_placeholder_takes_any_scalar(value: Scalar) -> None:
    """A program gets it as text."""
    check_value("config.x", None, value)


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}, float("nan")])
def test_a_placeholder_takes_nothing_else(value: ConfigValue) -> None:
    """What has no obvious text is refused."""
    with pytest.raises(InvalidInputError, match=r"^config\.x: "):
        check_value("config.x", None, value)


def test_a_list_is_a_list() -> None:
    """A command as one text, which a shell would have to split, is refused."""
    check_value("config.command", PROGRAM_STAGE.config["command"], ["tool", 1])
    with pytest.raises(InvalidInputError, match="must be a list of texts or numbers, not 'tool --x'"):
        check_value("config.command", PROGRAM_STAGE.config["command"], "tool --x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": float("inf")}]}, "config.table.a #2.b: inf is not a finite number"),
        ({"a": [[float("nan")]]}, "config.table.a #1 #1: nan is not a finite number"),
        (
            {"a": {"b": None}},
            "config.table.a.b: is nothing, which no file can hold there; leave it out",
        ),
        ({"a": [None]}, "config.table.a #1: is nothing, which no file can hold there; leave it out"),
    ],
)
def test_what_no_program_takes_is_found_however_deep(value: ConfigValue, message: str) -> None:
    """The sentence names the place."""
    with pytest.raises(InvalidInputError) as refused:
        check_value("config.table", VariableSpec(kind="map"), value)

    assert str(refused.value) == message


@pytest.mark.parametrize("value", [["tool", ["-x"]], ["tool", {"a": 1}]])
def test_a_list_of_words_holds_no_other_list(value: ConfigValue) -> None:
    """A program takes texts and numbers."""
    with pytest.raises(InvalidInputError, match=r"^config\.command: must be a list of texts or numbers"):
        check_value("config.command", PROGRAM_STAGE.config["command"], value)


def test_a_whole_configuration_is_checked() -> None:
    """Every key is checked; the seed is known to every stage."""
    check_config(IMAGES, {"init_image": "a.png", "steps": 20, "seed": 7})

    assert refusal(IMAGES, {"init_image": "a.png", "step": 20}) == "config.step: unknown key; did you mean 'steps'?"
    assert refusal(IMAGES, {"init_image": "a.png", "steps": 0}).startswith("config.steps: 0 is out of bounds")
    assert refusal(IMAGES, {"init_image": "a.png", "seed": -1}).startswith("config.seed: -1 is out of bounds")
    assert refusal(IMAGES, {"steps": 20}) == "config.init_image: missing; add it"


def test_the_placeholders_of_a_template_are_variables() -> None:
    """All but those that the pipeline fills in itself; text in braces that is no name is just text."""
    config: Config = {"command": ["tool", "--x={x}", "{y}{x}", "{output_dir}/r", "{not a name}", "{}", 7]}

    assert variables_of(PROGRAM_STAGE, config) == {"x": None, "y": None}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "config.command: missing; add it"),
        ({"command": "tool {x}"}, "config.command: must be a list of texts or numbers, not 'tool {x}'"),
        ({"command": None}, "config.command: must be a list of texts or numbers, not nothing"),
    ],
)
def test_a_template_that_is_no_list_is_refused(config: Config, message: str) -> None:
    """Whoever asks for its variables is told what is wrong with it, not that it has none."""
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        variables_of(PROGRAM_STAGE, config)


def test_a_placeholder_needs_a_value() -> None:
    """A program would get the text in braces otherwise."""
    config: Config = {"command": ["tool", "{x}"]}

    check_config(PROGRAM_STAGE, {**config, "x": 1})
    assert (
        refusal(PROGRAM_STAGE, config) == "config.x: missing; add it, or write {{x}} in command for the text {x} itself"
    )
    check_config(PROGRAM_STAGE, {"command": ["awk", "{{x}}"]})


def test_a_placeholder_may_be_the_seed() -> None:
    """Then the seed has to be there, as the whole number that it is."""
    config: Config = {"command": ["tool", "{seed}"]}

    check_config(PROGRAM_STAGE, {**config, "seed": 7})
    assert refusal(PROGRAM_STAGE, {**config, "seed": "seven"}).startswith("config.seed: must be a whole number")


def test_specs_survive_the_wire() -> None:
    """What a runner announces is what plans are checked against."""
    for spec in (IMAGES, PROGRAM_STAGE):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=StageSpec) == spec


def test_the_bound_of_a_seed_is_told_to_its_last_digit() -> None:
    """No double holds it: 2^63 would be shown, and refused."""
    spec = VariableSpec(kind="int", minimum=0, maximum=2**63 - 1)
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=VariableSpec)

    assert bounds_text(told.minimum, told.maximum) == "0 to 9223372036854775807"


NEEDING = StageSpec(
    variables={
        "switch": VariableSpec(kind="bool"),
        "amount": VariableSpec(kind="float"),
        "detail": VariableSpec(kind="int", needs=("switch", "amount")),
    }
)


def test_what_has_no_effect_without_something_else_is_refused() -> None:
    """All variants would be the same."""
    check_config(NEEDING, {"switch": True, "amount": 1, "detail": 3})
    assert refusal(NEEDING, {"detail": 3}) == "config.switch: missing; detail has no effect without it"
    assert refusal(NEEDING, {"switch": False, "amount": 1, "detail": 3}).startswith("config.switch: missing")


def test_zero_is_a_value_of_what_is_needed() -> None:
    """A sweep of it may begin there."""
    check_config(NEEDING, {"switch": True, "amount": 0, "detail": 3})


@pytest.mark.parametrize("text", ["<lora:" + "a" * 100_000, "<lora:a" + ":" * 100_000, "<lora:" * 20_000])
def test_a_long_mark_without_an_end_is_read_in_no_time(text: str) -> None:
    """A prompt is somebody else's text: no such text keeps a service from answering."""
    began = time.thread_time()

    check_value("variable.values[0]", VariableSpec(kind="str", loras=("a",)), text)

    assert time.thread_time() - began < 0.2 * TIME_FACTOR  # of the processor, which others may have meanwhile


def test_a_stage_whose_server_is_away_is_not_available() -> None:
    """What it takes is not known now; the reason is told."""
    pipelines = {"webui": {"txt2img": StageSpec(unavailable="no answer from http://127.0.0.1:7860")}}

    with pytest.raises(ControlError, match=r"^no answer from http://127\.0\.0\.1:7860$") as refused:
        find_stage(pipelines, "webui", "txt2img")
    assert refused.value.code == "unavailable"


def test_a_map_is_a_map() -> None:
    """Not a list of pairs."""
    spec = StageSpec(config={"inputs": VariableSpec(kind="map")})

    check_config(spec, {"inputs": {"seed": "3.seed"}})
    assert refusal(spec, {"inputs": ["seed", "3.seed"]}).startswith("config.inputs: ")
