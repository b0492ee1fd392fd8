"""The contact sheet: all pictures of an experiment on one page, or on several if they are many."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise, product
from math import ceil
from typing import Final

from PIL import Image, ImageDraw

from bus.contracts.messages import ImageRef
from variantbus.reports.cells import Grid, Label, grids_of
from variantbus.reports.export import Exported
from variantbus.reports.fonts import Fonts
from variantbus.reports.lettering import LINE, SMALL, Lettering, cut, lettering
from variantbus.reports.planes import Chosen

WIDE: Final = 1600  # pixels that few columns or rows fill
CELL: Final = 160  # pixels of the longer side of a picture, at least
LARGEST_CELL: Final = 320
LEAST_CELL: Final = 24  # where all has to be on one page
SHRINK: Final = 0.8  # of a cell, until all is
LEAST_WIDTH: Final = 640  # of a page, for its title and legend
GAP: Final = 8
MARGIN: Final = 16
SIDE: Final = 240  # of the labels of rows, at most
LINES: Final = 5  # of a label above a column
TITLE: Final = 24
MAX_SIDE: Final = 16_384  # pixels: what programs that show pictures can do, and half of what some formats can
MAX_PIXELS: Final = 48_000_000  # of a page: 144 MB while it is drawn
BACKGROUND: Final = "#ffffff"
INK: Final = "#1a1a1a"
PALE: Final = "#6b6b6b"
EMPTY: Final = "#eeeeee"
Load = Callable[[ImageRef], Image.Image | None]


class SheetError(Exception):
    """There is nothing to draw."""


class Sheet:
    """The pages of an experiment's contact sheet."""

    def __init__(self, exported: Exported, chosen: Chosen | None = None) -> None:
        """Plan them: of several variables those for each plane, or for what was chosen.

        Raises:
            SheetError: no job has given a picture yet.
            InvalidInputError: what was chosen is not there.
        """
        self.grids = grids_of(exported, chosen)
        if not any(grid.cells for grid in self.grids):
            name = exported.experiment_id
            other = f"; its results are shown by `variantbus experiment report {name}`"
            raise SheetError(f"{name} has no pictures to draw{other if exported.records.pictures else ''}")
        self._title, self.experiment_id = exported.definition.name, exported.experiment_id
        axes = [axis for grid in self.grids for axis in (grid.across, grid.down)]
        texts = [
            self._title,
            *(grid.title for grid in self.grids),
            *(text for axis in axes for text in (axis.name, *(part for one in axis.labels for part in one[:2]))),
        ]
        self.fonts = Fonts(texts)
        self.pages = [page for grid in self.grids for page in _pages_of(grid, self.fonts)]

    def draw(self, load: Load) -> Iterator[Image.Image]:
        """Yield page after page; `load` returns a picture or its thumbnail as RGB, or None for an empty cell."""
        for number, page in enumerate(self.pages, 1):
            told = [page.grid.legend, self.experiment_id]
            told += [f"page {number} of {len(self.pages)}"] if len(self.pages) > 1 else []
            yield page.draw(" · ".join(filter(None, [page.grid.title, self._title])), " · ".join(told), load)


def page_of(grid: Grid, texts: Iterable[str], longest: int, most_pixels: int = MAX_PIXELS) -> "Page":
    """Return a grid on one page: `longest` is the longer side of a cell in pixels, which shrinks until all fits.

    Raises:
        SheetError: it does not fit, however small the cells are.
    """
    count = max(len(grid.across.labels), len(grid.down.labels))
    longest = min(longest, MAX_SIDE // count)
    labels = [part for axis in (grid.across, grid.down) for one in axis.labels for part in one[:2]]
    fonts = Fonts([*texts, grid.across.name, grid.down.name, *labels])
    while longest >= LEAST_CELL:
        look = _look_of(grid, fonts, longest)
        page = Page(grid, look, fonts, look.column_parts[0], look.row_parts[0])
        if len(look.column_parts) == len(look.row_parts) == 1 and page.size[0] * page.size[1] <= most_pixels:
            return page
        longest = int(longest * SHRINK)
    raise SheetError("these are too many pictures for one file; hide some values or seeds")


@dataclass(frozen=True, slots=True)
class _Look:
    """Sizes in pixels, the labels, and which columns and rows are on one page."""

    cell: tuple[int, int]
    side: int  # width of the labels of rows
    head: int  # height of all that is above the rows
    columns: Lettering
    rows: Lettering
    column_parts: list[range]
    row_parts: list[range]


def _pages_of(grid: Grid, fonts: Fonts) -> "Iterator[Page]":
    look = _look_of(grid, fonts)
    for rows, columns in product(look.row_parts, look.column_parts):
        yield Page(grid, look, fonts, columns, rows)


def _look_of(grid: Grid, fonts: Fonts, longest: int | None = None) -> _Look:
    below = [fonts.length(one.small, SMALL) for one in grid.down.labels if one.small]
    lines = max(1, int(_cell_of(grid, min(longest or CELL, CELL))[1] / (SMALL * LINE)) - bool(below))
    rows = lettering([one.text for one in grid.down.labels], fonts, SIDE, lines)
    widths = [fonts.length(line, rows.size) for lines in rows.lines for line in lines]
    side = min(SIDE, ceil(max(*widths, *below, fonts.length(grid.down.name, SMALL))))
    room = min((WIDE - side) // len(grid.across.labels), WIDE // len(grid.down.labels)) - GAP
    cell = _cell_of(grid, longest or max(CELL, min(LARGEST_CELL, room)))
    columns = lettering([one.text for one in grid.across.labels], fonts, cell[0], LINES)
    head = MARGIN + round(TITLE * LINE) + round(2 * SMALL * LINE) + columns.height + 3 * GAP
    across = _parts(len(grid.across.labels), (MAX_SIDE - 2 * MARGIN - side) // (cell[0] + GAP))
    width = 2 * MARGIN + side + len(across[0]) * (cell[0] + GAP)
    height = min(MAX_SIDE, MAX_PIXELS // width) - head - MARGIN
    down = _parts(len(grid.down.labels), height // (cell[1] + 2 * GAP))
    return _Look(cell, side, head, columns, rows, across, down)


def _cell_of(grid: Grid, longest: int) -> tuple[int, int]:
    """Return width and height of a cell: no larger than the pictures need, so that upright ones stand close."""
    sizes = {(image.width, image.height) for image in grid.cells.values()}
    width, height = (max(size[at] / max(size) for size in sizes) for at in (0, 1))
    least = min(longest, CELL) // 2
    return max(least, round(longest * width)), max(least, round(longest * height))


def _parts(count: int, most: int) -> list[range]:
    """Divide columns or rows among pages, as evenly as they come."""
    pages = ceil(count / max(1, most))
    ends = [round(count * page / pages) for page in range(pages + 1)]
    return [range(begin, end) for begin, end in pairwise(ends)]


class Page:
    """One page: `size` in pixels, with some columns and rows of the grid."""

    def __init__(self, grid: Grid, look: _Look, fonts: Fonts, columns: range, rows: range) -> None:
        """Lay it out."""
        self.grid, self._look, self._fonts, self.columns, self.rows = grid, look, fonts, columns, rows
        width, height = look.cell
        first = MARGIN + look.side + 2 * GAP
        self._lefts = [first + at * (width + GAP) for at in range(len(columns))]
        gaps = [GAP * (at > 0 and grid.down.labels[row].begins) for at, row in enumerate(rows)]
        self._tops = [look.head + at * (height + GAP) + gap for at, gap in enumerate(accumulate(gaps))]
        self.size = max(LEAST_WIDTH, self._lefts[-1] + width + MARGIN), self._tops[-1] + height + MARGIN

    def draw(self, title: str, legend: str, load: Load) -> Image.Image:
        """Return the page, drawn."""
        self._sheet = Image.new("RGB", self.size, BACKGROUND)
        self._draw = ImageDraw.Draw(self._sheet)
        middle = self._look.head - self._look.columns.height - 2 * GAP
        self._line((MARGIN, MARGIN), title, TITLE, INK)
        self._line((MARGIN, MARGIN + round(TITLE * LINE)), legend, SMALL, PALE)
        self._line((self._lefts[0], middle - round(SMALL * LINE)), self.grid.across.name, SMALL, PALE)
        named = cut(self.grid.down.name, self._look.side, partial(self._fonts.length, size=SMALL))
        self._text((MARGIN + self._look.side, self._look.head - round(SMALL * LINE) - GAP), named, SMALL, PALE, 1.0)
        for column, left in zip(self.columns, self._lefts, strict=True):
            lines = self._look.columns.lines[column]
            top = self._look.head - GAP - round(len(lines) * self._look.columns.size * LINE)
            self._block((left + self._look.cell[0] // 2, top), lines, self._look.columns.size, INK, 0.5)
        for row, top in zip(self.rows, self._tops, strict=True):
            self._row_label(self.grid.down.labels[row], self._look.rows.lines[row], top)
            for column, left in zip(self.columns, self._lefts, strict=True):
                self._cell((left, top), self.grid.cells.get((column, row)), load)
        return self._sheet

    def _row_label(self, label: Label, lines: list[str], top: int) -> None:
        size = self._look.rows.size
        height = len(lines) * size * LINE + (SMALL * LINE if label.small else 0)
        begin = top + round((self._look.cell[1] - height) / 2)
        right = MARGIN + self._look.side
        self._block((right, begin), lines, size, INK, 1.0)
        if label.small:
            self._block((right, begin + round(len(lines) * size * LINE)), [label.small], SMALL, PALE, 1.0)

    def _cell(self, corner: tuple[int, int], image: ImageRef | None, load: Load) -> None:
        width, height = self._look.cell
        picture = load(image) if image else None
        if picture is None:
            self._draw.rectangle((*corner, corner[0] + width - 1, corner[1] + height - 1), fill=EMPTY)
            return
        fitted = _fitted(picture, self._look.cell)
        self._sheet.paste(fitted, (corner[0] + (width - fitted.width) // 2, corner[1] + (height - fitted.height) // 2))

    def _line(self, corner: tuple[int, int], text: str, size: int, colour: str) -> None:
        width = self.size[0] - corner[0] - MARGIN
        self._text(corner, cut(text, width, partial(self._fonts.length, size=size)), size, colour, 0.0)

    def _block(self, place: tuple[int, int], lines: list[str], size: int, colour: str, share: float) -> None:
        for at, line in enumerate(lines):
            self._text((place[0], place[1] + round(at * size * LINE)), line, size, colour, share)

    def _text(self, place: tuple[int, int], text: str, size: int, colour: str, share: float) -> None:
        """Draw a line of text below a place, with a share of its width to the left of that."""
        left = place[0] - share * self._fonts.length(text, size)
        for part, font in self._fonts.runs(text, size):
            self._draw.text((left, place[1] + size), part, colour, font=font, anchor="ls")
            left += font.getlength(part)


def _fitted(picture: Image.Image, cell: tuple[int, int]) -> Image.Image:
    scale = min(cell[0] / picture.width, cell[1] / picture.height)
    # small pictures keep their pixels visible; large ones are smoothed
    method = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS  # noqa: PLR2004
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), method)
