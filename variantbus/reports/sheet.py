"""The contact sheet: all pictures of an experiment in one PNG, one column for each value, one row for each seed."""

from collections.abc import Callable
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bus.contracts.messages import ImageRef
from variantbus.reports.export import Exported
from variantbus.reports.text import value_text

CELL: Final = 160  # pixels a side
GAP: Final = 8
HEADING: Final = 56  # height of the column headings
SIDE: Final = 96  # width of the row headings
TITLE: Final = 48
MAX_COLUMNS: Final = 12  # more values than that become rows
BACKGROUND: Final = "#ffffff"
INK: Final = "#1a1a1a"
PALE: Final = "#8a8a8a"
EMPTY: Final = "#eeeeee"
Load = Callable[[ImageRef], Image.Image | None]


class SheetError(Exception):
    """There is nothing to draw."""


def contact_sheet(exported: Exported, load: Load) -> Image.Image:
    """Draw the pictures of an experiment, the first one of each value and seed; a missing one leaves its cell empty.

    `load` returns a picture or its thumbnail as RGB, or None.

    Raises:
        SheetError: no job has given a picture yet.
    """
    definition = exported.definition
    pictures: dict[tuple[int, int], ImageRef] = {}
    for one in exported.records.pictures:
        if one.image.width and one.image.height:
            seed = definition.seed + one.repeat_index if one.image.seed is None else one.image.seed
            pictures.setdefault((one.variant_index, seed), one.image)
    if not pictures:
        raise SheetError(f"{exported.experiment_id} has no pictures to draw")
    seeds = sorted({seed for _, seed in pictures})
    values = [f"{definition.variable_name}\n{value_text(value)}" for value in exported.values]
    cells = {(index, seeds.index(seed)): image for (index, seed), image in pictures.items()}
    rows = [f"seed\n{seed}" for seed in seeds]
    columns = values
    if len(values) > MAX_COLUMNS:
        columns, rows = rows, columns
        cells = {(row, column): image for (column, row), image in cells.items()}
    return _draw(definition.name, columns, rows, cells, load)


def _draw(
    title: str, columns: list[str], rows: list[str], cells: dict[tuple[int, int], ImageRef], load: Load
) -> Image.Image:
    width = SIDE + len(columns) * (CELL + GAP) + GAP
    height = TITLE + HEADING + len(rows) * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP * 2, GAP * 2), _fit(draw, title, _font(22), width - 4 * GAP), INK, font=_font(22))
    for at, text in enumerate(columns):
        middle = SIDE + at * (CELL + GAP) + CELL // 2
        _heading(draw, (middle, TITLE + HEADING // 2), text, CELL)
    for at, text in enumerate(rows):
        middle = TITLE + HEADING + at * (CELL + GAP) + CELL // 2
        _heading(draw, (SIDE // 2, middle), text, SIDE - GAP)
    for column in range(len(columns)):
        for row in range(len(rows)):
            corner = (SIDE + column * (CELL + GAP), TITLE + HEADING + row * (CELL + GAP))
            picture = _picture(cells.get((column, row)), load)
            if picture:
                sheet.paste(picture, corner)
            else:
                draw.rectangle((*corner, corner[0] + CELL - 1, corner[1] + CELL - 1), fill=EMPTY)
    return sheet


def _heading(draw: ImageDraw.ImageDraw, middle: tuple[int, int], text: str, width: int) -> None:
    """Draw the name small and the value large below it, both shortened only if they do not fit."""
    name, _, value = text.partition("\n")
    x, y = middle
    draw.text((x, y - 12), _fit(draw, name, _font(13), width), PALE, font=_font(13), anchor="mm")
    draw.text((x, y + 10), _fit(draw, value, _font(20), width), INK, font=_font(20), anchor="mm")


def _fit(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


def _picture(image: ImageRef | None, load: Load) -> Image.Image | None:
    """Return a picture that fits into a cell; None if it is missing or damaged."""
    picture = load(image) if image else None
    if picture is None:
        return None
    scale = CELL / max(picture.size)
    # small pictures keep their pixels visible; large ones are smoothed
    method = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS  # noqa: PLR2004
    fitted = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), method)
    cell = Image.new("RGB", (CELL, CELL), EMPTY)
    cell.paste(fitted, ((CELL - fitted.width) // 2, (CELL - fitted.height) // 2))
    return cell
