"""What is worth a message to a person, when, and in which words."""

from typing import Any

import pytest

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.messages import ExperimentStatus, RecommendationUpdated, SearchStatus, Totals
from variantbus.notify.news import STARS_SECONDS, Told, holding, message_of, news

NOW = 1_000_000.0


def status(
    state: str,
    *,
    completed: int = 0,
    failed: int = 0,
    cancelled: int = 0,
    objective: str = "prompt_match",
    search: str = "",
) -> ExperimentStatus:
    """Return the state of an experiment of ten jobs."""
    plan = ExperimentDefinition(
        name="CFG", variable=Variable(name="cfg_scale", values=[1, 2]), objective=objective, budget=20
    )
    return ExperimentStatus(
        experiment_id="cfg-1",
        experiment_name="CFG",
        status=state,
        definition=plan,
        totals=Totals(variants=2, jobs=10, running=0, completed=completed, failed=failed, cancelled=cancelled),
        eta_seconds=None,
        created_at=0.0,
        updated_at=0.0,
        revision=1,
        search=SearchStatus(state=search, budget=20, spent=10, reason="") if search else None,
    )


def answer(p_best: float | None, **more: Any) -> RecommendationUpdated:
    """Return a recommendation."""
    return RecommendationUpdated(
        experiment_id="cfg-1", value=2, p_best=p_best, sentence="2 is best", tier="", objective="stars", **more
    )


@pytest.mark.parametrize(
    ("one", "holds"),
    [
        (status("running", completed=9), ()),
        (status("running", completed=5, failed=1), ("failure",)),
        (status("completed", completed=10), ("end",)),
        (status("partial", completed=9, failed=1), ("end", "failure")),
        (status("cancelled", completed=4, cancelled=6), ()),
        (status("completed", completed=10, objective="stars"), ("end", "stars")),
        (status("failed", failed=10, objective="stars"), ("end", "failure", "stars")),
        (status("completed", completed=10, objective="preference", search="searching"), ("stars",)),
        (status("running", completed=9, objective="stars", search="searching"), ()),
        (status("completed", completed=10, objective="stars", search="decided"), ("end",)),
        (status("completed", completed=10, objective="stars", search="exhausted"), ("end", "stars")),
    ],
)
def test_what_holds(one: ExperimentStatus, holds: tuple[str, ...]) -> None:
    """The end, a failed job, and stars that are needed."""
    assert holding(one) == holds


def test_a_thing_is_news_once_and_again_after_it_was_over() -> None:
    """A retry that fails again is told again."""
    failed, fine = status("running", failed=1), status("running", completed=1)

    first, told = news(failed, Told(), NOW)
    second, told = news(failed, told, NOW)
    over, told = news(fine, told, NOW)
    third, _ = news(failed, told, NOW)

    assert (first, second, over, third) == (("failure",), (), (), ("failure",))


def test_stars_are_asked_for_once_an_hour() -> None:
    """A search waits again after each of them; its end is told in any case."""
    waits = status("running", completed=10, objective="stars", search="searching")
    goes_on = status("running", completed=9, objective="stars", search="searching")

    first, told = news(waits, Told(), NOW)
    _, told = news(goes_on, told, NOW)
    soon, told = news(waits, told, NOW + STARS_SECONDS - 1)
    later, told = news(waits, told, NOW + STARS_SECONDS)
    ended, _ = news(status("completed", completed=10, objective="stars", search="exhausted"), told, NOW + STARS_SECONDS)

    assert (first, soon, later, ended) == (("stars",), (), ("stars",), ("end",))


def test_the_words_of_an_end() -> None:
    """The jobs, the newest error, and the answer."""
    one = status("partial", completed=9, failed=1)

    message = message_of(("end", "failure"), one, answer(0.95), "out of memory")

    assert message
    assert message.title == "CFG: ended, partial"
    assert message.text == "9 of 10 jobs completed, 1 failed.\nThe newest error: out of memory\n2 is best"
    assert message.data["events"] == ["end", "failure"]
    assert (message.data["value"], message.data["p_best"]) == (2, 0.95)
    assert message.data["totals"]["completed"] == 9


def test_the_words_of_a_failure_and_of_stars() -> None:
    """With the command that gives them."""
    failed = message_of(("failure",), status("running", failed=1), None, "")
    stars = message_of(("stars",), status("completed", completed=9, cancelled=1, objective="stars"), answer(0.5), None)
    pairs = message_of(("stars",), status("completed", completed=10, objective="preference"), None, None)

    assert failed
    assert (failed.title, failed.data["value"]) == ("CFG: a job failed", None)
    assert stars
    assert stars.title == "CFG: your stars are needed"
    assert stars.text == "9 of 10 jobs completed, 1 cancelled.\n2 is best\nvariantbus rate cfg-1 --next"
    assert pairs
    assert pairs.text.endswith("\nvariantbus compare cfg-1")


def test_what_is_no_longer_true_is_not_told() -> None:
    """The message may have waited for hours."""
    ended = status("completed", completed=10, objective="stars")

    assert message_of(("end",), status("running", completed=5), None, None) is None
    assert message_of(("stars",), ended, answer(0.95), None) is None
    assert message_of(("stars",), ended, answer(None, problem="no picture to rate"), None) is None
    told = message_of(("end", "stars"), ended, answer(0.95), None)
    assert told
    assert told.title == "CFG: ended"
