"""Pictures from a runner, for the commands that draw or show them."""

import io

from PIL import Image

from pipeline_runner.outputs.images import NoImageError, decoded


def read_picture(data: bytes) -> Image.Image | None:
    """Return a picture of any format as RGB, None if it cannot be shown; metadata that cannot be read is left out."""
    try:
        return decoded(data, lambda image: image.convert("RGB"))[0]
    except NoImageError:
        pass  # a program may make pictures of other formats
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except Exception:  # noqa: BLE001 - Pillow's decoders may raise anything on malicious bytes
        return None
