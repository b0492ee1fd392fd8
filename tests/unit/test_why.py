"""Why an answer is what it is, in words and in characters."""

from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from bus.contracts.messages import RecommendationUpdated, SearchStatus
from learning_service.experiments.model import experiment_view
from tests.support.factories import EXPERIMENT, planned_experiment
from tests.unit.test_curve import TEN, answer, estimate
from variantbus.cli import recommend as command
from variantbus.reports.text import percent
from variantbus.reports.why import band_text, why_lines


def test_the_likeliest_come_first_and_the_rest_is_ruled_out() -> None:
    """What has no result is named too: of it nothing is known."""
    untried = replace(estimate(9, 4.0, 0.02), n=0)
    made = answer(estimate(1, 4.0, 0.01), estimate(2, 4.0, 0.3), untried, estimate(4, 5.0, 0.67), value=4)

    assert why_lines(made) == [
        "may be the best: 4 (67 %), 2 (30 %)",
        "ruled out, each with less than 5 %: 1, 9",
        "never tried: 9",
    ]


def test_numbers_are_named_by_size_whatever_the_order_of_the_plan() -> None:
    """A search plans 0, 12 and 6 first; other values have no order but that."""
    made = answer(*(estimate(number, 1.0, 0.001) for number in (12, 0, 6)))
    assert why_lines(made) == ["ruled out, each with less than 5 %: 0, 6, 12"]
    words = answer(*(replace(estimate(1, 1.0, 0.001), value=word) for word in ("b", "c", "a")))
    assert why_lines(words) == ["ruled out, each with less than 5 %: b, c, a"]
    truths = answer(*(replace(estimate(1, 1.0, 0.001), value=value) for value in (True, 0)))
    assert why_lines(truths) == ["ruled out, each with less than 5 %: true, 0"]


def test_of_many_values_some_are_named() -> None:
    """The others are counted."""
    made = answer(*(estimate(number, 1.0, 0.001) for number in range(1, 101)))

    assert why_lines(made) == ["ruled out, each with less than 5 %: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 88 more"]
    assert why_lines(answer(estimate(1))) == []


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "<1 %"), (0.004, "<1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.99, "99 %"), (0.996, ">99 %"), (1.0, ">99 %")],
)
def test_nothing_is_told_as_certain(share: float, text: str) -> None:
    """No draw of the sample is no proof, and the sentence says over 99 %."""
    assert percent(share) == text
    assert percent(None) == ""


def test_an_interval_is_a_line_with_its_mean() -> None:
    """In characters that every terminal has, all of one width."""
    assert band_text(estimate(1, 5.0), TEN).rstrip() == "            ----o---"
    assert len(band_text(estimate(1, 5.0), TEN)) == len(band_text(estimate(1, 9.0), TEN))
    assert band_text(estimate(1), TEN) == ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Fake a learning service that answers with the values of the returned map."""
    made = answer(estimate(1, 4.0, 0.3), estimate(2, 4.5, 0.7), value=2)
    said: dict[str, Any] = {"made": replace(made, sentence="take 2"), "search": None}

    def ask(*_: object) -> RecommendationUpdated:
        return said["made"]  # type: ignore[no-any-return]  # one of the above

    monkeypatch.setattr(command, "ask_recommendation", ask)
    view = experiment_view(planned_experiment())
    monkeypatch.setattr(command, "shown", lambda *_: replace(view, search=said["search"]))
    monkeypatch.setattr("variantbus.cli.ids.resolved", lambda _kind, _address, typed, _keys: typed)
    return said


def run(*options: str) -> Result:
    """Type the command."""
    return CliRunner().invoke(command.recommend, [EXPERIMENT, *options])


def test_the_command_says_why(asked: dict[str, Any]) -> None:
    """Behind the answer: intervals, what may be the best, and where a search looks next."""
    plain, why = run(), run("--why")
    assert (plain.exit_code, why.exit_code) == (0, 0)
    assert "may be the best" not in plain.output
    assert why.output.splitlines()[-1] == "may be the best: 2 (70 %), 1 (30 %)"
    assert "o" in why.output.splitlines()[3]

    asked["search"] = SearchStatus(state="searching", budget=40, spent=12, reason="tries 3: it may be better")
    assert run("--why").output.splitlines()[-1] == "search: 12 of 40 jobs, searching: tries 3: it may be better"


@pytest.mark.usefixtures("asked")
def test_why_is_for_people() -> None:
    """JSON has the numbers."""
    refused = run("--why", "--json")
    assert refused.exit_code == 2
    assert "give one of them" in refused.output
