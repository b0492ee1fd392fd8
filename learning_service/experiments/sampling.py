"""A part of a grid, spread evenly: the points of a Sobol sequence that fall on different combinations.

The same arguments give the same points in every version and on every machine: a plan can be made again.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Final

from bus.protocol.validation import InvalidInputError
from learning_service.experiments.skips import Point

FEW: Final = 20_000  # combinations of a grid that are looked at one by one
MOST_DRAWN: Final = 1 << 15  # points of the sequence
BITS: Final = 32
# For each further axis the degree and the coefficients of its polynomial, and its first direction numbers: S. Joe and
# F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30 (2008).
_PRIMITIVE: Final = ((1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)), (3, 2, (1, 1, 1)), (4, 1, (1, 1, 3, 3)))


def sampled(sizes: Sequence[int], count: int, seed: int, has: Callable[[Point], bool]) -> list[Point]:
    """Return different points of a grid of these sizes, in its order, each value of an axis about equally often.

    `has` says which points there are; of fewer points than `count`, all are returned.

    Raises:
        InvalidInputError: too few of a large grid were found.
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
    found: set[Point] = set()
    for numbers in sobol(len(sizes), seed, MOST_DRAWN):
        point = tuple(number * size >> BITS for number, size in zip(numbers, sizes, strict=True))
        if has(point):
            found.add(point)
        if len(found) == count:
            break
    return found


def sobol(axes: int, seed: int | None, count: int) -> Iterator[tuple[int, ...]]:
    """Yield points of the sequence for up to six axes, as numbers of 32 bits; a seed shifts it by random digits."""
    directions = [_directions(axis) for axis in range(axes)]
    numbers = [0 if seed is None else _shift(seed, axis) for axis in range(axes)]
    for index in range(1, count + 1):
        yield tuple(numbers)
        lowest = (
            index & -index
        ).bit_length() - 1  # in the order of Gray codes one direction changes from point to point
        numbers = [number ^ of[lowest] for number, of in zip(numbers, directions, strict=True)]


def _shift(seed: int, axis: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {axis}".encode()).digest()[: BITS // 8], "big")


def _directions(axis: int) -> list[int]:
    """Return the direction numbers of an axis."""
    if axis == 0:
        return [1 << (BITS - place) for place in range(1, BITS + 1)]
    degree, coefficients, first = _PRIMITIVE[axis - 1]
    found = [number << (BITS - place) for place, number in enumerate(first, 1)]
    for place in range(degree, BITS):
        made = found[place - degree] ^ (found[place - degree] >> degree)
        for at in range(1, degree):
            if coefficients >> (degree - 1 - at) & 1:
                made ^= found[place - at]
        found.append(made)
    return found
