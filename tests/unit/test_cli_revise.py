"""What people type behind `--values`, and behind `experiment set`."""

import pytest

from bus.contracts.fields import Scalar
from bus.contracts.messages import SearchStatus
from bus.protocol.validation import InvalidInputError
from variantbus.cli.revise import extended_text, parse_assignments, parse_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("cfg_scale=5,6.5", [5, 6.5]),
        ("tiling=true,false", [True, False]),
        ("sampler=euler, heun", ["euler", "heun"]),
        ("steps=0", [0]),
        ('prompt="a, b","c"', ["a, b", "c"]),
        ("prompt=a=b,7", ["a=b", 7]),
        ('prompt="x, y",z,"",3,"3"', ["x, y", "z", "", 3, "3"]),
        ("prompt='say \"a, b\"', it's", ['say "a, b"', "it's"]),
        ('prompt="say \\"a, b\\""', ['say "a, b"']),
        ('prompt=a "b" c', ['a "b" c']),
        ('prompt= " x " , y ', [" x ", "y"]),
        ("prompt=7 # stars,1979-05-27", ["7 # stars", "1979-05-27"]),
    ],
)
def test_values_are_read_as_in_a_file_or_else_as_texts(text: str, values: list[Scalar]) -> None:
    """Numbers stay numbers."""
    read = parse_values(text)[1]

    assert read == values
    assert [type(one) for one in read] == [type(one) for one in values]


@pytest.mark.parametrize(
    "text",
    ["cfg_scale", "=5", "cfg_scale=", "steps=[1],[2]", "x=a,,b", "x=a,", 'x="a', 'x="a" b', "x='a''b'", 'x="\\q"'],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(InvalidInputError, match=r"^--values: "):
        parse_values(text)


def test_assignments_are_read_by_name() -> None:
    """A value may have an equals sign of its own."""
    assert parse_assignments(["objective=loss", "goal=minimize"]) == {"objective": "loss", "goal": "minimize"}
    assert parse_assignments(["objective=a=b"]) == {"objective": "a=b"}


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["objectiv=stars"], "'objectiv': cannot be set; did you mean 'objective'?"),
        (["seed=5"], "'seed': cannot be set; known are: goal, objective, within"),
        (["objective"], "'objective': write for example objective=stars"),
        (["objective="], "'objective=': write for example objective=stars"),
        (["goal=maximize", "goal=minimize"], "goal: is there twice; give it once"),
    ],
)
def test_assignments_that_make_no_sense_are_refused(texts: list[str], sentence: str) -> None:
    """In a sentence that says what can be set."""
    with pytest.raises(InvalidInputError) as refused:
        parse_assignments(texts)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("spent", "jobs", "text"),
    [
        (39, 0, "the search goes on, with 1 job left of its budget of 40"),
        (12, 2, "planned 2 more jobs; the search goes on, with 28 jobs left of its budget of 40"),
        (40, 0, "all 40 jobs of its budget are spent, so it tries no more"),
    ],
)
def test_whoever_extends_a_search_is_told_what_it_still_may_try(spent: int, jobs: int, text: str) -> None:
    """More values alone are no jobs yet."""
    search = SearchStatus(state="searching", budget=40, spent=spent, reason="")
    assert extended_text(search, jobs) == text
