"""From results, ratings and comparisons to what a recommendation is made of."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Variable
from bus.contracts.fields import VariantValue
from bus.transport.steps import complete
from learning_service.experiments.judgements import Picture, Preference, rated_once
from learning_service.experiments.model import Experiment
from learning_service.experiments.space import Axis, Space, space_of
from learning_service.experiments.variants import Variant
from learning_service.recommendation.evidence import PREFERENCE, STARS, Score, star_scores
from learning_service.recommendation.observations import (
    Observations,
    candidates,
    metric_scores,
    objective_of,
    observe,
)
from learning_service.recommendation.obstacles import Reported
from learning_service.storage.judgements import ComparisonRow, Judgements, RatingRow
from learning_service.storage.results import PictureRow, ResultRow, Results, State
from tests.support.factories import EXPERIMENT, definition, image, planned_experiment


def result(
    index: int, repeat: int, state: State = "completed", seconds: float | None = 1.5, **metrics: float
) -> ResultRow:
    """Return how a job ended."""
    return ResultRow(f"exp-1.{index}.{repeat}.0", index, repeat, state, seconds, 13.0, metrics, None)


def picture(name: str, index: int, repeat: int) -> PictureRow:
    """Return a picture of a job."""
    return PictureRow(name, f"exp-1.{index}.{repeat}.0", index, repeat, image(name))


def made(name: str, index: int, repeat: int) -> Picture:
    """Return which job has made a picture."""
    return Picture(variant_index=index, repeat_index=repeat, sha256=name)


def rating(name: str, stars: int | None) -> RatingRow:
    """Return what holds of a picture."""
    return RatingRow(name, stars, "", 5.0)


def scores(*rows: tuple[int, int, float]) -> list[Score]:
    """Return scores by variant and repeat."""
    return [Score(variant_index=index, repeat_index=repeat, score=score) for index, repeat, score in rows]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("stars", "", False)),
        ({"objective": "preference"}, ("preference", "", False)),
        ({"objective": "seconds", "goal": "minimize"}, ("metric", "seconds", True)),
        ({"objective": "seconds"}, ("metric", "seconds", True)),
        ({"objective": "seconds", "goal": "maximize"}, ("metric", "seconds", False)),
        ({"objective": "loss", "goal": "minimize"}, ("metric", "loss", True)),
        ({"objective": "prompt_match"}, ("metric", "prompt_match", False)),
    ],
)
def test_the_objective_is_what_the_definition_says(changes: dict[str, Any], expected: tuple[str, str, bool]) -> None:
    """Stars unless it says something else."""
    objective = objective_of(replace(definition(), **changes))

    assert (objective.kind, objective.name, objective.minimize) == expected
    assert objective_of(definition()) is STARS
    assert objective_of(replace(definition(), objective="preference")) is PREFERENCE


@pytest.mark.fault(item="F107")
def test_a_star_counts_once_for_each_variant_that_made_the_picture() -> None:
    """However many of its jobs did: it is one opinion. One of a picture that is not known counts for none."""
    stars = {"a": 5, "gone": 1, "c": 1}
    pictures = [made("a", 0, 2), made("a", 0, 1), made("a", 1, 0), made("b", 1, 1), made("c", 2, 0), made("d", 2, 1)]

    assert star_scores(rated_once(pictures, stars).values(), stars) == scores((0, 1, 5), (1, 0, 5), (2, 0, 1))


def test_the_pictures_of_one_job_are_one_look() -> None:
    """A batch counts as its mean: otherwise four of one seed would be as sure as four seeds."""
    stars = {"a": 5, "b": 2, "c": 1}
    pictures = [made("a", 0, 0), made("b", 0, 0), made("unrated", 0, 0), made("c", 0, 1)]

    assert star_scores(rated_once(pictures, stars).values(), stars) == scores((0, 0, 3.5), (0, 1, 1))


def test_a_metric_counts_where_a_completed_job_reports_it() -> None:
    """Zero is a number like others."""
    results = [
        result(0, 0, match=0.0),
        result(0, 1, other=3.0),
        result(1, 0, "failed", None, match=9.0),
        result(1, 1, match=-2.5),
    ]

    assert metric_scores(results, "match") == scores((0, 0, 0.0), (1, 1, -2.5))


def test_seconds_are_what_every_completed_job_took() -> None:
    """Unless it reports a metric of that name itself."""
    results = [
        result(0, 0, seconds=0.0),
        result(0, 1, "cancelled", None),
        result(1, 0, seconds=4.0),
        result(1, 1)._replace(metrics={"seconds": 2.0}),
    ]

    assert metric_scores(results, "seconds") == scores((0, 0, 0.0), (1, 0, 4.0), (1, 1, 2.0))


def test_every_value_of_the_plan_is_a_candidate() -> None:
    """Whatever it is: 0, false, a text, a map; with what a job takes under it, if that is known."""
    values: list[VariantValue] = [0, False, "euler", {"cfg": 0, "steps": 4}]
    made = [
        Variant(index=index, value=value, jobs={}, completed=index, duration_sum=3.0 * index)
        for index, value in enumerate(values)
    ]
    plan = replace(definition(), variable=Variable(name="x", values=[0]))

    found = candidates(Experiment(EXPERIMENT, plan, made, created_at=1.0))

    assert [one.value for one in found] == values
    assert [one.seconds for one in found] == [None, 3.0, 3.0, 3.0]


def test_what_a_search_never_tried_is_behind_the_plan() -> None:
    """Each of its values once; those of the plan keep their indices."""
    plan = replace(definition(), variable=Variable(name="x", values=[1, 2, 3, 4]))
    variants = [Variant(index=0, value=3, jobs={}), Variant(index=1, value=1, jobs={})]
    space = space_of(plan)

    found = candidates(Experiment(EXPERIMENT, plan, variants, created_at=1.0), space)

    assert [(one.index, one.value) for one in found] == [(0, 3), (1, 1), (2, 2), (3, 4)]


def test_of_very_many_values_some_are_considered() -> None:
    """All that were tried, and an even spread of the others."""
    space = Space(axes=(Axis(name="x", values=tuple(range(10_000)), ordered=True),))
    tried = {(number,) for number in (1, 5000, 9998)}

    found = space.considered(tried)

    assert tried <= set(found)
    assert 1500 < len(found) <= 2000
    assert max(after - before for (before,), (after,) in pairwise(found)) <= 6
    assert space_of(replace(definition(), variable=Variable(name="x", values=[1, 2]))).considered(()) == [(0,), (1,)]


@pytest.mark.parametrize(
    ("completed", "failed", "cancelled", "has_failed"),
    [(0, 2, 0, True), (0, 1, 1, True), (0, 1, 0, False), (1, 1, 0, False)],
)
def test_a_value_whose_jobs_have_all_failed_is_told(
    completed: int, failed: int, cancelled: int, has_failed: bool
) -> None:
    """Not while one may still end well."""
    variant = Variant(
        index=0, value=1, jobs={"a": "ended", "b": "ended"}, completed=completed, failed=failed, cancelled=cancelled
    )

    (found,) = candidates(Experiment(EXPERIMENT, definition(), [variant], created_at=1.0))

    assert found.has_failed is has_failed


def test_a_hundred_thousand_ratings_are_gathered_at_once() -> None:
    """One pass over the ratings, and one over the pictures."""
    stars = {f"{number:06}": number % 5 + 1 for number in range(100_000)}
    pictures = [made(name, number % 1000, number // 1000) for number, name in enumerate(stars)]
    began = time.process_time()

    found = star_scores(rated_once(pictures, stars).values(), stars)

    assert len(found) == len(stars)
    assert time.process_time() - began < 1


class Stored:
    """Stands in for the tables of results and judgements."""

    def __init__(self, *ratings: RatingRow, comparisons: tuple[ComparisonRow, ...] = ()) -> None:
        """Keep what people have said."""
        self._ratings, self._comparisons = list(ratings), list(comparisons)
        self.read: list[str] = []

    def ratings(self, name: str) -> list[RatingRow]:
        """Return the ratings."""
        self.read.append(f"ratings of {name}")
        return self._ratings

    def comparison_pages(self, name: str) -> Iterator[list[ComparisonRow]]:
        """Yield the comparisons, one at a time."""
        self.read.append(f"comparisons of {name}")
        yield from ([one] for one in self._comparisons)

    def picture_pages(self, name: str) -> Iterator[list[PictureRow]]:
        """Yield two pictures."""
        self.read.append(f"pictures of {name}")
        yield [picture("a", 0, 0)]
        yield [picture("b", 1, 0)]

    def pages(self, name: str) -> Iterator[list[ResultRow]]:
        """Yield two results."""
        self.read.append(f"results of {name}")
        yield [result(0, 0, match=0.5)]
        yield [result(1, 0, match=0.25)]


def observed(stored: Stored, **changes: Any) -> Observations:
    """Return what is gathered for the example experiment with another objective."""
    experiment = planned_experiment()
    experiment.definition = replace(experiment.definition, **changes)
    return complete(observe(experiment, cast("Results", stored), cast("Judgements", stored)))


def test_stars_are_gathered_of_the_pictures() -> None:
    """Without a rating the pictures are not even read."""
    stored, unrated = Stored(rating("b", 4)), Stored()

    assert observed(stored).seen == scores((1, 0, 4.0))
    assert stored.read == ["ratings of exp-1", "pictures of exp-1"]
    assert observed(unrated) == Observations([], candidates(planned_experiment()), STARS, Reported(0, [], level=0))
    assert unrated.read == ["ratings of exp-1"]


def test_a_metric_is_gathered_of_the_results() -> None:
    """And nothing else is read."""
    stored = Stored()

    assert observed(stored, objective="match").seen == scores((0, 0, 0.5), (1, 0, 0.25))
    assert stored.read == ["results of exp-1"]


def test_comparisons_count_where_both_values_are_in_the_plan() -> None:
    """A plan that was read from an older file may lack one."""

    def comparison(left: int, right: int) -> ComparisonRow:
        sides = (Picture(variant_index=index, repeat_index=0, sha256="a") for index in (left, right))
        return ComparisonRow(Preference(left=next(sides), right=next(sides), outcome="left"), compared_at=5.0)

    stored = Stored(comparisons=(comparison(0, 1), comparison(0, 7)))

    assert observed(stored, objective="preference").seen == [comparison(0, 1).preference]


def test_times_are_gathered_where_they_are_limited() -> None:
    """Besides what decides; else nobody needs them."""
    stored = Stored(rating("b", 4))
    found = observed(stored, within="20%")
    assert found.objective.within == 0.2
    assert [(one.variant_index, one.repeat_index) for one in found.times] == [(0, 0), (1, 0)]
    assert stored.read[0] == "results of exp-1"
    assert found.seen == observed(Stored(rating("b", 4))).seen
