"""The next pair to show: fair, balanced, and soon about what contends."""

from collections import Counter

import numpy as np
import pytest

from bus.contracts.messages import Outcome
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.evidence import PREFERENCE, Candidate
from learning_service.recommendation.pairs import next_pair
from learning_service.recommendation.recommend import recommend

PLAN = {index: 2 * index for index in range(8)}


def pictures(values: int, seeds: int) -> list[Picture]:
    """Return one picture for each value and seed."""
    return [
        Picture(variant_index=value, repeat_index=seed, sha256=f"{value}-{seed}")
        for value in range(values)
        for seed in range(seeds)
    ]


def ask(shown: list[Picture], count: int, worth: list[float] | None = None, seed: int = 1) -> list[Preference]:
    """Ask so many times somebody who prefers the value of more worth, or else finds all alike."""
    random = np.random.default_rng(seed)
    judged: list[Preference] = []
    for _ in range(count):
        pair = next_pair(PLAN, shown, judged, seed)
        assert pair
        outcome: Outcome = "tie"
        if worth:
            gap = worth[pair.left.variant_index] - worth[pair.right.variant_index] + random.normal() / 2
            outcome = "left" if gap > 0 else "right"
        judged.append(Preference(left=pair.left, right=pair.right, outcome=outcome))
    return judged


def asked(judged: list[Preference]) -> Counter[frozenset[Picture]]:
    """Count how often each pair was shown."""
    return Counter(frozenset((one.left, one.right)) for one in judged)


@pytest.mark.parametrize("worth", [None, [0.0, 1.0, 2.0]])
def test_no_pair_comes_again_before_all_others(worth: list[float] | None) -> None:
    """Two rounds through all pairs of different values, and the pairs of one seed first in the first round."""
    shown = pictures(3, 2)  # 12 pairs, of which 6 are of one seed
    judged = ask(shown, 24, worth)
    assert all(one.left.variant_index != one.right.variant_index for one in judged)
    assert all(one.left.repeat_index == one.right.repeat_index for one in judged[:6])
    assert set(asked(judged[:6]).values()) == set(asked(judged[:12]).values()) == {1}
    assert len(asked(judged[:12])) == 12
    assert set(asked(judged).values()) == {2}


def test_at_first_the_pairs_are_of_many_values() -> None:
    """What nobody has compared may be best."""
    judged = ask(pictures(8, 4), 10, [0, 1, 2, 3, 4, 5, 6, 7])
    assert len({picture.variant_index for one in judged for picture in (one.left, one.right)}) >= 6


def test_then_what_contends_comes_most() -> None:
    """The two best of six values are compared more than two of the worst, and they are found."""
    judged = ask(pictures(6, 8), 40, [0, 0, 0, 0, 2, 2.4])
    shown = Counter(picture.variant_index for one in judged for picture in (one.left, one.right))
    assert shown[4] + shown[5] > 1.5 * (shown[0] + shown[1])
    plan = [Candidate(index=index, value=index) for index in range(6)]
    assert recommend(judged, plan, PREFERENCE, "x").value in (4, 5)


def test_each_value_is_on_the_left_as_often_as_on_the_right() -> None:
    """Whoever tends to one side favours nobody."""
    judged = ask(pictures(7, 4), 60, [0, 1, 2, 3, 2, 1, 0])
    lefts, rights = (Counter(getattr(one, side).variant_index for one in judged) for side in ("left", "right"))
    assert all(abs(lefts[value] - rights[value]) <= 2 for value in range(7))


@pytest.mark.parametrize("seed", range(6))
def test_fresh_pictures_come_before_those_that_were_shown(seed: int) -> None:
    """Nine questions about eighteen pictures of three values show fifteen: two new ones are not always a pair."""
    judged = ask(pictures(3, 6), 9, seed=seed)
    assert len({picture for one in judged for picture in (one.left, one.right)}) == 15


def test_the_same_question_gives_the_same_pair() -> None:
    """In any order of pictures and answers; another seed may give another one."""
    shown = pictures(8, 4)
    judged = ask(shown, 20, [0, 1, 2, 3, 4, 5, 6, 7])
    pair = next_pair(PLAN, shown, judged, 1)
    assert next_pair(PLAN, shown[::-1], judged[::-1], 1) == pair
    assert len({next_pair(PLAN, shown, [], seed) for seed in range(20)}) > 5


def test_two_values_are_needed() -> None:
    """One value, or none, cannot be compared."""
    assert next_pair(PLAN, [], [], 1) is None
    assert next_pair(PLAN, pictures(1, 4), [], 1) is None


def test_pictures_that_are_gone_are_not_shown() -> None:
    """Answers about them still count for their values, and answers about values without pictures do not."""
    shown = pictures(4, 2)
    judged = ask(shown, 6)
    left = [picture for picture in shown if picture.repeat_index == 1 and picture.variant_index != 3]
    for count in range(6):
        pair = next_pair(PLAN, left, judged[:count], 1)
        assert pair
        assert {pair.left, pair.right} <= set(left)


def test_several_pictures_of_one_value_and_seed_are_pictures_of_their_own() -> None:
    """A batch of two for each value has four pairs under one seed, which come before the first comes again."""
    shown = [
        Picture(variant_index=value, repeat_index=0, sha256=f"{value}-{copy}") for value in (0, 1) for copy in (0, 1)
    ]
    assert set(asked(ask(shown, 4)).values()) == {1}


def same_under(values: int, names: list[str]) -> list[Picture]:
    """Return pictures of one seed after another; all values give the same ones, but for the last value."""
    return [
        Picture(variant_index=value, repeat_index=seed, sha256=name if value < values - 1 else f"other {name}")
        for value in range(values)
        for seed, name in enumerate(names)
    ]


def test_one_and_the_same_picture_under_two_values_is_no_question() -> None:
    """What differs comes again and again instead, each pair as often as the others."""
    judged = ask(same_under(3, ["a"]), 6)
    assert all(one.left.sha256 != one.right.sha256 for one in judged)
    assert set(asked(judged).values()) == {3}
    assert len(asked(judged)) == 2


def test_where_some_pictures_are_the_same_the_others_are_asked_about() -> None:
    """Of nine pairs of two values that share two pictures seven differ, one of them of one seed, which comes first."""
    shown = [
        Picture(variant_index=value, repeat_index=seed, sha256=name)
        for value, names in enumerate(("abc", "abd"))
        for seed, name in enumerate(names)
    ]
    judged = ask(shown, 14)
    assert [one.left.repeat_index for one in judged if one.left.repeat_index == one.right.repeat_index] == [2, 2]
    assert {judged[0].left.sha256, judged[0].right.sha256} == {"c", "d"}
    assert len(asked(judged[:7])) == 7
    assert set(asked(judged).values()) == {2}


def test_values_that_give_the_same_pictures_cannot_be_compared() -> None:
    """There is nothing to see."""
    assert next_pair(PLAN, same_under(3, ["a", "b"])[:4], [], 1) is None


def test_what_is_passed_counts_as_asked() -> None:
    """Whichever side it was on, and of several values that made one picture each; a picture that is gone is nothing."""
    shown = [
        Picture(variant_index=value, repeat_index=0, sha256=sha256) for value, sha256 in ((0, "a"), (1, "a"), (2, "b"))
    ]
    shown.append(Picture(variant_index=3, repeat_index=0, sha256="c"))

    def names(*passed: tuple[str, str]) -> set[str]:
        pair = next_pair(PLAN, shown, [], 1, passed)
        assert pair
        return {pair.left.sha256, pair.right.sha256}

    assert names(("a", "b"), ("c", "a"), ("gone", "a"), ("c", "c")) == {"b", "c"}
    assert names(("b", "c"), ("b", "a")) == {"a", "c"}
