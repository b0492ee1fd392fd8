"""Settings into the text of a file, and nothing else of it changed."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.fields import Scalar
from bus.protocol.validation import InvalidInputError
from tests.support.factories import definition
from variantbus.cli.patching import difference, patched
from variantbus.files.reading import JobFile
from variantbus.reports.job_file import job_text

TOML = """# my settings
title = "x"     # stays

[config]        # of the job
cfg_scale = 7   # was good
steps    =  20
"""


def test_toml_keeps_its_comments_and_its_layout() -> None:
    """One number changes."""
    assert patched(TOML, ".toml", {"cfg_scale": 0}, {}) == TOML.replace("cfg_scale = 7 ", "cfg_scale = 0 ")


@pytest.mark.parametrize("indent", [None, 2, 4, "\t"])
def test_json_keeps_its_indentation(indent: int | str | None) -> None:
    """And its letters, and its last line end."""
    before = json.dumps({"prompt": "ein Bär", "cfg_scale": 7}, indent=indent, ensure_ascii=False) + "\n"

    assert patched(before, ".json", {"cfg_scale": 6.5}, {}) == before.replace("7", "6.5")


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("[config]\n", {}, {"config": {"x": 1}}),
        ("x = 2\n", {}, {"x": 1}),
        ("[a.b]\ny = 1\n", {"x": "a.b.x"}, {"a": {"b": {"y": 1, "x": 1}}}),
        ("x = 2\n[a]\n", {"x": "a.z"}, {"x": 2, "a": {"z": 1}}),
    ],
)
def test_a_setting_goes_where_it_belongs(text: str, keys: dict[str, str], expected: object) -> None:
    """Into `config`, to its name at the top, or to the place that was named."""
    assert tomllib.loads(patched(text, ".toml", {"x": 1}, keys)) == expected


@pytest.mark.parametrize(
    ("text", "suffix", "keys", "message"),
    [
        ("y = 1\n", ".toml", {}, "x: is not in the file; say with --key x=PLACE where it belongs"),
        ("y = \n", ".toml", {}, "is no valid TOML: "),
        ("{", ".json", {}, "is no valid JSON: "),
        ("[1]", ".json", {}, "is no table of names and values"),
        ("x = 1", ".ini", {}, ".ini: is not one of .toml, .json"),
        ("x = [1]\n", ".toml", {}, "x: is a table or a list there"),
        ("[x]\ny = 1\n", ".toml", {}, "x: is a table or a list there"),
        ("y = 1\n", ".toml", {"x": "a.x"}, "a: no table of the file"),
        ('[variable]\nname = "x"\n[config]\n', ".toml", {}, "variable: the file varies x itself"),
        ('[[variables]]\nname = "x"\n[config]\n', ".toml", {}, "variables #1: the file varies x itself"),
    ],
)
def test_what_has_no_place_is_refused(text: str, suffix: str, keys: dict[str, str], message: str) -> None:
    """The sentence says what to do."""
    with pytest.raises(InvalidInputError) as refused:
        patched(text, suffix, {"x": 1}, keys)

    assert str(refused.value).startswith(message)


@given(
    st.one_of(
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    st.sampled_from([".toml", ".json"]),
)
def test_any_value_is_read_as_it_was_written(value: Scalar, suffix: str) -> None:
    """In both formats, with its type."""
    before = 'x = "y"\n' if suffix == ".toml" else '{"x": "y"}'

    after = patched(before, suffix, {"x": value}, {})

    read = tomllib.loads(after)["x"] if suffix == ".toml" else json.loads(after)["x"]
    assert (read, type(read)) == (value, type(value))


def test_the_job_is_a_file_that_can_be_submitted() -> None:
    """With the values of a grid, the first seed, and the sentence as a comment; nothing stands for nil."""
    plan = replace(definition(config={"prompt": 'a "star"\n', "vae": None}), priority=3)

    text = job_text(plan, {"cfg_scale": 0, "sampler": "euler a"}, "take 0\nreally")

    assert text.startswith("# take 0\n# really\n")
    read = tomllib.loads(text)
    assert read == {
        "pipeline": "embedded",
        "stage": "txt2img",
        "priority": 3,
        "config": {"seed": 100, "prompt": 'a "star"\n', "cfg_scale": 0, "sampler": "euler a"},
    }
    assert set(read) <= set(JobFile.__struct_fields__)


def test_the_difference_shows_only_what_changes() -> None:
    """Nothing if nothing does."""
    assert difference("a = 1\nb = 2\n", "a = 1\nb = 2\n", "f") == ""
    assert "-b = 2\n+b = 3" in difference("a = 1\nb = 2\n", "a = 1\nb = 3\n", "f")


ODD = ["", "1", " ", "a\x85b\u2028c\x0b\x0c", "\x7f\x01", "q\"\"\"'''\\", "a\r\nb\n", 2**64 - 1, True, 0]


@pytest.mark.fault(item="F150")
@pytest.mark.fault(item="F153")
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_any_value_is_written_as_it_is(value: Scalar) -> None:
    """Into a job, and into files of both kinds; the difference is one of lines as an editor has them."""
    job = tomllib.loads(job_text(definition(), {"x": value}, "why\u2028so"))
    toml = tomllib.loads(patched('[config]\nx = "old"\n', ".toml", {"x": value}, {}))
    plain = json.loads(patched('{"config": {"x": 5}}', ".json", {"x": value}, {}))

    for found in (job, toml, plain):
        assert found["config"]["x"] == value
        assert type(found["config"]["x"]) is type(value)
    assert difference("a = 'x\u2028y'\n", "a = 'z\u2028y'\n", "f").split("\n")[2:] == [
        "@@ -1 +1 @@",
        "-a = 'x\u2028y'",
        "+a = 'z\u2028y'",
    ]
