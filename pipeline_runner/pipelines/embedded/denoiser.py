"""The exact denoiser of a finite picture set, what a prompt selects of it, and guidance."""

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded.pictures import COLOURS, PER_CLASS, SHAPES
from pipeline_runner.pipelines.embedded.subspace import Span, each_dot, mix

Floats = NDArray[np.float64]

# The guide sees this many times the noise, and never less than the floor, in units of sigma. With a lower floor the
# guide recognises the finished picture, the difference vanishes and high guidance no longer burns (tried 8 and 16);
# from about 24 up it does.
GUIDE_BLUR = 3.0
GUIDE_FLOOR = 40.0


def named_pictures(prompt: str) -> NDArray[np.bool_]:
    """Return which pictures a prompt names, (COUNT,).

    Colours and shapes count as whole words in any case; a prompt without a colour names all colours, one without a
    shape all shapes, and one with two names both.
    """
    words = set(re.findall(r"\w+", prompt.lower()))
    colours = _named(tuple(COLOURS), words)
    shapes = _named(SHAPES, words)
    return np.repeat(np.logical_and.outer(colours, shapes).reshape(-1), PER_CLASS)


def knows(prompt: str) -> bool:
    """Return whether a prompt names any colour or shape of the picture set."""
    return not named_pictures(prompt).all()


def _named(known: tuple[str, ...], words: set[str]) -> NDArray[np.bool_]:
    found = np.array([word in words for word in known])
    return found if found.any() else ~found


def posterior(affinity: Floats, sigma: float) -> Floats:
    """Return how likely each picture is to be the one under the noise.

    Args:
        affinity: (count,) <x, y_i> - ||y_i||^2 / 2, that is -||x - y_i||^2 / 2 up to a term that all pictures share
            and that cancels; -inf for a picture that is not to be considered.
        sigma: Standard deviation of the noise.

    Returns:
        (count,) weights that sum to 1, proportional to exp(-||x - y_i||^2 / (2 sigma^2)): Karras et al. 2022, eq. 57.
    """
    weights = np.exp((affinity - affinity.max()) / sigma**2)
    return np.asarray(weights / weights.sum())


def guided_denoiser(span: Span, named: NDArray[np.bool_], cfg_scale: float) -> Callable[[Floats, float], Floats]:
    """Make the denoiser D = D_u + cfg * (D_c - D_u) of one run.

    D_c is exact for the named pictures. D_u, which guidance leads away from, is exact for all pictures but for a
    larger sigma, so it sees a blur: a worse model as guide is what makes guidance sharpen (Karras et al. 2024, "Guiding
    a Diffusion Model with a Bad Version of Itself").

    Args:
        span: The picture set.
        named: (count,) the pictures that the prompt names.
        cfg_scale: 0 is the blurry guide alone, 1 the prompt alone, more exaggerates the difference.

    Returns:
        A function of ((count,) coordinates, sigma) that returns (count,) coordinates.
    """

    def denoise(x: Floats, sigma: float) -> Floats:
        affinity = each_dot(span.coordinates, x) - span.half_norms
        guide = posterior(affinity, max(GUIDE_BLUR * sigma, GUIDE_FLOOR))
        wanted = posterior(np.where(named, affinity, -np.inf), sigma)
        # Both are weights over the same pictures, so they can be mixed before the one costly product.
        return mix(guide + cfg_scale * (wanted - guide), span.coordinates)

    return denoise
