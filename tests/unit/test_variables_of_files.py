"""The variables of an experiment file, in the forms that people write."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError
from variantbus.files.variables import with_variables

FILE = Path("a.toml")


def read(text: str) -> tuple[Variable, ...]:
    """Return the variables of a file."""
    table = with_variables(FILE, tomllib.loads(f'name = "x"\n{text}'))
    return take(table, ExperimentDefinition).knobs


def test_plain_variables_are_as_they_were() -> None:
    """With a list, a range, or all of them; a brace of somebody else means nothing."""
    text = """
    config.prompt = "a {cat|dog}, {{{steps}}}"
    [[variables]]
    name = "cfg"
    values = [1, 2]
    [[variables]]
    name = "sampler"
    values = "all"
    [[variables]]
    name = "x"
    start = 1
    stop = 2
    step = 1
    """
    assert read(text) == (
        Variable(name="cfg", values=[1, 2]),
        Variable(name="sampler", values="all"),
        Variable(name="x", start=1, stop=2, step=1),
    )


def test_tables_as_values_are_named_values() -> None:
    """In one variable and in several."""
    text = 'name = "p"\n[[{0}.values]]\nname = "fast"\nsteps = 8\n[[{0}.values]]\nname = "8"\nsteps = 9\nlora.a = 1'
    made = Variable(
        name="p", values=["fast", "8"], settings={"fast": {"steps": 8}, '"8"': {"steps": 9, "lora": {"a": 1}}}
    )

    assert read(f"[variable]\n{text.format('variable')}") == (made,)
    assert read(f"[[variables]]\n{text.format('variables')}") == (made,)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("zip = {width = [512, 768], height = [768, 512.0]}", "width", [512, 768]),
        ("name = 'size'\nzip = {width = [512, 768], height = [768, 512]}", "size", [512, 768]),
        ("zip = {model = ['xl', '2'], cfg = [7, 2.5], clip_skip = [1, 2]}", "model", ["xl", "2"]),
        ("zip = {width = [512, 512], height = [512, 768]}", "width", ["512 x 512", "512 x 768"]),
        ("zip = {words = [['a'], []], n = [1, 2]}", "words", ["['a'] x 1", "[] x 2"]),
    ],
)
def test_settings_that_go_together_are_named_by_the_first_one(text: str, name: str, values: list[Any]) -> None:
    """If that has different numbers or texts, so that numbers keep their order; else by all of them."""
    (knob,) = read(f"[variable]\n{text}")
    lists = tomllib.loads(text)["zip"]

    assert (knob.name, knob.values) == (name, values)
    assert list(knob.settings.values()) == [
        dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
    ]


def test_a_variable_in_braces_fills_its_place() -> None:
    """In a text of the settings, of a block, of a named value, or among the values of another variable."""
    style = '[[variables]]\nname = "style"\nvalues = ["oil"]\n'
    texts = (
        '[config]\nprompt = "a {style} cat, {{style}}"',
        '[[blocks]]\nconfig.prompt = "a {style} cat"',
        '[[variables]]\nname = "prompt"\nvalues = ["{style} cat"]',
        '[[variables]]\nname = "p"\n[[variables.values]]\nname = "one"\nprompt = "{style} cat"',
    )
    for text in texts:
        assert read(style + text)[0] == Variable(name="style", values=["oil"], fills=True)
    for text in ('[config]\nprompt = "{{style}}"', '[config]\ncommand = ["{style}"]', "[[variables]]\nname = 'x'"):
        assert read(style + text)[0] == Variable(name="style", values=["oil"])


def test_variables_that_replace_parts_of_one_text_are_called_as_these() -> None:
    """A single one is called as the setting."""
    cat, dog = ('[[variables]]\nname = "prompt"\nreplace = "cat"\nvalues = ["a"]\n'), ""
    dog = cat.replace("cat", "big dog")

    assert read(cat) == (Variable(name="prompt", values=["a"], replace="cat"),)
    assert read(cat + dog) == (
        Variable(name="cat", values=["a"], replace="cat", setting="prompt"),
        Variable(name="big dog", values=["a"], replace="big dog", setting="prompt"),
    )
    named = '[[variables]]\nname = "beast"\nsetting = "prompt"\nreplace = "cat"\nvalues = ["a"]\n'
    assert read(named + dog)[0] == Variable(name="beast", values=["a"], replace="cat", setting="prompt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("values = [{name = 'a'}, 3]", "a.toml: variable.values #2: must be a table, as the others are, not 3"),
        ("values = [1]\nskip = []", "a.toml: variable.skip: is no key of a variable; write it above the first table"),
        ("values = [1]\nprompts = []", "a.toml: variable.prompts: is no key of a variable; write it above the first"),
        ("values = [{steps = 3}]", "a.toml: variable.values #1.name: missing; give what it sets a name"),
        ("values = [{name = 'a'}, {name = 'a'}]", "a.toml: variable.values #2.name: 'a' is there twice; give another"),
        ("zip = {width = [1]}", "a.toml: variable.zip: must be a table of two lists or more, such as {width = [512,"),
        ("zip = [1]", "a.toml: variable.zip: must be a table of two lists or more"),
        ("zip = {width = [1], height = 3}", "a.toml: variable.zip.height: must be a list of values"),
        (
            "zip = {width = [1, 2], height = [3]}",
            "a.toml: variable.zip.height: 1 values, and width has 2; each goes with one of the others",
        ),
        (
            "values = [1]\nzip = {width = [1], height = [2]}",
            "a.toml: variable.values: there is zip already; a variable has one of them",
        ),
    ],
)
def test_what_has_no_name_or_no_partner_is_refused(text: str, message: str) -> None:
    """Naming the file and the place."""
    with pytest.raises(InvalidInputError) as refused:
        read(f"[variable]\n{text}")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("text", ["variable = 3", "variables = 3", "variables = [3]", "blocks = [3]\nconfig = 3"])
def test_what_is_no_table_at_all_is_left_to_the_definition(text: str) -> None:
    """Which says what is expected there."""
    with pytest.raises(InvalidInputError):
        read(text)
