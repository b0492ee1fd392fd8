"""Made-up experiments in which the best value is known: what their jobs measure, and the person who rates them."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import numpy as np
from scipy.special import ndtr

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.messages import Outcome
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.space import Axis, Space, space_of
from learning_service.recommendation.evidence import STARS_MAX, STARS_MIN, Candidate, Score
from learning_service.recommendation.recommend import METRIC_MARGIN, STARS_MARGIN
from tests.simulation.shapes import KINDS, Array, Random, flat

Layout: TypeAlias = Literal["8", "25", "25 uneven", "8 x 8", "4 x 4 x 4", "3 x 3 x 3 x 3"]
Scale: TypeAlias = Literal["metric", "stars", "preference"]
SEEDS: Final = 64  # for which a score is drawn; no search gets as far
RATED_SEEDS: Final = 12  # pictures of each value that are there to be rated
NOISES: Final = (0.02, 0.05, 0.1)  # of a metric between 0 and about 1
SEED_DEVIATION: Final = 0.2  # how much easier or harder one seed is than another
STAR_NOISES: Final = (0.4, 0.7, 1.0)  # standard deviations, in stars
STAR_SEED_DEVIATIONS: Final = (0.0, 0.5, 1.0)
STAR_RANGE: Final = (1.0, 3.0)  # stars between the best and the worst value, where a shape does not say it itself
TIE_STARS: Final = 0.4  # pictures that differ by less are called equal
WILD: Final = 0.1  # of the scores, in a wild world
WILD_FREEDOM: Final = 2.0  # of the Student's t distribution of wild metrics
WILD_DEVIATIONS: Final = 5.0  # of the noise, that wild metrics are scaled by
OBJECTIVES: Final[dict[Scale, str]] = {"metric": "score", "stars": "stars", "preference": "preference"}


@dataclass(frozen=True)
class World:
    """An experiment whose truth is known. A value is the place of its point, the last axis changing fastest."""

    kind: str
    scale: Scale
    definition: ExperimentDefinition
    space: Space
    truth: Array  # by value: the score that is expected over all seeds
    levels: Array  # values x seeds: the score that is expected under a seed
    looks: Array  # values x seeds: what is measured, or how much a picture is liked; a second look says it again
    noise: float
    margin: float  # what a value may be worse than the best, and still is a good one
    wild: bool

    @cached_property
    def candidates(self) -> list[Candidate]:
        """All values of the plan."""
        return [Candidate(index=at, value=self.space.value(point)) for at, point in enumerate(self.space.points())]

    @property
    def size(self) -> int:
        """The number of values."""
        return len(self.truth)

    def pictures(self, seeds: int = RATED_SEEDS) -> list[Picture]:
        """Return the pictures of each value under the first seeds."""
        return [
            Picture(variant_index=value, repeat_index=seed, sha256=f"{value}-{seed}")
            for value in range(self.size)
            for seed in range(seeds)
        ]

    def score(self, value: int, seed: int) -> Score:
        """Return what a job measures, or the stars that its picture gets."""
        look = float(self.looks[value, seed])
        if self.scale == "stars":
            look = float(np.clip(np.round(look), STARS_MIN, STARS_MAX))
        return Score(variant_index=value, repeat_index=seed, score=look)

    def prefer(self, left: Picture, right: Picture) -> Preference:
        """Compare two pictures; in a wild world one answer in ten is a slip, the same one whenever it is asked."""
        gap = self.looks[left.variant_index, left.repeat_index] - self.looks[right.variant_index, right.repeat_index]
        outcome: Outcome = "left" if gap > 0 else "right"
        if abs(gap) < TIE_STARS:
            outcome = "tie"
        slip = np.random.default_rng(zlib.crc32(f"{self.looks[0, 0]} {left.sha256} {right.sha256}".encode()))
        if self.wild and slip.random() < WILD:
            outcome = "left" if slip.random() < 0.5 else "right"
        return Preference(left=left, right=right, outcome=outcome)

    def is_good(self, value: int | None) -> bool:
        """Return whether a value is worse than the best by no more than the margin of the recommendation."""
        return value is not None and bool(self.truth.max() - self.truth[value] <= self.margin)

    def is_best(self, asked: list[int]) -> Array:
        """Return for each of these values 1 if it is the best of them; equally good ones share the 1."""
        truth = self.truth[asked]
        ties = truth >= truth.max() - 1e-9
        return np.asarray(ties / ties.sum(), np.float64)


def make_world(random: Random, kind: str, layout: Layout, scale: Scale = "metric", *, wild: bool = False) -> World:
    """Draw an experiment of a kind; each seed is easier or harder under all values."""
    definition = _define(random, kind, layout, scale)
    space = space_of(definition)
    sizes = [len(axis.values) for axis in space.axes]
    axes = list(np.meshgrid(*(_places(axis) for axis in space.axes), indexing="ij"))
    heights = (flat if kind == "no difference" else KINDS[kind])(random, axes).reshape(int(np.prod(sizes)))
    if scale == "metric":
        noise, seed_deviation = float(random.choice(NOISES)), SEED_DEVIATION
    else:
        noise, seed_deviation = float(random.choice(STAR_NOISES)), float(random.choice(STAR_SEED_DEVIATIONS))
        heights = random.uniform(3, 4.2) + random.uniform(*STAR_RANGE) * (heights - heights.max())
    seeds = SEEDS if scale == "metric" else RATED_SEEDS
    levels = heights[:, None] + seed_deviation * random.normal(size=seeds)
    looks = levels + noise * random.normal(size=levels.shape)
    if wild:
        looks = _with_wild_ones(random, looks, levels, noise, scale)
    expected = levels if scale == "metric" else _expected_stars(levels, noise)
    return World(
        kind=kind,
        scale=scale,
        definition=definition,
        space=space,
        truth=heights if scale == "metric" else expected.mean(axis=1),
        levels=expected,
        looks=looks,
        noise=noise,
        margin=METRIC_MARGIN * noise if scale == "metric" else STARS_MARGIN,
        wild=wild,
    )


def _define(random: Random, kind: str, layout: Layout, scale: Scale) -> ExperimentDefinition:
    """Return the file of the experiment."""
    names = "xyzw"[: 1 + layout.count("x")]
    count = int(layout.split()[0])
    knobs: list[Variable] = []
    for name in names:
        if kind == "unordered":
            knobs.append(Variable(name=name, values=[f"{name}{place:02}" for place in range(count)]))
        elif layout == "25 uneven":
            steps = random.integers(1, 10, count)
            knobs.append(Variable(name=name, values=[int(number) for number in np.cumsum(steps)]))
        else:
            knobs.append(Variable(name=name, start=1, stop=count, step=1))
    return ExperimentDefinition(
        name=f"{kind} {random.integers(1 << 31)}",
        variable=knobs[0] if len(knobs) == 1 else None,
        variables=tuple(knobs) if len(knobs) > 1 else (),
        jobs_per_variant=2,
        objective=OBJECTIVES[scale],
        mode="adaptive",
        budget=2 * count ** len(names),
    )


def _places(axis: Axis) -> Array:
    """Return where the values of an axis are, from 0 to 1: the numbers themselves, or else their places."""
    numbers = np.array(axis.values if axis.ordered else range(len(axis.values)), np.float64)
    return np.asarray((numbers - numbers[0]) / (numbers[-1] - numbers[0]), np.float64)


def _with_wild_ones(random: Random, looks: Array, levels: Array, noise: float, scale: Scale) -> Array:
    """Replace one look in ten: a metric that went astray, or a rater who slipped and gave any stars."""
    if scale == "metric":
        astray = levels + WILD_DEVIATIONS * noise * random.standard_t(WILD_FREEDOM, size=looks.shape)
    else:
        astray = random.uniform(STARS_MIN - 0.5, STARS_MAX + 0.5, size=looks.shape)
    # Those who compare slip in their answer, which `prefer` decides: the picture stays what it is.
    share = 0.0 if scale == "preference" else WILD
    return np.asarray(np.where(random.random(looks.shape) < share, astray, looks), np.float64)


def _expected_stars(levels: Array, noise: float) -> Array:
    """Return the mean of the rounded and clipped stars at each level."""
    steps = np.arange(STARS_MIN, STARS_MAX) + 0.5
    return np.asarray(STARS_MIN + ndtr((levels[..., None] - steps) / noise).sum(axis=-1), np.float64)
