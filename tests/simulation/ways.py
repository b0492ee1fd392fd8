"""Ways to find the best value job by job: what is asked for next. The answer is always that of our recommendation.

To answer by the same model is kind to the other ways: their own answer would be the best single job.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from learning_service.recommendation.evidence import Score
from learning_service.recommendation.observations import objective_of
from learning_service.recommendation.recommend import Recommendation, recommend
from tests.simulation.worlds import World

COARSE_SEEDS: Final = 2  # of each value on a grid


class Job(NamedTuple):
    """A value, as a place among all, and a seed."""

    value: int
    seed: int


class Way(Protocol):
    """A way to search. It is asked for the next job, told its score, and asked again, until it stops by itself."""

    stopped: str  # why it has ended by itself, or ""

    def ask(self) -> Job | None:
        """Return the next job, or nil if it has stopped."""

    def tell(self, score: Score) -> None:
        """Take the score of the job that was asked for last."""


MakeWay: TypeAlias = Callable[[World, int], Way]  # of a world and the number of jobs that there are


class Coarse:
    """As many values as there are jobs for, evenly spaced on each axis, with two seeds each."""

    stopped = ""

    def __init__(self, world: World, jobs: int) -> None:
        """Lay out the grid."""
        sizes = [len(axis.values) for axis in world.space.axes]
        side = int((jobs // COARSE_SEEDS) ** (1 / len(sizes)) + 1e-9)
        rows = [np.unique(np.round(np.linspace(0, size - 1, min(size, side))).astype(int)) for size in sizes]
        grid = np.ravel_multi_index(np.meshgrid(*rows, indexing="ij"), sizes).ravel()
        self._jobs = [Job(int(value), seed) for seed in range(COARSE_SEEDS) for value in grid][:jobs]

    def ask(self) -> Job | None:
        """Return the next of the grid."""
        return self._jobs.pop(0) if self._jobs else None

    def tell(self, score: Score) -> None:
        """Learn nothing."""


class Chance:
    """Values in random order, all of them under one seed before the next seed."""

    stopped = ""

    def __init__(self, world: World, jobs: int) -> None:
        """Draw the order."""
        random = np.random.default_rng([world.size, jobs])
        seeds = range(-(-jobs // world.size))
        self._jobs = [Job(int(value), seed) for seed in seeds for value in random.permutation(world.size)]

    def ask(self) -> Job | None:
        """Return the next of the order."""
        return self._jobs.pop(0) if self._jobs else None

    def tell(self, score: Score) -> None:
        """Learn nothing."""


def answer_to(world: World, scores: Sequence[Score]) -> Recommendation:
    """Return our recommendation from these scores."""
    return recommend(scores, world.candidates, objective_of(world.definition), "x")


def chosen_by(world: World, answer: Recommendation) -> int | None:
    """Return the value that is recommended, or else has the best mean."""
    find = {str(one.value): one.index for one in world.candidates}
    if answer.value is not None:
        return find[str(answer.value)]
    known = [one for one in answer.estimates if one.mean is not None]
    return find[str(max(known, key=lambda one: one.mean or 0.0).value)] if known else None
