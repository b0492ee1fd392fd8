"""The scorers that come with variantbus: formulas on pixels, which need no model and no download."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from PIL import Image

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError
from pipeline_runner.pipelines.input_files import find_file
from pipeline_runner.scoring import measures
from pipeline_runner.scoring.base import Picture, Scorer, pixels_of, read_image, sized_as

REFERENCE: Final = "reference"


class Sharpness(Scorer):
    """How much detail there is."""

    about = "variance of the Laplacian; more is sharper"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.sharpness(picture.pixels())


class Contrast(Scorer):
    """How far light and dark are apart."""

    about = "RMS contrast, 0 to 0.5"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.contrast(picture.pixels())


class Colorfulness(Scorer):
    """How colourful it is."""

    about = "Hasler and Suesstrunk; 0 is grey, 109 extremely colourful"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.colorfulness(picture.pixels())


class Noise(Scorer):
    """How noisy it is."""

    about = "Immerkaer's standard deviation of the noise, 0 to 255; less is cleaner"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.noise(picture.pixels())


class _Compared(Scorer):
    """Compares each picture with one file."""

    options: ClassVar[Mapping[str, VariableSpec]] = {
        REFERENCE: VariableSpec(kind="str", target="the file that pictures are compared with, on the runner's machine")
    }
    required = (REFERENCE,)

    def __init__(self, options: Config) -> None:
        """Read the file once."""
        super().__init__(options)
        self._reference = read_image(Path(str(options[REFERENCE])))

    @classmethod
    def check(cls, options: Config) -> None:
        """See that the file is there, and a picture.

        Raises:
            InvalidInputError: it is not.
        """
        path = find_file(REFERENCE, Path(str(options[REFERENCE]))).path
        try:
            with Image.open(path):  # which reads its first bytes only
                pass
        except (OSError, Image.DecompressionBombError):
            raise InvalidInputError(f"{REFERENCE}: {path.absolute()} is no picture that can be read") from None

    def _pair(self, picture: Picture) -> tuple[measures.Pixels, measures.Pixels]:
        image = picture.image()
        return pixels_of(image), pixels_of(sized_as(self._reference, image))


class Psnr(_Compared):
    """How close it is to a file, pixel by pixel."""

    about = "peak signal-to-noise ratio to `reference` in dB, at most 100; more is closer"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.psnr(*self._pair(picture))


class Ssim(_Compared):
    """How close it is to a file in its structure."""

    about = "structural similarity to `reference`, 1 is the same"

    def score(self, picture: Picture) -> float:
        """Measure it."""
        return measures.ssim(*self._pair(picture))


class Change(Scorer):
    """How much the value has changed, beside the first one."""

    about = "mean difference from the picture of the first value with the same seed, 0 (none) to 1"
    compares = True

    def score(self, picture: Picture) -> float:
        """Measure it."""
        if picture.base is None:
            raise NoImageError("the first value has no picture to compare with")
        image = picture.image()
        return measures.change(pixels_of(image), pixels_of(sized_as(read_image(Path(picture.base)), image)))
