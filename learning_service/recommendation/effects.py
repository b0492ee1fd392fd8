"""How much each variable matters, what each of its values does on average, and which two depend on each other.

The decomposition of ANOVA (Sobol 1993; Saltelli et al., Variance based sensitivity analysis of model output, Computer
Physics Communications 181, 2010), of each of some members of the belief: so doubt about the scores is in the intervals.
It is that of the means of all points of the grid; those that are no values of the plan are told by the model. Of very
large grids that are not all in the plan it tells the columns of the effects themselves (`layout.explained`), and what
these leave out counts for every variable.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.contracts.answers import AxisEffect, AxisValue, Interaction, Share
from bus.contracts.fields import Scalar, VariantValue
from learning_service.recommendation import anova
from learning_service.recommendation.belief import INTERVAL, TINY, Array, Belief
from learning_service.recommendation.layout import Layout

DRAWS: Final = 512
MATTERS: Final = 0.05  # of the variance between all values: less is hardly any
SHOWN: Final = 5  # interactions


class Told(NamedTuple):
    """What the variables do: the most important first, and pairs likewise."""

    axes: tuple[AxisEffect, ...]
    pairs: tuple[Interaction, ...]


class _Parts(NamedTuple):
    """The decomposition of each of some draws; all but the means are variances."""

    means: list[Array]  # of the values of each axis over all others, draws x places
    alone: list[Array]  # by axis
    pairs: dict[tuple[int, int], Array]
    total: list[Array]  # by axis
    whole: Array


def told_of(
    belief: Belief, layout: Layout, values: Sequence[VariantValue], margin: float, display: Callable[[Array], Array]
) -> Told | None:
    """Return the effects of the variables of a grid, None where there are fewer than two, or one has too many words.

    `values` are those of the layout. `margin` is the difference that is too small to matter, in scores; `display` turns
    scores into what people read.
    """
    if len(layout.axes) < 2:  # noqa: PLR2004 - one alone has nothing to be compared with
        return None
    found = anova.effects(layout.axes)
    if layout.is_explained and not all(found.of_axis(axis).any() for axis in range(len(found.axes))):
        return None  # what it does by itself would be called nothing
    some = np.linspace(0, len(belief.sample) - 1, DRAWS).round().astype(np.intp)
    sample, besides = belief.sample[some], belief.besides[some]
    if layout.is_explained:
        parts = _of_columns(besides, sample, found)
    else:
        parts = _of_grid(np.concatenate([sample, besides], axis=1), found)
    whole = np.maximum(parts.whole, TINY)
    least = (margin / belief.unit / 2) ** 2  # of the variance between two values that differ by the margin
    axes = []
    for number, means in enumerate(parts.means):
        noticed = parts.alone[number] + sum(of for pair, of in parts.pairs.items() if number in pair)
        axes.append(
            AxisEffect(
                name=layout.names[number],
                alone=_share(parts.alone[number] / whole),
                total=_share(parts.total[number] / whole),
                probability=_matters(noticed, whole, least),
                values=_axis_values(layout, number, values, display((means + belief.centre) * belief.unit)),
            )
        )
    interactions = [
        Interaction(
            names=(layout.names[one], layout.names[other]),
            share=_share(of / whole),
            probability=_matters(of, whole, least),
        )
        for (one, other), of in parts.pairs.items()
    ]
    return Told(
        axes=tuple(sorted(axes, key=lambda one: -one.total.mean)),
        pairs=tuple(sorted(interactions, key=lambda one: -one.share.mean)[:SHOWN]),
    )


def _of_grid(sample: Array, found: anova.Effects) -> _Parts:
    """Return the decomposition of values of all points of the grid, draws x points."""
    sizes = [axis.size for axis in found.axes]
    every = range(1, 1 + len(sizes))
    grid = np.empty(sample.shape)
    grid[:, np.ravel_multi_index([axis.places for axis in found.axes], sizes)] = sample
    grid = grid.reshape(-1, *sizes)
    whole = _variance(grid)
    means = [grid.mean(axis=tuple(other for other in every if other != axis)) for axis in every]
    alone = [_variance(row) for row in means]
    pairs = {}
    for one, other in combinations(range(len(sizes)), 2):
        both = grid.mean(axis=tuple(axis for axis in every if axis - 1 not in (one, other)))
        pairs[one, other] = np.maximum(_variance(both) - alone[one] - alone[other], 0)
    total = [np.maximum(whole - _variance(grid.mean(axis=axis)), 0) for axis in every]
    return _Parts(means, alone, pairs, total, whole)


def _of_columns(besides: Array, sample: Array, found: anova.Effects) -> _Parts:
    """Return the decomposition from the mean of the grid and the weights of its columns; `sample` is of some points."""
    mean = besides[:, 0]
    weights = besides[:, 1:] - mean[:, None]
    left = sample - mean[:, None] - weights @ found.columns.T
    squares, rest = weights**2, (left**2).mean(axis=1)
    of_axes = [found.of_axis(axis) for axis in range(len(found.axes))]
    means = [
        mean[:, None] + weights[:, mine] @ anova.cosines(axis)[:, found.frequency[mine] - 1].T
        for axis, mine in zip(found.axes, of_axes, strict=True)
    ]
    alone = [squares[:, mine].sum(axis=1) for mine in of_axes]
    pairs = {pair: squares[:, found.of_pair(*pair)].sum(axis=1) for pair in combinations(range(len(found.axes)), 2)}
    total = [of + sum(its for pair, its in pairs.items() if axis in pair) + rest for axis, of in enumerate(alone)]
    return _Parts(means, alone, pairs, total, squares.sum(axis=1) + rest)


def _variance(of: Array) -> Array:
    return np.asarray(of.reshape(len(of), -1).var(axis=1), np.float64)


def _matters(variance: Array, whole: Array, least: float) -> float:
    """Return how probable it is that an effect is noticeable, and no small part of the whole."""
    return float(((variance >= least) & (variance >= MATTERS * whole)).mean())


def _share(draws: Array) -> Share:
    low, high = np.quantile(draws, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Share(mean=float(draws.mean()), low=float(low), high=float(high))


def _axis_values(layout: Layout, axis: int, values: Sequence[VariantValue], shown: Array) -> tuple[AxisValue, ...]:
    """Return the values of an axis in the order of its places, each with its mean over all others; draws x places."""
    names = _names(layout, axis, values)
    low, high = np.quantile(shown, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    return tuple(
        AxisValue(value=name, mean=float(mean), low=float(least), high=float(most))
        for name, mean, least, most in zip(names, shown.mean(axis=0), low, high, strict=True)
    )


def _names(layout: Layout, axis: int, values: Sequence[VariantValue]) -> list[Scalar]:
    first: NDArray[np.intp] = np.unique(np.frombuffer(layout.axes[axis][1]), return_index=True)[1]
    name = layout.names[axis]
    return [one[name] for place in first for one in (values[place],) if isinstance(one, dict)]
