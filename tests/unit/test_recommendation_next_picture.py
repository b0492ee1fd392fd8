"""Which picture to rate next, and when nobody has to rate any more."""

import numpy as np
import pytest
from msgspec.structs import replace

from learning_service.experiments.judgements import Picture
from learning_service.recommendation.evidence import Limit, Score
from learning_service.recommendation.next_picture import FIRST, Suggestion, next_picture

VALUES = 8
SEEDS = 6
PLAN = {index: index * 2 for index in range(VALUES)}
PICTURES = [
    Picture(variant_index=value, repeat_index=seed, sha256=f"{value}-{seed}")
    for value in range(VALUES)
    for seed in range(SEEDS)
]


def stars_of(picture: Picture, best: int = 5) -> int:
    """Return what a person says, who likes the values near one; some seeds are easier."""
    return int(np.clip(5 - abs(picture.variant_index - best) - picture.repeat_index % 2, 1, 5))


def rate(count: int, seed: int = 1) -> tuple[list[Picture], dict[str, int], Suggestion]:
    """Rate so many pictures as they are asked for; return them, and what is asked next."""
    stars: dict[str, int] = {}
    asked: list[Picture] = []
    for _ in range(count):
        picture = next_picture(PLAN, PICTURES, stars, seed).picture
        assert picture is not None
        asked.append(picture)
        stars[picture.sha256] = stars_of(picture)
    return asked, stars, next_picture(PLAN, PICTURES, stars, seed)


def test_the_first_pictures_are_of_values_that_are_spread_under_one_seed() -> None:
    """With both ends; so each says something about others, and none has the easier seed."""
    asked, _, _ = rate(FIRST)
    assert [one.variant_index for one in asked] == [0, 2, 4, 5, 7]
    assert {one.repeat_index for one in asked} == {0}


def test_later_ones_are_of_what_may_be_best_and_no_picture_is_asked_twice() -> None:
    """The worst values are hardly looked at."""
    asked, _, _ = rate(24)
    assert len({one.sha256 for one in asked}) == 24
    later = [abs(one.variant_index - 5) for one in asked[FIRST:]]
    assert np.mean(later) < 1.6
    assert rate(12)[0] == asked[:12], "the same question gives the same picture"


def test_it_is_said_when_nobody_has_to_rate_any_more_and_not_before() -> None:
    """Without the value: who goes on stays blind."""
    assert rate(FIRST)[2].enough == ""
    enough = rate(36)[2].enough
    assert enough.startswith("one value is ")
    assert enough.endswith(" %"), "as in the sentence of the recommendation"
    assert "100" not in enough, "nothing is certain"


def test_many_seeds_of_two_prompts_do_not_say_that_one_can_stop() -> None:
    """As the recommendation doubts the same stars: under each prompt another value is the best."""
    liked = {"a": (5, 3), "b": (3, 4), "c": (3, 3), "d": (3, 3)}  # stars under each prompt
    pictures = [
        Picture(variant_index=value, repeat_index=repeat, sha256=f"{value}-{repeat}")
        for value in range(len(liked))
        for repeat in range(12)
    ]
    stars = {one.sha256: [*liked.values()][one.variant_index][one.repeat_index % 2] for one in pictures}
    plan = dict(enumerate(liked))
    assert next_picture(plan, pictures, stars, 1).enough, "as seeds of one prompt they would do"
    assert next_picture(plan, pictures, stars, 1, blocks=2).enough == ""


def test_what_is_too_slow_is_hardly_asked_for_and_does_not_keep_anybody_rating() -> None:
    """The best of all is much slower than the fastest; so the best of the fast ones is looked for, and told."""
    seconds = [1.0, 1.0, 1.0, 1.1, 3.0, 3.0, 3.0, 3.0]
    times = [Score(variant_index=at, repeat_index=0, score=one) for at, one in enumerate(seconds)]
    limit = Limit(0.2, times)
    stars: dict[str, int] = {}
    asked: list[int] = []
    for _ in range(24):
        picture = next_picture(PLAN, PICTURES, stars, 1, limit=limit).picture
        assert picture
        asked.append(picture.variant_index)
        stars[picture.sha256] = stars_of(picture, best=6)
    assert max(asked[FIRST:]) < 4
    assert next_picture(PLAN, PICTURES, stars, 1, limit=limit).enough
    assert next_picture(PLAN, PICTURES, stars, 1).picture != next_picture(PLAN, PICTURES, stars, 1, limit=limit).picture


def test_a_picture_that_is_passed_is_not_asked_again() -> None:
    """Another one is; and where all are passed or rated, there is none."""
    _, stars, suggestion = rate(8)
    assert suggestion.picture is not None
    passed = {suggestion.picture.sha256}
    other = next_picture(PLAN, PICTURES, stars, 1, passed).picture
    assert other is not None
    assert other.sha256 not in passed | stars.keys()
    assert next_picture(PLAN, PICTURES, stars, 1, {one.sha256 for one in PICTURES}).picture is None
    assert next_picture({}, [], {}, 1) == Suggestion(None, "")


def test_a_picture_of_two_values_is_rated_once_and_counts_for_both() -> None:
    """So it is no question any more for either."""
    shared = [Picture(variant_index=value, repeat_index=0, sha256="one") for value in (0, 1)]
    assert next_picture(PLAN, shared, {"one": 4}, 1).picture is None
    assert next_picture(PLAN, shared, {}, 1).picture == shared[0]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_pictures_and_ratings_does_not_matter(order: int) -> None:
    """They come page by page."""
    _, stars, suggestion = rate(10)
    turned = dict(list(stars.items())[::order])
    assert next_picture(PLAN, PICTURES[::order], turned, 1) == suggestion


def test_one_picture_of_each_job_comes_before_the_second_of_any() -> None:
    """Those of one job are one look; they are asked for all the same where nothing else is left."""
    pairs = [replace(one, sha256=f"{one.sha256}-{half}") for one in PICTURES[:12] for half in "ab"]
    stars: dict[str, int] = {}
    for _ in range(12):
        picture = next_picture(PLAN, pairs, stars, 1).picture
        assert picture
        stars[picture.sha256] = stars_of(picture)

    assert {name[:-2] for name in stars} == {one.sha256 for one in PICTURES[:12]}
    assert next_picture(PLAN, pairs, stars, 1).picture
