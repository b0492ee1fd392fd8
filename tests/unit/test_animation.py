"""One page of a grid that a person has arranged, and the animation over its columns."""

import io
from itertools import product

import pytest
from PIL import Image

from bus.contracts.messages import ImageRef
from variantbus.reports import animation, sheet
from variantbus.reports.animation import animation_of, frames_of
from variantbus.reports.cells import Axis, Grid, Label
from variantbus.reports.sheet import LEAST_CELL, SheetError, page_of

COLOURS = {"a": "#ff0000", "b": "#00ff00", "c": "#0000ff"}


def image(name: str, side: int = 64) -> ImageRef:
    """Return a picture of a colour."""
    return ImageRef(sha256=name, path="", width=side, height=side)


def grid(columns: int, rows: int, *pictures: tuple[int, int, str]) -> Grid:
    """Return a grid; without pictures all its cells have one."""
    cells = {(column, row): image(name) for column, row, name in pictures}
    every = {place: image("a") for place in product(range(columns), range(rows))}
    axes = [Axis(name, [Label(str(at)) for at in range(count)]) for name, count in (("cfg", columns), ("seed", rows))]
    return Grid(axes[0], axes[1], cells or every, "", others=0, files=0)


def load(one: ImageRef) -> Image.Image:
    """Return the picture of a colour."""
    return Image.new("RGB", (one.width, one.height), COLOURS[one.sha256])


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_each_column_with_pictures_is_a_frame(form: animation.AnimationForm) -> None:
    """All frames have one size; a column without a picture has none, and a missing one leaves its place empty."""
    made = animation_of(grid(4, 2, (0, 0, "a"), (0, 1, "a"), (1, 0, "b"), (3, 1, "c")), "title", 64, load, form)

    with Image.open(io.BytesIO(made)) as played:
        assert (played.format, played.n_frames, played.info["loop"]) == (form.upper(), 3, 0)  # type: ignore[attr-defined]
        seen = []
        for at in range(3):
            played.seek(at)
            colours = played.convert("RGB").getcolors(1 << 24) or []
            seen.append(
                "".join(name for name in COLOURS if any(near(one, name) for count, one in colours if count > 99))
            )
    assert seen == ["a", "b", "c"]


def near(colour: object, name: str) -> bool:
    """Return whether a pixel has about a colour."""
    wanted = Image.new("RGB", (1, 1), COLOURS[name]).getpixel((0, 0))
    assert isinstance(wanted, tuple)
    assert isinstance(colour, tuple)
    return all(abs(one - other) < 60 for one, other in zip(colour, wanted, strict=True))


def test_a_frame_says_its_value() -> None:
    """And the rows of the grid are its columns."""
    frames = frames_of(grid(2, 3))

    assert [one.legend for one in frames] == ["cfg 0", "cfg 1"]
    assert [label.text for label in frames[0].across.labels] == ["0", "1", "2"]
    assert sorted(frames[1].cells) == [(0, 0), (1, 0), (2, 0)]


def test_the_order_of_pictures_changes_no_frame() -> None:
    """Frames come as the columns stand, whatever the page names first."""
    frames = frames_of(grid(3, 1, (2, 0, "c"), (0, 0, "a"), (1, 0, "b")))

    assert [(one.legend, one.cells[0, 0].sha256) for one in frames] == [("cfg 0", "a"), ("cfg 1", "b"), ("cfg 2", "c")]


def test_cells_shrink_until_all_is_on_one_page() -> None:
    """A hundred columns of large pictures are as wide as a file may be."""
    page = page_of(grid(100, 20), ["title"], 2048)

    assert len(page.columns) == 100
    assert len(page.rows) == 20
    assert page.size[0] <= sheet.MAX_SIDE
    assert page.size[0] * page.size[1] <= sheet.MAX_PIXELS


def test_what_is_too_much_for_one_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sentence that says what to do, and so is nothing at all."""
    monkeypatch.setattr(sheet, "MAX_SIDE", 10 * LEAST_CELL)
    with pytest.raises(SheetError, match="too many pictures for one file; hide some values or seeds"):
        page_of(grid(100, 1), ["title"], 64)
    nothing = grid(1, 1)._replace(cells={})
    with pytest.raises(SheetError, match="no picture"):
        animation_of(nothing, "title", 64, load, "gif")
