"""Samplers: each solves the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma in its own way.

The equation is Karras et al. 2022, eq. 1 and 3. Each sampler is a generator that yields the state after each step, so
that the caller can report progress and stop between steps. The last sigma is 0, where each of them ends on D itself.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Denoiser = Callable[[Floats, float], Floats]
Noise = Callable[[], Floats]
Sampler = Callable[[Denoiser, Floats, Floats, Noise], Iterator[Floats]]


def euler(denoise: Denoiser, x: Floats, sigmas: Floats, _noise: Noise) -> Iterator[Floats]:
    """First order, one evaluation per step: Karras et al. 2022, algorithm 1 without its correction."""
    for now, then in pairwise(sigmas.tolist()):
        x = x + (then - now) * _slope(denoise, x, now)
        yield x


def euler_ancestral(denoise: Denoiser, x: Floats, sigmas: Floats, noise: Noise) -> Iterator[Floats]:
    """Euler to a lower sigma and fresh noise back up: the ancestral step of DDPM (Ho et al. 2020, eq. 7) in sigmas."""
    for now, then in pairwise(sigmas.tolist()):
        up = then * math.sqrt(1.0 - (then / now) ** 2)
        down = then * then / now  # up^2 + down^2 = then^2
        x = x + (down - now) * _slope(denoise, x, now)
        if then > 0:
            x = x + up * noise()
        yield x


def heun(denoise: Denoiser, x: Floats, sigmas: Floats, _noise: Noise) -> Iterator[Floats]:
    """Second order, two evaluations per step but the last: Karras et al. 2022, algorithm 1."""
    for now, then in pairwise(sigmas.tolist()):
        slope = _slope(denoise, x, now)
        ahead = x + (then - now) * slope
        x = ahead if then == 0 else x + (then - now) * (slope + _slope(denoise, ahead, then)) / 2.0
        yield x


def dpmpp_2m(denoise: Denoiser, x: Floats, sigmas: Floats, _noise: Noise) -> Iterator[Floats]:
    """Second order from one evaluation per step and the one before: DPM-Solver++(2M), Lu et al. 2022, algorithm 2."""
    before: tuple[Floats, float] | None = None
    for now, then in pairwise(sigmas.tolist()):
        denoised = denoise(x, now)
        if then == 0:
            yield denoised
            return
        stride = math.log(now / then)
        target = denoised
        if before is not None:
            last, last_stride = before
            target = denoised + (denoised - last) * (stride / (2.0 * last_stride))
        x = target + (x - target) * (then / now)
        before = denoised, stride
        yield x


def _slope(denoise: Denoiser, x: Floats, sigma: float) -> Floats:
    return (x - denoise(x, sigma)) / sigma


_SAMPLERS: dict[str, Sampler] = {
    "euler": euler,
    "euler_a": euler_ancestral,
    "heun": heun,
    "dpm++_2m": dpmpp_2m,
}
SAMPLERS: tuple[str, ...] = tuple(_SAMPLERS)


def sampler_named(name: str) -> Sampler:
    """Return the sampler that SAMPLERS lists under a name.

    Raises:
        KeyError: There is none of that name.
    """
    return _SAMPLERS[name]
