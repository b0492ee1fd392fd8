"""Variables that are parts of tables: `loras.detail`, `alwayson.controlnet.args.0.weight`."""

from typing import Any

import pytest

from bus.contracts import paths
from bus.contracts.definition import Variable
from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import ANY, StageSpec, VariableSpec, check_config, no_variable, variables_of
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import check_plan, is_slow
from learning_service.experiments.settings import job_config
from tests.support.factories import definition

TREE: Any = {"a.b": {"c": 1}, "a": {"b.c": 2, "b": [{"d": True}, "x"]}, "e": []}
STRENGTH = VariableSpec(kind="strength", minimum=-5, maximum=5)
STAGE = StageSpec(
    variables={"steps": VariableSpec(kind="int")},
    config={
        "loras": VariableSpec(
            kind="map",
            choices=("detail", "ink v1.5"),
            also=("fine",),
            ambiguous={"x": ("detail", "ink v1.5")},
            inside={ANY: STRENGTH},
        ),
        "settings": VariableSpec(
            kind="map", inside={"skip": VariableSpec(kind="int", slow=True), "on": VariableSpec(kind="bool")}
        ),
        "scripts": VariableSpec(kind="map", open=True, choices=("net",)),
        "plain": VariableSpec(kind="map"),
    },
)
PIPELINES = {"embedded": {"txt2img": STAGE}}
NO_VALUE = "config.scripts holds no single value there"
SCRIPTS: Config = {"scripts": {"net": {"args": [{"weight": 1, "on": True, "model": "m", "none": []}]}}}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a.b.c", ("a.b", "c")),
        ("a.b.0.d", ("a", "b", 0, "d")),
        ("a.b.1", ("a", "b", 1)),
        ("a.b", ("a.b",)),
        ("e", ("e",)),
        ("a.b.2", None),
        ("a.b.01", ("a", "b", 1)),
        ("a.b.-1", None),
        ("a.b.²", None),
        ("a.b.1.x", None),
        ("a.x", None),
        ("", None),
        ("a.", None),
    ],
)
def test_a_path_is_found_whatever_dots_its_keys_have(text: str, path: paths.Path | None) -> None:
    """The value says where a key ends."""
    assert paths.find(TREE, text) == path


def test_a_part_is_replaced_in_a_copy() -> None:
    """What is shared, such as the settings of an experiment, stays as it was."""
    before = repr(TREE)
    changed = paths.put(TREE, ("a", "b", 0, "d"), 5)

    assert changed == {**TREE, "a": {"b.c": 2, "b": [{"d": 5}, "x"]}}
    assert repr(TREE) == before
    assert [(paths.written(path), value) for path, value in paths.scalars(TREE)] == [
        ("a.b.c", 1),
        ("a.b.c", 2),
        ("a.b.0.d", True),
        ("a.b.1", "x"),
    ]
    assert paths.at(TREE, ("a", "b", 1)) == "x"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loras.detail", "strength"),
        ("loras.fine", "strength"),
        ("loras.ink v1.5", "strength"),
        ("settings.skip", "int"),
        ("scripts.net.args.0.weight", "float"),
        ("scripts.net.args.0.on", "bool"),
        ("scripts.net.args.0.model", "str"),
        ("loras.other", None),
        ("loras.", None),
        ("settings.other", None),
        ("scripts.net.args.0", None),
        ("scripts.net.args.0.none", None),
        ("scripts.net.args.1.weight", None),
        ("plain.a", None),
        ("steps.a", None),
        ("other.a", None),
    ],
)
def test_a_part_of_a_table_is_a_variable(name: str, kind: str | None) -> None:
    """Of one that the pipeline knows by its keys, and of any single value that an open one has."""
    found = variables_of(STAGE, SCRIPTS, [name])

    assert found.keys() == ({"steps"} if kind is None else {"steps", name})
    told = found.get(name)
    assert (told.kind if told else None) == kind


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"loras": {"detail": 0.5, "fine": False, "ink v1.5": -5}}, ""),
        ({"loras.detail": 0.5, "loras": {"detail": 1}}, ""),
        ({**SCRIPTS, "scripts.net.args.0.weight": 0.5}, ""),
        ({"settings": {"skip": 2, "on": True}, "plain": {"any": [1]}}, ""),
        ({"loras": {"detial": 1}}, "config.loras: 'detial' is not offered; did you mean 'detail'?"),
        ({"loras": {"x": 1}}, "config.loras: 'x' is ambiguous; write 'detail' or 'ink v1.5'"),
        ({"loras.x": 1}, "config.loras.x: unknown key; 'x' is ambiguous; write 'detail' or 'ink v1.5'"),
        ({"loras": {"detail": 6}}, "config.loras.detail: 6 is out of bounds; allowed: -5 to 5"),
        ({"loras": {"detail": "1"}}, "config.loras.detail: must be a number, true or false, not '1'"),
        ({"loras": [1]}, "config.loras: must be a table of names and values"),
        ({"loras.detail": "1"}, "config.loras.detail: must be a number, true or false, not '1'"),
        ({"loras.detial": 1}, "config.loras.detial: unknown key; did you mean 'detail'?"),
        ({"settings": {"skp": 2}}, "config.settings.skp: unknown key; did you mean 'skip'?"),
        ({"settings.skp": 2}, "config.settings.skp: unknown key; did you mean 'skip'?"),
        ({"scripts": {"nat": {}}}, "config.scripts: 'nat' is not offered; did you mean 'net'?"),
        (
            {"scripts.net.weight": 1},
            "config.scripts.net.weight: unknown key; write scripts into config, with",
        ),
        (
            {**SCRIPTS, "scripts.net.args.0.wieght": 1},
            f"config.scripts.net.args.0.wieght: unknown key; {NO_VALUE}; did you mean 'net.args.0.weight'?",
        ),
        ({**SCRIPTS, "scripts.net.args.0.weight": "1"}, "config.scripts.net.args.0.weight: must be a number, not '1'"),
        ({"plain.a": 1}, "config.plain.a: unknown key; did you mean 'plain'?"),
    ],
)
def test_a_configuration_with_tables_is_checked(config: Config, sentence: str) -> None:
    """In tables and beside them, in the same words."""
    if not sentence:
        check_config(STAGE, config)
        return
    with pytest.raises(InvalidInputError) as refused:
        check_config(STAGE, config)
    assert str(refused.value).startswith(sentence)


def test_an_experiment_varies_a_part_of_a_table() -> None:
    """The job has the table of the experiment, and the value beside it."""
    plan = definition([False, 0.5, True], name="loras.detail", config={"loras": {"detail": 0.7, "fine": 1}})

    assert check_plan(plan, PIPELINES) == [False, 0.5, True]
    assert job_config(plan, 0.5, 0) == {"loras": {"detail": 0.7, "fine": 1}, "loras.detail": 0.5, "seed": plan.seed}
    assert not is_slow(plan, PIPELINES)
    assert is_slow(definition([1, 2], name="settings.skip", config={}), PIPELINES)


def test_a_part_that_is_no_variable_is_refused_with_what_is_meant() -> None:
    """Otherwise all values would give the same picture."""
    for name, sentence in (
        ("loras.detial", "variable.name: embedded (txt2img) has no variable 'loras.detial'; did you mean 'detail'?"),
        ("scripts.net", "variable.name: embedded (txt2img) has no variable 'scripts.net'; write scripts into config"),
        ("step", "variable.name: embedded (txt2img) has no variable 'step'; did you mean 'steps'?"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            check_plan(definition([1, 2], name=name, config={}), PIPELINES)
        assert str(refused.value).startswith(sentence)
    assert no_variable(STAGE, SCRIPTS, "plain.x", ["steps"]) == "known are: steps"
    assert Variable(name="loras.detail").name in variables_of(STAGE, {}, ["loras.detail"])


def test_an_item_of_any_length_is_only_not_there() -> None:
    """Python makes no number of 5000 digits."""
    assert paths.find({"args": [1]}, f"args.{'0' * 5000}") is None
    assert paths.find({"args": [1]}, "args.0") == ("args", 0)
