"""Pictures and their text chunk `parameters`, as the page "PNG info" of AUTOMATIC1111's web UI reads them."""

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bus.contracts.fields import Config
from pipeline_runner.outputs.containers import PNG_SIGNATURE
from pipeline_runner.outputs.images import ImageKind, NoImageError, read_kind, with_parameters
from pipeline_runner.outputs.infotext import infotext
from pipeline_runner.pipelines.embedded import Picture
from pipeline_runner.pipelines.embedded.pipeline import _png

CONFIG: Config = {
    "prompt": "a blue star, on (white:1.2)\nsecond line: still the prompt",
    "negative_prompt": "blurry,\nugly",
    "steps": 20,
    "sampler_name": "dpm++_2m",
    "scheduler": "karras",
    "cfg_scale": 6.5,
    "seed": 7,
    "width": 64,
    "height": 48,
}
FOREIGN: Final = 'Zoë 🎨, "quoted"\nNegative prompt: grün\nSteps: 4, Sampler: Euler a, Seed: 1, Model: "a, b"'
TEXTS: Final = {"latin-1": infotext(CONFIG), "beyond latin-1": FOREIGN}
# the web UI's rules: a pair of the last line, where there are at least three of them; else it is part of the prompt
PAIR: Final = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
PAIRS_AT_LEAST: Final = 3
SIZE: Final = re.compile(r"(\d+)x(\d+)")


def png_info(data: bytes) -> dict[str, str]:
    """Read a picture as the web UI does: the text is in `info` before any pixel is decoded."""
    with Image.open(io.BytesIO(data)) as image:
        text = image.info.get("parameters")
    assert isinstance(text, str)
    *lines, last = text.strip().split("\n")
    if len(PAIR.findall(last)) < PAIRS_AT_LEAST:
        lines, last = [*lines, last], ""
    found: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    part = "Prompt"
    for line in (one.strip() for one in lines):
        if line.startswith("Negative prompt:"):
            part = "Negative prompt"
        found[part].append(line.removeprefix("Negative prompt:").strip() if part != "Prompt" else line)
    values = {name: "\n".join(texts) for name, texts in found.items()}
    for name, value in PAIR.findall(last):
        plain = json.loads(value) if value[:1] == value[-1:] == '"' else value
        if size := SIZE.fullmatch(plain):
            values |= {f"{name}-1": size[1], f"{name}-2": size[2]}
        else:
            values[name] = plain
    return values


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and body of every chunk of a PNG, whose checksums must be right."""
    assert data.startswith(PNG_SIGNATURE)
    found, at = [], len(PNG_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        found.append((kind, body))
        at += length + 12
    return found


def frames(data: bytes) -> list[tuple[str, bytes]]:
    """Decode every frame of a picture."""
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append((image.mode, image.tobytes()))
        return found


def interlaced() -> bytes:
    """Write a PNG of 8x8 grey pixels in Adam7 order, which Pillow reads but does not write."""
    sizes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))  # width and height of each pass
    lines = b"".join(b"\0" + bytes(range(width)) for width, height in sizes for _ in range(height))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def animated() -> bytes:
    """Write an APNG."""
    pictures = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    return encoded(pictures[0], save_all=True, append_images=pictures[1:], duration=40)


def talkative() -> bytes:
    """Write a PNG with other texts, a resolution and EXIF."""
    text, exif = PngInfo(), Image.Exif()
    text.add_text("workflow", '{"nodes": []}')
    text.add_itxt("prompt", "grün 🎨", zip=True)
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (20, 10), "red"), pnginfo=text, dpi=(72, 72), exif=exif)


PNGS: Final[dict[str, Callable[[], bytes]]] = {
    "8 bits": lambda: encoded(Image.new("RGB", (20, 10), "red")),
    "16 bits": lambda: encoded(Image.fromarray(np.arange(200, dtype=np.uint16).reshape(10, 20) * 300)),
    "a palette": lambda: encoded(Image.new("P", (20, 10), 1), transparency=1),
    "alpha": lambda: encoded(Image.new("RGBA", (20, 10), (1, 2, 3, 4))),
    "interlaced": interlaced,
    "animated": animated,
    "other texts": talkative,
}


def described(data: bytes, text: str) -> bytes:
    """Return a picture with its parameters."""
    return with_parameters(data, read_kind(data), text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("make", PNGS.values(), ids=PNGS)
def test_a_png_gets_the_text_and_nothing_else_changes(make: Callable[[], bytes], text: str) -> None:
    """All other chunks are what they were, in their order, and so are the pixels of each frame."""
    data = make()

    written = described(data, text)

    with Image.open(io.BytesIO(written)) as image:
        assert image.info["parameters"] == text
    added = [chunk for chunk in chunks(written) if chunk not in chunks(data)]
    assert [kind for kind, _ in added] == [b"iTXt"]
    assert [chunk for chunk in chunks(written) if chunk not in added] == chunks(data)
    assert written[: len(PNG_SIGNATURE) + 25] == data[: len(PNG_SIGNATURE) + 25], "IHDR is not the first any more"
    assert frames(written) == frames(data)


def test_the_web_ui_reads_what_is_written_into_a_foreign_png() -> None:
    """Prompts of several lines, quotes, and letters beyond latin-1 come back."""
    plain = PNGS["8 bits"]()

    assert png_info(described(plain, FOREIGN)) == {
        "Prompt": 'Zoë 🎨, "quoted"',
        "Negative prompt": "grün",
        "Steps": "4",
        "Sampler": "Euler a",
        "Seed": "1",
        "Model": "a, b",
    }
    assert png_info(described(plain, infotext({**CONFIG, "model": "x: y"}))) == {
        "Prompt": CONFIG["prompt"],
        "Negative prompt": CONFIG["negative_prompt"],
        "Steps": "20",
        "Sampler": "dpm++_2m",
        "Schedule type": "karras",
        "CFG scale": "6.5",
        "Seed": "7",
        "Size-1": "64",
        "Size-2": "48",
        "Model": "x: y",
        "Version": "variantbus",
    }


def test_the_web_ui_reads_a_picture_of_the_embedded_pipeline() -> None:
    """Its text is written by another way, and read by the same rules."""
    picture = Picture(pixels=np.zeros((48, 64, 3), dtype=np.uint8), prompt_match=1.0)

    found = png_info(_png(picture, {**CONFIG, "prompt": "ein grüner Stern ✦"}))

    assert (found["Prompt"], found["Negative prompt"]) == ("ein grüner Stern ✦", CONFIG["negative_prompt"])
    assert (found["Steps"], found["Seed"], found["Model"]) == ("20", "7", "embedded")
    assert (found["Size-1"], found["Size-2"]) == ("64", "48")


def behind_the_pixels() -> bytes:
    """Write a PNG whose text stands at its end, as some programs do."""
    body = b"parameters\0theirs"
    chunk = struct.pack(">I", len(body)) + b"tEXt" + body + struct.pack(">I", zlib.crc32(b"tEXt" + body))
    plain = PNGS["8 bits"]()
    return plain[:-12] + chunk + plain[-12:]


def with_text(**options: bool) -> bytes:
    """Write a PNG that has the text already."""
    text = PngInfo()
    if "itxt" in options:
        text.add_itxt("parameters", "theirs")
    else:
        text.add_text("parameters", "theirs", **options)
    return encoded(Image.new("RGB", (20, 10)), pnginfo=text)


UNTOUCHED: Final[dict[str, Callable[[], bytes]]] = {
    "a text": with_text,
    "a compressed text": lambda: with_text(zip=True),
    "an international text": lambda: with_text(itxt=True),
    "a text behind the pixels": behind_the_pixels,
    "a JPEG": lambda: encoded(Image.new("RGB", (20, 10)), "JPEG"),
    "a WebP": lambda: encoded(Image.new("RGB", (20, 10)), "WEBP"),
}


@pytest.mark.parametrize("make", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_has_the_text_or_is_no_png_stays_as_it_is(make: Callable[[], bytes]) -> None:
    """What the server says is never overwritten."""
    assert described(make(), "ours") == make()


def test_no_text_changes_nothing() -> None:
    """There is no empty chunk."""
    assert described(PNGS["8 bits"](), "") == PNGS["8 bits"]()


def test_half_a_surrogate_pair_does_no_harm() -> None:
    """What no encoding can hold becomes a question mark."""
    with Image.open(io.BytesIO(described(PNGS["8 bits"](), "a\ud800b"))) as image:
        assert image.info["parameters"] == "a?b"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("PNG", ("image/png", ".png")), ("JPEG", ("image/jpeg", ".jpg")), ("WEBP", ("image/webp", ".webp"))],
)
def test_a_picture_says_what_it_is(kind: str, expected: tuple[str, str]) -> None:
    """By its own bytes, whatever it is called."""
    assert read_kind(encoded(Image.new("RGB", (20, 10)), kind)) == ImageKind(*expected, 20, 10)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", PNGS["8 bits"]()[:50], encoded(Image.new("RGB", (20, 10)), "GIF")],
    ids=["nothing", "a page", "half a PNG", "a GIF"],
)
def test_half_a_picture_is_none(data: bytes) -> None:
    """A connection that broke has given no result."""
    with pytest.raises(NoImageError, match="no whole PNG, JPEG or WebP"):
        read_kind(data)
