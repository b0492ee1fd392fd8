"""How much processor time an answer takes, on one core."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from bus.contracts.definition import ExperimentDefinition, Variable
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.space import space_of
from learning_service.recommendation.evidence import PREFERENCE, STARS, Candidate, Objective, Score
from learning_service.recommendation.pairs import next_pair
from learning_service.recommendation.recommend import recommend
from learning_service.search.policy import decide
from learning_service.search.situation import Situation
from tests.simulation.answering import by_chance
from tests.simulation.figures import table
from tests.simulation.worlds import make_world

SIZES: Final = ((8, 12), (25, 4), (64, 20), (1000, 10), (1000, 100))  # values x seeds, each once
GRIDS: Final = ((4, 4, 4), (3, 3, 3, 3, 3, 3), (10, 10, 10))
GRID_SEEDS: Final = 4
METRIC: Final = Objective(kind="metric", name="score")
TIMES: Final = 5
COMPARISONS: Final = 30
MANY: Final = 1000  # comparisons, of as many values
MILLION: Final = 10  # values of each of six variables
TRIED: Final = 80  # of these combinations


def report(times: int = TIMES) -> str:
    """Return a table of medians."""
    rows = [(f"{values} values x {seeds} seeds", _text(_answer(values, seeds), times)) for values, seeds in SIZES]
    rows += [
        (f"{' x '.join(map(str, sizes))} values x {GRID_SEEDS} seeds", _text(_grid(sizes, GRID_SEEDS), times))
        for sizes in GRIDS
    ]
    rows.append(("100,000 ratings of 50 values x 256 seeds", _text(_ratings(), times)))
    random = np.random.default_rng(1)
    world = make_world(random, "one peak", "8", "preference")
    seen = [by_chance(world, random) for _ in range(COMPARISONS)]
    pictures, values = world.pictures(), {one.index: one.value for one in world.candidates}
    rows.append(
        (
            f"{COMPARISONS} comparisons of 8 values",
            _text(lambda: recommend(seen, world.candidates, PREFERENCE, "x"), times),
        )
    )
    rows.append(("the next pair after these", _text(lambda: next_pair(values, pictures, seen, 1), times)))
    rows.append((f"{MANY:,} comparisons of {MANY:,} values", _text(_many_comparisons(), times)))
    rows.append((f"the next job among {MILLION**6:,} combinations, after {TRIED} results", _text(_next_job(), times)))
    return table("Speed", ("what", "median"), rows)


def _answer(values: int, seeds: int) -> Callable[[], object]:
    random = np.random.default_rng([values, seeds])
    looks = (
        np.linspace(0, 1, values)[:, None] + 0.2 * random.normal(size=seeds) + 0.1 * random.normal(size=(values, seeds))
    )
    scores = [
        Score(variant_index=value, repeat_index=seed, score=float(looks[value, seed]))
        for value in range(values)
        for seed in range(seeds)
    ]
    plan = [Candidate(index=value, value=value) for value in range(values)]
    return lambda: recommend(scores, plan, METRIC, "x")


def _grid(sizes: Sequence[int], seeds: int) -> Callable[[], object]:
    """Return the answer of several variables: the first two depend on each other, the others do nothing."""
    random = np.random.default_rng([*sizes, seeds])
    points = list(np.ndindex(*sizes))
    scores = [
        Score(variant_index=at, repeat_index=seed, score=float(-((one[0] - one[1] / 2) ** 2) + random.normal()))
        for at, one in enumerate(points)
        for seed in range(seeds)
    ]
    plan = [Candidate(index=at, value=dict(zip("abcdef", one, strict=False))) for at, one in enumerate(points)]
    return lambda: recommend(scores, plan, METRIC, "x")


def _many_comparisons() -> Callable[[], object]:
    random = np.random.default_rng(1)
    seen = []
    for _ in range(MANY):
        one, other = (
            Picture(variant_index=int(value), repeat_index=0, sha256=f"{value}")
            for value in random.choice(MANY, 2, replace=False)
        )
        wins = one.variant_index + 100 * random.normal() > other.variant_index
        seen.append(Preference(left=one, right=other, outcome="left" if wins else "right"))
    plan = [Candidate(index=value, value=value) for value in range(MANY)]
    return lambda: recommend(seen, plan, PREFERENCE, "x")


def _next_job() -> Callable[[], object]:
    """Return what a search thinks before a job: the first two of six variables matter, the others do nothing."""
    random = np.random.default_rng(1)
    knobs = tuple(Variable(name=name, values=[*range(MILLION)]) for name in "abcdef")
    definition = ExperimentDefinition(name="x", variables=knobs, objective="score", mode="adaptive", budget=1000)
    points = dict(enumerate(map(tuple, random.integers(MILLION, size=(TRIED, len(knobs))).tolist())))
    scores = [
        Score(variant_index=at, repeat_index=0, score=float(-((one[0] - one[1] / 2) ** 2) + random.normal()))
        for at, one in points.items()
    ]
    now = Situation(
        experiment_id="x",
        definition=definition,
        space=space_of(definition),
        objective=METRIC,
        points=points,
        planned=dict.fromkeys(points.values(), frozenset({0})),
        seen=scores,
        spent=TRIED,
    )
    return lambda: decide(now)


def _ratings() -> Callable[[], object]:
    random = np.random.default_rng(1)
    scores = [
        Score(variant_index=int(value), repeat_index=int(seed), score=float(stars))
        for value, seed, stars in zip(
            random.integers(50, size=100_000),
            random.integers(256, size=100_000),
            random.integers(1, 6, 100_000),
            strict=True,
        )
    ]
    plan = [Candidate(index=value, value=value) for value in range(50)]
    return lambda: recommend(scores, plan, STARS, "x")


def _text(call: Callable[[], object], times: int) -> str:
    call()  # what is imported and cached once is not the time of an answer
    taken = []
    for _ in range(times):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    median = float(np.median(taken))
    return f"{median:.2f} s" if median >= 1 else f"{1000 * median:.1f} ms"
