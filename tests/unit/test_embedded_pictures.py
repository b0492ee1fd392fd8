"""The drawn data set."""

import numpy as np

from pipeline_runner.pipelines.embedded.pictures import COLOURS, COUNT, PER_CLASS, SHAPES, draw_pictures


def test_every_class_has_its_pictures_in_one_slice() -> None:
    """Each of the 25 classes is one run of 40 pictures whose middle has the colour of the class."""
    pictures = draw_pictures(16, 16).reshape(len(COLOURS), len(SHAPES), PER_CLASS, 16, 16, 3)

    middle = pictures[:, :, :, 8, 8].astype(np.float64).mean(axis=(1, 2)) + 128.0

    assert pictures.size == COUNT * 16 * 16 * 3
    for found, wanted in zip(middle, COLOURS.values(), strict=True):
        distances = [np.linalg.norm(found - np.array(colour)) for colour in COLOURS.values()]
        assert list(COLOURS.values())[int(np.argmin(distances))] == wanted


def test_the_set_is_the_same_each_time() -> None:
    """Drawing twice gives the same bytes."""
    assert np.array_equal(draw_pictures(24, 16), draw_pictures(24, 16))


def test_no_two_pictures_are_alike() -> None:
    """All pictures differ, and none is close to white, which is kept for burning."""
    pictures = draw_pictures(32, 32)

    assert len(np.unique(pictures, axis=0)) == COUNT
    corner = pictures.reshape(COUNT, 32, 32, 3)[:, 0, 0].astype(np.int16) + 128
    assert corner.max() < 200


def test_another_size_shows_the_same_scenes() -> None:
    """A picture at twice the size, averaged down, is nearly the picture at half the size."""
    small = draw_pictures(32, 32).astype(np.float64)
    large = draw_pictures(64, 64).reshape(COUNT, 32, 2, 32, 2, 3).mean(axis=(2, 4))

    assert np.abs(large.reshape(COUNT, -1) - small).mean() < 2.0
