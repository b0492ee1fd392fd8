"""What a value sets in a job: settings of its name, named settings, and parts of texts."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import PlannedJob, check_plan, is_slow, job_request
from learning_service.experiments.settings import check_text_sizes, job_config, value_settings

SPEC = StageSpec(
    variables={
        "prompt": VariableSpec(kind="str"),
        "negative_prompt": VariableSpec(kind="str"),
        "steps": VariableSpec(kind="int", minimum=1, maximum=150),
        "cfg_scale": VariableSpec(kind="float"),
        "model": VariableSpec(kind="str", choices=("a", "b"), slow=True),
        "hires": VariableSpec(kind="bool"),
        "hires_scale": VariableSpec(kind="float", needs=("hires",)),
        "seed": VariableSpec(kind="int"),
    },
    config={"note": VariableSpec(kind="str")},
)
PIPELINES = {"embedded": {"txt2img": SPEC}}
CAT = Variable(name="animal", values=["cat", "dog", ""], setting="prompt", replace="cat")
STYLE = Variable(name="style", values=["oil", 3, True], fills=True)
PRESET = Variable(
    name="preset",
    values=["fast", "good"],
    settings={"fast": {"steps": 8, "hires": False}, "good": {"steps": 30, "hires": True, "model": "b"}},
)


def plan(*variables: Variable, blocks: tuple[Block, ...] = (), **config: Any) -> ExperimentDefinition:
    """Return a definition."""
    return ExperimentDefinition(name="x", variables=variables, config=config, blocks=blocks, seed=7)


def test_a_value_takes_the_place_of_a_text_everywhere_in_it() -> None:
    """Of every one in that setting, and in no other."""
    made = plan(CAT, prompt="a cat, two cats", negative_prompt="cat")

    assert check_plan(made, PIPELINES) == ["cat", "dog", ""]
    assert job_config(made, "dog", 0) == {"prompt": "a dog, two dogs", "negative_prompt": "cat", "seed": 7}
    assert job_config(made, "", 0)["prompt"] == "a , two s"
    assert value_settings(made, "dog") == {"prompt": "a dog, two dogs"}


def test_texts_are_replaced_all_at_once_the_longest_first() -> None:
    """What one value puts in, another never changes."""
    tree = Variable(name="tree", values=["dog on a mat", "cat"], setting="prompt", replace="cat tree")
    dog = Variable(name="dog", values=["cat"], setting="prompt", replace="dog")
    made = plan(CAT, tree, dog, prompt="a cat near a cat tree and a dog")

    check_plan(made, PIPELINES)
    config = job_config(made, {"animal": "dog", "tree": "dog on a mat", "dog": "cat"}, 0)
    assert config["prompt"] == "a dog near a dog on a mat and a cat"


def test_a_variable_fills_its_place_in_all_texts() -> None:
    """A doubled brace is the text itself, and other braces are none of ours."""
    made = plan(STYLE, prompt="a {style} cat, {{style}}, {other}, {{other}}", note="{style}!")

    check_plan(made, PIPELINES)
    assert value_settings(made, "oil") == {"prompt": "a oil cat, {style}, {other}, {{other}}", "note": "oil!"}
    assert job_config(made, 3, 0)["note"] == "3!"
    assert job_config(made, True, 0)["note"] == "true!"


def test_parts_go_into_texts_that_other_variables_set() -> None:
    """Prompts as values, each with a place for a style; a text of a preset, too."""
    prompts = Variable(name="prompt", values=["a {style} cat", "a {style} dog"])
    look = Variable(name="look", values=["plain"], settings={"plain": {"negative_prompt": "no {style}"}})
    made = plan(prompts, STYLE, look)

    assert len(check_plan(made, PIPELINES)) == 6
    assert job_config(made, {"prompt": "a {style} dog", "style": "oil", "look": "plain"}, 0) == {
        "prompt": "a oil dog",
        "negative_prompt": "no oil",
        "seed": 7,
    }


def test_each_block_has_its_own_text() -> None:
    """With the same value in the place of the same mark."""
    blocks = (Block(config={"prompt": "a {style} cat"}), Block(config={"prompt": "{style} trees"}))
    made = plan(STYLE, blocks=blocks)

    check_plan(made, PIPELINES)
    assert [job_config(made, "oil", repeat)["prompt"] for repeat in range(2)] == ["a oil cat", "oil trees"]


def test_a_named_value_sets_what_stands_under_its_name() -> None:
    """And leaves to the configuration what another one sets; a number is found however it is written."""
    made = plan(PRESET, model="a", hires_scale=2)

    assert check_plan(made, PIPELINES) == ["fast", "good"]
    assert is_slow(made, PIPELINES)
    assert job_config(made, "fast", 0) == {"model": "a", "hires_scale": 2, "steps": 8, "hires": False, "seed": 7}
    assert job_config(made, "good", 0)["model"] == "b"
    sizes = Variable(name="cfg_scale", values=[1, 2], settings={"1": {"cfg_scale": 1}, "2": {"cfg_scale": 2}})
    assert job_config(plan(sizes), 2.0, 0)["cfg_scale"] == 2


def test_a_runner_is_told_which_settings_differ_where_the_variables_are_called_otherwise() -> None:
    """It takes one that is off in some values for the question of the experiment, not for a mistake."""
    request = job_request("e", plan(PRESET, STYLE, prompt="{style}"), {"preset": "fast", "style": 3}, PlannedJob(0, 0))
    assert request.learning_context
    assert request.learning_context.settings == ("hires", "model", "prompt", "steps")
    assert request.learning_context.variable_under_test == "preset x style"


def named(**settings: Any) -> Variable:
    """Return a variable with one named value."""
    return Variable(name="preset", values=["one"], settings={"one": settings})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (plan(CAT, prompt="a dog"), "variables #1: 'cat' does not occur in prompt; write a text that does"),
        (plan(CAT), "variables #1: 'cat' does not occur in prompt; write a text that does"),
        (
            plan(CAT, blocks=(Block(config={"prompt": "cat"}), Block(config={"prompt": "dog"}))),
            "variables #1: 'cat' does not occur in prompt of blocks #2; write a text that does",
        ),
        (
            plan(CAT, Variable(name="t", values=["x"], setting="prompt", replace="cat tree"), prompt="a cat tree"),
            "variables #1: 'cat' does not occur in prompt; write a text that does",
        ),
        (plan(STYLE, prompt="{{style}}"), "variables #1: '{style}' does not occur in any text of the settings; write"),
        (
            plan(CAT, replace(CAT, name="other"), prompt="cat"),
            "variables #2.replace: another variable replaces 'cat', too",
        ),
        (
            plan(Variable(name="promt", values=["a"], replace="b"), prompt="b"),
            "variables #1.name: no setting 'promt' to replace a text in; did you mean 'prompt'?",
        ),
        (
            plan(replace(CAT, setting="steps")),
            "variables #1.setting: steps is no text; replace looks in texts, such as",
        ),
        (
            plan(Variable(name="steps", values=[1], fills=True), prompt="{steps}"),
            "variables #1.name: {steps} in a text stands for this variable, and there is a setting called so; take",
        ),
        (
            plan(Variable(name="steps", values=[1], setting="prompt")),
            "variables #1.setting: says in which text replace",
        ),
        (
            plan(replace(CAT, fills=True), prompt="cat"),
            "variables #1.fills: there is replace already; a variable has one of them",
        ),
        (plan(replace(PRESET, values=["fast"])), "variables #1.settings.good: is none of the values; add it to them"),
        (plan(replace(PRESET, values="all")), "variables #1.values: must be the list of the named values"),
        (
            plan(replace(PRESET, values=["fast", "good", "best"])),
            "variables #1.values #3: 'best' is no named value; named are fast, good",
        ),
        (plan(named(step=3)), "variables #1.values #1.step: unknown setting; did you mean 'steps'?"),
        (plan(named(steps=300)), "variables #1.values #1.steps: 300 is out of bounds; allowed: 1 to 150"),
        (plan(named(seed=3)), "variables #1.values #1.seed: every value gets the same seeds; make the seed a variable"),
        (
            plan(PRESET, Variable(name="steps", values=[1, 2])),
            "variables #2: sets steps, as variables #1 does; leave it to one of them",
        ),
        (plan(PRESET, steps=3), "config.steps: every value of preset sets it; remove it from config"),
        (
            plan(PRESET, blocks=(Block(config={"model": "a"}),)),
            "blocks #1.config.model: is the variable already; remove it from the block",
        ),
        (
            plan(replace(CAT, values=["y" * 60_000]), prompt="cat cat"),
            "prompt: may become 120001 characters long, more than 98304; shorten",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(made: ExperimentDefinition, message: str) -> None:
    """Before anything is planned, and by its name."""
    with pytest.raises(InvalidInputError) as refused:
        check_plan(made, PIPELINES)
    assert str(refused.value).startswith(message)


def test_a_text_that_grows_without_end_is_refused_before_it_is_made() -> None:
    """49,000 places for 65,000 characters each, also in an import, whose values nobody has planned."""
    made = plan(replace(CAT, replace="a", values=["b"]), prompt="a " * 49_000)
    check_text_sizes(made, ["b"])
    check_text_sizes(plan(Variable(name="prompt", values=["b"])), ["b" * 10**6])
    with pytest.raises(InvalidInputError, match=r"^prompt: may become 3185049000 characters long"):
        check_text_sizes(made, ["b" * 65_000])
