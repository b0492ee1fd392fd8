"""What the sampler proposes: nothing that was tried, and the same again for the same observations."""

import random

from bus.contracts.messages import ExperimentDefinition, Variable
from learning_service.experiments.space import Point, Space, space_of
from learning_service.search.propose import propose

LINE = space_of(ExperimentDefinition(name="x", variable=Variable(name="steps", start=1, stop=30, step=1)))
TEXTS = [f"sampler {number}" for number in range(6)]
GRID = space_of(
    ExperimentDefinition(
        name="x", variables=(Variable(name="sampler", values=[*TEXTS]), Variable(name="steps", start=1, stop=6, step=1))
    )
)


def seen(space: Space, count: int) -> dict[Point, float]:
    """Return scores of some points, which are better the nearer they are to the last one."""
    points = random.Random(1).sample(list(space.points()), count)  # noqa: S311 - the same each time
    return {point: float(sum(point)) for point in points}


def test_only_untried_points_of_the_space_are_proposed() -> None:
    """Each at most once."""
    for space in (LINE, GRID):
        scores = seen(space, 12)
        found = propose(space, scores, scores, 3, seed=1)
        assert len(found) == len(set(found)) == 3
        assert not set(found) & set(scores)
        assert set(found) <= set(space.points())


def test_the_same_observations_give_the_same_proposals_in_whatever_order() -> None:
    """Only the seed leaves something to chance."""
    scores = seen(LINE, 6)
    turned = dict(reversed(scores.items()))
    assert propose(LINE, scores, scores, 3, seed=5) == propose(LINE, turned, turned, 3, seed=5)
    assert any(
        propose(LINE, scores, scores, 3, seed=seed) != propose(LINE, scores, scores, 3, seed=5) for seed in (6, 7)
    )


def test_proposals_lie_where_scores_are_high() -> None:
    """Most of them are in the better half."""
    scores: dict[Point, float] = {(place,): float(place) for place in range(0, 30, 3)}
    found = [point for seed in range(20) for point in propose(LINE, scores, scores, 1, seed=seed)]
    assert sum(place >= 15 for (place,) in found) > len(found) / 2


def test_a_space_in_which_all_was_tried_has_nothing_to_propose() -> None:
    """It ends all the same."""
    scores = seen(LINE, 30)
    assert propose(LINE, scores, scores, 2, seed=1) == []
