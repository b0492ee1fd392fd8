"""What an adaptive search decides: what to try next, and when it has ended."""

from collections.abc import Collection, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.messages import ExperimentDefinition, RecommendationUpdated, ValueEstimate, Variable, VariantValue
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.model import SearchState
from learning_service.experiments.plan import check_search
from learning_service.experiments.space import Point, Space, space_of
from learning_service.planning.sampler import load_sampler
from learning_service.search.policy import MOST_SEEDS, More, Situation, contenders, decide, waits_for
from tests.simulation.searches import SHAPES, make_world, plan, search

PLAN = ExperimentDefinition(
    name="exp",
    variable=Variable(name="steps", start=1, stop=9, step=1),
    jobs_per_variant=2,
    objective="score",
    mode="adaptive",
    budget=30,
)
TEXTS = Variable(name="sampler", values=["euler", "heun", "ddim", "dpm", "lms", "pndm"])
FIRST = [1, 3, 5, 7, 9]


def sample(
    space: Space, scores: Mapping[Point, float], tried: Collection[Point], count: int, *, seed: int
) -> list[Point]:
    """Stand in for the sampler: the first that were not tried, whatever the seed."""
    assert seed >= 0
    assert scores
    return [point for point in space.points() if point not in tried][:count]


def answer(
    means: Mapping[VariantValue, float], value: VariantValue | None = None, p_best: float = 0.6, tier: str = "some"
) -> RecommendationUpdated:
    """Return a recommendation; all values but the chosen one share what is left of the probability."""
    rest = (1 - p_best) / max(1, len(means) - 1)
    return RecommendationUpdated(
        experiment_id="exp",
        value=value,
        p_best=None if value is None else p_best,
        sentence="",
        tier=tier,
        objective="maximize score",
        estimates=tuple(
            ValueEstimate(value=one, mean=mean, low=None, high=None, n=2, p_best=p_best if one == value else rest)
            for one, mean in means.items()
        ),
    )


def situation(
    tried: Mapping[VariantValue, int],
    told: RecommendationUpdated | None,
    definition: ExperimentDefinition = PLAN,
) -> Situation:
    """Return what was planned so far, and what is known of it."""
    space = space_of(definition)
    points = {space.finder()(value) or (): seeds for value, seeds in tried.items()}
    return Situation(
        experiment_id="exp",
        definition=definition,
        space=space,
        tried=points,
        spent=sum(tried.values()),
        answer=told,
    )


def scored(*values: int, peak: int = 5) -> dict[VariantValue, float]:
    """Return scores that fall on both sides of the best value."""
    return {value: -abs(value - peak) / 10 for value in values}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": "grid"}, "budget: only an adaptive experiment has one"),
        ({"budget": None}, "budget: missing"),
        ({"budget": 9}, "budget: 9 is less than the 10 jobs of the first round; raise it to 10 or more"),
    ],
)
def test_a_budget_that_does_not_fit_is_refused(change: dict[str, object], text: str) -> None:
    """The sentence names the field and says what to do."""
    definition = replace(PLAN, **change)
    with pytest.raises(InvalidInputError) as caught:
        check_search(definition, space_of(definition))
    assert str(caught.value).startswith(text)


def test_a_budget_for_the_first_round_alone_is_enough_and_a_grid_needs_none() -> None:
    """These are the least of each mode."""
    for definition in (replace(PLAN, budget=10), replace(PLAN, mode="grid", budget=None)):
        check_search(definition, space_of(definition))


def test_after_the_first_round_the_gaps_beside_the_best_are_halved() -> None:
    """The third new value is the sampler's."""
    wide = replace(PLAN, variable=Variable(name="steps", start=1, stop=17, step=1))
    tried: dict[VariantValue, int] = dict.fromkeys([1, 5, 9, 13, 17], 2)
    decision = decide(situation(tried, answer(scored(1, 5, 9, 13, 17), 5), wide), sample)
    assert isinstance(decision, More)
    assert (decision.values, decision.seeds) == ((3, 7, 2), 2)
    assert decision.reason == "tries steps 3, 7, 2"


def test_the_best_of_those_tried_is_not_trusted_while_one_beside_it_was_not_tried() -> None:
    """However sure the recommendation is."""
    sure = answer(scored(*FIRST), 5, 0.99, "strong")
    decision = decide(situation(dict.fromkeys(FIRST, 2), sure), sample)
    assert isinstance(decision, More)
    assert {4, 6} <= set(decision.values)


@pytest.mark.parametrize(("p_best", "tier"), [(0.9, "some"), (0.5, "strong")])
def test_a_search_ends_when_the_best_is_sure_and_all_beside_it_were_tried(p_best: float, tier: str) -> None:
    """Either probably the best, or as good as any other within the margin."""
    values = [*FIRST, 4, 6]
    decision = decide(situation(dict.fromkeys(values, 2), answer(scored(*values), 5, p_best, tier)), sample)
    assert isinstance(decision, SearchState)
    assert decision.state == "decided"
    assert "steps 5" in decision.reason


def test_what_cannot_be_told_apart_gets_one_more_seed() -> None:
    """All beside the best was tried, so what may be best is looked at again, and nothing else."""
    values = [*FIRST, 4, 6]
    told = answer(scored(*values), 5, 0.89)
    likely = [replace(one, p_best=0.06 if one.value == 4 else 0.01) for one in told.estimates if one.value != 5]
    told = replace(told, estimates=(*likely, *(one for one in told.estimates if one.value == 5)))
    decision = decide(situation({**dict.fromkeys(values, 2), 5: 3}, told), sample)
    assert decision == More(values=(5, 4), seeds=3, reason="one more seed for steps 5, 4")


def test_too_little_for_a_new_value_goes_to_the_contenders_and_then_the_budget_is_spent() -> None:
    """The last job is used too."""
    tried: dict[VariantValue, int] = dict.fromkeys(FIRST, 2)
    told = answer(scored(*FIRST), 5)
    last = decide(situation(tried, told, replace(PLAN, budget=11)), sample)
    assert isinstance(last, More)
    assert (len(last.values), last.seeds) == (1, 3)
    assert decide(situation(tried, told, replace(PLAN, budget=10)), sample) == SearchState(
        "exhausted", "all 10 jobs of the budget are spent"
    )


def test_where_no_job_has_a_score_the_search_stops() -> None:
    """It says what it looked for."""
    nothing = replace(answer({}), estimates=())
    for told in (None, nothing):
        assert decide(situation(dict.fromkeys(FIRST, 2), told), sample) == SearchState(
            "stopped", "nothing to go by: no job has a score: score"
        )


def test_a_seed_under_test_is_never_repeated() -> None:
    """When all values were tried there is nothing left."""
    seeds = replace(PLAN, variable=Variable(name="seed", values=[1, 2, 3]), jobs_per_variant=1)
    told = answer({1: 0.5, 2: 0.6, 3: 0.5}, 2)
    decision = decide(situation({1: 1, 2: 1, 3: 1}, told, seeds), sample)
    assert decision == SearchState("exhausted", "there is nothing left to try")


def test_every_text_is_tried_before_one_is_trusted() -> None:
    """Nothing is beside a text, so nothing says what an untried one is worth."""
    texts = replace(PLAN, variable=TEXTS)
    first: list[VariantValue] = ["euler", "heun", "ddim", "lms", "pndm"]
    told = answer(dict.fromkeys(first, 0.5) | {"heun": 0.9}, "heun", 0.99, "strong")
    decision = decide(situation(dict.fromkeys(first, 2), told, texts), sample)
    assert isinstance(decision, More)
    assert decision.values == ("dpm",)


def test_of_a_minimized_metric_the_lowest_leads() -> None:
    """Also while nothing is recommended yet."""
    told = replace(answer(scored(*FIRST, peak=1)), objective="minimize score")
    decision = decide(situation(dict.fromkeys(FIRST, 2), told), sample)
    assert isinstance(decision, More)
    assert decision.values[0] == 8


def test_a_decision_depends_on_nothing_but_the_situation() -> None:
    """The real sampler, asked twice."""
    now = situation(dict.fromkeys(FIRST, 2), answer(scored(*FIRST), 5))
    assert decide(now, load_sampler()) == decide(now, load_sampler())


def test_contenders_are_the_likeliest_and_at_least_two() -> None:
    """One with all its seeds is left out."""
    told = answer(scored(*FIRST), 5, 0.97)
    estimates: dict[Point, ValueEstimate] = {(value,): one for value, one in zip(FIRST, told.estimates, strict=True)}
    tried = dict.fromkeys(estimates, 2)
    assert contenders(estimates, tried, 9) == [(5,), (1,)]
    assert contenders(estimates, {**tried, (1,): 256}, 9) == [(5,), (3,)]
    assert contenders(estimates, tried, 1) == [(5,)]


def pictures(*variants: int) -> list[tuple[str, int]]:
    """Return a picture of each of some variants: its hash, and the variant."""
    return [(f"{at}", index) for at, index in enumerate(variants)]


def test_people_have_to_judge_what_there_is_before_more_is_made() -> None:
    """Stars for each picture; as many comparisons as pictures, if there are two values to compare."""
    rated = {"0"}
    stars, pairs = replace(PLAN, objective="stars"), replace(PLAN, objective="preference")
    assert waits_for(stars, pictures(0, 0, 1), rated, 0) == "waits for ratings of 2 pictures"
    assert waits_for(stars, pictures(0), rated, 0) == ""
    assert waits_for(pairs, pictures(0, 1), (), 1) == "waits for 1 comparison"
    assert waits_for(pairs, pictures(0, 1), (), 2) == ""
    assert waits_for(pairs, pictures(0, 0), (), 0) == ""
    assert waits_for(PLAN, pictures(0, 1), (), 0) == ""


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 30),
    seeds=st.integers(1, 4),
    extra=st.integers(0, 40),
    scores=st.lists(st.none() | st.floats(-3, 3), min_size=1, max_size=40),
    texts=st.booleans(),
)
def test_no_search_plans_more_than_its_budget_and_each_ends(
    size: int, seeds: int, extra: int, scores: list[float | None], texts: bool
) -> None:
    """Whatever the scores, and whichever jobs fail: each round plans at least one job, and all of them fit."""
    values = [f"text {number}" for number in range(size)] if texts else list(range(size))
    definition = replace(
        PLAN,
        variable=Variable(name="x", values=values),  # type: ignore[arg-type]  # a list of scalars
        jobs_per_variant=seeds,
        budget=min(5, size) * seeds + extra,
    )
    found = search(definition, lambda index, repeat, _value: scores[(7 * index + 3 * repeat) % len(scores)], sample)
    assert found.jobs <= (definition.budget or 0)
    assert found.state in ("decided", "exhausted", "stopped")
    assert len(found.rounds) <= extra
    assert set(found.values) <= set(values)


def test_a_search_finds_a_good_value_with_half_the_jobs_of_the_whole_grid() -> None:
    """Loose bounds on a few objectives; docs/adaptive.md has the figures of more."""
    space = space_of(plan("", 25, grid=False))
    good = jobs = 0
    for run in range(3):
        for shape in SHAPES:
            world = make_world(np.random.default_rng([run, len(shape)]), shape, space)
            found = search(plan(f"{shape} {run}", 25, grid=False), world.score)
            good += world.is_good(found.value)
            jobs += found.jobs
    assert good >= 7
    assert jobs <= 12 * 25


def test_what_is_left_of_a_budget_may_be_too_little_for_anything() -> None:
    """One job is no new value, and every value that was tried has had its seeds."""
    tried: dict[VariantValue, int] = dict.fromkeys(FIRST, MOST_SEEDS)
    plan_ = replace(PLAN, budget=5 * MOST_SEEDS + 1)

    assert decide(situation(tried, answer(scored(*FIRST)), plan_), sample) == SearchState(
        "exhausted", "there is nothing left to try"
    )


def test_the_reason_names_each_variable_of_a_grid() -> None:
    """So that a reader sees which setting is tried."""
    axes = (Variable(name="steps", values=[1, 2, 3]), Variable(name="cfg", values=[1, 2, 3]))
    grid = replace(PLAN, variable=None, variables=axes)
    space = space_of(grid)
    points = dict.fromkeys(list(space.points())[::2], 1)
    told = replace(
        answer({}),
        estimates=tuple(
            ValueEstimate(value=space.value(point), mean=1.0, low=None, high=None, n=1, p_best=0.2) for point in points
        ),
    )

    more = decide(
        Situation(experiment_id="exp", definition=grid, space=space, tried=points, spent=5, answer=told), sample
    )

    assert isinstance(more, More)
    written = (f"steps {value['steps']}, cfg {value['cfg']}" for value in more.values if isinstance(value, dict))
    assert more.reason == f"tries {'; '.join(written)}"
