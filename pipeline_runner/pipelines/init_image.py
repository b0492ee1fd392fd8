"""The picture that a job starts from: a file on the runner's machine, read within bounds."""

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
    return _picture(find_file(_WHERE, Path(str(config["init_image"]))))


@lru_cache(maxsize=2)  # all jobs of an experiment start from the same one, and each is checked
def _picture(version: FileVersion) -> InitImage:
    data = read_file(_WHERE, version.path)
    try:
        kind = read_kind(data)
    except NoImageError as error:
        raise InvalidInputError(f"{_WHERE}: {version.path.absolute()} has {error}") from None
    return InitImage(data, kind.width, kind.height)
