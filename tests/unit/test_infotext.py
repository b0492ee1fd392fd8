"""The text that goes into a PNG, in the form that AUTOMATIC1111 reads."""

import json
import re

import pytest

from bus.contracts.fields import Config
from pipeline_runner.outputs.infotext import infotext, read_infotext

CONFIG: Config = {
    "prompt": "a blue star, on (white:1.2)",
    "negative_prompt": "blurry",
    "seed": 7,
    "cfg_scale": 6.5,
    "steps": 20,
    "sampler_name": "euler",
    "scheduler": "karras",
    "width": 64,
    "height": 48,
    "denoising_strength": 0.5,
    "model": "embedded",
}
# as modules/infotext_utils.py of AUTOMATIC1111 takes the last line apart
PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def read(text: str) -> dict[str, str]:
    """Read the last line as the web UI does: with fewer than three pairs it is none of parameters."""
    found = PARAMETER.findall(text.splitlines()[-1])
    return {name: json.loads(value) if value.startswith('"') else value for name, value in found if len(found) > 2}


def test_prompt_negative_prompt_and_parameters_have_a_line_each() -> None:
    """The order is the web UI's."""
    assert infotext(CONFIG).splitlines() == [
        "a blue star, on (white:1.2)",
        "Negative prompt: blurry",
        (
            "Steps: 20, Sampler: euler, Schedule type: karras, CFG scale: 6.5, Seed: 7, Size: 64x48, "
            "Denoising strength: 0.5, Model: embedded, Version: variantbus"
        ),
    ]


@pytest.mark.parametrize("keys", [(), ("seed",), ("prompt", "seed"), ("steps", "seed"), ("prompt", "negative_prompt")])
def test_few_values_are_no_part_of_the_prompt(keys: tuple[str, ...]) -> None:
    """A workflow may have a seed alone, and the web UI reads what is written all the same."""
    found = read(infotext({key: CONFIG[key] for key in keys}))

    assert found["Version"] == "variantbus"
    assert found.get("Seed") == ("7" if "seed" in keys else None)


def test_the_web_ui_reads_the_same_values_again() -> None:
    """Every parameter comes back as it was, under the web UI's name."""
    assert read(infotext(CONFIG)) == {
        "Steps": "20",
        "Sampler": "euler",
        "Schedule type": "karras",
        "CFG scale": "6.5",
        "Seed": "7",
        "Size": "64x48",
        "Denoising strength": "0.5",
        "Model": "embedded",
        "Version": "variantbus",
    }


@pytest.mark.parametrize("name", ["a, b", 'say "x", loud', "a: b", "line\nbreak", "back\\slash, too", "Zoë, ü"])
def test_a_value_that_would_break_the_line_is_quoted(name: str) -> None:
    """Commas, colons and line breaks do not end the value."""
    text = infotext({"model": name, "steps": 3})

    assert read(text) == {"Steps": "3", "Model": name, "Version": "variantbus"}


def test_what_is_not_known_is_left_out() -> None:
    """An absent or empty value makes no parameter; 0 is a value."""
    assert infotext({"steps": 0, "seed": None, "width": 64, "unknown": 1, "negative_prompt": ""}).splitlines() == [
        "",
        "Steps: 0, Format: infotext, Version: variantbus",
    ]


def test_what_is_written_is_read_again() -> None:
    """By the names that the web UI gives it."""
    assert read_infotext(infotext({**CONFIG, "model": 'a "b", c: d'})) == {
        **read(infotext(CONFIG)),
        "Model": 'a "b", c: d',
    }


@pytest.mark.fault(item="F153")
@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            'x\nSteps: 4, Lora hashes: "a: 11, b: 22", Version: f2.0',
            {"Steps": "4", "Lora hashes": "a: 11, b: 22", "Version": "f2.0"},
        ),
        ("Steps: 4", {"Steps": "4"}),
        ("only a prompt", {}),
        ("", {}),
        ('Name: "not closed, Size: 1x2', {"Name": '"not closed', "Size": "1x2"}),
        ("a, b: c", {"a, b": "c"}),
        ("Odd:, Even: 2", {"Odd": "", "Even": "2"}),
        ("a\u2028b\x85c\nSteps: 4, Model: d\u2028e\x0bf", {"Steps": "4", "Model": "d\u2028e\x0bf"}),
    ],
)
def test_the_last_line_of_others_is_read(text: str, values: dict[str, str]) -> None:
    """Whatever stands there, nothing is raised."""
    assert read_infotext(text) == values
