"""A part of a grid, spread evenly: the points of a scrambled Sobol sequence that fall on different combinations."""

from collections.abc import Callable, Sequence
from itertools import chain, product
from math import ceil, log2, prod
from typing import Final

from bus.protocol.validation import InvalidInputError
from learning_service.experiments.skips import Point

FEW: Final = 20_000  # combinations of a grid that are looked at one by one
MOST_DRAWN: Final = 16  # as a power of two: points of the sequence, twice


def sampled(sizes: Sequence[int], count: int, seed: int, has: Callable[[Point], bool]) -> list[Point]:
    """Return different points of a grid of these sizes, in its order, each value of an axis about equally often.

    `has` says which points there are. The same arguments give the same points; of fewer points than `count`, all.

    Raises:
        InvalidInputError: too few of a large grid were found.
        ImportError: scipy is not installed.
    """
    is_small = prod(sizes) <= FEW
    points = [point for point in product(*map(range, sizes)) if has(point)] if is_small else []
    if is_small and len(points) <= count:
        return points
    drawn = _drawn(sizes, count, seed, has)
    missing = count - len(drawn)
    if missing and not is_small:
        text = f"only {len(drawn)} combinations were found that skip leaves; take so many or fewer"
        raise InvalidInputError(f"sample: {text}")
    rest = [point for point in points if point not in drawn]
    return sorted([*drawn, *(rest[len(rest) * place // missing] for place in range(missing))])


def _drawn(sizes: Sequence[int], count: int, seed: int, has: Callable[[Point], bool]) -> set[Point]:
    """Return up to so many different points, the first ones of the sequence."""
    from scipy.stats import qmc  # noqa: PLC0415 - it takes a second, and not every installation has it

    sequence = qmc.Sobol(len(sizes), rng=seed)
    found: set[Point] = set()
    first = ceil(log2(max(2, count)))
    for power in chain([first], range(first, MOST_DRAWN + 1)):  # so that all together are a power of two each time
        for row in sequence.random_base2(power).tolist():
            point = tuple(min(int(part * size), size - 1) for part, size in zip(row, sizes, strict=True))
            if has(point):
                found.add(point)
            if len(found) == count:
                return found
    return found
