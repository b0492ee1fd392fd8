"""What is shown of how much each of several variables matters."""

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.answers import AxisEffect, AxisValue, BlockAnswer, Interaction, Share, TradeOff
from bus.contracts.messages import RecommendationUpdated
from tests.unit.test_curve import answer, estimate
from tests.unit.test_report import PNG, example
from tests.unit.test_why import asked, run
from variantbus.reports.html import report_html
from variantbus.reports.importance import choice_lines, importance_lines, levels_of
from variantbus.reports.why import why_lines

__all__ = ["asked"]  # a fixture


def share(mean: float) -> Share:
    """Return a share with its interval."""
    return Share(mean=mean, low=mean / 2, high=min(1.0, 2 * mean))


def explained(made: RecommendationUpdated) -> RecommendationUpdated:
    """Return an answer with the effects of two variables."""
    values = (AxisValue(value=4, mean=3.0, low=2.0, high=4.0), AxisValue(value="<b>", mean=4.0, low=3.5, high=4.5))
    cfg = AxisEffect(name="cfg", alone=share(0.4), total=share(0.6), probability=1.0, values=values)
    steps = AxisEffect(name="steps", alone=share(0.2), total=share(0.2), probability=0.9, values=values[:1])
    pairs = (
        Interaction(names=("cfg", "steps"), share=share(0.2), probability=0.97),
        Interaction(names=("cfg", "eta"), share=share(0.01), probability=0.1),
    )
    return replace(made, effects=(cfg, steps), interactions=pairs)


def test_the_most_important_variable_comes_first_and_says_what_it_does_by_itself() -> None:
    """Pairs that hardly depend on each other are left out."""
    made = explained(answer(estimate(1, 4.0, 1.0)))
    assert (
        why_lines(made)[:2]
        == importance_lines(made)
        == [
            "what matters: cfg 60 % (30 to 100 %, by itself 40 %), steps 20 % (10 to 40 %)",
            "depend on each other: cfg with steps (97 %)",
        ]
    )
    alone = replace(made, interactions=())
    assert len(importance_lines(alone)) == 1
    assert importance_lines(answer(estimate(1))) == []


def test_what_better_values_cost_and_what_single_prompts_show_has_a_line() -> None:
    """Of many prompts some are named; what is recommended anyway has no probability to be better."""
    front = (TradeOff(value=4, seconds=0.5, mean=3.0), TradeOff(value=8, seconds=1.25, mean=4.5))
    blocks = tuple(BlockAnswer(name=f"a cat {at}", value=8, probability=0.9 * (at == 0)) for at in range(14))
    made = replace(answer(), pareto=front, blocks=blocks[:2])
    assert choice_lines(made) == [
        "better takes longer: 4 (0.5 s, 3), 8 (1.25 s, 4.5)",
        'single prompts: under "a cat 0" 8 (90 %), under "a cat 1" 8',
    ]
    assert why_lines(made) == choice_lines(made)
    assert choice_lines(replace(made, pareto=UNSET, blocks=blocks))[0].endswith("and 2 more")
    assert choice_lines(answer()) == []


def test_each_value_of_a_variable_has_a_row() -> None:
    """The first one names the variable."""
    rows = levels_of(explained(answer()))
    assert [(row.name, row.value) for row in rows] == [("cfg", "4"), ("", "<b>"), ("steps", "4")]
    assert levels_of(answer()) == []


def test_the_command_draws_what_each_value_does_on_average(asked: dict[str, Any]) -> None:
    """Behind the estimates, where the reason is asked for."""
    asked["made"] = explained(asked["made"])
    assert "on average" not in run().output
    lines = run("--why").output.splitlines()
    head = next(at for at, line in enumerate(lines) if "on average" in line)
    assert lines[head + 1].split()[:2] == ["cfg", "60"]
    assert lines[head + 2].split()[0] == "<b>"


def test_the_report_shows_it() -> None:
    """With nothing that a person typed as a tag."""
    exported, made = example([0, 1])
    text = report_html(exported, explained(made), lambda _: PNG, lambda _: None)
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "depend on each other: cfg with steps" in text
    assert "Variables" not in report_html(exported, made, lambda _: PNG, lambda _: None)
