"""Decisions and their words: tiers, what is as good, what is fastest, and how much more would decide."""

from dataclasses import replace

import numpy as np
import pytest

from bus.contracts.fields import VariantValue
from learning_service.recommendation.belief import Belief, Part, mixed
from learning_service.recommendation.evidence import PREFERENCE, STARS, Objective
from learning_service.recommendation.sentence import names_of, no_verdict, percent, value_text, verdict_text
from learning_service.recommendation.verdict import Certainty, Verdict, certainty, decide, more_needed

MATCH = Objective(kind="metric", name="prompt_match")
VALUES: list[VariantValue] = [5, 6, 7, 8]


def belief(means: list[float], variance: float | list[float], noise: float = 1.0) -> Belief:
    """Return independent normal values; `noise` is the variance of one more look at a difference."""
    deviations = np.sqrt(np.broadcast_to(variance, len(means)))
    part = Part(1.0, np.array(means), np.zeros((len(means), 1)), deviations)
    return mixed([part], len(part.means), looked=noise / 2, dof=np.inf)


def judge(
    means: list[float], variance: float, counts: int | list[int] = 4, seconds: list[float] | None = None
) -> Verdict:
    """Decide with a margin of a quarter."""
    observed = np.full(len(means), counts) if isinstance(counts, int) else np.array(counts)
    return decide(
        belief(means, variance), observed.astype(float), np.array(seconds or [np.nan] * len(means), float), 0.25
    )


def words(verdict: Verdict, objective: Objective = STARS, *, total: int = 15) -> str:
    """Put a verdict on four values into words."""
    return verdict_text(verdict, "cfg_scale", VALUES, objective, total=total)


def test_what_was_never_tried_counts_twice_in_the_doubt() -> None:
    """Only the model speaks against it; so of two beliefs that are the same, one decides and the other does not."""
    known = belief([1.0, 0.0, 0.0], [0.01, 0.25, 0.25])
    best, good = (float(chances[0]) for chances in (known.p_best, known.good(0.25)))
    assert 0.94 < best < 0.96
    assert certainty(known, 0, [], 0.25, 0.9) == Certainty(is_best=True, probability=best)
    assert certainty(known, 0, [2], 0.25, 0.93) == Certainty(is_best=False, probability=good)
    assert certainty(known, 0, [1, 2], 0.0, 0.92) is None
    assert certainty(known, 0, [], 0.0, 0.92) is not None


def test_where_little_tells_of_the_noise_the_doubt_is_larger() -> None:
    """It is how much scores of one value scatter that says how far a difference is to be trusted."""
    known = belief([1.0, 0.0, 0.0], [0.01, 0.25, 0.25])
    assert certainty(replace(known, spare=10), 0, [], 0.0, 0.93) is not None
    assert certainty(replace(known, spare=1), 0, [], 0.0, 0.93) is None


def test_one_clear_winner_is_strong_evidence() -> None:
    """The sentence has the value, its probability and the number of ratings, and no doubts."""
    verdict = judge([0, 0, 2, 0], 0.01)
    assert (verdict.tier, verdict.chosen, verdict.equals, verdict.more) == ("strong", 2, (2,), None)
    assert words(verdict) == "cfg_scale 7 (over 99 % that it is best, 15 ratings)"


def test_two_contenders_are_named_with_what_is_open_and_what_would_decide() -> None:
    """The example of the promise: 6 or 7, what is not distinguishable yet, how many more ratings."""
    verdict = judge([0.5, 1, 1.1, 0.5], 0.2)
    assert (verdict.tier, verdict.chosen) == ("some", 2)
    assert set(verdict.named) == {1, 2}
    assert set(verdict.open) == {0, 3}
    sentence = words(verdict)
    assert sentence.startswith("cfg_scale 6 or 7 (")
    assert "% that one of them is best, 15 ratings); 5 and 8 are not distinguishable yet; about " in sentence
    assert sentence.endswith(" more ratings of these would decide")


def test_a_single_open_value_is_spoken_of_in_the_singular() -> None:
    """Words agree with their number."""
    assert "; 6 is not distinguishable yet; " in words(judge([-3, 0.1, 1, -3], 0.5))


def test_many_open_values_are_counted() -> None:
    """Where nearly all may be best, there is no clear winner, and no list."""
    sentence = words(judge([0, 0.05, 0.1, 0.02], 0.5))
    assert sentence.startswith("no clear winner yet: cfg_scale 7 leads (")
    assert "; 5, 6 and 8 are not distinguishable yet; " in sentence


def test_values_within_the_margin_are_equally_good() -> None:
    """6 and 7 differ by less than matters, and 5 and 8 are clearly worse."""
    verdict = judge([0, 1.95, 2, 0], 0.001)
    assert set(verdict.equals) == {1, 2}
    assert words(verdict) == "cfg_scale 6 and 7 are equally good (within a quarter of a star of the best, 15 ratings)"


def test_all_within_the_margin_are_no_real_difference() -> None:
    """The margin is said, for each objective in its own terms."""
    verdict = judge([0, 0.01, 0.02, 0], 0.001)
    assert verdict.tier == "strong"
    start = "no real difference between the values of cfg_scale"
    assert words(verdict) == f"{start} (within a quarter of a star of the best, 15 ratings)"
    assert words(verdict, MATCH) == f"{start} (within a quarter of the scatter of one value, 15 results)"
    assert words(verdict, PREFERENCE) == f"{start} (the better one would win 55 % at most, 15 comparisons)"


def test_a_likely_but_not_single_best_says_why_it_is_strong() -> None:
    """No other is noticeably better, though which is the very best is open."""
    verdict = judge([-5, 0, 0.25, -5], 0.02)
    assert verdict.equals == (2,)
    assert words(verdict).endswith("that no other is noticeably better")


def test_the_fastest_of_the_equally_good_is_recommended() -> None:
    """Where quality does not decide, time does, if the gain is more than a tenth and known for the leader too."""
    means = [0, 1.95, 2, 0]
    verdict = judge(means, 0.001, seconds=[1, 5, 9, 1])
    assert (verdict.leader, verdict.chosen) == (2, 1)
    assert words(verdict).endswith("; 6 is the fastest of them")
    assert judge(means, 0.001, seconds=[1, 8.5, 9, 1]).chosen == 2
    assert judge(means, 0.001, seconds=[1, 5, np.nan, 1]).chosen == 2
    assert judge(means, 0.001, seconds=[1, np.nan, 9, 1]).chosen == 2
    assert judge([0, 1.5, 2, 0], 0.001, seconds=[1, 5, 9, 1]).chosen == 2


def test_a_much_faster_value_that_is_a_little_worse_is_told() -> None:
    """What it saves and what it costs, in the terms of the objective; who wants it takes it."""
    verdict = judge([0, 1.5, 2, 0.9], 0.001, seconds=[1, 5, 9, 4])
    assert (verdict.chosen, verdict.tier) == (2, "strong")
    assert words(verdict).endswith("; 6 takes 44 % less time and is worse by 0.5 stars")
    assert words(verdict, MATCH).endswith("; 6 takes 44 % less time and is worse by 0.5")
    assert words(verdict, PREFERENCE).endswith("; 6 takes 44 % less time and wins 38 % of the comparisons with it")
    assert judge([0, 0.9, 2, 0.9], 0.001, seconds=[1, 5, 9, 4]).bargain is None  # all others are much worse
    assert judge([0, 1.5, 2, 0.9], 0.001, seconds=[1, 8, 9, 4]).bargain is None  # hardly faster
    assert judge([0, 1.5, 2, 0.9], 0.001, seconds=[1, np.nan, 9, 4]).bargain is None
    assert judge([0, 1.5, 2, 0.9], 0.001).bargain is None
    assert judge([0, 1.5, 2, 0.9], 0.8, seconds=[1, 5, 9, 4]).bargain is None  # it is not even decided


def test_of_many_equally_good_values_the_one_that_leads_is_named() -> None:
    """A sentence of two hundred numbers is none; what is fastest is named, too."""
    means = [1.0, *[2.0] * 11, 2.01]
    verdict = decide(belief(means, 0.0001), np.full(13, 9.0), np.array([9.0] * 7 + [2.0] + [9.0] * 5), 0.25)
    sentence = verdict_text(verdict, "steps", list(range(1, 14)), STARS, total=40)
    assert sentence == (
        "steps 13 and 11 others are equally good (within a quarter of a star of the best, 40 ratings); "
        "8 is the fastest of them"
    )


def test_a_much_faster_value_that_may_be_better_is_not_called_worse() -> None:
    """It is not sure enough to be equally good, but more is expected of it."""
    spread = [0.0001, 0.06, 0.0001, 0.0001]
    verdict = decide(belief([0, 2.02, 2, 2.3], spread), np.full(4, 9.0), np.array([1.0, 4.0, 7.0, 9.0]), 0.4)
    assert (verdict.chosen, verdict.equals) == (2, (3, 2))
    assert words(verdict).endswith("; 6 takes 43 % less time and is expected to be as good")


def test_speed_does_not_choose_before_it_is_decided() -> None:
    """As long as another may be better by more than the margin, the leader is recommended."""
    verdict = judge([0.9, 1, 1.1, 0.9], 0.5, seconds=[1, 1, 9, 1])
    assert (verdict.tier, verdict.chosen) == ("some", 2)


@pytest.mark.parametrize(
    ("counts", "variance", "tier"),
    [
        ([9, 9, 1, 9], 0.4, "few"),  # one look at the leader, and as little is known of it
        ([9, 9, 1, 9], 0.01, "strong"),  # its neighbours tell more
        ([1, 0, 2, 0], 0.01, "few"),  # three looks in all
        ([0, 0, 2, 2], 0.01, "strong"),
    ],
)
def test_what_is_hardly_known_is_not_recommended(counts: list[int], variance: float, tier: str) -> None:
    """As much as two looks tell has to be known of the leader, and four looks are the least."""
    verdict = judge([0, 0, 5, 0], variance, counts)
    assert verdict.tier == tier
    assert (verdict.chosen is None) == (tier == "few")


def test_too_few_ratings_say_who_leads_and_what_is_missing() -> None:
    """There is no recommendation yet, but a next step."""
    sentence = words(judge([0, 1, 2, -9], 0.4, [0, 0, 1, 1]), total=2)
    assert sentence == (
        "too few ratings: cfg_scale 7 leads after 2 ratings; give at least 2 ratings of each value; "
        "2 values without ratings (14 % that one of them is best)"
    )


def test_what_was_never_tried_may_be_the_best() -> None:
    """It is never recommended, but its probability counts, and is told."""
    verdict = judge([0, 1, 2, 2.2], 0.3, [4, 4, 4, 0])
    assert (verdict.tier, verdict.leader, verdict.untried) == ("some", 2, (3,))
    assert 3 not in (*verdict.named, *verdict.open)
    assert "1 value without ratings (5" in words(verdict)
    assert words(verdict).endswith(" % that it is best)")
    unlikely = judge([0, 0, 2, -3], 0.01, [4, 4, 4, 0])
    assert (unlikely.tier, unlikely.equals) == ("strong", (2,))
    assert words(unlikely).endswith("; 1 value without ratings")
    assert "no real difference" in words(judge([0, 0, 0, -9], 0.001, [4, 4, 4, 0]))


def test_the_leader_is_whom_the_least_loss_is_expected_of() -> None:
    """A barely tested value may be the likeliest best one, and is still the worse bet."""
    posterior = belief([0.0, 0.9, 1.0, 0.8], [0.01, 0.01, 0.01, 4.0])
    verdict = decide(posterior, np.full(4, 4.0), np.full(4, np.nan), 0.25)
    assert int(np.argmax(verdict.best)) == 3
    assert (verdict.leader, verdict.named[0]) == (2, 2)


def test_more_observations_are_needed_for_smaller_differences() -> None:
    """The number falls with the difference, and is none where a hundred of each value would not do."""
    posterior = belief([0.0, 0.4, 1.2], 0.5, noise=10.0)
    near, far = (more_needed(posterior, 2, [rival], 0.25, paired=False) for rival in (1, 0))
    assert near is not None
    assert far is not None
    assert near > far > 0
    both = more_needed(posterior, 2, [0, 1], 0.25, paired=False)
    assert both is not None
    assert both > near
    assert more_needed(belief([0, 0.1], 1.0, noise=200.0), 1, [0], 0.1, paired=False) is None
    one_sided = more_needed(posterior, 2, [1], 0.25, paired=True)
    assert one_sided is not None
    assert 2 * one_sided == near


@pytest.mark.parametrize(("rivals", "z"), [(1, 1.2816), (3, 1.8339)])
def test_so_many_more_decide_as_often_as_not(rivals: int, z: float) -> None:
    """Drawn from the belief itself, half of all futures with so many more looks are decided, for all rivals at once."""
    posterior = belief([0.0] * rivals + [0.5], 0.5, noise=9.0)
    needed = more_needed(posterior, rivals, list(range(rivals)), 0.25, paired=True)
    assert needed
    looks = needed / rivals
    random = np.random.default_rng(4)
    true = random.normal(0.5, 1.0, size=(20_000, rivals))
    seen = true + random.normal(0, 3 / np.sqrt(looks), size=true.shape)
    later = 1 / (1 + looks / 9)
    mean = later * (0.5 + seen * looks / 9)
    decided = (np.abs(mean) + 0.25 >= z * np.sqrt(later)).all(axis=1)
    assert 0.49 <= decided.mean() < 0.56


def test_a_difference_too_small_to_settle_is_said_to_be_so() -> None:
    """Nobody is sent to rate a thousand pictures."""
    verdict = decide(belief([0, 0, 0.3, 0], 1.0, noise=500.0), np.full(4, 4.0), np.full(4, np.nan), 0.05)
    assert words(verdict).endswith("the difference is too small for a hundred ratings of each value to decide")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7.0, "7"),
        (0.30000000000000004, "0.3"),
        (True, "true"),
        (False, "false"),
        ("euler_a", "euler_a"),
        ("DPM++ 2M", '"DPM++ 2M"'),
        ("", '""'),
        ("x" * 50, f'"{"x" * 39}…"'),
        ("a\n\tlong  way", '"a long way"'),
        ({"cfg_scale": 7.5, "steps": 20}, "cfg_scale 7.5 with steps 20"),
        ({}, "{}"),
    ],
)
def test_values_are_written_as_people_write_them(value: VariantValue, text: str) -> None:
    """Numbers without noise, truth as in a file, texts with spaces in quotes, long ones cut."""
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "under 1 %"), (0.004, "under 1 %"), (0.856, "86 %"), (0.999, "over 99 %")]
)
def test_probabilities_are_never_certain(probability: float, text: str) -> None:
    """Whole percent, and no 0 or 100."""
    assert percent(probability) == text


def test_what_is_missing_is_named_after_the_objective() -> None:
    """Ratings, results or comparisons."""
    assert no_verdict("steps", [], MATCH) == "no results yet"
    assert no_verdict("steps", [], PREFERENCE) == "no comparisons yet"


@pytest.mark.fault(item="F157")
def test_long_values_with_the_same_beginning_are_told_apart() -> None:
    """In the sentence, where both would be cut to the same forty characters; others stay as they are."""
    scene = "a photo of a very detailed scene with many things in it, "

    assert names_of([f"{scene}a cat", f"{scene}a dog"]) == [
        '"a photo of a very detailed…in it, a cat"',
        '"a photo of a very detailed…in it, a dog"',
    ]
    assert names_of([{"prompt": scene + "x", "cfg": 1}, {"prompt": scene + "y", "cfg": 1}])[0].endswith('x with cfg 1"')
    assert names_of([f"{scene}a cat", 7.5]) == [value_text(f"{scene}a cat"), "7.5"]
