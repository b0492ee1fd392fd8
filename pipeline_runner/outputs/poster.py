"""What PyAV tells of a video or a sound, and a picture of it: a frame, or the waveform.

    python -m pipeline_runner.outputs.poster PATH

It is a program of its own, as a decoder may crash or hang on what somebody else has written. It prints a `Told` in
msgpack, and nothing where PyAV is not installed (the extra `video`) or cannot read the file.
"""

import io
import signal
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from PIL import Image, ImageDraw

from pipeline_runner.outputs.images import MOST_PIXELS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

SECONDS: Final = 60.0  # after which it is ended by the system
WAVE: Final = (384, 192)  # pixels of a waveform
RATE: Final = 4000  # samples a second that are looked at
MOST_SAMPLES: Final = RATE * 600  # ten minutes show as much as all of it
DARK: Final = 24  # the mean brightness below which a frame is passed over: many videos begin in black
LOOKED_AT: Final = 48  # frames, until one is not dark
INK: Final = "#1a56b0"
PAPER: Final = "#eef1f6"


class Told(Struct, frozen=True, kw_only=True):
    """What could be told of a file."""

    width: int = 0  # pixels; 0 of a sound
    height: int = 0
    seconds: float | None = None
    frames: int | None = None
    picture: bytes = b""  # PNG; nothing where none could be drawn


def told_of(path: Path) -> Told | None:
    """Return what can be told of a video or a sound, None if nothing can."""
    try:
        import av  # noqa: PLC0415 - it is an extra
    except ImportError:
        return None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            seconds = container.duration / av.time_base if container.duration else None
            if container.streams.video:
                return _video(container, container.streams.video[0], seconds)
            return _sound(container, container.streams.audio[0], seconds) if container.streams.audio else None
    except (av.FFmpegError, OSError, ValueError):
        return None


def _video(container: "InputContainer", stream: "VideoStream", seconds: float | None) -> Told:
    if seconds is None and stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    frames = stream.frames or (round(seconds * stream.average_rate) if seconds and stream.average_rate else None)
    return Told(
        width=stream.width, height=stream.height, seconds=seconds, frames=frames, picture=_frame(container, stream)
    )


def _frame(container: "InputContainer", stream: "VideoStream") -> bytes:
    """Return the first frame that is not dark, else the first one."""
    import av  # noqa: PLC0415 - as above

    first: Image.Image | None = None
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # a few bytes may stand for gigabytes of them
    with suppress(av.FFmpegError):  # a file that was cut off may have a few frames
        for frame in islice(container.decode(stream), LOOKED_AT):
            image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
            first = first or image
            (mean,) = image.resize((1, 1)).convert("L").tobytes()
            if mean >= DARK:
                return _png(image)
    return _png(first) if first else b""


def _sound(container: "InputContainer", stream: "AudioStream", seconds: float | None) -> Told:
    import av  # noqa: PLC0415 - as above

    samples = array("h")
    with suppress(av.FFmpegError):
        for part in _samples(container, stream):
            samples.frombytes(part)
            if len(samples) >= MOST_SAMPLES:
                break
    if seconds is None and 0 < len(samples) < MOST_SAMPLES:
        seconds = len(samples) / RATE
    return Told(seconds=seconds, picture=_png(waveform(samples)) if samples else b"")


def _samples(container: "InputContainer", stream: "AudioStream") -> Iterator[bytes]:
    """Yield the sound in one channel, as whole numbers of 16 bits."""
    from av.audio.resampler import AudioResampler  # noqa: PLC0415 - as above

    resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            yield bytes(part.planes[0])[: 2 * part.samples]


def waveform(samples: "array[int]") -> Image.Image:
    """Draw how loud a sound is, from its begin to its end."""
    width, height = WAVE
    image = Image.new("RGB", WAVE, PAPER)
    draw, middle = ImageDraw.Draw(image), height // 2
    for column in range(width):
        part = samples[column * len(samples) // width : max(1, (column + 1) * len(samples) // width)]
        loudest = max((abs(one) for one in (min(part), max(part))), default=0) if part else 0
        reach = round((middle - 1) * loudest / 2**15)
        draw.line((column, middle - reach, column, middle + reach), fill=INK)
    return image


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def main() -> None:
    """Print what can be told of a file. It ends by itself: who has started it may have been killed."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    if told := told_of(Path(sys.argv[1])):
        sys.stdout.buffer.write(msgspec.msgpack.encode(told))


if __name__ == "__main__":
    main()
