"""What can be measured of pixels without a model: published formulas. No file, no clock.

Pixels are 0 to 255. Luminance is that of ITU-R BT.601. Filters are applied where they fit, without a border.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
LUMA: Final = np.array((0.299, 0.587, 0.114), np.float32)
PEAK: Final = 255.0
MOST_DB: Final = 100.0  # of two pictures that are the same, which by the formula are infinitely close
WINDOW: Final = 11  # pixels: that of the structural similarity
SIGMA: Final = 1.5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
LEAST: Final = 3  # pixels a side, for a filter of 3 by 3


def luminance(colours: Pixels) -> Pixels:
    """Return the luminance of colours."""
    return colours @ LUMA


def sharpness(colours: Pixels) -> float:
    """Return the variance of the Laplacian of the luminance: edges raise it, blur lowers it.

    Raises:
        ValueError: the picture is too small.
    """
    grey = _at_least(luminance(colours), LEAST)
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    return float(np.var(laplacian, dtype=np.float64))


def contrast(colours: Pixels) -> float:
    """Return the root mean square contrast: the standard deviation of the luminance as 0 to 1 (Peli 1990)."""
    return float(np.std(luminance(colours), dtype=np.float64)) / PEAK


def colorfulness(colours: Pixels) -> float:
    """Return the colourfulness of Hasler and Suesstrunk (2003): 0 is grey, 109 was "extremely colourful"."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = math.hypot(np.std(red_green, dtype=np.float64), np.std(yellow_blue, dtype=np.float64))
    return spread + 0.3 * math.hypot(np.mean(red_green, dtype=np.float64), np.mean(yellow_blue, dtype=np.float64))


def noise(colours: Pixels) -> float:
    """Return the standard deviation of the noise of the luminance, by Immerkaer's method (1996).

    Raises:
        ValueError: the picture is too small.
    """
    grey = _at_least(luminance(colours), LEAST)
    rows = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    found = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return math.sqrt(math.pi / 2) / 6 * float(np.mean(np.abs(found), dtype=np.float64))


def psnr(colours: Pixels, other: Pixels) -> float:
    """Return the peak signal-to-noise ratio of two pictures in decibels, at most 100."""
    error = float(np.mean(np.square(colours - other), dtype=np.float64))
    return min(MOST_DB, 10 * math.log10(PEAK**2 / error)) if error else MOST_DB


def ssim(colours: Pixels, other: Pixels) -> float:
    """Return the mean structural similarity of two luminances (Wang et al. 2004), 1 if they are the same.

    Raises:
        ValueError: the pictures are too small.
    """
    one, two = (_at_least(luminance(picture), WINDOW) for picture in (colours, other))
    mean_one, mean_two = _blurred(one), _blurred(two)
    squares, product = mean_one**2 + mean_two**2, mean_one * mean_two
    spread = _blurred(one * one + two * two) - squares
    together = _blurred(one * two) - product
    index = (2 * product + C1) * (2 * together + C2) / ((squares + C1) * (spread + C2))
    return float(np.mean(index, dtype=np.float64))


def change(colours: Pixels, other: Pixels) -> float:
    """Return the mean absolute difference of two pictures, from 0 (the same) to 1 (black and white)."""
    return float(np.mean(np.abs(colours - other), dtype=np.float64)) / PEAK


def _blurred(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weighted means of all whole windows, row by row and then column by column."""
    wide: NDArray[np.float64] = sum(
        (weight * grey[:, at : grey.shape[1] - WINDOW + 1 + at] for at, weight in enumerate(_WEIGHTS)),
        np.zeros((grey.shape[0], grey.shape[1] - WINDOW + 1)),
    )
    return sum(
        (weight * wide[at : wide.shape[0] - WINDOW + 1 + at] for at, weight in enumerate(_WEIGHTS)),
        np.zeros((wide.shape[0] - WINDOW + 1, wide.shape[1])),
    )


def _at_least(grey: Pixels, side: int) -> Pixels:
    if min(grey.shape) < side:
        raise ValueError(f"a picture of {grey.shape[1]}x{grey.shape[0]} pixels is too small; {side}x{side} are needed")
    return grey


_STEPS: Final = np.arange(WINDOW, dtype=np.float64) - WINDOW // 2
_WEIGHTS: Final = np.exp(-(_STEPS**2) / (2 * SIGMA**2)) / np.exp(-(_STEPS**2) / (2 * SIGMA**2)).sum()
