"""Experiment files made from others: what goes over what, and what `--set` changes."""

from typing import Any

import pytest

from bus.protocol.validation import InvalidInputError
from variantbus.files.templates import changed, merged, read_change

FILE: dict[str, Any] = {
    "name": "CFG",
    "variable": {"name": "cfg_scale", "start": 1, "stop": 4, "step": 1},
    "prompts": ["a star", "a heart"],
    "config": {"prompt": "a star", "steps": 8, "3.cfg": 7, "inputs": {"6.text": "a cat"}},
}


def after(*texts: str, table: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a table with changes as they are typed."""
    return changed(FILE if table is None else table, [read_change(text) for text in texts])


def refusal(*texts: str, table: dict[str, Any] | None = None) -> str:
    """Return why changes are refused."""
    with pytest.raises(InvalidInputError) as error:
        after(*texts, table=table)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("config.steps=30", 30),
        ("config.steps = 30", 30),
        ("config.steps=2.5", 2.5),
        ("config.new=true", True),
        ("config.new=fast", "fast"),
        ("config.new=", ""),
        ('config.new="30"', "30"),
        ("config.prompt=30", "30"),  # a text stays one
        ("config.prompt=a star, b=2", "a star, b=2"),
        ('config.prompt="a blue star"', "a blue star"),
        ("config.new=2020-01-01", "2020-01-01"),
        ("config.new=1\ny=2", "1\ny=2"),
        ("config.new=[1, 2]", [1, 2]),
        ("config.3.cfg=8", 8),
        ('config."3.cfg"=8', 8),
        ("config.inputs.6.text=a dog", "a dog"),
        ("jobs_per_variant=4", 4),
    ],
)
def test_a_value_is_what_it_is_in_a_file(text: str, value: object) -> None:
    """Or else a text; what was a text stays one."""
    table = after(text)

    found = [table["config"].get(key) for key in ("steps", "new", "prompt", "3.cfg")]
    found += [table["config"]["inputs"]["6.text"], table.get("jobs_per_variant")]
    assert value in found
    assert type(value) in {type(one) for one in found if one == value}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", [1, 2, 3]),
        ("[1, 2]", [1, 2]),
        ("7", [7]),
        ("euler, heun", ["euler", "heun"]),
        ('"a, b",c', ["a, b", "c"]),
        ("'a, b', 'c'", ["a, b", "c"]),
        ("true,x", [True, "x"]),
        ("all", "all"),
        ("", []),
    ],
)
def test_values_need_no_brackets(text: str, values: object) -> None:
    """They take the place of a range."""
    assert after(f"variable.values={text}")["variable"] == {"name": "cfg_scale", "values": values}


def test_a_variable_of_several_is_named_by_its_name_or_number() -> None:
    """As sentences name it: from 1 on."""
    grid = {"variables": [{"name": "steps", "values": [1]}, {"name": "cfg_scale", "values": [2]}, 3]}

    assert after("variables.cfg_scale.values=5,6", table=grid)["variables"][1]["values"] == [5, 6]
    assert after("variables.1.values=5", table=grid)["variables"][0]["values"] == [5]
    assert refusal("variables.5.values=5", table=grid).endswith("there are 1 to 3, steps, cfg_scale")
    assert refusal("variables.cfg.values=5", table=grid).endswith("there are 1 to 3, steps, cfg_scale")
    assert "a whole table" in refusal("variables.1=5", table=grid)
    assert "a whole table" in refusal("variables.3.values=5", table=grid)
    assert grid["variables"][0] == {"name": "steps", "values": [1]}, "the given table is left as it is"


def test_what_is_given_takes_the_place_of_what_it_excludes() -> None:
    """Prompts in a list, in a file, and as blocks; one variable and several."""
    assert "prompts" not in after("prompts_file=more.txt")
    assert after("prompts=a cat, a dog")["prompts"] == ["a cat", "a dog"]
    assert "variable" not in after("variables=[]")
    assert "prompts" in after("variable.name=steps")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps", "has no =; write it as config.steps=30"),
        ("config..x=1", "is no place in an experiment file"),
        ("=1", "is no place in an experiment file"),
        ("config.my key=1", "is no place in an experiment file"),
        ("name.x=1", "name is no table, so nothing is in it"),
    ],
)
def test_a_change_without_a_place_is_refused(text: str, said: str) -> None:
    """In one sentence that begins with the option."""
    refused = refusal(text)

    assert refused.startswith("--set: ")
    assert said in refused


@pytest.mark.parametrize(
    "text", ["notify.urls=ntfy://secret", 'notify={urls = ["ntfy://secret"]}', "notify.on.x=secret"]
)
def test_an_address_that_is_a_secret_is_no_argument(text: str) -> None:
    """What was changed is published with the experiment, and arguments can be read by others."""
    refused = refusal(text)

    assert refused.startswith("--set: notify: its addresses are secrets")
    assert "ntfy://" not in refused
    assert after('notify.on=["end"]')["notify"] == {"on": ["end"]}


def test_a_value_that_is_nested_too_deeply_is_a_text() -> None:
    """It is refused later, as the setting that it is."""
    deep = "[" * 5000
    assert after(f"config.new={deep}")["config"]["new"] == deep


def test_a_file_goes_over_its_base() -> None:
    """Key by key in tables; what varies and the prompts are replaced as a whole."""
    over = {"name": "Steps", "variables": [], "blocks": [], "config": {"steps": 20, "inputs": {"7.text": "x"}}}

    assert merged(FILE, over) == {
        "name": "Steps",
        "variables": [],
        "blocks": [],
        "config": {"prompt": "a star", "steps": 20, "3.cfg": 7, "inputs": {"6.text": "a cat", "7.text": "x"}},
    }
    assert merged(FILE, {"variable": {"name": "steps", "values": [1]}})["variable"] == {"name": "steps", "values": [1]}
    assert merged({"config": 1}, {"config": {"a": 1}}) == {"config": {"a": 1}}


def test_a_text_of_several_lines_is_no_list() -> None:
    """It is refused later, as the setting that it is."""
    assert after("prompts=a cat\na dog, a bird")["prompts"] == "a cat\na dog, a bird"
