"""What is read of a file that somebody opens in the form of the dashboard."""

from pathlib import Path

import pytest

from bus.contracts.definition import ExperimentDefinition
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError
from tests.support.generated_pictures import A1111, A1111_SETTINGS, png, text
from variantbus.dashboard.opening import opened
from variantbus.files.reading import read_experiment

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_picture_gives_its_settings() -> None:
    """With the program that made it."""
    found = opened(png(text("parameters", A1111)))
    assert (found["pipeline"], {key: found["settings"][key] for key in A1111_SETTINGS}) == ("webui", A1111_SETTINGS)


@pytest.mark.parametrize("name", ["presets", "prompts", "replace", "extended", "grid"])
def test_an_experiment_file_gives_its_definition(name: str) -> None:
    """With all that a file may say in other words; not what another file says."""
    path = EXAMPLES / f"{name}.toml"
    if "extends" in path.read_text(encoding="utf-8"):
        with pytest.raises(InvalidInputError, match=r"^extends: .* open that one"):
            opened(path.read_bytes())
        return
    told = take(opened(path.read_bytes())["definition"], ExperimentDefinition)
    same = read_experiment(path).definition
    assert (told.variable, told.variables, told.blocks) == (same.variable, same.variables, same.blocks)
    assert told.origin == ""


def test_who_is_told_is_not_taken() -> None:
    """It is named, as its addresses are nobody's but the writer's."""
    data = b'name = "x"\n[variable]\nname = "steps"\nvalues = [1]\n[notify]\nurls = ["json://host"]\n'
    found = opened(data)
    assert "notify" not in found["definition"]
    assert found["told"] == ["Who is told of it ([notify]) is not taken from a file here."]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (png(), "has no settings in it; a program that copies pictures may have removed them"),
        (png(text("parameters", "a\nSteps: 20, Sampler: Euler, Script: X/Y/Z plot, X Type: Seed")), "shows many"),
        (b"\0\0\0\x1cftypavif", "has no settings in it"),
        (b"MZ\0\0", "is neither a picture nor the file of an experiment"),
        (b"name = ", "is no valid TOML"),
        (b"\xff\xfe", "is not UTF-8; save it as UTF-8"),
        (b'nam = "x"', "did you mean 'name'"),
        (b'name = "x"\nprompts_file = "p.txt"', "prompts_file: names another file, which a page cannot read"),
    ],
)
def test_any_other_file_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    """Without a name, which the page has."""
    with pytest.raises(InvalidInputError) as refused:
        opened(data)
    assert sentence in str(refused.value)
    assert "the file: " not in str(refused.value)
