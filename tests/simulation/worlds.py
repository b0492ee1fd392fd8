"""Made-up experiments in which the best value is known, and the person who rates their pictures."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from bus.contracts.messages import Outcome
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.evidence import STARS_MAX, STARS_MIN, Candidate, Score
from learning_service.recommendation.posterior import Array

VALUES: Final = 8
SEEDS: Final = 12
NOISES: Final = (0.4, 0.7, 1.0)  # standard deviations, in stars
SEED_DEVIATIONS: Final = (0.0, 0.5, 1.0)  # how much easier or harder one seed is than another
TIE_STARS: Final = 0.4  # pictures that differ by less are called equal
PLACES: Final = np.arange(VALUES)


def _peak(random: np.random.Generator) -> Array:
    """One best value, and worse ones on both sides."""
    return np.asarray(-random.uniform(0.1, 0.6) * np.abs(PLACES - random.uniform(0, VALUES - 1)), np.float64)


def _plateau(random: np.random.Generator) -> Array:
    """Three neighbours that are the same, and worse ones."""
    start = int(random.integers(0, VALUES - 2))
    return np.where((start <= PLACES) & (start + 3 > PLACES), 0.0, -random.uniform(0.3, 1.2, VALUES))


def _flat(_random: np.random.Generator) -> Array:
    """No difference."""
    return np.zeros(VALUES)


def _two_peaks(random: np.random.Generator) -> Array:
    """Two good regions, of which one is a little better."""
    first, second = random.choice(VALUES, 2, replace=False)
    lower = random.uniform(0.1, 0.5)
    heights = -0.7 * np.abs(PLACES - first), -0.7 * np.abs(PLACES - second) - lower
    return np.asarray(np.maximum(*heights), np.float64)


SHAPES: Final = {"peak": _peak, "plateau": _plateau, "no difference": _flat, "two peaks": _two_peaks}


@dataclass(frozen=True)
class World:
    """An experiment and what its person thinks of each picture; `stars` are rounded and clipped `liking`."""

    shape: str
    liking: Array  # values x seeds: how much each picture is liked, and so what a second look would say again
    truth: Array  # by value: the stars to be expected over these seeds
    seed_deviation: float

    @property
    def candidates(self) -> list[Candidate]:
        """The values of the plan."""
        return [Candidate(index=index, value=index) for index in range(VALUES)]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        return [
            Picture(variant_index=value, repeat_index=seed, sha256=f"{value}-{seed}")
            for value in range(VALUES)
            for seed in range(SEEDS)
        ]

    def score(self, value: int, seed: int) -> Score:
        """Rate a picture."""
        stars = float(np.clip(np.round(self.liking[value, seed]), STARS_MIN, STARS_MAX))
        return Score(variant_index=value, repeat_index=seed, score=stars)

    def prefer(self, left: Picture, right: Picture) -> Preference:
        """Compare two pictures."""
        gap = self.liking[left.variant_index, left.repeat_index] - self.liking[right.variant_index, right.repeat_index]
        outcome: Outcome = "left" if gap > 0 else "right"
        return Preference(left=left, right=right, outcome="tie" if abs(gap) < TIE_STARS else outcome)

    def is_best(self, tested: list[int]) -> Array:
        """Return for each tested value 1 if it is the best of them; equally good ones share the 1."""
        truth = self.truth[tested]
        ties = truth >= truth.max() - 1e-9
        return np.asarray(ties / ties.sum(), np.float64)


def make_world(random: np.random.Generator, shape: str) -> World:
    """Draw an experiment of a shape."""
    noise, seed_deviation = random.choice(NOISES), random.choice(SEED_DEVIATIONS)
    means = random.uniform(3, 4.2) + SHAPES[shape](random)
    levels = means[:, None] + seed_deviation * random.normal(size=SEEDS)
    return World(
        shape=shape,
        liking=levels + noise * random.normal(size=levels.shape),
        truth=_expected_stars(levels, noise).mean(axis=1),
        seed_deviation=float(seed_deviation),
    )


def _expected_stars(levels: Array, noise: float) -> Array:
    """Return the mean of the rounded and clipped stars at each level."""
    steps = np.arange(STARS_MIN, STARS_MAX) + 0.5
    return np.asarray(STARS_MIN + ndtr((levels[..., None] - steps) / noise).sum(axis=-1), np.float64)
