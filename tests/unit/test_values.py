"""Values as data: the empty text, 0 and false are values, and no label can be taken for another one."""

from itertools import combinations

import pytest
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import ConfigValue, Scalar, VariantValue
from bus.contracts.pipeline_specs import StageSpec, VariableSpec, check_config, check_value
from bus.contracts.values import SHOWN, brief, cited, identity, is_same, written
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import DEFINITION_BYTES, VALUE_BYTES, check_plan
from learning_service.recommendation.sentence import value_text as in_a_sentence
from tests.support.factories import definition
from variantbus.reports.text import value_text

MIXED: tuple[Scalar, ...] = (
    1,
    True,
    "1",
    "",
    "true",
    0,
    False,
    " ",
    2.5,
    "2.5",
    "a",
    "a ",
    '""',
    "inf",
    "1e3",
    1e3,
    "on",
)
SPEC = StageSpec(
    variables={
        "prompt": VariableSpec(kind="str"),
        "negative_prompt": VariableSpec(kind="str"),
        "hires": VariableSpec(kind="bool"),
        "lora": VariableSpec(kind="str"),
        "scale": VariableSpec(kind="float", needs=("hires",)),
        "strength": VariableSpec(kind="float", needs=("lora",)),
    },
    config={"words": VariableSpec(kind="list"), "table": VariableSpec(kind="map")},
)
PIPELINES = {"images": {"txt2img": SPEC}}


def plan(*values: Scalar, name: str = "prompt", **config: Scalar) -> ExperimentDefinition:
    """Return an experiment on a pipeline that takes texts."""
    return replace(definition(values, name=name, config=dict(config)), pipeline="images")


@pytest.mark.fault(item="F150")
def test_every_value_is_planned_and_no_two_have_the_same_label() -> None:
    """Neither in tables nor in sentences."""
    assert len({identity(value) for value in MIXED}) == len(MIXED)
    assert len({value_text(value) for value in MIXED}) == len(MIXED)
    assert all(value_text(value) for value in MIXED)
    assert len({in_a_sentence(value) for value in MIXED}) == len(MIXED)
    assert value_text({"prompt": "", "steps": 1}) == 'prompt "", steps 1'


@pytest.mark.fault(item="F150")
def test_only_what_is_equal_is_the_same() -> None:
    """Equal numbers are one value; a truth value is no number, also within a grid."""
    assert is_same(1, 1.0)
    assert is_same({"a": 1, "b": ""}, {"b": "", "a": 1.0})
    grid: list[VariantValue] = [{"a": 1}, {"a": True}, {"a": "1"}, {"a": 1, "b": 1}]
    for one, other in combinations([*MIXED, *grid], 2):
        assert is_same(one, other) == (identity(one) == identity(other)), (one, other)
        assert not is_same(one, other), (one, other)


@pytest.mark.fault(item="F150")
@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), ("", '""'), (" a", '" a"'), ("7", '"7"'), ("euler a", "euler a"), (7.0, "7.0")],
)
def test_a_text_is_in_quotes_where_it_would_be_misread(value: Scalar, text: str) -> None:
    """A plain text stays as it is."""
    assert written(value) == text


@pytest.mark.fault(item="F150")
def test_with_and_without_is_planned() -> None:
    """The empty text, false and none of a LoRA, though another setting has an effect only with it."""
    assert check_plan(plan("", "blurry", name="negative_prompt"), PIPELINES) == ["", "blurry"]
    assert check_plan(plan(False, True, name="hires", scale=2), PIPELINES) == [False, True]
    assert check_plan(plan("", "detail", name="lora", strength=1), PIPELINES) == ["", "detail"]
    with pytest.raises(InvalidInputError, match=r"^config\.hires: missing; scale has no effect without it"):
        check_plan(plan("a", scale=2), PIPELINES)
    with pytest.raises(InvalidInputError, match=r"^config\.lora: missing; strength has no effect without it"):
        check_plan(plan("a", lora="", strength=2), PIPELINES)
    with pytest.raises(InvalidInputError, match=r"^config\.hires: missing"):
        check_config(SPEC, {"scale": 2}, ("hires",))


@pytest.mark.fault(item="F151")
def test_a_text_may_have_64_kib() -> None:
    """As a value and beside one; not all thousand values of an experiment, though, as each status has them all."""
    longest = "ä" * (VALUE_BYTES // 2)

    assert check_plan(plan(longest, "a", negative_prompt=longest), PIPELINES) == [longest, "a"]
    with pytest.raises(InvalidInputError, match=r"^variable\.values #2: 65537 bytes are more than 65536; shorten "):
        check_plan(plan("a", longest + "x"), PIPELINES)
    many = [f"{number}{'x' * (VALUE_BYTES - 1)}" for number in range(9)]
    with pytest.raises(InvalidInputError, match=rf"^values: 58\d+ bytes are more than {DEFINITION_BYTES}; "):
        check_plan(plan(*many), PIPELINES)


@pytest.mark.fault(item="F151")
def test_the_values_of_a_grid_are_bounded_together() -> None:
    """A job carries both: one of them may be as long as any, beside one that is no text of such a length."""

    def grid(*negatives: str) -> ExperimentDefinition:
        knobs = (
            Variable(name="prompt", values=["x" * VALUE_BYTES]),
            Variable(name="negative_prompt", values=list(negatives)),
        )
        return ExperimentDefinition(name="grid", pipeline="images", stage="txt2img", variables=knobs)

    assert len(check_plan(grid("", "y" * 8000), PIPELINES)) == 2
    with pytest.raises(InvalidInputError, match=r"^variant #2: its values together: 75\d+ bytes are more than 73728"):
        check_plan(grid("", "y" * 10_000), PIPELINES)


@pytest.mark.fault(item="F151")
@pytest.mark.parametrize("value", ["x" * 65_536, {"a": "x" * 65_536}, 7, ""])
def test_a_sentence_about_a_value_stays_a_sentence(value: VariantValue) -> None:
    """It shows the beginning."""
    assert len(cited(value)) <= SHOWN
    assert brief("x" * SHOWN) == "x" * SHOWN


@pytest.mark.fault(item="F152")
@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "\udfffx"])
def test_a_text_that_no_program_takes_is_refused_before_anything_runs(bad: str) -> None:
    """In values, in settings and within lists and tables of them, and in names."""
    for where, name in (("variable.values[1]", "prompt"), ("config.words", "words"), ("config.table", "table")):
        values: dict[str, ConfigValue] = {"prompt": bad, "words": ["a", bad], "table": {"a": [{"b": bad}]}}
        place = {"prompt": where, "words": f"{where} #2", "table": f"{where}.a #1.b"}[name]
        with pytest.raises(InvalidInputError) as refused:
            check_value(where, {**SPEC.variables, **SPEC.config}[name], values[name])
        assert str(refused.value).startswith(f"{place}: has ")
    with pytest.raises(InvalidInputError, match=r"^config\.table: has "):
        check_value("config.table", SPEC.config["table"], {bad: 1})
    with pytest.raises(InvalidInputError, match=r"^config\.k: has "):
        check_value("config.k", None, bad)
    with pytest.raises(InvalidInputError, match=r"^name: has "):
        check_plan(replace(plan("a"), name=bad), PIPELINES)
