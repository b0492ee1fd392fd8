"""The geometry of a report's plot: one line for each value, with its estimate, interval and observations."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bus.contracts.messages import ValueEstimate
from learning_service.recommendation.evidence import Score

STEPS: Final = (1, 2, 5, 10)
TICKS: Final = 5
LEAST_STEP: Final = 1e-300  # between two ticks; halves of less would be nothing
LARGEST: Final = sys.float_info.max
JITTER: Final = (0.5, 0.3, 0.7, 0.4, 0.6)  # of the height of a line, so that equal points can be told apart


class Scale(NamedTuple):
    """Numbers to per cent of the width; `ticks` are round numbers."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, number: float) -> float:
        """Return the place of a number, 0..100."""
        return 100 * ((number / 2 - self.low / 2) / (self.high / 2 - self.low / 2))  # halves: huge ones stay finite


class Line(NamedTuple):
    """The line of one value, in per cent of width and height; without an estimate there is no mean."""

    mean: float | None
    low: float | None
    high: float | None
    points: list[tuple[float, float]]


def scale_of(numbers: Iterable[float], objective: str) -> Scale:
    """Return a scale for all numbers: 1 to 5 for stars, 0 to 1 for shares, else between round numbers."""
    if objective == "stars":
        return Scale(0.8, 5.2, (1, 2, 3, 4, 5))
    if objective == "preference":
        return Scale(-0.03, 1.03, (0, 0.25, 0.5, 0.75, 1))
    present = [number for number in numbers if math.isfinite(number)] or [0.0]
    low, high = min(present), max(present)
    step = _round_step(max(high / TICKS - low / TICKS or abs(high) / TICKS or 1 / TICKS, LEAST_STEP))
    first, last = math.floor(low / step), math.ceil(high / step)
    last += first == last
    margin = (last - first) * step * 0.03
    ticks = tuple(_finite(round(number * step, 12)) for number in range(first, last + 1))
    return Scale(_finite(first * step - margin), _finite(last * step + margin), ticks)


def order_of(estimates: Sequence[ValueEstimate]) -> list[int]:
    """Return the places of values as a reader looks for them: numbers by size, all else in the order of the plan.

    An adaptive experiment plans its values in the order in which it tries them.
    """
    numbers = {place: one.value for place, one in enumerate(estimates) if isinstance(one.value, int | float)}
    if len(numbers) < len(estimates) or any(isinstance(value, bool) for value in numbers.values()):
        return list(range(len(estimates)))
    return sorted(numbers, key=lambda place: (numbers[place], place))


def lines_of(estimates: Sequence[ValueEstimate], seen: Iterable[Score], scale: Scale) -> list[Line]:
    """Return the line of each value, in the order of the plan."""
    points: dict[int, list[tuple[float, float]]] = {}
    for score in seen:
        mine = points.setdefault(score.variant_index, [])
        mine.append((scale.at(score.score), 100 * JITTER[len(mine) % len(JITTER)]))

    def at(number: float | None) -> float | None:
        return None if number is None else scale.at(number)

    return [Line(at(one.mean), at(one.low), at(one.high), points.get(index, [])) for index, one in enumerate(estimates)]


def _finite(number: float) -> float:
    return max(-LARGEST, min(LARGEST, number))


def _round_step(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(part * power for part in STEPS if part * power >= step * (1 - 1e-9))
