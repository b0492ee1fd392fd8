"""The recommendation as a whole: what must hold whatever is observed, and where others went wrong."""

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.fields import VariantValue
from bus.contracts.messages import RecommendationUpdated, ValueEstimate
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.evidence import PREFERENCE, STARS, Candidate, Objective, Score
from learning_service.recommendation.recommend import Recommendation, recommend
from tests.support.helpers import TIME_FACTOR

MATCH = Objective(kind="metric", name="prompt_match")
LOSS = Objective(kind="metric", name="loss", minimize=True)
VALUES: list[VariantValue] = [0, 2.5, "euler a", False, {"cfg_scale": 7, "steps": 20}, ""]
CANDIDATES = [Candidate(index=index, value=value) for index, value in enumerate(VALUES)]

LUCK = 0.04  # by which probabilities of one and the same belief may differ, as they come from a sample
Cell = tuple[int, int, int]
cells = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 5)), min_size=2, max_size=24)
cells_of_two = cells.filter(lambda found: len({value for value, _seed, _stars in found}) > 1)
answers = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["left", "right", "tie", "both_bad"])).filter(
        lambda one: one[0] != one[1]
    ),
    min_size=1,
    max_size=20,
)


def scores(found: Sequence[tuple[int, int, float]]) -> list[Score]:
    """Return scores of (value, seed, score)."""
    return [Score(variant_index=value, repeat_index=seed, score=score) for value, seed, score in found]


def stars(found: Sequence[tuple[int, int, float]], candidates: Sequence[Candidate] = CANDIDATES) -> Recommendation:
    """Return what is recommended on stars."""
    return recommend(scores(found), candidates, STARS, "x")


def preferences(found: Sequence[tuple[int, int, str]]) -> list[Preference]:
    """Return answers of (left, right, outcome), all of one seed."""
    pictures = [Picture(variant_index=value, repeat_index=0, sha256=str(value)) for value in range(7)]
    return [Preference(left=pictures[left], right=pictures[right], outcome=outcome) for left, right, outcome in found]  # type: ignore[arg-type]  # one of the four words


def column(answer: Recommendation, name: str) -> list[float | None]:
    """Return one number of all estimates."""
    return [getattr(estimate, name) for estimate in answer.estimates]


def check(answer: Recommendation, tested: set[int]) -> None:
    """Check what holds for every recommendation."""
    assert [estimate.value for estimate in answer.estimates] == VALUES
    for index, one in enumerate(answer.estimates):
        assert (one.n > 0) == (index in tested)
        if len(tested) > 1:
            assert one.mean is not None
            assert one.low is not None
            assert one.high is not None
            assert one.low <= one.mean <= one.high
    if len(tested) > 1:
        assert sum(one.p_best or 0 for one in answer.estimates) == pytest.approx(1)
    else:
        assert answer.tier == "none"
    recommended = [one for one in answer.estimates if one.value is answer.value and one.n]
    assert bool(recommended) == (answer.tier in ("some", "strong"))
    if recommended:
        assert answer.p_best == recommended[0].p_best
    assert answer.sentence


@given(cells)
def test_every_recommendation_on_stars_holds_together(found: list[Cell]) -> None:
    """Probabilities add up to 1, intervals hold their means, and only what was tested is recommended."""
    answer = stars(found)
    check(answer, {value for value, _seed, _stars in found})
    for one in answer.estimates:
        if one.low is not None and one.high is not None:
            assert 1 <= one.low <= one.high <= 5


@given(answers)
@settings(max_examples=50)
def test_every_recommendation_on_preferences_holds_together(found: list[tuple[int, int, str]]) -> None:
    """The same holds for preferences; their means are shares of comparisons won."""
    answer = recommend(preferences(found), CANDIDATES, PREFERENCE, "x")
    check(answer, {value for left, right, _outcome in found for value in (left, right)})
    assert all(mean is None or 0 <= mean <= 1 for mean in column(answer, "mean"))


@given(cells_of_two, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(found: list[Cell], random: st.DataObject) -> None:
    """The same ratings and candidates in any order give the same answer to the last digit."""
    shuffled = [(value, seed, score / 7) for value, seed, score in found]
    plan = list(CANDIDATES)
    answer = recommend(scores(shuffled), plan, MATCH, "x")
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    random.shuffle(plan)  # type: ignore[attr-defined]  # a random.Random
    assert recommend(scores(shuffled), plan, MATCH, "x") == answer


@given(cells_of_two, st.permutations(range(6)), st.permutations(range(4)))
def test_labels_do_not_matter(found: list[Cell], values: list[int], seeds: list[int]) -> None:
    """Another numbering of values and seeds gives the same numbers in another order."""
    before = stars(found)
    after = stars([(values[value], seeds[seed], score) for value, seed, score in found])
    for name, most in (("mean", 1e-6), ("low", 0.3), ("high", 0.3), ("p_best", LUCK)):
        moved = [column(after, name)[place] for place in values]
        assert moved == pytest.approx(column(before, name), abs=most, nan_ok=True)


@given(cells_of_two, st.floats(0.001, 1000), st.floats(-100, 100))
def test_the_unit_of_a_metric_does_not_matter(found: list[Cell], scale: float, shift: float) -> None:
    """Another scale and another zero move the means, and no probability."""
    before = recommend(scores(found), CANDIDATES, MATCH, "x")
    moved = [(value, seed, score * scale + shift * scale) for value, seed, score in found]
    after = recommend(scores(moved), CANDIDATES, MATCH, "x")
    assert column(after, "p_best") == pytest.approx(column(before, "p_best"), abs=1e-3)
    for old, new in zip(before.estimates, after.estimates, strict=True):
        if old.mean is not None:
            assert new.mean == pytest.approx((old.mean + shift) * scale, abs=1e-3 * scale)


@given(cells_of_two)
def test_to_minimise_is_to_maximise_the_opposite(found: list[Cell]) -> None:
    """The lowest loss is the highest negative loss."""
    high = recommend(scores(found), CANDIDATES, MATCH, "x")
    low = recommend(scores([(value, seed, -score) for value, seed, score in found]), CANDIDATES, LOSS, "x")
    assert low.value is high.value
    assert column(low, "p_best") == column(high, "p_best")
    for one, other in zip(high.estimates, low.estimates, strict=True):
        if one.mean is not None and one.low is not None and one.high is not None:
            assert (other.mean, other.low, other.high) == (-one.mean, -one.high, -one.low)


@given(st.integers(2, 6), st.integers(1, 4), st.data())
def test_of_equally_many_ratings_the_better_ones_win(values: int, seeds: int, data: st.DataObject) -> None:
    """Where every seed is rated under every value, means and probabilities are in the order of the plain means."""
    table = [[data.draw(st.integers(1, 5)) for _ in range(seeds)] for _ in range(values)]
    answer = stars([(value, seed, table[value][seed]) for value in range(values) for seed in range(seeds)])
    for one in range(values):
        for other in range(values):
            first, second = answer.estimates[one], answer.estimates[other]
            assert first.p_best is not None
            assert second.p_best is not None
            if sum(table[one]) > sum(table[other]):
                assert first.p_best >= second.p_best - LUCK
            elif sum(table[one]) == sum(table[other]):
                assert first.p_best == pytest.approx(second.p_best, abs=1e-6)
    if answer.value is not None:
        chosen = answer.estimates.index(next(one for one in answer.estimates if one.value is answer.value))
        assert sum(table[chosen]) == max(map(sum, table))


@given(st.integers(2, 6), st.integers(1, 4), st.data())
def test_a_bad_rating_never_raises_the_chance_to_be_best(values: int, seeds: int, data: st.DataObject) -> None:
    """One more star of one, where every seed was rated under every value, lowers the value's chance or leaves it."""
    found = [(value, seed, data.draw(st.integers(1, 5))) for value in range(values) for seed in range(seeds)]
    value = data.draw(st.integers(0, values - 1))
    worse = stars([*found, (value, data.draw(st.integers(0, seeds)), 1)]).estimates[value]
    before = stars(found).estimates[value]
    assert worse.p_best is not None
    assert before.p_best is not None
    assert worse.p_best <= before.p_best + LUCK


@given(answers, st.data())
@settings(max_examples=50)
def test_a_lost_comparison_never_raises_the_chance_to_be_best(
    found: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    """Whatever was answered before, and on whichever side the loser is."""
    loser, winner = data.draw(st.permutations(sorted({side for one in found for side in one[:2]})))[:2]
    lost = data.draw(st.sampled_from([(loser, winner, "right"), (winner, loser, "left")]))
    before, after = (
        recommend(preferences(all_found), CANDIDATES, PREFERENCE, "x").estimates[loser].p_best
        for all_found in (found, [*found, lost])
    )
    assert before is not None
    assert after is not None
    assert after <= before + LUCK


@given(cells_of_two, st.data())
def test_a_bad_rating_is_only_excused_by_the_seed_or_by_chance(found: list[Cell], data: st.DataObject) -> None:
    """Where ratings are missing, one star may show that its seed is hard or its person moody: a little, no more."""
    value = data.draw(st.sampled_from(sorted({value for value, _seed, _stars in found})))
    worse = stars([*found, (value, data.draw(st.integers(0, 4)), 1)]).estimates[value]
    before = stars(found).estimates[value]
    assert (worse.p_best or 0) <= (before.p_best or 0) + 0.15


def test_six_one_star_ratings_do_not_beat_two_five_star_ones() -> None:
    """Many bad ratings are no evidence for a value."""
    answer = stars([(0, seed, 1) for seed in range(6)] + [(1, 0, 5), (1, 1, 5)], CANDIDATES[:2])
    assert answer.value == 2.5
    assert answer.p_best is not None
    assert answer.p_best > 0.99


def test_an_empty_or_untested_value_is_not_recommended() -> None:
    """A sampler "", steps 0 and a map that nobody rated may well be better, but nobody has seen them."""
    answer = stars([(1, 0, 1), (1, 1, 1), (2, 0, 2), (2, 1, 1)])
    assert answer.value == "euler a"
    unseen = [one for one in answer.estimates if not one.n]
    assert [one.value for one in unseen] == [0, False, VALUES[4], ""]
    assert [one.p_best for one in unseen] == [unseen[0].p_best] * 4
    assert f"4 values without ratings ({100 * sum(one.p_best or 0 for one in unseen):.0f} %" in answer.sentence


def test_a_value_whose_jobs_failed_is_not_what_may_be_better() -> None:
    """Nothing is known of it, and the others share what it would take; unless it has scores all the same."""
    plan = [*CANDIDATES[:2], replace(CANDIDATES[2], has_failed=True)]
    found = [(0, 0, 2), (0, 1, 2), (1, 0, 4), (1, 1, 5)]
    answer = stars(found, plan)

    assert answer.estimates[2] == ValueEstimate(value="euler a", mean=None, low=None, high=None, n=0, p_best=None)
    assert answer.estimates[:2] == stars(found, plan[:2]).estimates
    assert "without ratings" not in answer.sentence
    assert stars([*found, (2, 0, 5)], plan).estimates[2].n == 1
    assert stars([], [replace(one, has_failed=True) for one in plan]).tier == "none"


@pytest.mark.parametrize("index", range(6))
def test_values_of_any_kind_can_be_the_best(index: int) -> None:
    """0, false, an empty text and a map are values like others."""
    other = (index + 1) % 6
    plan = [CANDIDATES[index], CANDIDATES[other]]
    answer = stars([(index, seed, 5) for seed in range(4)] + [(other, seed, 2) for seed in range(4)], plan)
    assert answer.value is VALUES[index]
    assert answer.tier == "strong"


def test_the_answer_is_what_the_message_says() -> None:
    """The fields are those of `recommendation.updated`."""
    answer = stars([(0, 0, 5), (0, 1, 5), (1, 0, 2), (1, 1, 2)])
    message = RecommendationUpdated(
        experiment_id="exp-1", **{name: getattr(answer, name) for name in answer.__struct_fields__}
    )
    assert message.objective == "stars"
    assert isinstance(message.estimates[0], ValueEstimate)
    assert (MATCH.text, LOSS.text, PREFERENCE.text) == ("maximize prompt_match", "minimize loss", "preference")


def test_nothing_to_compare_is_no_recommendation() -> None:
    """No rating at all, and ratings of one value alone, are told apart; the plain mean is shown."""
    assert stars([]).sentence == "no ratings yet"
    only = stars([(0, 0, 4), (0, 1, 5)])
    assert (only.value, only.tier) == (None, "none")
    assert only.estimates[0] == ValueEstimate(value=0, mean=4.5, low=None, high=None, n=2, p_best=None)
    assert only.sentence == "only x 0 has ratings yet; give ratings of at least two values"
    assert recommend(scores([(0, 0, 0.5)]), CANDIDATES, LOSS, "x").estimates[0].mean == 0.5
    assert recommend(scores([(0, 0, 1.5e308), (0, 1, 1.5e308)]), CANDIDATES, MATCH, "x").estimates[0].mean == 1.5e308


def test_equal_metrics_are_no_real_difference() -> None:
    """A metric that is the same everywhere needs no more of it."""
    answer = recommend(
        scores([(value, seed, 0.5) for value in range(3) for seed in range(2)]), CANDIDATES[:3], MATCH, "steps"
    )
    assert answer.tier == "strong"
    assert answer.sentence.startswith("no real difference between the values of steps")
    assert column(answer, "p_best") == pytest.approx([1 / 3] * 3)
    assert answer.equals == (0, 2.5, "euler a")
    assert answer.more is UNSET


def test_what_would_decide_is_a_number_where_the_sentence_says_it() -> None:
    """So a page can say how many more ratings help; a decided question has neither it nor equals of one value."""
    close = stars([(0, 0, 4), (0, 1, 3), (1, 0, 3), (1, 1, 3)], CANDIDATES[:2])
    assert close.tier == "some"
    assert isinstance(close.more, int)
    assert "would decide" in close.sentence
    clear = stars([(0, seed, 5) for seed in range(6)] + [(1, seed, 1) for seed in range(6)], CANDIDATES[:2])
    assert (clear.tier, clear.more, clear.equals) == ("strong", UNSET, UNSET)


@pytest.mark.parametrize(
    ("observations", "objective", "complaint"),
    [
        (scores([(9, 0, 3)]), STARS, "observations #1.variant_index: 9 is no variant of the plan; known are"),
        (scores([(0, 0, 3), (0, 1, 6)]), STARS, "observations #2.score: 6; give 1 to 5 stars"),
        (scores([(0, 0, math.nan)]), MATCH, "observations #1.score: nan is no number; leave it out"),
        (preferences([(0, 1, "left"), (2, 2, "tie")]), PREFERENCE, "observations #2: both pictures show one value"),
        (preferences([(0, 6, "tie")]), PREFERENCE, "observations #1.right.variant_index: 6 is no variant of the plan"),
    ],
)
def test_bad_observations_are_named(observations: list[Score], objective: Objective, complaint: str) -> None:
    """One sentence says which observation is wrong, and what to do."""
    with pytest.raises(InvalidInputError) as caught:
        recommend(observations, CANDIDATES, objective, "x")
    assert str(caught.value).startswith(complaint)


def test_a_hundred_thousand_ratings_are_no_burden() -> None:
    """Fifty values under 256 seeds take a fraction of a second, as only sums are kept of the ratings."""
    random = np.random.default_rng(2)
    columns = random.integers(0, 50, 100_000), random.integers(0, 256, 100_000), random.integers(1, 6, 100_000)
    found = scores(list(zip(*(column.tolist() for column in columns), strict=True)))
    plan = [Candidate(index=index, value=index) for index in range(50)]
    start = time.process_time()
    answer = recommend(found, plan, STARS, "x")
    assert time.process_time() - start < TIME_FACTOR
    assert answer.sentence.startswith("no real difference between the values of x")
    assert sum(one.n for one in answer.estimates) == 100_000
