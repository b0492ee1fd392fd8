"""Noise schedules: which noise levels a sampler visits on its way from pure noise to a picture."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Two pictures are some 50 apart (20 within a class, 90 at most), so everything is decided between sigma 50 and 10. The
# range is wider at the top, as it is for trained models (Karras et al. 2022, table 1), and it ends where neighbours are
# just about told apart: both make a run with too few steps look unfinished, which an exact denoiser would else hide.
SIGMA_MAX = 400.0
SIGMA_MIN = 5.0
_RHO = 7.0
_SIGMA_DATA = 2.0  # below sigma_min, so that the steps crowd at low noise: none of the others does that


def karras(ramp: Floats) -> Floats:
    """Even steps in sigma^(1/7): Karras et al. 2022, eq. 5. Many small steps at low noise."""
    low, high = SIGMA_MIN ** (1 / _RHO), SIGMA_MAX ** (1 / _RHO)
    return np.asarray((high + ramp * (low - high)) ** _RHO)


def exponential(ramp: Floats) -> Floats:
    """Even steps in log sigma, the limit of `karras` for a large rho."""
    return np.asarray(SIGMA_MAX * (SIGMA_MIN / SIGMA_MAX) ** ramp)


def cosine(ramp: Floats) -> Floats:
    """Even steps in the angle arctan(sigma / sigma_data): Nichol & Dhariwal 2021, eq. 17, as a sigma.

    Most steps at low noise.
    """
    high, low = math.atan(SIGMA_MAX / _SIGMA_DATA), math.atan(SIGMA_MIN / _SIGMA_DATA)
    return np.asarray(_SIGMA_DATA * np.tan(high + ramp * (low - high)))


def linear(ramp: Floats) -> Floats:
    """Even steps in sigma: most steps at high noise, where only the rough layout is decided."""
    return SIGMA_MAX + ramp * (SIGMA_MIN - SIGMA_MAX)


_CURVES: dict[str, Callable[[Floats], Floats]] = {
    "karras": karras,
    "exponential": exponential,
    "cosine": cosine,
    "linear": linear,
}
SCHEDULERS: tuple[str, ...] = tuple(_CURVES)


def sigmas(scheduler: str, steps: int) -> Floats:
    """Return the noise levels of a run.

    Args:
        scheduler: One of SCHEDULERS.
        steps: How many steps, at least 1.

    Returns:
        (steps + 1,) falling from SIGMA_MAX to SIGMA_MIN and then 0, in units of the norm of 64x64 pictures in [-1, 1].
    """
    return np.append(_CURVES[scheduler](np.linspace(0.0, 1.0, steps)), 0.0)
