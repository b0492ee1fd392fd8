"""Pictures that a job starts from, or works with: files on the runner's machine, read within bounds."""

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError, read_kind
from pipeline_runner.pipelines.input_files import FileVersion, find_file, read_file

INIT_IMAGE: Final = {"init_image": VariableSpec(kind="str", target="the picture in this file on the runner's machine")}
_WHERE: Final = "config.init_image"
_MASK: Final = "config.mask"


class InitImage(NamedTuple):
    """A picture to start from: the file's bytes, and width and height in pixels."""

    data: bytes
    width: int
    height: int


def read_init_image(config: Config) -> InitImage | None:
    """Read the file that `init_image` names, if it does.

    Raises:
        InvalidInputError: it is not there, or no picture.
    """
    if "init_image" not in config:
        return None
    return read_picture(_WHERE, Path(str(config["init_image"])))


def read_mask(config: Config, init: InitImage | None) -> InitImage | None:
    """Read the file that `mask` names, if it does: white is what is made anew.

    Raises:
        InvalidInputError: it is not there, no picture, or of another size than the picture that it masks.
    """
    if "mask" not in config:
        return None
    mask = read_picture(_MASK, Path(str(config["mask"])))
    if init and (mask.width, mask.height) != (init.width, init.height):
        size, other = (f"{one.width}x{one.height}" for one in (mask, init))
        raise InvalidInputError(f"{_MASK}: has {size} pixels, and {_WHERE} {other}; make them the same size")
    return mask


def read_picture(where: str, path: Path) -> InitImage:
    """Read a picture; `where` begins the sentence if it cannot be read.

    Raises:
        InvalidInputError: it is not there, or no picture.
    """
    return _picture(where, find_file(where, path))


@lru_cache(maxsize=8)  # all jobs of an experiment have the same ones, and each is checked
def _picture(where: str, version: FileVersion) -> InitImage:
    data = read_file(where, version.path)
    try:
        kind = read_kind(data)
    except NoImageError as error:
        raise InvalidInputError(f"{where}: {version.path.absolute()} has {error}") from None
    return InitImage(data, kind.width, kind.height)
