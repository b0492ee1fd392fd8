"""The exact denoiser, its coordinates and the match."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded.denoiser import GUIDE_BLUR, GUIDE_FLOOR, guided_denoiser, named_pictures
from pipeline_runner.pipelines.embedded.match import prompt_match
from pipeline_runner.pipelines.embedded.pictures import COUNT, PER_CLASS
from pipeline_runner.pipelines.embedded.subspace import build_span, span_of

Floats = NDArray[np.float64]
GREEN_HEART = 9 * PER_CLASS + 2


def naive(x: Floats, sigma: float, pictures: Floats) -> Floats:
    """Write Karras et al. 2022, eq. 57, down in full pixels."""
    exponents = -((x - pictures) ** 2).sum(axis=1) / (2 * sigma**2)
    weights = np.exp(exponents - exponents.max())
    return np.asarray(weights @ pictures / weights.sum())


@pytest.mark.parametrize("sigma", [2.0, 10.0, 40.0, 400.0])
@pytest.mark.parametrize("cfg_scale", [0.0, 1.0, 7.5])
def test_the_denoiser_in_the_span_is_the_full_one(sigma: float, cfg_scale: float) -> None:
    """Guided denoising in coordinates equals the formula in full pixels, for noise that mostly leaves the span."""
    span, named = span_of(64, 64), named_pictures("a green heart")
    pictures = span.pictures / 128.0
    x = pictures[137] + sigma * np.random.default_rng(5).standard_normal(pictures.shape[1])
    guide = naive(x, max(GUIDE_BLUR * sigma, GUIDE_FLOOR), pictures)
    wanted = guide + cfg_scale * (naive(x, sigma, pictures[named]) - guide)

    found = guided_denoiser(span, named, cfg_scale)(span.inverse @ (pictures @ x), sigma)

    pixels = (span.render(found) - 128.0) / 128.0
    assert np.linalg.norm(pixels - wanted) <= 1e-6 * np.linalg.norm(wanted)


def test_coordinates_keep_distances() -> None:
    """The distance of two pictures in coordinates is their distance in pixels, scaled to 64x64."""
    span = span_of(32, 48)
    pixels = np.linalg.norm((span.pictures[3].astype(np.float64) - span.pictures[700]) / 128.0)

    coordinates = np.linalg.norm(span.coordinates[3] - span.coordinates[700])

    assert coordinates == pytest.approx(pixels * np.sqrt(64 * 64 / (32 * 48)), rel=1e-6)


def test_more_pictures_than_pixel_values_are_no_problem() -> None:
    """At 16x16 the 1000 pictures are linearly dependent, yet each is rendered from its coordinates unchanged."""
    span = span_of(16, 16)

    rendered = span.render(span.coordinates[412])

    assert np.allclose(rendered - 128.0, span.pictures[412], atol=1e-3)


def test_projecting_a_picture_gives_its_coordinates() -> None:
    """A picture of the set, taken as an image, lands on its own coordinates."""
    span = build_span(span_of(64, 64).pictures[::50])
    image = (span.pictures[7].astype(np.int16) + 128).astype(np.uint8).reshape(64, 64, 3)

    assert np.allclose(span.project(image), span.coordinates[7], atol=1e-6)


@pytest.mark.parametrize(
    ("prompt", "classes"),
    [("", 25), ("a cat", 25), ("RED", 5), ("a heart, please", 5), ("a blue star", 1), ("red or blue circle", 2)],
)
def test_whole_words_of_the_prompt_select_classes(prompt: str, classes: int) -> None:
    """Known colours and shapes narrow the set in any case; unknown words do not."""
    assert named_pictures(prompt).sum() == classes * PER_CLASS


def test_parts_of_words_select_nothing() -> None:
    """Words that only contain a known one, as in 'started' and 'bored', count as unknown."""
    assert named_pictures("started bored").all()


def test_the_match_tells_right_from_wrong() -> None:
    """A data set picture matches its own words and no others; noise and a blob match nothing."""
    span = span_of(64, 64)
    image = (span.pictures[GREEN_HEART].astype(np.int16) + 128).astype(np.uint8).reshape(64, 64, 3)
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    blob = span.render(np.full(COUNT, 1 / COUNT) @ span.coordinates).astype(np.uint8).reshape(64, 64, 3)

    assert prompt_match(span, named_pictures("green heart"), image) > 0.8
    assert prompt_match(span, named_pictures(""), image) > 0.8
    assert prompt_match(span, named_pictures("blue star"), image) < 0.1
    assert prompt_match(span, named_pictures(""), noise) < 0.2
    assert prompt_match(span, named_pictures(""), blob) < 0.4
