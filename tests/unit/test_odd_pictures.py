"""A picture is its pixels: whatever its metadata is, it is read, and only what cannot be read is left out."""

import io
import struct
import warnings
import zlib

import pytest
from PIL import Image

from pipeline_runner.outputs.containers import PNG_SIGNATURE, format_of, size_of, without_metadata
from pipeline_runner.outputs.images import MOST_PIXELS, kind_of, with_parameters
from pipeline_runner.outputs.infotext import LINE_LIMIT, read_infotext
from pipeline_runner.outputs.thumbnails import look_at
from tests.support.odd_pictures import COLOUR, READABLE, SIZE, UNREADABLE, chunk, plain, two_in_one, with_chunk


@pytest.mark.fault(item="B64")
@pytest.mark.parametrize("name", [*UNREADABLE, *READABLE])
def test_a_picture_is_read_whatever_its_metadata_is(name: str) -> None:
    """Its kind, its size and its thumbnail are there; what was left out is told."""
    data = {**UNREADABLE, **READABLE}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a service

        kind, look = kind_of(data), look_at(data)

    assert (kind.width, kind.height) == look.size == SIZE
    assert kind.media_type == look.media_type
    assert look.thumbnail
    with Image.open(io.BytesIO(look.thumbnail)) as small:
        assert small.size == (384, 192)
    for doubt in (kind.doubt, look.doubt):
        assert doubt.startswith("its metadata cannot be read: ") == (name in UNREADABLE), doubt
        assert "0x" not in doubt


@pytest.mark.fault(item="B64")
def test_a_picture_that_could_not_be_read_whole_is_not_changed() -> None:
    """Not a byte is added to it: a text chunk `parameters` may be there already."""
    data = UNREADABLE["a large zTXt"]

    assert with_parameters(data, kind_of(data), "a blue star") == data


def huge(kind: str) -> bytes:
    """Return the beginning of a picture that says to be 16,000 pixels wide and high."""
    side = 16_000
    if kind == "PNG":
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    if kind == "JPEG":
        data = plain("JPEG")
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]
    flags_and_sides = bytes(4) + (side - 1).to_bytes(3, "little") * 2
    parts = b"VP8X" + struct.pack("<I", 10) + flags_and_sides + plain("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


@pytest.mark.fault(item="B65")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_too_many_pixels_is_kept_undecoded(kind: str) -> None:
    """Its size is that of its header; there is no thumbnail, and the text says why."""
    found, look = kind_of(huge(kind)), look_at(huge(kind))

    assert (found.width, found.height) == look.size == (16_000, 16_000)
    assert look.thumbnail is None
    assert "16000x16000" in look.doubt
    assert str(MOST_PIXELS) in look.doubt
    assert found.media_type == look.media_type


@pytest.mark.parametrize("name", [*UNREADABLE, *READABLE])
def test_without_metadata_the_pixels_are_the_same(name: str) -> None:
    """What is taken away is not needed to show the picture."""
    data = {**UNREADABLE, **READABLE}[name]

    bare = without_metadata(data)

    assert len(bare) <= len(data)
    assert format_of(bare) == format_of(data)
    assert size_of(bare) == size_of(data) == SIZE
    with Image.open(io.BytesIO(bare)) as image:
        shown = image.convert("RGB").getpixel((5, 5))
    if name in UNREADABLE:
        assert isinstance(shown, tuple)
        assert all(abs(one - other) < 8 for one, other in zip(shown, COLOUR, strict=True))


def test_of_several_pictures_in_one_file_the_first_counts() -> None:
    """An MPO of a camera is a JPEG."""
    assert kind_of(two_in_one())[:4] == ("image/jpeg", ".jpg", *SIZE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_first_bytes_of_a_picture_do_no_harm(kind: str) -> None:
    """Nothing raises wherever the bytes end, and whichever of them is wrong."""
    data = with_chunk(b"zTXt", b"a\0\0bc", plain()) if kind == "PNG" else plain(kind)
    for end in range(min(len(data), 400)):
        size_of(data[:end])
        without_metadata(data[:end])
        changed = data[:end] + bytes([data[end] ^ 0xFF]) + data[end + 1 :]
        size_of(changed)
        without_metadata(changed)


def test_a_last_line_without_end_is_read_as_none() -> None:
    """Half a million pairs would take minutes."""
    assert read_infotext("Steps: 4, Seed: 7") == {"Steps": "4", "Seed": "7"}
    assert read_infotext("a: 1," * LINE_LIMIT) == {}
