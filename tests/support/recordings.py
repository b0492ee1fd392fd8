"""Small videos, sounds, animations and models, as programs and servers write them."""

import io
import json
import math
import struct
import wave
from functools import cache
from typing import Final

import av
import numpy as np
from PIL import Image

SIZE: Final = (64, 48)
RATE: Final = 8000


@cache
def video(form: str = "webm", codec: str = "libvpx-vp9", *, shade: int = 200, frames: int = 10) -> bytes:
    """Return a video of one second whose first frame is black, and whose others have one shade."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=frames)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            pixels = np.full((SIZE[1], SIZE[0], 3), shade if number else 0, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def tone(hertz: int = 440, seconds: float = 1.0) -> bytes:
    """Return a sound as the standard library writes it."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        samples = (round(12000 * math.sin(2 * math.pi * hertz * at / RATE)) for at in range(round(RATE * seconds)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return buffer.getvalue()


@cache
def sound(form: str, codec: str, rate: int = 48_000) -> bytes:
    """Return a second of a tone, encoded."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
        with av.open(io.BytesIO(tone()), "r") as source:
            for frame in source.decode(audio=0):
                for part in resampler.resample(frame):
                    container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def animation(kind: str = "WEBP", *, frames: int = 3, duration: int = 100, shade: int = 60) -> bytes:
    """Return a picture that moves: frames of a different colour, each for so many milliseconds."""
    pictures = [Image.new("RGB", SIZE, (shade * number % 256, 90, 120)) for number in range(1, frames + 1)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, kind, save_all=True, append_images=pictures[1:], duration=duration, loop=0)
    return buffer.getvalue()


def model() -> bytes:
    """Return a 3D model without a triangle, as binary glTF."""
    body = json.dumps({"asset": {"version": "2.0"}}).encode()
    body += b" " * (-len(body) % 4)
    return struct.pack("<4sII", b"glTF", 2, 20 + len(body)) + struct.pack("<I4s", len(body), b"JSON") + body
