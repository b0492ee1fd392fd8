"""Whether an upscaled picture was made by its upscaler: a server that lacks the model resizes it, and says nothing."""

from typing import Final

from PIL import Image, ImageChops
from PIL.Image import Resampling

from bus.contracts.fields import Config
from pipeline_runner.outputs.images import NoImageError, decoded
from pipeline_runner.pipelines.server_values import number

PLAIN: Final = ("Lanczos", "Nearest")  # the server's own, without a model
_FURTHER: Final = ("upscaler_2_visibility", "gfpgan_visibility", "codeformer_visibility")
_ROUNDING: Final = 1  # of 255, by which two versions of the same arithmetic may differ


def was_only_resized(config: Config, start: bytes, end: bytes) -> bool:
    """Return whether the picture `end` is what a plain resize makes of `start`, though a model was asked for.

    What nobody can tell is no difference: a picture so smooth that any resize gives the same, one that was compressed
    with a loss, and one that further steps have changed.
    """
    if config.get("upscaler") in PLAIN or any(number(config.get(name)) for name in _FURTHER):
        return False
    try:
        (pixels, lossless), _ = decoded(end, lambda image: (image.convert("RGB"), image.format == "PNG"))
        return lossless and decoded(start, lambda image: _is_resized(image, pixels))[0]
    except NoImageError:  # too large
        return False


def _is_resized(start: Image.Image, end: Image.Image) -> bool:
    picture = start if start.mode in ("RGB", "RGBA") else start.convert("RGB")
    plain, other = (picture.resize(end.size, how).convert("RGB") for how in (Resampling.LANCZOS, Resampling.BICUBIC))
    return _same(plain, end) and not _same(plain, other)


def _same(one: Image.Image, other: Image.Image) -> bool:
    bands = ImageChops.difference(one, other).split()
    return all(max(level for level, count in enumerate(band.histogram()) if count) <= _ROUNDING for band in bands)
