"""What running jobs show of themselves: which bytes are a preview, how often one is told, and what is kept."""

import pytest

from pipeline_runner.execution.previews import PREVIEW_BYTES, Pace, Picture, Previews, picture_of
from tests.support.odd_pictures import plain


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_a_preview_is_what_its_bytes_are(kind: str, media_type: str) -> None:
    """Whatever somebody says of them."""
    data = plain(kind)
    assert picture_of(data) == Picture(media_type, data)


@pytest.mark.parametrize("data", [b"", b"<svg/>", plain("GIF"), plain("PNG")[:20], plain("JPEG")[:8]])
def test_other_bytes_are_none(data: bytes) -> None:
    """As a browser would show something else, or nothing."""
    assert picture_of(data) is None


def test_a_preview_is_bounded() -> None:
    """In bytes, and in the pixels that a browser decodes."""
    data = plain("PNG")
    assert picture_of(data + bytes(PREVIEW_BYTES - len(data))) is not None
    assert picture_of(data + bytes(PREVIEW_BYTES - len(data) + 1)) is None

    for side, is_taken in ((2048, True), (2049, False), (0, False)):
        assert (picture_of(data[:16] + side.to_bytes(4, "big") + data[20:]) is not None) == is_taken


def test_progress_that_comes_too_early_is_left_out() -> None:
    """There is more to come."""
    pace = Pace()
    assert [pace.wait(now, has_preview=False) for now in (1.0, 1.1, 1.25, 1.4, 1.5)] == [0.0, None, 0.0, None, 0.0]


def test_a_preview_waits_for_its_turn() -> None:
    """The next step may take a minute; what comes in between is left out, so five a second is the most."""
    pace = Pace()
    assert pace.wait(1.0, has_preview=False) == 0.0
    assert pace.wait(1.05, has_preview=True) == pytest.approx(0.15)
    assert pace.wait(1.3, has_preview=False) is None
    assert pace.wait(1.41, has_preview=False) == 0.0


def test_there_are_two_previews_a_second() -> None:
    """However many a pipeline has."""
    pace = Pace()
    assert pace.may_show(1.0)
    assert pace.wait(1.0, has_preview=True) == 0.0
    assert not pace.may_show(1.49)
    assert pace.may_show(1.5)


def test_the_newest_preview_of_each_job_is_kept() -> None:
    """Under a number that is never given again."""
    previews, red, blue = Previews(), Picture("image/png", b"red"), Picture("image/png", b"blue")
    previews.put("one", red)
    previews.put("two", red)
    previews.put("one", blue)

    found = previews.find("one")
    assert found == (3, blue)

    previews.drop("one")
    previews.drop("one")
    assert previews.find("one") is None
    assert previews.find("two") == (2, red)
