"""An animation over the columns of a grid: a frame for each, with its pictures side by side."""

import io
from collections.abc import Iterator
from typing import Final, Literal

from PIL import Image

from bus.contracts.messages import ImageRef
from variantbus.reports.cells import Axis, Grid, Label
from variantbus.reports.sheet import Load, SheetError, page_of

FRAME_MS: Final = 900  # so that a person can look at each
MAX_PIXELS: Final = 24_000_000  # of all frames: some 10 s to encode
QUALITY: Final = 85
AnimationForm = Literal["gif", "webp"]


def frames_of(grid: Grid) -> list[Grid]:
    """Return what each frame shows: the pictures of one column in a row, under their labels; no frame without any."""
    columns: dict[int, dict[tuple[int, int], ImageRef]] = {}
    for (column, row), image in grid.cells.items():
        columns.setdefault(column, {})[row, 0] = image
    across, down = Axis(grid.down.name, [joined(label) for label in grid.down.labels]), Axis("", [Label("")])
    names = [f"{grid.across.name} {label.text}".strip() for label in grid.across.labels]
    return [Grid(across, down, cells, names[column], others=0, files=0) for column, cells in sorted(columns.items())]


def joined(label: Label) -> Label:
    """Return a label for a column, above which there is no room for small letters."""
    return Label(", ".join(filter(None, label[:2])))


def animation_of(grid: Grid, title: str, longest: int, load: Load, form: AnimationForm) -> bytes:
    """Return the file; `longest` is the longer side of a picture in pixels, which shrinks until all frames fit.

    Raises:
        SheetError: there is nothing to draw, or too much.
    """
    frames = frames_of(grid)
    if not frames:
        raise SheetError("there is no picture to draw yet")
    every = Grid(frames[0].across, frames[0].down, {}, "", others=0, files=0)
    # all frames have one size, that of all their pictures
    cells = {place: image for frame in frames for place, image in frame.cells.items()}
    texts = [title, *(frame.legend for frame in frames)]
    page = page_of(every._replace(cells=cells), texts, longest, MAX_PIXELS // len(frames))

    def drawn() -> Iterator[Image.Image]:
        for frame in frames:
            page.grid = frame
            yield page.draw(frame.legend, title, load)

    first, *others = drawn()
    out = io.BytesIO()
    options = {"quality": QUALITY} if form == "webp" else {}
    first.save(out, form.upper(), save_all=True, append_images=others, duration=FRAME_MS, loop=0, **options)
    return out.getvalue()
