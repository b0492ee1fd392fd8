"""What is measured of pixels: against values that were worked out by hand, and what each number is for."""

import math

import numpy as np
import pytest

from pipeline_runner.scoring import measures
from pipeline_runner.scoring.measures import Pixels


def grey(rows: list[list[float]]) -> Pixels:
    """Return a picture of these luminances."""
    return np.repeat(np.array(rows, np.float32)[..., None], 3, axis=2)


def random_picture(side: int = 32) -> Pixels:
    """Return a picture of random pixels, the same one each time."""
    return np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.float32)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    """Of two inner pixels beside a point of 100, the Laplacians are -400 and 100: their variance is 62500."""
    assert measures.sharpness(grey([[0, 0, 0, 0], [0, 100, 0, 0], [0, 0, 0, 0]])) == pytest.approx(62_500, rel=1e-4)
    assert measures.sharpness(grey([[7] * 4] * 4)) == pytest.approx(0, abs=1e-6)


def test_contrast_is_the_deviation_of_the_luminance() -> None:
    """Half black and half white is the most that there is."""
    assert measures.contrast(grey([[0, 255], [255, 0]])) == pytest.approx(0.5)
    assert measures.contrast(grey([[9, 9], [9, 9]])) == 0


def test_colorfulness_follows_the_paper() -> None:
    """Half red, half green: rg is 255 or -255, yb is 127.5; so 255 + 0.3 * 127.5. Grey has none."""
    halves = np.array([[[255, 0, 0], [0, 255, 0]]], np.float32)
    assert measures.colorfulness(halves) == pytest.approx(255 + 0.3 * 127.5)
    assert measures.colorfulness(grey([[1, 200]])) == 0


def test_noise_is_found_and_slopes_are_none() -> None:
    """A point of 16 in the middle of 3 by 3 gives 64 by the mask, so sqrt(pi/2) * 64 / 6; noise of 7 is seen as 7."""
    assert measures.noise(grey([[0, 0, 0], [0, 16, 0], [0, 0, 0]])) == pytest.approx(
        math.sqrt(math.pi / 2) * 64 / 6, rel=1e-5
    )
    assert measures.noise(grey([[x * 2 + y * 3 for x in range(9)] for y in range(9)])) == pytest.approx(0, abs=1e-4)
    noisy = grey(np.random.default_rng(3).normal(128, 7, (300, 300)).tolist())
    assert measures.noise(noisy) == pytest.approx(7, rel=0.02)


def test_psnr_is_in_decibels_and_bounded() -> None:
    """A difference of 255 everywhere is 0 dB, one of 25.5 is 20 dB, none would be infinite."""
    black, white = grey([[0, 0]]), grey([[255, 255]])
    assert measures.psnr(black, white) == pytest.approx(0)
    assert measures.psnr(black, grey([[25.5, 25.5]])) == pytest.approx(20, abs=1e-5)
    assert measures.psnr(white, white) == measures.MOST_DB


def test_ssim_of_flat_pictures_is_that_of_their_luminance() -> None:
    """With no structure it is (2ab + C1) / (a^2 + b^2 + C1); of a picture with itself it is 1."""
    one, two = grey([[100.0] * 12] * 12), grey([[150.0] * 12] * 12)
    expected = (2 * 100 * 150 + measures.C1) / (100**2 + 150**2 + measures.C1)
    assert measures.ssim(one, two) == pytest.approx(expected, rel=1e-5)
    picture = random_picture()
    assert measures.ssim(picture, picture) == pytest.approx(1)
    assert measures.ssim(picture, 255 - picture) < 0.1


def test_ssim_is_that_of_scikit_image() -> None:
    """With its Gaussian weights, 0.9797175 and 0.9663991 for these; see the parameters in docs/scorers.md."""
    random = np.random.default_rng(1)
    for shape, expected in (((11, 11), 0.9797175), ((64, 48), 0.9663991)):
        one = random.integers(0, 256, (*shape, 3)).astype(np.float32)
        two = np.clip(one + random.normal(0, 20, one.shape), 0, 255).astype(np.float32)
        assert measures.ssim(one, two) == pytest.approx(expected, abs=1e-6)


def test_change_is_a_share_of_all_that_is_possible() -> None:
    """None is 0 exactly; black to white is 1."""
    picture = random_picture()
    assert measures.change(picture, picture) == 0
    assert measures.change(grey([[0, 0]]), grey([[255, 255]])) == pytest.approx(1)


@pytest.mark.parametrize(("measure", "side"), [("sharpness", 3), ("noise", 3), ("ssim", 11)])
def test_a_picture_that_is_too_small_says_so(measure: str, side: int) -> None:
    """With its size, and that which is needed."""
    small = grey([[1.0] * (side - 1)] * 20)
    with pytest.raises(ValueError, match=rf"{side - 1}x20 pixels is too small; {side}x{side} are needed"):
        getattr(measures, measure)(*([small] if measure != "ssim" else [small, small]))
