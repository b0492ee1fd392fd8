"""What a search waits for: the runners, and people who rate or compare."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from learning_service.experiments.judgements import Picture
from learning_service.recommendation.evidence import PREFERENCE, STARS, Objective
from learning_service.recommendation.pairs import next_pair
from learning_service.search.situation import (
    AHEAD,
    can_be_compared,
    nothing_to_compare,
    room_for,
    unjudged_pictures,
    waits_text,
)

METRIC: Final = Objective(kind="metric", name="score")


def pictures_of(*made: tuple[int, int, str]) -> list[Picture]:
    """Return pictures from triples of variant, seed and hash."""
    return [Picture(variant_index=index, repeat_index=repeat, sha256=name) for index, repeat, name in made]


def test_a_person_finds_a_few_pictures_and_no_more_are_made_before_these_are_rated() -> None:
    """Of a metric only the workers count; there is always one job on its way."""
    metric = METRIC
    assert [room_for(metric, workers, 1, 0) for workers in (0, 1, 4)] == [0, 0, 3]
    assert room_for(metric, 0, 0, 0) == 1
    assert room_for(STARS, 8, 0, 0) == AHEAD
    assert room_for(STARS, 8, 1, AHEAD - 1) == 0
    assert room_for(PREFERENCE, 8, 0, AHEAD + 3) == 0


def test_jobs_of_a_runner_that_is_away_keep_no_other_one_idle() -> None:
    """They are no picture that a person finds soon either; where no runner answers nothing more is planned."""
    assert room_for(METRIC, 2, 5, 0, stranded=5) == 2
    assert room_for(METRIC, 2, 6, 0, stranded=5) == 1
    assert room_for(STARS, 8, AHEAD, 0, stranded=AHEAD) == AHEAD
    assert room_for(METRIC, 0, 1, 0, stranded=1) == 0


def test_people_are_asked_for_stars_of_each_picture_or_as_many_comparisons() -> None:
    """The same picture of two values is one to rate, and two to compare."""
    pictures = pictures_of((0, 0, "0"), (0, 1, "1"), (1, 0, "2"))
    assert unjudged_pictures(STARS, pictures, {"0"}, 0) == 2
    assert unjudged_pictures(PREFERENCE, pictures, (), 1) == 2
    assert unjudged_pictures(PREFERENCE, pictures, (), 9) == 0
    assert unjudged_pictures(PREFERENCE, pictures[:2], (), 0) == 0
    assert unjudged_pictures(PREFERENCE, pictures_of((0, 0, "0"), (1, 0, "0")), (), 0) == 0, "none can be compared"
    assert unjudged_pictures(METRIC, pictures, (), 0) == 0
    assert waits_text(STARS, 2) == "waits for ratings of 2 pictures"
    assert waits_text(PREFERENCE, 1) == "waits for 1 comparison"
    assert waits_text(STARS, 0) == ""


def test_a_job_with_several_pictures_waits_for_the_stars_of_one() -> None:
    """A search would stand still for a batch that nobody wants to rate as a whole."""
    batches = pictures_of((0, 0, "a"), (0, 0, "b"), (1, 0, "c"), (1, 0, "d"))
    assert unjudged_pictures(STARS, batches, (), 0) == 2
    assert unjudged_pictures(STARS, batches, {"b"}, 0) == 1
    assert unjudged_pictures(STARS, batches, {"b", "c", "d"}, 0) == 0
    assert unjudged_pictures(PREFERENCE, batches, (), 0) == 2
    assert unjudged_pictures(PREFERENCE, batches, (), 1) == 1


@settings(max_examples=60, deadline=None)
@given(made=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from("ab")), max_size=6))
def test_nobody_is_waited_for_where_there_is_no_pair_to_compare(made: list[tuple[int, int, str]]) -> None:
    """Such as where all values give the same picture."""
    pictures = pictures_of(*made)
    pair = next_pair({0: 1, 1: 2, 2: 3}, pictures, [], 0)
    assert can_be_compared(pictures) == (pair is not None)


def test_why_nobody_can_compare_is_told_where_comparisons_decide() -> None:
    """Of equal pictures; not of different ones, nor where something else decides."""
    equal = [Picture(variant_index=index, repeat_index=0, sha256="a") for index in range(2)]
    other = [*equal, Picture(variant_index=2, repeat_index=0, sha256="b")]

    assert nothing_to_compare(PREFERENCE, equal) == "no two values have pictures that differ"
    assert nothing_to_compare(PREFERENCE, other) == ""
    assert nothing_to_compare(STARS, equal) == ""
