"""How much each variable matters, what each of its values does on average, and which two depend on each other.

The decomposition of ANOVA (Sobol 1993; Saltelli et al., Variance based sensitivity analysis of model output, Computer
Physics Communications 181, 2010), of each of some members of the belief: so doubt about the scores is in the intervals.
It is that of the means of all points of the grid; of those that are no values of the plan the model tells, and of very
large grids it tells the effects themselves (`layout.explained`).
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
    if not all(found.of_axis(axis).any() for axis in range(len(found.axes))):
        return None  # what it does by itself would be called nothing
    means, weights, rest = _decomposed(belief, layout, found)
    squares = weights**2
    whole = np.maximum(squares.sum(axis=1) + rest, TINY)
    pairs = {pair: squares[:, found.of_pair(*pair)].sum(axis=1) for pair in combinations(range(len(found.axes)), 2)}
    least = (margin / belief.unit / 2) ** 2  # of the variance between two values that differ by the margin
    axes = []
    for number, axis in enumerate(found.axes):
        mine = found.of_axis(number)
        alone = squares[:, mine].sum(axis=1)
        together = alone + sum(of for pair, of in pairs.items() if number in pair) + rest
        shown = means[:, None] + weights[:, mine] @ anova.cosines(axis)[:, found.frequency[mine] - 1].T
        axes.append(
            AxisEffect(
                name=layout.names[number],
                alone=_share(alone / whole),
                total=_share(together / whole),
                probability=_matters(together - rest, whole, least),
                values=_axis_values(layout, number, values, display((shown + belief.centre) * belief.unit)),
            )
        )
    interactions = [
        Interaction(
            names=(layout.names[one], layout.names[other]),
            share=_share(of / whole),
            probability=_matters(of, whole, least),
        )
        for (one, other), of in pairs.items()
    ]
    return Told(
        axes=tuple(sorted(axes, key=lambda one: -one.total.mean)),
        pairs=tuple(sorted(interactions, key=lambda one: -one.share.mean)[:SHOWN]),
    )


def _decomposed(belief: Belief, layout: Layout, found: anova.Effects) -> tuple[Array, Array, Array]:
    """Return the mean of the grid, the weight of each column, and the variance that is left, each by member."""
    some = np.linspace(0, len(belief.sample) - 1, DRAWS).round().astype(np.intp)
    sample = belief.sample[some]
    if layout.is_explained:
        means = belief.besides[some, 0]
        weights = belief.besides[some, 1:] - means[:, None]
    else:
        sample = np.concatenate([sample, belief.besides[some]], axis=1)
        means = sample.mean(axis=1)
        weights = sample @ found.columns / layout.rows
    left = sample - means[:, None] - weights @ found.columns.T
    return means, np.asarray(weights, np.float64), np.asarray((left**2).mean(axis=1), np.float64)


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
