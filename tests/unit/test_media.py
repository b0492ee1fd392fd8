"""What people see of a result, and about which results they are asked."""

from typing import Any

import pytest

from bus.contracts.media import AskedAbout, Kind, is_picture, kind_of, level_of
from bus.contracts.messages import ImageRef


def ref(media_type: str, size: tuple[int, int] = (0, 0), **more: Any) -> ImageRef:
    """Return a result."""
    return ImageRef(sha256="0" * 64, path="x", width=size[0], height=size[1], media_type=media_type, **more)


def asked_about(refs: list[ImageRef]) -> list[ImageRef]:
    """Return about which results people are asked; they come in pages."""
    asked = AskedAbout[ImageRef](lambda one: one)
    for one in refs:
        asked.add([one])
    return asked.results


@pytest.mark.parametrize(
    ("result", "kind", "level"),
    [
        (ref("image/png", (8, 8)), "picture", 4),
        (ref("image/gif", (8, 8), frames=3), "picture", 4),
        (ref("image/png"), "file", 0),
        (ref("image/svg+xml"), "file", 0),
        (ref("video/mp4"), "video", 4),
        (ref("video/webm", (8, 8), duration=1.5), "video", 4),
        (ref("audio/flac"), "sound", 3),
        (ref("model/gltf-binary"), "model", 2),
        (ref("text/csv"), "text", 1),
        (ref("application/json"), "text", 1),
        (ref("application/octet-stream"), "file", 0),
        (ref("nonsense"), "file", 0),
    ],
)
def test_a_result_is_what_people_see_of_it(result: ImageRef, kind: Kind, level: int) -> None:
    """A picture of which no size is known cannot be shown."""
    assert (kind_of(result), level_of(result)) == (kind, level)
    assert is_picture(result) is (kind == "picture")


@pytest.mark.parametrize(
    ("results", "asked"),
    [
        ((), []),
        (("application/octet-stream",), []),
        (("text/plain", "application/octet-stream"), ["text/plain"]),
        (("text/plain", "model/gltf-binary"), ["model/gltf-binary"]),
        (("audio/wav", "text/plain", "audio/flac"), ["audio/wav", "audio/flac"]),
        (("text/plain", "video/mp4", "audio/wav"), ["video/mp4"]),
    ],
)
def test_people_are_asked_about_what_says_most(results: tuple[str, ...], asked: list[str]) -> None:
    """A log beside a video is not rated, and where there are only texts, these are."""
    refs = [ref(one) for one in results]

    assert [one.media_type for one in asked_about(refs)] == asked


def test_a_picture_and_a_video_say_the_same() -> None:
    """Both are looked at."""
    refs = [ref("image/png", (8, 8)), ref("video/mp4")]

    assert asked_about(refs) == refs
