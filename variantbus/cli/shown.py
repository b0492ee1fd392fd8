"""Results as files that a person looks at: pictures as PNG, and videos, sounds and all else as they are."""

import mimetypes
from pathlib import Path, PurePosixPath

from msgspec import UNSET
from PIL import Image

from bus.contracts.media import is_picture
from bus.contracts.messages import ImageRef
from bus.protocol.control import ControlError
from bus.transport.keys import Keys
from variantbus.client.outputs import fetch_output
from variantbus.client.pictures import read_picture


def is_still(image: ImageRef) -> bool:
    """Return whether a result is a picture that does not move."""
    return is_picture(image) and image.frames is UNSET


def fetch_still(runner: str, image: ImageRef, keys: Keys | None) -> Image.Image:
    """Fetch a picture in full size.

    Raises:
        ControlError: the runner does not have it, or it cannot be read.
    """
    picture = read_picture(b"".join(fetch_output(runner, image.sha256, keys)))
    if picture is None:
        raise ControlError("conflict", f"{image.sha256} is no picture that can be shown")
    return picture


def save_shown(runner: str, image: ImageRef, stem: Path, keys: Keys | None) -> Path:
    """Write a result into a file with the fitting suffix, a picture without its metadata, which would tell the value.

    Raises:
        ControlError: as for `fetch_still`.
    """
    if is_still(image):
        path = stem.with_suffix(".png")
        picture = fetch_still(runner, image, keys)
        picture.info.clear()
        picture.save(path)
        return path
    path = stem.with_suffix(mimetypes.guess_extension(image.media_type) or PurePosixPath(image.path).suffix)
    with path.open("wb") as file:
        file.writelines(fetch_output(runner, image.sha256, keys))
    return path
