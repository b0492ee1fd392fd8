"""Which adaptive experiments are refused before anything is planned."""

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Variable
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import check_search
from learning_service.experiments.space import space_of
from tests.unit.test_search_policy import PLAN


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": "grid"}, "budget: only an adaptive experiment has one"),
        ({"budget": None}, "budget: missing"),
        ({"budget": 4}, "budget: 4 is less than the 5 jobs of the first round; raise it to 5 or more"),
    ],
)
def test_a_budget_that_does_not_fit_is_refused(change: dict[str, object], text: str) -> None:
    """The sentence names the field and says what to do."""
    definition = replace(PLAN, **change)
    with pytest.raises(InvalidInputError) as caught:
        check_search(definition, space_of(definition))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"variable": Variable(name="steps", values=[20])}, "variable.values"),
        (
            {
                "variable": None,
                "variables": (Variable(name="steps", values=[20]), Variable(name="cfg_scale", values=[5])),
            },
            "variables",
        ),
    ],
)
def test_a_search_with_nothing_to_choose_from_is_refused(change: dict[str, object], where: str) -> None:
    """Its one value would be run until it is called the best."""
    definition = replace(PLAN, **change)
    with pytest.raises(InvalidInputError) as caught:
        check_search(definition, space_of(definition))
    assert (
        str(caught.value) == f'{where}: a search has to choose from two or more; add some, or remove mode = "adaptive"'
    )


def test_a_budget_for_the_first_round_alone_is_enough_and_a_grid_needs_none() -> None:
    """These are the least of each mode."""
    for definition in (replace(PLAN, budget=5), replace(PLAN, mode="grid", budget=None)):
        check_search(definition, space_of(definition))
