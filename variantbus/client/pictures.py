"""Pictures from a runner, for what draws or shows them."""

import io
from typing import Final

from PIL import Image, ImageDraw, ImageOps

from pipeline_runner.outputs.images import NoImageError, check_pixels, decoded
from pipeline_runner.outputs.thumbnails import in_colours

SQUARES: Final = 24  # along the longer side of what is transparent
LIGHT: Final = (255, 255, 255)
DARK: Final = (204, 204, 204)


def read_picture(data: bytes) -> Image.Image | None:
    """Return a picture of any format as RGB and upright, what is transparent over a checkerboard; None if it is none.

    It is none, too, where it has more pixels than are decoded. Metadata that cannot be read is left out.
    """
    try:
        return decoded(data, _shown)[0]
    except NoImageError:
        pass  # a program may make pictures of other formats
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_pixels(*image.size)
            return _shown(image)
    except Exception:  # noqa: BLE001 - Pillow's decoders may raise anything on malicious bytes
        return None


def _shown(image: Image.Image) -> Image.Image:
    picture = ImageOps.exif_transpose(in_colours(image))
    if picture.mode == "RGB":
        return picture
    board = _checkerboard(picture.size)
    board.paste(picture, mask=picture.getchannel("A"))
    return board


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    """Return what programs show below transparent pixels."""
    board = Image.new("RGB", size, LIGHT)
    draw = ImageDraw.Draw(board)
    side = max(1, max(size) // SQUARES)
    for top in range(0, size[1], side):
        for left in range(top // side % 2 * side, size[0], 2 * side):
            draw.rectangle((left, top, left + side - 1, top + side - 1), fill=DARK)
    return board
