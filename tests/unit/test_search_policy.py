"""What an adaptive search decides: what to try next, and when it has ended."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import VariantValue
from bus.contracts.messages import Outcome
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.model import SearchState
from learning_service.experiments.skips import Point
from learning_service.experiments.space import first_round, space_of, spread
from learning_service.recommendation.evidence import Score
from learning_service.recommendation.observations import objective_of
from learning_service.search.policy import MOST_REPEATS, decide
from learning_service.search.situation import More, Situation

PLAN = ExperimentDefinition(
    name="exp",
    variable=Variable(name="steps", start=1, stop=9, step=1),
    objective="score",
    mode="adaptive",
    budget=30,
)
FIRST = (1, 3, 5, 7, 9)
WORDS = Variable(name="sampler", values=["euler", "heun", "ddim", "dpm", "lms", "pndm"])
Scored = Callable[[VariantValue, int], float | None]  # value and repeat -> score, nil where the job failed


def situation(
    scored: Mapping[tuple[Any, int], float], definition: ExperimentDefinition = PLAN, **changes: object
) -> Situation:
    """Return a situation in which these values and repeats were planned, and have scores."""
    space = space_of(definition)
    find = space.finder()
    values = list(dict.fromkeys(str(value) for value, _ in scored))
    points: dict[int, Point] = {values.index(str(value)): find(value) or () for value, _ in scored}
    planned = {
        point: frozenset(repeat for value, repeat in scored if find(value) == point) for point in points.values()
    }
    now = Situation(
        experiment_id="exp",
        definition=definition,
        space=space,
        objective=objective_of(definition),
        points=points,
        planned=planned,
        seen=[
            Score(variant_index=values.index(str(value)), repeat_index=repeat, score=score)
            for (value, repeat), score in scored.items()
        ],
        spent=len(scored),
    )
    return replace(now, **changes)


def peak(*repeats: int, best: int = 5, values: Sequence[int] = FIRST) -> dict[tuple[VariantValue, int], float]:
    """Return scores that fall on both sides of the best value, with little noise."""
    return {
        (value, repeat): -abs(value - best) / 4 + 0.01 * ((7 * repeat + value) % 3)
        for value in values
        for repeat in repeats
    }


def more(now: Situation) -> More:
    """Decide, where that gives jobs."""
    decision = decide(now)
    assert isinstance(decision, More), decision
    return decision


def search(
    definition: ExperimentDefinition, score: Scored, workers: int = 1
) -> tuple[SearchState, list[tuple[VariantValue, int]]]:
    """Run an adaptive experiment as the service does, and return its end and its jobs."""
    space = space_of(definition)
    find = space.finder()
    flying = [(value, repeat) for repeat in range(definition.repeats) for value in first_round(space)]
    jobs = list(flying)
    values: list[VariantValue] = []
    scores: list[Score] = []
    ended: list[tuple[VariantValue, int]] = []
    while True:
        if flying:
            value, repeat = flying.pop(0)
            ended.append((value, repeat))
            values += [value] if value not in values else []
            if (one := score(value, repeat)) is not None:
                scores.append(Score(variant_index=values.index(value), repeat_index=repeat, score=one))
        points = {at: find(value) or () for at, value in enumerate(values)}
        seen = {one.variant_index for one in scores}
        decision = decide(
            Situation(
                experiment_id="exp",
                definition=definition,
                space=space,
                objective=objective_of(definition),
                points=points,
                planned={find(value) or (): frozenset(at for one, at in jobs if one == value) for value, _ in jobs},
                hopeless={
                    point
                    for at, point in points.items()
                    if at not in seen and values[at] not in [value for value, _ in flying]
                },
                seen=scores,
                pending=len(flying),
                room=max(0, workers - len(flying)),
                spent=len(jobs),
            )
        )
        if isinstance(decision, SearchState):
            return decision, jobs
        if decision:
            flying += decision.jobs
            jobs += decision.jobs


def test_next_comes_what_may_be_best_one_job_at_a_time() -> None:
    """Tried or not; the reason names the two likeliest, and what is far from the best is not looked at again."""
    decision = more(situation(peak(0)))
    assert len(decision.jobs) == 1
    assert decision.reason.startswith("tries steps ")
    assert decision.reason.endswith(" may be best")
    looked = [more(situation(peak(0), experiment_id=f"exp {number}")).jobs[0][0] for number in range(40)]
    assert {4, 6} & set(looked), "a value that was never tried may be best"
    assert sum(value in (4, 5, 6) for value in looked) > 20


def test_a_value_gets_the_seed_that_compares_it_with_its_rival() -> None:
    """The lowest that the others had and it had not; a new one only if it had them all."""
    scores = peak(0, 1, values=(1, 9)) | peak(3, values=(4, 5, 6))
    for number in range(20):
        ((value, repeat),) = more(situation(scores, experiment_id=f"exp {number}")).jobs
        had = {seed for one, seed in scores if one == value}
        everyone = {seed for _, seed in scores}
        assert repeat in everyone - had or everyone <= had


def test_as_many_jobs_are_planned_as_there_is_room_for_and_the_budget_allows() -> None:
    """No two of them are the same."""
    four = more(situation(peak(0), room=4))
    assert len(set(four.jobs)) == 4
    assert len(more(situation(peak(0), replace(PLAN, budget=7), room=4)).jobs) == 2
    assert decide(situation(peak(0), room=0, pending=1)) is None
    assert decide(situation(peak(0), room=0, pending=1, waits="waits for you")) == SearchState(
        "searching", "waits for you"
    )


def test_the_same_situation_gives_the_same_jobs() -> None:
    """Whatever the order of what was seen."""
    now = situation(peak(0, 1, best=6), room=3)
    turned = replace(now, seen=list(reversed(now.seen)))
    assert decide(now) == decide(turned) == decide(now)


def test_a_search_ends_when_what_leads_is_surely_the_best() -> None:
    """And while a value that was not tried may be the best, it goes on, however sure it is of those that were."""
    values = range(1, 10)
    ended = decide(situation(peak(0, 1, 2, values=values)))
    assert isinstance(ended, SearchState)
    assert ended.state == "decided"
    assert ended.reason == "steps 5 is the best with a probability of over 99 %"
    words = replace(PLAN, variable=WORDS)
    tried = {
        (word, repeat): float(word == "heun") + 0.3 * (repeat % 2) * len(word) / 5
        for word in ("euler", "heun", "ddim")
        for repeat in range(3)
    }
    assert isinstance(decide(situation(tried, words)), More)


def test_of_values_that_are_alike_one_is_enough() -> None:
    """It is said that none is noticeably better."""
    noisy = {(value, repeat): 0.1 * ((value * 31 + repeat * 17) % 7) for value in (1, 2) for repeat in range(60)}
    two = replace(PLAN, variable=Variable(name="steps", values=[1, 2]), budget=1000)
    ended = decide(situation(noisy, two))
    assert isinstance(ended, SearchState)
    assert ended.state == "decided"
    assert "none is noticeably better than steps" in ended.reason


def test_one_look_at_the_leader_is_not_enough() -> None:
    """However far ahead it is."""
    lucky = {**peak(0, 1, values=(1, 3, 7, 9)), (5, 0): 100.0}
    assert isinstance(decide(situation(lucky)), More)


def test_when_the_budget_is_spent_the_search_waits_for_what_is_under_way_and_ends() -> None:
    """The last answers may still decide."""
    spent = replace(PLAN, budget=5)
    assert decide(situation(peak(0), spent, pending=1)) is None
    assert decide(situation(peak(0), spent)) == SearchState("exhausted", "all 5 jobs of the budget are spent")


def test_where_no_job_has_a_score_the_search_stops_and_while_one_runs_it_waits() -> None:
    """It says what it looked for, or what is known to be the reason."""
    nothing = situation({}, planned={(0,): frozenset({0})})
    assert decide(nothing) == SearchState("stopped", "nothing to go by: no job has a score: score")
    assert decide(replace(nothing, problem="no pictures")) == SearchState("stopped", "nothing to go by: no pictures")
    assert decide(replace(nothing, pending=1)) is None


def test_what_a_runner_took_with_it_is_not_waited_for_before_the_first_score() -> None:
    """Of its jobs none may ever end; others of the first round are waited for."""
    assert decide(situation({}, pending=3, stranded=2, room=1)) is None
    assert len(more(situation({}, pending=2, stranded=2, room=1)).jobs) == 1
    assert decide(situation({}, pending=2, stranded=2, room=1, spent=30)) is None


def test_after_one_score_alone_what_is_farthest_is_tried() -> None:
    """While other jobs are under way, it is waited for them."""
    one = situation({(1, 0): 0.5})
    assert more(one).jobs == ((9, 0),)
    assert more(one).reason == "tries steps 9"
    assert decide(replace(one, pending=1)) is None


def test_a_seed_under_test_is_never_repeated_but_under_other_blocks() -> None:
    """When all values were tried there is nothing left."""
    seeds = replace(PLAN, variable=Variable(name="seed", values=[1, 2, 3]))
    tried = {(1, 0): 0.5, (2, 0): 0.6, (3, 0): 0.5}
    assert decide(situation(tried, seeds)) == SearchState("exhausted", "there is nothing left to try")
    assert more(situation({(1, 0): 0.5, (2, 0): 0.6}, seeds, room=9)).jobs == ((3, 0),)


def test_a_value_has_a_most_of_seeds() -> None:
    """Its state names each of them."""
    two = replace(PLAN, variable=Variable(name="steps", values=[1, 2]), budget=100_000)
    now = situation({(1, 0): 0.5, (2, 0): 0.5, (1, 1): 0.7, (2, 1): 0.1}, two)
    full = replace(now, planned=dict.fromkeys(now.planned, frozenset(range(MOST_REPEATS))))
    assert decide(full) == SearchState("exhausted", "there is nothing left to try")
    assert more(replace(now, planned={**full.planned, (0,): frozenset({0, 1})})).jobs[0][0] == 1


@pytest.mark.fault(item="F174")
def test_a_value_whose_jobs_fail_is_not_tried_again_and_is_no_doubt() -> None:
    """A pipeline that has no memory for it has none the next time."""
    scores = peak(0, 1)
    failed = {(value - 1,) for value in range(1, 10) if value not in FIRST}
    for number in range(10):
        now = situation(scores, experiment_id=f"exp {number}", hopeless=failed)
        decision = decide(now)
        assert decision is not None
        assert isinstance(decision, SearchState) or {value for value, _ in decision.jobs} <= set(FIRST)


def test_of_a_minimized_metric_the_lowest_leads() -> None:
    """The scores are turned."""
    falling = {
        (value, repeat): value / 4 + 0.01 * ((7 * repeat + value) % 3) for value in range(1, 10) for repeat in range(3)
    }
    ended = decide(situation(falling, replace(PLAN, goal="minimize")))
    assert isinstance(ended, SearchState)
    assert "steps 1" in ended.reason


def test_preferences_lead_a_search_too() -> None:
    """What wins is looked at again, and what loses is not."""

    def answer(one: int, other: int, outcome: Outcome = "left") -> Preference:
        left, right = (Picture(variant_index=at, repeat_index=0, sha256=f"{at}") for at in (one, other))
        return Preference(left=left, right=right, outcome=outcome)

    now = situation(peak(0), replace(PLAN, objective="preference"))
    assert decide(replace(now, seen=[])) == SearchState("stopped", "nothing to go by: no job has a score: preference")
    seen = [answer(2, other) for other in (0, 1, 3, 4)] * 3
    looked = [more(replace(now, seen=seen, experiment_id=f"exp {at}")).jobs[0][0] for at in range(20)]
    assert sum(value in (4, 5, 6) for value in looked) > 10


def test_of_very_many_values_a_spread_is_looked_at_with_all_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A belief about more would take seconds."""
    monkeypatch.setattr("learning_service.experiments.space.MOST_CONSIDERED", 20)
    many = replace(PLAN, variable=Variable(name="steps", start=1, stop=100, step=1))
    now = situation({(2, 0): 0.5, (4, 0): 0.7}, many, room=100)
    values = {value for value, _ in more(now).jobs}
    assert values <= {2, 4, *(1 + place for place in spread(100, 18))}
    assert len(values) > 5


@pytest.mark.parametrize("left", [1, 2])
def test_the_last_jobs_look_again_at_what_leads_after_one_look(left: int) -> None:
    """After a single one it would not be recommended, and the budget would have brought no answer."""
    scored = {**peak(0, 1, values=(1, 3, 7, 9)), (5, 0): 0.3}
    now = situation(scored, replace(PLAN, budget=len(scored) + left))

    jobs = {more(replace(now, experiment_id=f"exp-{number}")).jobs for number in range(12)}

    assert jobs == {((5, 1),)}


def test_with_one_score_the_last_job_looks_elsewhere() -> None:
    """Nothing can be believed of it, so nothing leads yet."""
    assert more(situation({(5, 0): 0.3}, replace(PLAN, budget=2))).jobs == ((1, 0),)


def test_the_reason_names_each_variable_of_a_grid() -> None:
    """So that a reader sees which setting is tried."""
    axes = (Variable(name="steps", values=[1, 2, 3]), Variable(name="cfg", values=[1, 2, 3]))
    grid = replace(PLAN, variable=None, variables=axes)
    now = situation({}, grid)
    points = list(now.space.points())[::2]
    now = replace(
        now,
        points=dict(enumerate(points)),
        planned=dict.fromkeys(points, frozenset({0})),
        seen=[Score(variant_index=at, repeat_index=0, score=float(at)) for at in range(len(points))],
    )
    reason = more(now).reason
    assert reason.startswith("tries (steps ")
    assert ", cfg " in reason


@settings(max_examples=12, deadline=None)
@given(
    size=st.integers(1, 12),
    extra=st.integers(0, 12),
    workers=st.integers(1, 5),
    scores=st.lists(st.none() | st.floats(-3, 3), min_size=1, max_size=40),
    words=st.booleans(),
)
def test_no_search_plans_more_than_its_budget_or_a_job_twice_and_each_ends(
    size: int, extra: int, workers: int, scores: list[float | None], words: bool
) -> None:
    """Whatever the scores, whichever jobs fail, and however many run at once."""
    values = [f"text {number}" for number in range(size)] if words else list(range(size))
    definition = replace(
        PLAN,
        variable=Variable(name="x", values=values),  # type: ignore[arg-type]  # a list of scalars
        budget=min(5, size) + extra,
    )
    names = [str(value) for value in values]
    end, jobs = search(
        definition, lambda value, repeat: scores[(7 * names.index(str(value)) + 3 * repeat) % len(scores)], workers
    )
    assert end.state in ("decided", "exhausted", "stopped")
    assert len(jobs) <= (definition.budget or 0)
    assert len(set(jobs)) == len(jobs)


def test_a_search_finds_a_good_value_of_many_with_few_jobs() -> None:
    """Loose bounds on a few peaks; docs/adaptive.md has the figures of more."""
    wide = replace(PLAN, variable=Variable(name="x", start=1, stop=25, step=1), budget=20)
    found = 0
    for run in range(3):
        random = np.random.default_rng(run)
        best, seeds = random.uniform(1, 25), random.normal(size=300) / 5
        noise = random.normal(size=(26, 300)) / 20

        def score(value: VariantValue, repeat: int) -> float:
            assert isinstance(value, int)
            return float(np.exp(-(((value - best) / 6) ** 2)) + seeds[repeat] + noise[value, repeat])  # noqa: B023

        _, jobs = search(wide, score, workers=2)
        near = [abs(value - best) < 3 for value, _ in jobs[10:] if isinstance(value, int)]
        found += sum(near) > len(near) / 2
    assert found >= 2


def test_what_is_too_slow_is_not_looked_at() -> None:
    """If the objective limits the time; without any time all values count."""
    scores = {(value, seed): value / 10 + (value * seed % 3) / 100 for value in FIRST for seed in (0, 1)}
    limited = situation(scores, replace(PLAN, within="50 %"), room=12)
    times = [
        Score(
            variant_index=one.variant_index,
            repeat_index=one.repeat_index,
            score=1.0 + 4 * (FIRST[one.variant_index] > 4),
        )
        for one in limited.seen
        if isinstance(one, Score)
    ]
    assert {8, 9} & {value for value, _ in more(limited).jobs}
    fast = {value for value, _ in more(replace(limited, times=times)).jobs}
    assert fast <= {1, 2, 3, 4, 5, 6}
    assert 3 in fast
