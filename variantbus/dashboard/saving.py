"""The pictures as a page has arranged them, as one file: a PNG, or an animation over the columns."""

import io
from threading import Lock
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct
from PIL import Image

from bus.contracts.messages import ImageRef
from bus.contracts.outputs import Sha256
from bus.protocol.control import ControlError
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from variantbus.client.outputs import fetch_output, fetch_picture
from variantbus.client.pictures import read_picture
from variantbus.reports.animation import animation_of, joined
from variantbus.reports.cells import Axis, Grid, Label
from variantbus.reports.sheet import LARGEST_CELL, Load, SheetError, page_of

MOST_LABELS: Final = 10_000
MOST_PICTURES: Final = 10_000
LARGEST: Final = 2048  # pixels of the longer side of a picture in full
BUSY_SECONDS: Final = 20.0  # for which a request waits for others
TYPES: Final = {"png": "image/png", "gif": "image/gif", "webp": "image/webp"}
Text = Annotated[str, Meta(max_length=10_000)]
Place = Annotated[int, Meta(ge=0, lt=MOST_LABELS)]
Pixels = Annotated[int, Meta(ge=1, le=1_000_000)]


class SavedLabel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands beside a row or above a column, and below it in small letters."""

    text: Text
    small: Text = ""


class SavedAxis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows or the columns, and what they are called."""

    name: Text
    labels: Annotated[list[SavedLabel], Meta(min_length=1, max_length=MOST_LABELS)]


class SavedPicture(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A picture and its place, as a list: thousands of them fit into a request."""

    column: Place
    row: Place
    sha256: Sha256
    width: Pixels
    height: Pixels


class SavedPictures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page shows, and how it is to be saved; `whole`: in full size, as far as a file can hold it."""

    form: Literal["png", "gif", "webp"]
    title: Text
    across: SavedAxis
    down: SavedAxis
    pictures: Annotated[list[SavedPicture], Meta(max_length=MOST_PICTURES)]
    whole: bool = False


class Saver:
    """Draws one file at a time, as each needs much memory."""

    def __init__(self, runner: str, keys: Keys | None) -> None:
        """Keep where the pictures are."""
        self._runner, self._keys, self._lock = runner, keys, Lock()

    def save(self, body: Any) -> tuple[bytes, str]:
        """Return the file and its media type.

        Raises:
            InvalidInputError: naming the field, or what is too much.
            ControlError: the runner does not answer, or other files are being drawn.
        """
        wanted = take(body, SavedPictures)
        grid = grid_of(wanted)
        sides = [max(one.width, one.height) for one in wanted.pictures]
        longest = min(LARGEST, max(sides)) if wanted.whole else LARGEST_CELL

        def load(image: ImageRef) -> Image.Image | None:
            return self._load(image, is_whole=wanted.whole)

        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise ControlError("unavailable", "other files are being drawn; try again in a moment")
        try:
            if wanted.form == "png":
                return _png(grid, wanted.title, longest, load), TYPES["png"]
            return animation_of(grid, wanted.title, longest, load, wanted.form), TYPES[wanted.form]
        except SheetError as error:
            raise InvalidInputError(str(error)) from None
        finally:
            self._lock.release()

    def _load(self, image: ImageRef, *, is_whole: bool) -> Image.Image | None:
        """Return a picture, None where the runner has it no more."""
        if not is_whole:
            data = fetch_picture(self._runner, image.sha256, self._keys)
            return read_picture(data) if data is not None else None
        try:
            return read_picture(b"".join(fetch_output(self._runner, image.sha256, self._keys)))
        except ControlError as error:
            if error.code != "not_found":
                raise
            return None


def _png(grid: Grid, title: str, longest: int, load: Load) -> bytes:
    out = io.BytesIO()
    page_of(grid, [title], longest).draw(title, grid.legend, load).save(out, "PNG")
    return out.getvalue()


def grid_of(wanted: SavedPictures) -> Grid:
    """Return the grid that a page asks for.

    Raises:
        InvalidInputError: there are no pictures, or one is not on the axes.
    """
    if not wanted.pictures:
        raise InvalidInputError("there is no picture to save yet")
    across, down = ([Label(one.text, one.small) for one in axis.labels] for axis in (wanted.across, wanted.down))
    cells = {}
    for at, one in enumerate(wanted.pictures):
        if one.column >= len(across) or one.row >= len(down):
            raise InvalidInputError(f"pictures[{at}]: is not on the axes")
        cells[one.column, one.row] = ImageRef(sha256=one.sha256, path="", width=one.width, height=one.height)
    axes = Axis(wanted.across.name, [joined(one) for one in across]), Axis(wanted.down.name, down)
    return Grid(*axes, cells, f"{axes[0].name} across, {axes[1].name} down", others=0, files=0)
