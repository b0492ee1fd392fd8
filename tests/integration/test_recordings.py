"""Videos, sounds and animations as results: kept byte by byte, measured, and with a picture of them."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import UNSET
from PIL import Image

from bus.contracts.messages import ImageRef
from pipeline_runner.outputs import looks
from pipeline_runner.outputs import poster as poster_program
from pipeline_runner.outputs.files import Outputs, thumbnail_path
from pipeline_runner.outputs.intact import unsealed
from tests.support.factories import record_of
from tests.support.helpers import PATIENCE, TIME_FACTOR
from tests.support.recordings import SIZE, animation, model, sound, tone, video


def saved(tmp_path: Path, data: bytes, name: str = "result.bin") -> ImageRef:
    """Save a file that a program has written."""
    source = tmp_path / name
    source.write_bytes(data)
    image, size = Outputs(tmp_path / "outputs").save_file(record_of(), source, 1 << 30, seed=None, name=name)
    assert size == len(data)
    assert (tmp_path / "outputs" / image.path).read_bytes() == data
    return image


def poster(tmp_path: Path, image: ImageRef) -> Image.Image | None:
    """Return the thumbnail of a result, None if it has none."""
    path = tmp_path / "outputs" / thumbnail_path(image.sha256)
    return Image.open(io.BytesIO(unsealed(path.read_bytes()) or b"")).convert("L") if path.exists() else None


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (video(), "video/webm"),
        (video("matroska"), "video/x-matroska"),
        (video("mp4", "libx264"), "video/mp4"),
        (video("mov", "libx264"), "video/quicktime"),
    ],
)
def test_a_video_has_a_size_a_length_and_a_frame(tmp_path: Path, data: bytes, media_type: str) -> None:
    """The first frame that is not dark stands for it: many begin in black."""
    image = saved(tmp_path, data)
    shown = poster(tmp_path, image)

    assert (image.media_type, (image.width, image.height)) == (media_type, SIZE)
    assert image.duration == pytest.approx(1.0, abs=0.15)
    assert image.frames in (9, 10, 11)
    assert shown
    assert shown.size == SIZE
    assert shown.getpixel((10, 10)) == pytest.approx(200, abs=12)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (tone(), "audio/wav"),
        (sound("flac", "flac"), "audio/flac"),
        (sound("mp3", "libmp3lame"), "audio/mpeg"),
        (sound("ogg", "libopus"), "audio/ogg"),
        (sound("webm", "libopus"), "audio/webm"),
        (sound("mp4", "aac"), "audio/mp4"),
    ],
)
def test_a_sound_has_a_length_and_a_waveform(tmp_path: Path, data: bytes, media_type: str) -> None:
    """A container that could hold a video is told by what is in it."""
    image = saved(tmp_path, data)
    shown = poster(tmp_path, image)

    assert (image.media_type, image.width, image.height) == (media_type, 0, 0)
    assert image.duration == pytest.approx(1.0, abs=0.1)
    assert image.frames is UNSET
    assert shown
    middle, edge = shown.getpixel((200, shown.height // 2)), shown.getpixel((200, 2))
    assert isinstance(middle, int)
    assert isinstance(edge, int)
    assert middle < edge


@pytest.mark.parametrize(("kind", "media_type"), [("WEBP", "image/webp"), ("PNG", "image/png"), ("GIF", "image/gif")])
def test_an_animation_is_a_picture_that_says_how_long_it_is(tmp_path: Path, kind: str, media_type: str) -> None:
    """Its thumbnail is its first frame, also if the animation is small."""
    image = saved(tmp_path, animation(kind))

    assert (image.media_type, (image.width, image.height), image.frames) == (media_type, SIZE, 3)
    assert image.duration == pytest.approx(0.3)
    assert poster(tmp_path, image)


def test_a_model_is_kept(tmp_path: Path) -> None:
    """It has neither size nor thumbnail."""
    image = saved(tmp_path, model(), "mesh.glb")

    assert (image.media_type, image.width, image.duration) == ("model/gltf-binary", 0, UNSET)
    assert poster(tmp_path, image) is None


@pytest.mark.parametrize("data", [video()[:200], video("mp4", "libx264")[:300], b"ID3" + bytes(100), tone()[:20]])
def test_a_recording_that_is_cut_off_is_kept_as_it_is(tmp_path: Path, data: bytes) -> None:
    """What can be told of it is told, and no more."""
    image = saved(tmp_path, data)

    assert image.media_type.partition("/")[0] in ("video", "audio")


@pytest.mark.fault(item="F181")
def test_a_decoder_that_hangs_or_dies_costs_the_frame_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a process of its own, and ended after a while; the video is kept."""
    monkeypatch.setattr(looks, "POSTER_SECONDS", 0.1)
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))

    image = saved(tmp_path, video())

    assert (image.media_type, image.width, image.duration) == ("video/webm", 0, UNSET)
    assert poster(tmp_path, image) is None
    for shade, program in enumerate(("/bin/false", "/nowhere"), 100):
        monkeypatch.setattr(sys, "executable", program)
        assert saved(tmp_path, video(shade=shade)).width == 0


@pytest.mark.fault(item="F181")
def test_a_decoder_ends_by_itself_after_its_runner_was_killed(tmp_path: Path) -> None:
    """Nobody else would end it."""
    os.mkfifo(tmp_path / "endless")
    code = "from pipeline_runner.outputs import poster; poster.SECONDS = 0.1; poster.main()"

    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "endless"], check=False, timeout=PATIENCE * TIME_FACTOR
    )

    assert ended.returncode == -signal.SIGALRM


def test_a_video_of_too_many_pixels_has_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would fill the memory; what its head says is told."""
    (tmp_path / "video").write_bytes(video())
    monkeypatch.setattr(poster_program, "MOST_PIXELS", SIZE[0] * SIZE[1] - 1)

    told = poster_program.told_of(tmp_path / "video")

    assert told
    assert ((told.width, told.height), told.picture) == (SIZE, b"")


def test_without_the_extra_a_video_is_kept_without_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started, and nothing fails."""
    monkeypatch.setattr(looks, "has_decoder", lambda: False)
    monkeypatch.setattr(sys, "executable", "/nowhere")

    image = saved(tmp_path, video())

    assert (image.media_type, image.width, image.duration) == ("video/webm", 0, UNSET)
