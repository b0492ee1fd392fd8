"""Optuna's samplers, as they are recommended for a noisy objective. They are here only, to be compared with.

A job of a value that was tried before is its next seed. A seed that is easier under all values would look to a sampler
like a better value, so what it is told is the score less the part of the seed, as far as that is known.
"""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from learning_service.experiments.space import Axis
from learning_service.recommendation.evidence import Score
from tests.simulation.ways import Job
from tests.simulation.worlds import World

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Optuna:
    """A search by one of Optuna's samplers."""

    stopped = ""

    def __init__(self, world: World, sampler: optuna.samplers.BaseSampler) -> None:
        """Start without a trial."""
        self._world, self._sampler = world, sampler
        self._sizes = [len(axis.values) for axis in world.space.axes]
        self._kinds = {str(number): _kind(axis) for number, axis in enumerate(world.space.axes)}
        self._scores: list[Score] = []

    def ask(self) -> Job:
        """Return what the sampler proposes, under a seed that this value has not had."""
        study = optuna.create_study(sampler=self._sampler, direction="maximize")
        for one, told in zip(self._scores, without_seeds(self._scores), strict=True):
            places = np.unravel_index(one.variant_index, self._sizes)
            params = {str(number): int(place) for number, place in enumerate(places)}
            study.add_trial(optuna.create_trial(params=params, distributions=self._kinds, value=told))
        asked = study.ask(self._kinds).params
        value = int(np.ravel_multi_index([asked[name] for name in self._kinds], self._sizes))
        return Job(value, sum(one.variant_index == value for one in self._scores))

    def tell(self, score: Score) -> None:
        """Note a score."""
        self._scores.append(score)


def tpe(world: World, _jobs: int) -> Optuna:
    """Optuna's default sampler, with what its page recommends for variables that act together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return Optuna(world, optuna.samplers.TPESampler(seed=1, multivariate=True))


def gaussian_process(world: World, _jobs: int) -> Optuna:
    """Optuna's sampler with a Gaussian process; it needs torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return Optuna(world, optuna.samplers.GPSampler(seed=1, deterministic_objective=False))


def has_torch() -> bool:
    """Return whether the second one can be asked."""
    return find_spec("torch") is not None


def without_seeds(scores: Sequence[Score]) -> list[float]:
    """Return the scores less the part of their seeds, by least squares of value + seed."""
    values = np.unique([one.variant_index for one in scores], return_inverse=True)[1]
    seeds = np.unique([one.repeat_index for one in scores], return_inverse=True)[1]
    if not len(scores):
        return []
    numbers = np.array([one.score for one in scores])
    design = np.zeros((len(scores), values.max() + seeds.max() + 2))
    design[np.arange(len(scores)), values] = 1
    design[np.arange(len(scores)), values.max() + 1 + seeds] = 1
    found = np.linalg.lstsq(design, numbers, rcond=None)[0]
    return [float(one) for one in numbers - found[values.max() + 1 :][seeds]]


def _kind(axis: Axis) -> BaseDistribution:
    size = len(axis.values)
    return IntDistribution(0, size - 1) if axis.ordered else CategoricalDistribution(list(range(size)))
