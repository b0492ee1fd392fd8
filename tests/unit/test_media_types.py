"""What a file is, by its content: a name that lies decides nothing."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

from pipeline_runner.outputs.animations import animation_of
from pipeline_runner.outputs.media_types import HEAD_BYTES, is_called_picture, media_type_of
from tests.support.recordings import animation, model, sound, tone, video


def picture(kind: str) -> bytes:
    """Return a picture of a format."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp"),
        (picture("GIF"), "image/gif"),
        (picture("AVIF"), "image/avif"),
        (picture("TIFF"), "image/tiff"),
        (video(), "video/webm"),
        (video("matroska"), "video/x-matroska"),
        (video("mp4", "libx264"), "video/mp4"),
        (video("mov", "libx264"), "video/quicktime"),
        (video("avi", "mpeg4"), "video/x-msvideo"),
        (tone(), "audio/wav"),
        (sound("flac", "flac"), "audio/flac"),
        (sound("mp3", "libmp3lame"), "audio/mpeg"),
        (sound("ogg", "libopus"), "audio/ogg"),
        (sound("ipod", "aac"), "audio/mp4"),
        (sound("adts", "aac"), "audio/aac"),
        (sound("aiff", "pcm_s16be"), "audio/aiff"),
        (model(), "model/gltf-binary"),
        (b"\xff\xfb\x90\x00" + bytes(20), "audio/mpeg"),
        (b"\xff\x00" + bytes(20), "application/octet-stream"),
        (b"OggS" + bytes(24) + b"\x80theora", "video/ogg"),
        (bytes(4) + b"moov" + bytes(20), "video/quicktime"),
        (b"RIFF\0\0\0\0CDDA" + bytes(4), "application/octet-stream"),
        (b"FORM\0\0\0\0ILBM" + bytes(4), "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("name", ["x", "x.txt", "x.png", "x.mp4", "x.json"])
def test_content_decides(data: bytes, media_type: str, name: str) -> None:
    """Whatever the file is called."""
    assert media_type_of(data[:HEAD_BYTES], name) == media_type


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"words", "a.txt", "text/plain"),
        (b"words", "a", "text/plain"),
        (b"words", "a.png", "text/plain"),
        (b"words", "a.mp4", "text/plain"),
        (b"{}", "a.json", "application/json"),
        (b"a,b\n", "a.csv", "text/csv"),
        (b"<svg/>", "a.svg", "image/svg+xml"),
        (b"", "a.txt", "text/plain"),
        ("words \N{SNOWMAN}".encode()[:-1], "a.txt", "text/plain"),  # cut off in the middle of a character
        (b"wor\xe4ds", "a.txt", "application/octet-stream"),
        (b"wor\0ds", "a.txt", "application/octet-stream"),
        (b"\0\1", "a.png", "application/octet-stream"),
        (b"\0\1", "a.json", "application/octet-stream"),
        (b"\0\1", "a.zip", "application/zip"),
        (b"\0\1", "folder.png/a", "application/octet-stream"),
    ],
)
def test_a_name_tells_texts_apart_and_what_no_content_tells(data: bytes, name: str, media_type: str) -> None:
    """It never makes a picture, a video or a text of what is none."""
    assert media_type_of(data, name) == media_type


def test_a_file_may_be_called_a_picture() -> None:
    """Then a person is told that it is none."""
    assert is_called_picture("a.PNG")
    assert not is_called_picture("a.txt")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_tells_how_long_it_is(kind: str) -> None:
    """So many frames, each for so long."""
    found = animation_of(animation(kind, frames=4, duration=250))

    assert found
    assert found.frames == 4
    assert found.seconds == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "JPEG", "TIFF"])
def test_a_picture_that_stands_still_is_no_animation(kind: str) -> None:
    """One frame moves nothing."""
    assert animation_of(picture(kind)) is None


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_that_is_cut_off_is_read_as_far_as_it_goes(kind: str) -> None:
    """Nothing raises, wherever it ends."""
    data = animation(kind)

    for end in range(0, len(data), 7):
        found = animation_of(data[:end])
        assert found is None or found.frames <= 3


def test_a_frame_of_a_png_may_name_no_unit() -> None:
    """Then it counts in hundredths."""
    png = animation("PNG", duration=100)
    at = png.index(b"fcTL") + 4 + 20

    found = animation_of(png[:at] + struct.pack(">HH", 50, 0) + png[at + 4 :])

    assert found
    assert found.seconds == pytest.approx(0.7)


class Counted(bytes):
    """Bytes that count how many of them are copied."""

    copied = 0

    def __getitem__(self, place: Any) -> Any:
        """Return a byte, or a part."""
        part = super().__getitem__(place)
        self.copied += len(part) if isinstance(part, bytes) else 0
        return part


def test_the_frames_of_a_large_png_are_counted_without_copying_it() -> None:
    """A file of a million frames takes no hours."""
    frame = struct.pack(">I4s20sHHI", 26, b"fcTL", bytes(20), 1, 10, 0)[:-2]
    data = Counted(picture("PNG")[:33] + (frame + bytes(4)) * 200 + bytes(100_000))

    found = animation_of(data)

    assert found
    assert found.frames == 200
    assert data.copied < len(data)
