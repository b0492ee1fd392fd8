"""The geometry of the curve of an answer: estimates with their band over values that have an order."""

import math
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final, NamedTuple

from bus.contracts.messages import RecommendationUpdated, ValueEstimate
from bus.contracts.values import is_same
from learning_service.recommendation.evidence import POSSIBLE, Score
from variantbus.reports.plot import Scale
from variantbus.reports.text import value_text

FEWEST: Final = 3  # values; fewer are no curve
LABELS: Final = 15  # that can be read beside each other


class Mark(NamedTuple):
    """One value: where it is, in per cent from the left and from the top, and what is said of it."""

    x: float
    y: float | None  # None without an estimate
    text: str  # the value, "" where there is no room for it
    is_chosen: bool
    is_out: bool  # it is hardly the best


class Curve(NamedTuple):
    """Estimates over values in the order of their numbers; `x,y x,y …` in per cent from the left and from the top."""

    bands: list[str]  # polygons: what is between is true with a probability of 90 %
    means: list[str]  # lines
    marks: list[Mark]
    points: list[tuple[float, float]]  # single observations


def curve_of(made: RecommendationUpdated, seen: Iterable[Score], scale: Scale) -> Curve | None:
    """Return the curve of an answer; None if its values are no numbers, or too few.

    Neighbours are equally far from each other, so that 1, 2, 4 … 64 can be read as well as 1, 2, 3.
    """
    numbers = [(one.value, at) for at, one in enumerate(made.estimates) if isinstance(one.value, int | float)]
    if len(numbers) < max(FEWEST, len(made.estimates)) or any(isinstance(value, bool) for value, _ in numbers):
        return None
    order = [at for _, at in sorted(numbers)]
    across = {at: 100 * (place + 0.5) / len(order) for place, at in enumerate(order)}
    every = math.ceil(len(order) / LABELS)
    texts = {at: value_text(made.estimates[at].value) for at in order[::every]}
    bands, means = [], []
    for is_known, part in groupby(order, key=lambda at: made.estimates[at].mean is not None):
        if is_known:
            run = [(across[at], made.estimates[at]) for at in part]
            means.append(_text(_along(run, scale, lambda one: one.mean)))
            above, below = _along(run, scale, lambda one: one.high), _along(run, scale, lambda one: one.low)
            bands.append(_text([*above, *reversed(below)]))
    return Curve(
        bands=[band for band in bands if band],
        means=means,
        marks=[_mark(made, at, across[at], texts.get(at, ""), scale) for at in order],
        points=[(across[one.variant_index], 100 - scale.at(one.score)) for one in seen],
    )


def is_ruled_out(one: ValueEstimate) -> bool:
    """Return whether a value is hardly the best."""
    return one.p_best is not None and one.p_best < POSSIBLE


def _mark(made: RecommendationUpdated, at: int, x: float, text: str, scale: Scale) -> Mark:
    one = made.estimates[at]
    is_chosen = made.value is not None and is_same(one.value, made.value)
    y = None if one.mean is None else 100 - scale.at(one.mean)
    return Mark(x=x, y=y, text=text, is_chosen=is_chosen, is_out=is_ruled_out(one) and not is_chosen)


def _along(
    run: list[tuple[float, ValueEstimate]], scale: Scale, number_of: Callable[[ValueEstimate], float | None]
) -> list[tuple[float, float]]:
    """Return the points of a line, from left to right."""
    numbers = ((x, number_of(one)) for x, one in run)
    return [(x, 100 - scale.at(number)) for x, number in numbers if number is not None]


def _text(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.3f},{y:.3f}" for x, y in points)
