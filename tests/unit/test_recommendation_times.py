"""What may not take much longer than the fastest value, and what better values cost in time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.pipeline_specs import StageSpec
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import check_objective, runs_alone
from learning_service.recommendation.evidence import Candidate, Objective, Score
from learning_service.recommendation.observations import objective_of
from learning_service.recommendation.recommend import Recommendation, recommend

STEPS = (5, 10, 20, 40)
DEFINITION = ExperimentDefinition(
    name="x", variable=Variable(name="steps", values=list(STEPS)), objective="quality", within="20 %"
)


def answer(
    seconds: Sequence[float], quality: Sequence[float], within: float | None, *, seeds: int = 6, scatter: float = 0.01
) -> Recommendation:
    """Return the recommendation from jobs of so many seeds that take about so long."""
    random = np.random.default_rng(2)
    cells = [(at, seed) for at in range(len(seconds)) for seed in range(seeds)]
    scores = [
        Score(variant_index=at, repeat_index=seed, score=quality[at] + 0.02 * random.normal()) for at, seed in cells
    ]
    times = [
        Score(variant_index=at, repeat_index=seed, score=seconds[at] * np.exp(scatter * random.normal()))
        for at, seed in cells
    ]
    plan = [Candidate(index=at, value=step, seconds=seconds[at]) for at, step in enumerate(STEPS[: len(seconds)])]
    objective = Objective(kind="metric", name="quality", within=within)
    return recommend(scores, plan, objective, "steps", (), times)


def test_only_what_is_fast_enough_is_recommended() -> None:
    """The best of those; others have no part in the probability to be the best."""
    free, limited = (answer((1.0, 1.1, 2.0, 4.0), (0.1, 0.4, 0.8, 0.9), within) for within in (None, 0.2))
    assert (free.value, limited.value) == (40, 10)
    assert [one.p_best for one in limited.estimates] == pytest.approx([0, 1, 0, 0], abs=0.01)
    assert "2 of 4 values are fast enough: they take at most 20 % longer than the fastest" in limited.sentence
    assert [one.mean for one in limited.estimates] == [one.mean for one in free.estimates]
    assert "fast enough" not in free.sentence
    alone = answer((1.0, 1.5, 2.0, 4.0), (0.1, 0.4, 0.8, 0.9), 0.2).sentence
    assert "1 of 4 values is fast enough: it takes at most 20 % longer than the fastest" in alone


def test_under_single_prompts_nothing_is_named_that_is_too_slow() -> None:
    """It is better there, but it does not count."""
    random = np.random.default_rng(1)
    cells = [(at, seed) for at in range(4) for seed in range(8)]
    plan = [Candidate(index=at, value=step, seconds=float(step)) for at, step in enumerate(STEPS)]
    scores = [
        Score(variant_index=at, repeat_index=seed, score=(0.1, 0.4, 0.8, 0.9)[at] + 0.01 * random.normal())
        for at, seed in cells
    ]
    times = [
        Score(variant_index=at, repeat_index=seed, score=seconds + 0.01 * random.random())
        for at, seed in cells
        for seconds in ((1.0, 1.1, 2.0, 4.0)[at],)
    ]
    told = {}
    for within in (None, 0.2):
        made = recommend(scores, plan, Objective(kind="metric", name="q", within=within), "steps", ("p", "q"), times)
        assert made.blocks is not UNSET
        assert "but under" not in made.sentence
        told[within] = {one.value for one in made.blocks}
    assert told == {None: {40}, 0.2: {10}}


def test_doubt_about_the_time_is_doubt_about_the_answer() -> None:
    """A value at the limit may be too slow."""
    unsure = answer((1.0, 1.1, 1.2, 4.0), (0.1, 0.4, 0.8, 0.9), 0.2, seeds=3, scatter=0.2)
    chances = [one.p_best or 0.0 for one in unsure.estimates]
    assert 0.1 < chances[2] < 0.9
    assert chances[1] > 0.05


def test_without_times_all_values_count() -> None:
    """As before the first job has ended."""
    made = answer((1.0, 1.1), (0.1, 0.4), 0.2)
    assert made.value == 10
    scores = [Score(variant_index=at, repeat_index=seed, score=at + seed / 9) for at in (0, 1) for seed in range(4)]
    plan = [Candidate(index=at, value=at) for at in (0, 1)]
    objective = Objective(kind="metric", name="quality", within=0.2)
    assert recommend(scores, plan, objective, "x").value == 1


def test_better_values_that_take_longer_are_told_the_fastest_first() -> None:
    """What is slower and not noticeably better is no choice, nor what was looked at once or has no time."""
    made = answer((1.0, 3.0, 2.0, 4.0), (0.1, 0.4, 0.8, 0.9), None)
    assert made.pareto is not UNSET
    assert [(one.value, one.seconds) for one in made.pareto] == [(5, 1.0), (20, 2.0), (40, 4.0)]
    assert [round(one.mean, 1) for one in made.pareto] == [0.1, 0.8, 0.9]
    assert answer((1.0, 2.0), (0.9, 0.1), None).pareto is UNSET


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("20 %", 0.2), (" 2.5% ", 0.025), ("150 %", 1.5)])
def test_the_limit_is_a_share_in_per_cent(text: str, share: float) -> None:
    """Jobs run alone then, so that their time is their own."""
    definition = replace(DEFINITION, within=text)
    assert definition.slack == pytest.approx(share)
    assert objective_of(definition).within == pytest.approx(share)
    assert runs_alone(definition)
    assert not runs_alone(replace(DEFINITION, within=None))
    assert not runs_alone(replace(DEFINITION, exclusive=False))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"within": "20"}, "within: '20' is no share; write for example \"20%\""),
        ({"within": "-5%"}, "within: '-5%' is no share; write for example \"20%\""),
        ({"objective": "seconds"}, "within: the time alone decides here; leave it out, or give another objective"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(changes: dict[str, Any], sentence: str) -> None:
    """It names the field and says what to do."""
    with pytest.raises(InvalidInputError) as refused:
        check_objective(replace(DEFINITION, **changes), StageSpec())
    assert str(refused.value) == sentence
