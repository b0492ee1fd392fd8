"""The base class of a scorer, and the picture that it is given.

An entry point of the group `variantbus.scorers` names a class. Its object is made in a process of its own, in which it
may load a model of any size; the runner only asks the class itself what it takes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec
from pipeline_runner.outputs.images import decoded
from pipeline_runner.outputs.thumbnails import in_colours

Pixels = NDArray[np.float32]  # rows, columns and, of colours, red, green and blue; 0 to 255
WHITE: Final = (255, 255, 255, 255)


class Picture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture that is to be measured, and what made it.

    Attributes:
        path: Its file.
        job_id: The job that made it.
        prompt: What it is to show, "" if its job had no prompt.
        seed: That of its job, None if it had none.
        config: All settings of its job.
        base: The file of the picture that the first value has made with the same seed, None if nobody asks for it.
    """

    path: str
    job_id: str = ""
    prompt: str = ""
    seed: int | None = None
    config: Config = field(default_factory=dict)
    base: str | None = None

    def image(self) -> Image.Image:
        """Return it upright in RGB, transparent parts on white; of an animation, the first frame.

        Raises:
            NoImageError, OSError: it cannot be read.
        """
        return read_image(Path(self.path))

    def pixels(self) -> Pixels:
        """Return it as numbers, as `image` has it."""
        return pixels_of(self.image())


class Scorer:
    """Measures pictures, one at a time. A subclass must define `score`.

    Attributes:
        about: What its number means, in a few words.
        options: What may be set for it in the file of an experiment.
        required: The options without which it cannot work.
        compares: It needs the picture of the first value with the same seed.
    """

    about: ClassVar[str] = ""
    options: ClassVar[Mapping[str, VariableSpec]] = {}
    required: ClassVar[tuple[str, ...]] = ()
    compares: ClassVar[bool] = False

    def __init__(self, options: Config) -> None:
        """Get ready, as by loading a model; called in the process of the scorer, before its first picture."""
        self._options = options

    @classmethod
    def check(cls, options: Config) -> None:
        """Refuse what `options` cannot express, such as a file that is not there; called before a job is queued.

        Raises:
            InvalidInputError: naming the option and what to do.
        """

    def score(self, picture: Picture) -> float:
        """Return the number for a picture; an exception is tried again, and costs only the number."""
        raise NotImplementedError


def read_image(path: Path) -> Image.Image:
    """Read a picture, upright in RGB, transparent parts on white.

    Raises:
        NoImageError, OSError: it cannot be read.
    """
    return decoded(path.read_bytes(), _prepared)[0]


def pixels_of(image: Image.Image) -> Pixels:
    """Return the numbers of a picture in RGB."""
    return np.asarray(image, np.float32)


def sized_as(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return a picture in the size of another one."""
    return image if image.size == other.size else image.resize(other.size, Image.Resampling.LANCZOS)


def _prepared(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(in_colours(image))
    if upright.mode == "RGBA":
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, WHITE), upright)
    return upright.convert("RGB")
