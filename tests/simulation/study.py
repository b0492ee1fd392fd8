"""What the recommendation is worth: are its probabilities true, and how soon does it find a good value?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.evidence import PREFERENCE, STARS, Score
from learning_service.recommendation.pairs import next_pair
from learning_service.recommendation.recommend import STARS_MARGIN, Recommendation, recommend
from learning_service.recommendation.scores import STARS_NOISE, fit_scores
from learning_service.recommendation.verdict import Verdict, decide
from tests.simulation.worlds import SEED_DEVIATIONS, SEEDS, SHAPES, VALUES, World, make_world

CHECKPOINTS: Final = (6, 12, 18, 24, 36, 48, 72, 96)  # ratings
LOOKED_AHEAD: Final = (24, 36)  # ratings after which it is tried what so many more as are said would decide
COMPARISONS: Final = (8, 16, 24, 36, 48)
ALL: Final = "all with a difference"
HARD: Final = "of these, where seeds differ most"
BINS: Final = np.linspace(0, 1, 11)


@dataclass
class Calibration:
    """Stated probabilities beside what was true."""

    stated: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def add(self, stated: float, true: float) -> None:
        """Record a statement, and whether it was true (a share of 1, where several values share a first place)."""
        self.stated.append(stated)
        self.true.append(true)

    def table(self) -> list[tuple[float, float, int]]:
        """Return for each tenth what was stated and true on average, and of how many statements."""
        stated, true = np.array(self.stated), np.array(self.true)
        tenth = np.clip(np.digitize(stated, BINS) - 1, 0, len(BINS) - 2)
        return [
            (float(stated[tenth == one].mean()), float(true[tenth == one].mean()), int((tenth == one).sum()))
            for one in range(len(BINS) - 1)
            if (tenth == one).any()
        ]

    @property
    def error(self) -> float:
        """The expected calibration error: by how much the two columns differ, on average over all statements."""
        rows = self.table()
        return sum(abs(stated - true) * count for stated, true, count in rows) / max(1, sum(row[2] for row in rows))


@dataclass
class Pace:
    """How often each of two ways has found a value within the margin of the best, after so many observations."""

    ours: dict[int, list[bool]] = field(default_factory=dict)
    plain: dict[int, list[bool]] = field(default_factory=dict)

    def add(self, count: int, ours: bool, plain: bool) -> None:
        """Record the result of one run."""
        self.ours.setdefault(count, []).append(ours)
        self.plain.setdefault(count, []).append(plain)

    def rows(self) -> list[tuple[int, float, float]]:
        """Return both shares by number of observations."""
        return [(count, float(np.mean(self.ours[count])), float(np.mean(self.plain[count]))) for count in self.ours]

    def needed(self, share: float) -> tuple[float, float]:
        """Return how many observations each way needs to be right this often; nan where all are not enough."""
        counts = list(self.ours)
        return (
            _crossing(counts, [float(np.mean(found)) for found in self.ours.values()], share),
            _crossing(counts, [float(np.mean(found)) for found in self.plain.values()], share),
        )


@dataclass
class Study:
    """All figures of a simulation."""

    best: Calibration = field(default_factory=Calibration)  # "x % that it is best", of every value; one is best
    tied: Calibration = field(default_factory=Calibration)  # the same, where several are exactly equal
    chosen: Calibration = field(default_factory=Calibration)  # of the recommended value; one is best
    pace: dict[str, Pace] = field(default_factory=dict)  # by shape, and all that have a difference
    strong: list[bool] = field(default_factory=list)  # within the margin? where there is a difference
    decided: list[bool] = field(default_factory=list)  # were so many more observations as were said enough?
    tiers: dict[str, list[str]] = field(default_factory=dict)  # at the end, by shape

    def add_pace(self, world: World, count: int, ours: bool, plain: bool) -> None:
        """Record the result, for the shape and for all."""
        names = [world.shape]
        if world.shape != "no difference":
            names += [ALL, HARD] if world.seed_deviation == max(SEED_DEVIATIONS) else [ALL]
        for name in names:
            self.pace.setdefault(name, Pace()).add(count, ours, plain)


def study_stars(runs: int, seed: int) -> Study:
    """Let people rate pictures in any order, and look at what is recommended on the way."""
    study = Study()
    for world, random in _worlds(runs, seed):
        order = random.permutation(VALUES * SEEDS)
        scores = [world.score(int(place) // SEEDS, int(place) % SEEDS) for place in order]
        for count in CHECKPOINTS:
            answer = recommend(scores[:count], world.candidates, STARS, "x")
            _note(study, world, answer, count, _plain_best(scores[:count]))
            if count in LOOKED_AHEAD:
                _look_ahead(study, world, scores[:count])
        study.tiers.setdefault(world.shape, []).append(answer.tier)
    return study


def study_preferences(runs: int, seed: int) -> Study:
    """Ask for preferences, by our choice of pairs and by chance, which stands in for the plain way."""
    study = Study()
    for world, random in _worlds(runs, seed):
        ours: list[Preference] = []
        chance: list[Preference] = []
        for count in range(1, COMPARISONS[-1] + 1):
            pair = next_pair(world.pictures, ours, seed)
            assert pair
            ours.append(world.prefer(pair.left, pair.right))
            chance.append(_by_chance(world, random))
            if count in COMPARISONS:
                other = recommend(chance, world.candidates, PREFERENCE, "x")
                answer = recommend(ours, world.candidates, PREFERENCE, "x")
                _note(study, world, answer, count, _likeliest(other))
        study.tiers.setdefault(world.shape, []).append(answer.tier)
    return study


def _worlds(runs: int, seed: int) -> Iterator[tuple[World, np.random.Generator]]:
    """Yield so many experiments of each shape, each from a random stream of its own."""
    for run in range(runs):
        for place, shape in enumerate(SHAPES):
            random = np.random.default_rng([seed, run, place])
            yield make_world(random, shape), random


def _note(study: Study, world: World, answer: Recommendation, count: int, plain: int) -> None:
    """Compare an answer with the truth."""
    tested = [place for place, one in enumerate(answer.estimates) if one.p_best is not None]
    if not tested:
        return
    true = world.is_best(tested)
    single = world.is_best(list(range(VALUES))).max() == 1
    for place, best in zip(tested, true, strict=True):
        (study.best if single else study.tied).add(answer.estimates[place].p_best or 0.0, float(best))
    if answer.value is not None and single:
        study.chosen.add(answer.p_best or 0.0, float(true[tested.index(_place(answer.value))]))
    ours = _likeliest(answer)
    study.add_pace(world, count, _is_good(world, ours), _is_good(world, plain))
    if answer.tier == "strong" and world.shape != "no difference":
        study.strong.append(bool(world.truth[ours] >= world.truth[tested].max() - STARS_MARGIN))


def _look_ahead(study: Study, world: World, scores: list[Score]) -> None:
    """Rate as many more pictures of what contends as is said would decide, and note whether it is decided."""
    if len({one.variant_index for one in scores}) < VALUES:
        return
    verdict = _verdict(scores)
    contending = (*verdict.named, *verdict.open)
    rated = {(one.variant_index, one.repeat_index) for one in scores}
    left = [
        (value, seed) for seed in range(SEEDS) for value in sorted(contending) if (value, seed) not in rated
    ]  # seed by seed, so that the contenders are compared under the same ones
    if verdict.tier == "some" and verdict.more is not None and verdict.more <= len(left):
        more = [world.score(value, seed) for value, seed in left[: verdict.more]]
        study.decided.append(_verdict([*scores, *more]).tier == "strong")


def _verdict(scores: list[Score]) -> Verdict:
    """Decide without words; every value has a score."""
    values = np.array([one.variant_index for one in scores])
    seeds = np.unique([one.repeat_index for one in scores], return_inverse=True)[1]
    posterior = fit_scores(values, seeds, np.array([one.score for one in scores]), STARS_NOISE)
    counts = np.bincount(values).astype(np.float64)
    return decide(posterior, counts, np.full(len(counts), np.nan), STARS_MARGIN / posterior.unit)


def _place(value: object) -> int:
    assert isinstance(value, int)
    return value


def _is_good(world: World, value: int) -> bool:
    return bool(world.truth[value] >= world.truth.max() - STARS_MARGIN)


def _likeliest(answer: Recommendation) -> int:
    """Return the value that leads, if there is a recommendation yet or not."""
    means = [-np.inf if one.mean is None else one.mean for one in answer.estimates]
    return int(np.argmax(means))


def _plain_best(scores: list[Score]) -> int:
    """Return the value with the highest plain mean."""
    values = np.array([one.variant_index for one in scores])
    sums = np.bincount(values, [one.score for one in scores], VALUES)
    counts = np.bincount(values, minlength=VALUES)
    return int(np.argmax(np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)))


def _by_chance(world: World, random: np.random.Generator) -> Preference:
    """Compare two values under one seed, all drawn."""
    one, other = random.choice(VALUES, 2, replace=False)
    seed = int(random.integers(SEEDS))
    pictures = world.pictures
    return world.prefer(pictures[int(one) * SEEDS + seed], pictures[int(other) * SEEDS + seed])


def _crossing(counts: list[int], shares: list[float], share: float) -> float:
    """Return where a rising line first reaches a share."""
    for place, reached in enumerate(shares):
        if reached >= share:
            if place == 0:
                return float(counts[0])
            part = (share - shares[place - 1]) / (reached - shares[place - 1])
            return counts[place - 1] + part * (counts[place] - counts[place - 1])
    return float("nan")
