"""Thumbnails: small, upright and of any mode; what cannot be decoded has none."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline_runner.outputs import images, thumbnails
from pipeline_runner.outputs.containers import PNG_SIGNATURE
from pipeline_runner.outputs.images import NoImageError
from pipeline_runner.outputs.intact import is_broken, sealed, unsealed
from pipeline_runner.outputs.thumbnails import EDGE, SMALL_BYTES, thumbnail

RED, BLUE = (220, 30, 30), (30, 30, 220)


def halves(size: tuple[int, int] = (800, 600)) -> Image.Image:
    """Draw a picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, 0, size[0] // 2, size[1]))
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    """Decode a thumbnail, which must be a WebP."""
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
        picture.load()
        return picture.convert("RGBA")


def is_near(pixel: Any, colour: tuple[int, ...], by: int = 25) -> bool:
    """Return whether a pixel is about of a colour."""
    return all(abs(one - other) <= by for one, other in zip(pixel, colour, strict=False))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_fitted_into_the_edge(kind: str) -> None:
    """Its longest edge is 384 pixels, and it looks as before."""
    small = decoded(thumbnail(encoded(halves(), kind)))

    assert small.size == (EDGE, EDGE * 600 // 800)
    assert is_near(small.getpixel((50, 100)), RED)
    assert is_near(small.getpixel((330, 100)), BLUE)


def test_a_small_picture_needs_no_thumbnail() -> None:
    """It is one itself, unless it is long or has many bytes."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8))

    assert thumbnail(encoded(halves((EDGE, EDGE)))) == b""
    assert decoded(thumbnail(encoded(halves((EDGE + 1, 8))))).size == (EDGE, 8)
    assert len(encoded(noise)) > SMALL_BYTES
    assert decoded(thumbnail(encoded(noise))).size == (EDGE, EDGE)


def test_a_very_long_picture_keeps_a_pixel() -> None:
    """A thumbnail is never empty."""
    assert decoded(thumbnail(encoded(halves((4000, 1))))).size == (EDGE, 1)


def test_an_exif_orientation_is_applied() -> None:
    """What a camera held sideways has written stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90°

    small = decoded(thumbnail(encoded(halves(), "JPEG", exif=exif)))

    assert small.size == (EDGE * 600 // 800, EDGE)
    assert is_near(small.getpixel((100, 50)), RED)
    assert is_near(small.getpixel((100, 330)), BLUE)


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    """Half grey stays half grey."""
    grey = Image.fromarray(np.full((500, 500), 0x8000, dtype=np.uint16))

    small = decoded(thumbnail(encoded(grey)))

    assert is_near(small.getpixel((100, 100)), (128, 128, 128), 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_has_a_thumbnail(mode: str) -> None:
    """Whatever the picture was saved as, red is left of blue, or light of dark."""
    kind = "JPEG" if mode == "CMYK" else "PNG"
    small = decoded(thumbnail(encoded(halves().convert(mode), kind)))

    left, right = small.getpixel((50, 100)), small.getpixel((330, 100))
    assert small.size == (EDGE, EDGE * 600 // 800)
    if mode in ("P", "RGBA", "CMYK"):
        assert is_near(left, RED, 60)
        assert is_near(right, BLUE, 60)


def test_transparency_is_kept() -> None:
    """Alpha, and a transparent colour of a palette."""
    clear = halves().convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 400, 600))
    palette = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)

    for data in (encoded(clear), encoded(palette, transparency=palette.getpixel((0, 0)))):
        alpha = decoded(thumbnail(data)).getchannel("A")
        assert (alpha.getpixel((50, 100)), alpha.getpixel((330, 100))) == (0, 255)


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "BMP", "TIFF"])
def test_what_programs_make_besides_has_a_thumbnail(kind: str) -> None:
    """Not every browser shows it itself, so a small one has its own, too."""
    look = thumbnails.look_at(encoded(halves(), kind))
    small = thumbnails.look_at(encoded(halves((40, 30)), kind))

    assert (look.media_type, look.size, look.doubt) == (f"image/{kind.lower()}", (800, 600), "")
    assert is_near(decoded(look.thumbnail or b"").getpixel((50, 100)), RED)
    assert decoded(small.thumbnail or b"").size == (40, 30)


def test_a_bomb_of_another_format_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is in its header."""
    monkeypatch.setattr(images, "MOST_PIXELS", 1000)

    look = thumbnails.look_at(encoded(halves((40, 30)), "GIF"))

    assert (look.media_type, look.size, look.thumbnail) == (None, (40, 30), None)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    """The thumbnail stands still."""
    frames = [Image.new("RGB", (500, 500), colour) for colour in (RED, BLUE)]

    data = thumbnail(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50))

    with Image.open(io.BytesIO(data)) as small:
        assert getattr(small, "n_frames", 1) == 1
    assert is_near(decoded(data).getpixel((100, 100)), RED)


def test_texts_and_profiles_of_a_picture_do_not_come_along() -> None:
    """A prompt of a megabyte makes no large thumbnail."""
    text = PngInfo()
    text.add_itxt("parameters", "x" * 500_000)

    assert len(thumbnail(encoded(halves(), pnginfo=text, icc_profile=b"p" * 100_000))) < 20_000


def bomb(width: int, height: int) -> bytes:
    """Write a PNG of a few kilobytes that says to have very many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_000))), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


WHOLE = encoded(halves())
BAD = {
    "nothing": b"",
    "a text": b"this is no picture",
    "the beginning alone": PNG_SIGNATURE,
    "half a PNG": WHOLE[: len(WHOLE) // 2],
    "half a small PNG": encoded(halves((64, 64)))[:120],
    "a PNG with a changed byte": WHOLE[:60] + bytes([WHOLE[60] ^ 0xFF]) + WHOLE[61:],
    "a bomb": bomb(40_000, 40_000),
    "a smaller bomb": bomb(9_000, 8_000),
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a format that is not for pictures of generators": encoded(halves(), "TIFF"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_cannot_be_decoded_has_none(data: bytes) -> None:
    """It is one kind of error, whatever the decoder raises."""
    with pytest.raises(NoImageError):
        thumbnail(data)


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be whole, and need more memory than there is."""
    monkeypatch.setattr(images, "MOST_PIXELS", 800 * 600 - 1)

    for read in (thumbnail, images.read_kind):
        with pytest.raises(images.TooLargeError, match="800x600, which is over 479999 pixels"):
            read(WHOLE)


def test_a_decoder_that_breaks_down_is_no_other_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow raises what it likes on bytes that are made to hurt."""

    def break_down(_image: Image.Image) -> Image.Image:
        raise struct.error("unpack requires a buffer")

    monkeypatch.setattr(thumbnails, "_shrunk", break_down)

    with pytest.raises(NoImageError, match="no whole PNG"):
        thumbnail(WHOLE)


def test_a_thumbnail_has_a_checksum_behind_its_end() -> None:
    """Decoders do not look there; a flipped bit anywhere is noticed, and an empty one says nothing."""
    small = thumbnail(WHOLE)
    data = sealed(small)

    assert unsealed(data) == small
    assert decoded(data).size == decoded(small).size
    assert sealed(b"") == unsealed(b"") == b""
    assert not is_broken(data)
    assert not is_broken(b"")
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        assert unsealed(changed) is None
        assert is_broken(changed) == (not len(data) - 9 <= at < len(data) - 4), "one without the mark may be an old one"
    assert unsealed(small) is None
    assert not is_broken(small)
