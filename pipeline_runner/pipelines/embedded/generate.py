"""Settings in, picture out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline_runner.pipelines.embedded.denoiser import guided_denoiser, named_pictures
from pipeline_runner.pipelines.embedded.match import prompt_match
from pipeline_runner.pipelines.embedded.samplers import SAMPLERS, sampler_named
from pipeline_runner.pipelines.embedded.schedules import SCHEDULERS, sigmas
from pipeline_runner.pipelines.embedded.subspace import Span, span_of

Floats = NDArray[np.float64]

_RGB_AXES = 3


class Cancelled(Exception):  # noqa: N818 - not an error: the caller asked for it
    """The caller's `cancelled` said so before a step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """What to make.

    Attributes:
        prompt: Words; known colours and shapes in it select the pictures that the model may make.
        steps: Sampling steps, 1..150.
        cfg_scale: Guidance, 0..30: 0 ignores the prompt, 1 follows it, high values burn.
        sampler_name: One of SAMPLERS.
        scheduler: One of SCHEDULERS.
        seed: Start of all randomness, 0..2**63 - 1.
        width: Pixels per row, 16..256.
        height: Rows, 16..256.
        denoising_strength: With an init image, the part of the steps that is run on it, 0..1; else without effect.
        init_image: (rows, columns, 3) picture of any size to start from, or None to start from noise.

    Raises:
        ValueError: A value is not allowed; the message names the field and what is allowed.
    """

    prompt: str = ""
    steps: int = 20
    cfg_scale: float = 1.5
    sampler_name: str = "euler"
    scheduler: str = "karras"
    seed: int = 0
    width: int = 64
    height: int = 64
    denoising_strength: float = 1.0
    init_image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            raise ValueError(f"prompt must be a text, not {self.prompt!r}")  # noqa: TRY004 - one error for all fields
        _require_whole("steps", self.steps, 1, 150)
        _require_number("cfg_scale", self.cfg_scale, 0.0, 30.0)
        _require_one_of("sampler_name", self.sampler_name, SAMPLERS)
        _require_one_of("scheduler", self.scheduler, SCHEDULERS)
        _require_whole("seed", self.seed, 0, 2**64 - 1)
        _require_whole("width", self.width, 16, 256)
        _require_whole("height", self.height, 16, 256)
        _require_number("denoising_strength", self.denoising_strength, 0.0, 1.0)
        if self.init_image is not None:
            _require_rgb("init_image", self.init_image)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What was made.

    Attributes:
        pixels: (height, width, 3) RGB.
        prompt_match: 0..1, see `match.prompt_match`.
    """

    pixels: NDArray[np.uint8]
    prompt_match: float


def _ignore_step(_done: int, _total: int) -> None:
    """Report to nobody."""


def _never() -> bool:
    return False


def generate(
    settings: Settings,
    on_step: Callable[[int, int], None] = _ignore_step,
    cancelled: Callable[[], bool] = _never,
) -> Picture:
    """Make one picture; the same settings give the same bytes, in any thread.

    Args:
        settings: What to make.
        on_step: Called as on_step(done, total) after each step.
        cancelled: Asked before each step.

    Returns:
        The picture and how well it matches the prompt.

    Raises:
        Cancelled: `cancelled` returned true.
    """
    span = span_of(settings.width, settings.height)
    named = named_pictures(settings.prompt)
    levels = sigmas(settings.scheduler, settings.steps)
    start = None
    if settings.init_image is not None:
        start = _resized(settings.init_image, settings.width, settings.height)
        # A1111's image to image: noise the image as far as the last part of the schedule expects, and run that part.
        levels = levels[settings.steps - round(settings.denoising_strength * settings.steps) :]
    total = len(levels) - 1
    if start is not None and total == 0:
        return Picture(start, prompt_match(span, named, start))

    first, later = _noise_streams(settings.seed)
    origin = np.zeros(len(span.half_norms)) if start is None else span.project(start)
    x = origin + levels[0] * first.standard_normal(len(origin))
    states = sampler_named(settings.sampler_name)(
        guided_denoiser(span, named, settings.cfg_scale), x, levels, lambda: later.standard_normal(len(origin))
    )
    for done in range(1, total + 1):
        if cancelled():
            raise Cancelled
        x = next(states)
        on_step(done, total)
    pixels = _pixels(span, x, settings)
    return Picture(pixels, prompt_match(span, named, pixels))


def warm_up(settings: Settings) -> None:
    """Draw the picture set of a size, unless it is at hand; `generate` would do so too."""
    span_of(settings.width, settings.height)


def _noise_streams(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Return one stream for the initial noise and one for later noise.

    Apart, so that a seed starts all samplers from the same noise.
    """
    first, later = np.random.SeedSequence(seed).spawn(2)
    return np.random.Generator(np.random.PCG64(first)), np.random.Generator(np.random.PCG64(later))


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), np.uint8)


def _pixels(span: Span, x: Floats, settings: Settings) -> NDArray[np.uint8]:
    """Round and clip: what leaves the range is burnt."""
    levels = np.clip(np.rint(span.render(x)), 0.0, 255.0)
    return levels.astype(np.uint8).reshape(settings.height, settings.width, _RGB_AXES)


def _require_whole(field: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{field} must be a whole number in {low}..{high}, not {value!r}")


def _require_number(field: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:  # NaN is not between
        raise ValueError(f"{field} must be a number in {low:g}..{high:g}, not {value!r}")


def _require_one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(allowed)}, not {value!r}")


def _require_rgb(field: str, image: object) -> None:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != _RGB_AXES
        or image.shape[2] != _RGB_AXES
        or image.size == 0
    ):
        raise ValueError(f"{field} must be a uint8 array of shape (rows, columns, 3)")
