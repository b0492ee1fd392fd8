"""Which values to try next: Optuna's TPE sampler (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011).

The study is rebuilt from all observations for each proposal, so nothing is stored, and the same observations give
the same proposals. Each axis is a row of places: numbers as integers, whose order the sampler uses, all else as
categories.
"""

import warnings
from collections.abc import Collection, Mapping
from typing import Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from learning_service.experiments.space import Point, Space

ASKED: Final = 8  # proposals drawn for each one needed, because some were tried already

optuna.logging.set_verbosity(optuna.logging.WARNING)


def propose(
    space: Space, scores: Mapping[Point, float], tried: Collection[Point], count: int, *, seed: int
) -> list[Point]:
    """Return up to `count` points that were not tried yet, the most promising first.

    `scores` are the means of the points that have any, of which more is better; `seed` decides what is left to chance.
    """
    kinds = {str(number): _kind(len(axis.values), ordered=axis.ordered) for number, axis in enumerate(space.axes)}
    with warnings.catch_warnings():  # `multivariate` is called experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for point, score in sorted(scores.items()):
        places = {str(number): place for number, place in enumerate(point)}
        study.add_trial(optuna.create_trial(params=places, distributions=kinds, value=score))
    found: dict[Point, None] = {}
    for _ in range(ASKED * count):
        if len(found) == count:
            break
        params = study.ask(kinds).params
        point = tuple(int(params[name]) for name in kinds)
        if point not in tried:
            found[point] = None
    return list(found)


def _kind(size: int, *, ordered: bool) -> BaseDistribution:
    return IntDistribution(0, size - 1) if ordered else CategoricalDistribution(list(range(size)))
