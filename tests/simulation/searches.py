"""What an adaptive search is worth: jobs and values found, beside those of the whole grid.

.venv/bin/python -m tests.simulation.searches --runs 50
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click
import numpy as np
from click import echo
from msgspec.structs import asdict

from bus.contracts.messages import ExperimentDefinition, RecommendationUpdated, Variable, VariantValue
from learning_service.experiments.model import SearchState
from learning_service.experiments.space import Space, first_round, space_of
from learning_service.recommendation.evidence import Candidate, Score
from learning_service.recommendation.observations import objective_of
from learning_service.recommendation.recommend import METRIC_MARGIN, recommend
from learning_service.search.policy import More, Propose, Situation, decide
from learning_service.search.propose import propose
from tests.simulation.shapes import Array

VALUES: Final = 25
SIDE: Final = 8  # of a grid of two variables
SEEDS: Final = 2
LOOKS: Final = 64  # seeds for which a score is drawn; a search never gets as far
NOISES: Final = (0.02, 0.05, 0.1)  # of a score between 0 and about 1
SEED_DEVIATION: Final = 0.2
Scored = Callable[[int, int, VariantValue], float | None]  # variant and repeat -> score, nil where the job failed


@dataclass(frozen=True)
class Found:
    """How a search has ended."""

    state: str
    reason: str
    jobs: int
    values: tuple[VariantValue, ...]  # that were tried, in order
    value: VariantValue | None  # that is recommended, or else has the best mean
    rounds: tuple[More, ...]


def search(definition: ExperimentDefinition, score: Scored, proposer: Propose = propose) -> Found:
    """Run an adaptive experiment, as the service does, on made-up scores."""
    space = space_of(definition)
    find = space.finder()
    seeds = dict.fromkeys(range(len(first_round(space))), definition.jobs_per_variant)
    values = list(first_round(space))
    rounds: list[More] = []
    while True:
        answer = answer_of(definition, values, seeds, score)
        tried = {point: seeds[at] for at, value in enumerate(values) if (point := find(value)) is not None}
        spent = sum(seeds.values())
        situation = Situation(
            experiment_id=definition.name, definition=definition, space=space, tried=tried, spent=spent, answer=answer
        )
        decision = decide(situation, proposer)
        if isinstance(decision, SearchState):
            return Found(*decision, spent, tuple(values), best_of(answer), tuple(rounds))
        rounds.append(decision)
        for value in decision.values:
            if value not in values:
                values.append(value)
            at = values.index(value)
            seeds[at] = max(seeds.get(at, 0), decision.seeds)


def answer_of(
    definition: ExperimentDefinition, values: Sequence[VariantValue], seeds: Mapping[int, int], score: Scored
) -> RecommendationUpdated | None:
    """Make the recommendation from what was seen so far."""
    scores = [
        Score(variant_index=at, repeat_index=repeat, score=one)
        for at, value in enumerate(values)
        for repeat in range(seeds[at])
        if (one := score(at, repeat, value)) is not None
    ]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    made = recommend(scores, plan, objective_of(definition), definition.variable_name)
    return RecommendationUpdated(experiment_id=definition.name, **asdict(made))


def best_of(answer: RecommendationUpdated | None) -> VariantValue | None:
    """Return what is recommended, or else has the best mean."""
    if answer is None or answer.value is not None:
        return answer.value if answer else None
    known = [one for one in answer.estimates if one.mean is not None]
    return max(known, key=lambda one: one.mean or 0.0).value if known else None


# made-up objectives over the places of a range, or of a grid


def peak(random: np.random.Generator, axes: list[Array]) -> Array:
    """One best value anywhere, narrow or wide."""
    return np.exp(-sum(((axis - random.uniform()) / random.uniform(0.1, 0.5)) ** 2 for axis in axes) / 2)


def slope(random: np.random.Generator, axes: list[Array]) -> Array:
    """The best value is an end."""
    return np.asarray(sum(axis if random.random() < 0.5 else 1 - axis for axis in axes) / len(axes))


def plateau(random: np.random.Generator, axes: list[Array]) -> Array:
    """Several values are equally good."""
    far = [np.maximum(0, np.abs(axis - random.uniform(0.2, 0.8)) - random.uniform(0.05, 0.2)) for axis in axes]
    return np.asarray(1 - sum(far))


def two_peaks(random: np.random.Generator, axes: list[Array]) -> Array:
    """Two good regions, of which one is better."""
    first, second = (np.exp(-sum(((axis - random.uniform()) / 0.12) ** 2 for axis in axes) / 2) for _ in range(2))
    return np.asarray(np.maximum(first, second * (1 - random.uniform(0.1, 0.4))))


SHAPES: Final = {"peak": peak, "slope": slope, "plateau": plateau, "two peaks": two_peaks}


@dataclass(frozen=True)
class World:
    """An objective whose best value is known."""

    space: Space
    truth: Array
    looks: Array  # values x seeds
    noise: float

    def score(self, _index: int, repeat: int, value: VariantValue) -> float:
        """Return what a job measures."""
        return float(self.looks[(*self._place(value), repeat)])

    def is_good(self, value: VariantValue | None) -> bool:
        """Return whether a value is worse than the best by no more than the margin of the recommendation."""
        return value is not None and bool(
            self.truth.max() - self.truth[self._place(value)] <= METRIC_MARGIN * self.noise
        )

    def _place(self, value: VariantValue) -> tuple[int, ...]:
        place = self.space.finder()(value)
        assert place is not None
        return place


def make_world(random: np.random.Generator, shape: str, space: Space) -> World:
    """Draw an objective; each seed is easier or harder under all values."""
    sizes = [len(axis.values) for axis in space.axes]
    axes = list(np.meshgrid(*(np.linspace(0, 1, size) for size in sizes), indexing="ij"))
    truth = SHAPES[shape](random, axes)
    noise = float(random.choice(NOISES))
    levels = truth[..., None] + SEED_DEVIATION * random.normal(size=LOOKS)
    return World(space, truth, levels + noise * random.normal(size=levels.shape), noise)


def plan(name: str, budget: int, *, grid: bool) -> ExperimentDefinition:
    """Return the experiment: a range, or a grid of two."""
    side = [Variable(name=one, start=1, stop=SIDE, step=1) for one in ("x", "y")]
    return ExperimentDefinition(
        name=name,
        variable=None if grid else Variable(name="x", start=1, stop=VALUES, step=1),
        variables=tuple(side) if grid else (),
        jobs_per_variant=SEEDS,
        objective="score",
        mode="adaptive",
        budget=budget,
    )


def study(runs: int, shape: str, share: float, *, grid: bool) -> tuple[float, float, float]:
    """Return the mean jobs of a search whose budget is a share of the whole grid's jobs, and how often each found."""
    values = SIDE**2 if grid else VALUES
    jobs: list[int] = []
    ours: list[bool] = []
    whole: list[bool] = []
    for run in range(runs):
        definition = plan(f"{shape} {run}", int(values * SEEDS * share), grid=grid)
        world = make_world(np.random.default_rng([run, len(shape), grid]), shape, space_of(definition))
        found = search(definition, world.score)
        jobs.append(found.jobs)
        ours.append(world.is_good(found.value))
        everything = [world.space.value(point) for point in world.space.points()]
        seeds = dict.fromkeys(range(len(everything)), SEEDS)
        whole.append(world.is_good(best_of(answer_of(definition, everything, seeds, world.score))))
    return float(np.mean(jobs)), float(np.mean(ours)), float(np.mean(whole))


@click.command()
@click.option("--runs", default=50, show_default=True, help="Objectives of each shape.")
def main(runs: int) -> None:
    """Search for the best of made-up objectives, and compare it with what the whole grid would have found."""
    for grid in (False, True):
        whole = (SIDE**2 if grid else VALUES) * SEEDS
        echo(f"\n{'Grid of two variables' if grid else 'One variable'}, {whole} jobs for all values\n")
        echo("| objective | budget | jobs used | found | whole grid found |\n|---|---|---|---|---|")
        for shape in SHAPES:
            for share in (0.5, 1.0):
                jobs, ours, all_ = study(runs, shape, share, grid=grid)
                echo(f"| {shape} | {int(whole * share)} | {jobs:.0f} | {ours:.0%} | {all_:.0%} |")


if __name__ == "__main__":
    main()
