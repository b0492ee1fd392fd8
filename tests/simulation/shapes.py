"""The kinds of made-up objectives: how good each value truly is, from 0 to about 1, over axes that run from 0 to 1."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Random: TypeAlias = np.random.Generator
WAVES: Final = 24  # cosines that make up a smooth curve
INTERACTION: Final = 0.3  # of two unordered variables, relative to what each does by itself


def smooth(random: Random, axes: list[Array]) -> Array:
    """Any smooth curve: a draw of a Gaussian process with a squared-exponential kernel, made of random waves."""
    phase = random.uniform(0, 2 * np.pi, WAVES)
    lengths = [random.uniform(0.15, 0.6) for _ in axes]
    turns = sum(
        random.normal(0, 1 / length, WAVES) * axis[..., None] for axis, length in zip(axes, lengths, strict=True)
    )
    return _scaled(np.cos(turns + phase).sum(axis=-1))


def peak(random: Random, axes: list[Array]) -> Array:
    """One best value anywhere, narrow or wide."""
    return np.exp(-sum(((axis - random.uniform()) / random.uniform(0.1, 0.5)) ** 2 for axis in axes) / 2)


def slope(random: Random, axes: list[Array]) -> Array:
    """The best value is an end."""
    return np.asarray(sum(axis if random.random() < 0.5 else 1 - axis for axis in axes) / len(axes))


def plateau(random: Random, axes: list[Array]) -> Array:
    """Several values are equally good."""
    far = [np.maximum(0, np.abs(axis - random.uniform(0.2, 0.8)) - random.uniform(0.05, 0.2)) for axis in axes]
    return np.asarray(1 - sum(far))


def two_peaks(random: Random, axes: list[Array]) -> Array:
    """Two good regions, of which one is better."""
    first, second = (np.exp(-sum(((axis - random.uniform()) / 0.12) ** 2 for axis in axes) / 2) for _ in range(2))
    return np.asarray(np.maximum(first, second * (1 - random.uniform(0.1, 0.4))))


def cliff(random: Random, axes: list[Array]) -> Array:
    """It gets better up to an edge, and behind it is bad."""
    rise = random.uniform(0.2, 0.6)
    found = sum(1 - rise * np.abs(axis - random.uniform()) for axis in axes[1:]) if axes[1:] else 0.0
    along = axes[0] if random.random() < 0.5 else 1 - axes[0]
    edge = random.uniform(0.25, 0.9)
    found = found + np.where(along <= edge, 1 - rise * (edge - along), random.uniform(0, 0.3))
    return np.asarray(found / len(axes))


def rough(random: Random, axes: list[Array]) -> Array:
    """No structure: a value says nothing about its neighbours."""
    return random.uniform(size=axes[0].shape)


def unordered(random: Random, axes: list[Array]) -> Array:
    """Names, such as samplers: each is good or bad by itself; of two variables each has an effect of its own."""
    shape = axes[0].shape
    parts = [
        random.normal(size=tuple(size if at == here else 1 for at, size in enumerate(shape)))
        for here in range(len(axes))
    ]
    both = INTERACTION * random.normal(size=shape) if len(axes) > 1 else 0.0
    return _scaled(np.asarray(sum(parts) + both, np.float64))


def flat(_random: Random, axes: list[Array]) -> Array:
    """No difference."""
    return np.zeros(axes[0].shape)


def _scaled(heights: Array) -> Array:
    """Return the same curve from 0 to 1."""
    return np.asarray((heights - heights.min()) / (heights.max() - heights.min()), np.float64)


Shape: TypeAlias = Callable[[Random, list[Array]], Array]
KINDS: Final[dict[str, Shape]] = {
    "smooth": smooth,
    "one peak": peak,
    "slope": slope,
    "plateau": plateau,
    "two peaks": two_peaks,
    "cliff": cliff,
    "rough": rough,
    "unordered": unordered,
}
EVERY_KIND: Final = (*KINDS, "no difference")
SEARCHED: Final = ("one peak", "slope", "plateau", "two peaks")  # the kinds that earlier figures are about
