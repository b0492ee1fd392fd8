"""How well a finished picture matches its prompt."""

import numpy as np
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded.denoiser import posterior
from pipeline_runner.pipelines.embedded.pictures import PER_CLASS
from pipeline_runner.pipelines.embedded.subspace import Span, centred, mix

MATCH_SIGMA = 7.0  # a picture of the set gets P = 0.83 on average; at 5 it would be 0.98 and tell less
TOLERANCE = 0.3


def prompt_match(span: Span, named: NDArray[np.bool_], image: NDArray[np.uint8]) -> float:
    """Rate a picture by the same exact model that made it.

    match = P * exp(-r^2 / (2 t^2))

    P is the posterior probability (Karras et al. 2022, eq. 57) of one colour and shape among those that the prompt
    names, the likeliest of them, taken as if the picture carried noise of MATCH_SIGMA: near 1 for a clear picture of
    something named, small for a blob that could be several things and for everything else. r is the root mean square
    distance per pixel value, on a scale from -1 to 1, between the picture and the model's denoised version of it among
    the named pictures: near 0 for a picture like those of the data set, larger the more it burns. t is TOLERANCE. With
    no known word in the prompt everything is named, so only a clear and lifelike picture counts.

    Args:
        span: The picture set of the image's size.
        named: (count,) the pictures that the prompt names.
        image: (height, width, 3) finished pixels.

    Returns:
        A number in 0..1.
    """
    products = span.products(image)
    affinity = products - span.half_norms
    chances = np.where(named, posterior(affinity, MATCH_SIGMA), 0.0).reshape(-1, PER_CLASS).sum(axis=1)
    weights = posterior(np.where(named, affinity, -np.inf), MATCH_SIGMA)
    denoised = mix(weights, span.coordinates)
    levels = centred(image).astype(np.float64) * span.scale
    square = float(np.square(levels).sum() - 2.0 * weights @ products + denoised @ denoised)
    values_per_square = levels.size * (128.0 * span.scale) ** 2  # coordinate units to mean square on -1..1
    return min(1.0, float(chances.max()) * float(np.exp(-max(square, 0.0) / values_per_square / (2.0 * TOLERANCE**2))))
