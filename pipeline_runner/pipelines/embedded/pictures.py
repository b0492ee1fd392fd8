"""Draw the data set: 5 colours x 5 shapes x 40 small scenes, the same ones at every size."""

import colorsys
import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 50, 46),
    "green": (48, 168, 80),
    "blue": (48, 96, 226),
    "yellow": (244, 204, 48),
    "purple": (152, 66, 198),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "heart")
PER_CLASS = 40
COUNT = len(COLOURS) * len(SHAPES) * PER_CLASS

_OVERSAMPLING = 4  # outlines are filled at 4x the size and averaged down: Pillow does not anti-alias polygons
_SCENES_SEED = 20220601  # any fixed number: the data set must be the same in every process


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture without its size.

    Attributes:
        outline: (points, 2) polygon around (0, 0), in units of its own radius, y downwards.
        centre: Where it stands, as fractions of width and height.
        radius: Its radius, as a fraction of the shorter side.
        colour: Its colour, three numbers in 0..255.
        sky: Background colour of the upper edge, three numbers in 0..255.
        ground: Background colour of the lower edge, three numbers in 0..255.
    """

    outline: NDArray[np.float64]
    centre: NDArray[np.float64]
    radius: float
    colour: NDArray[np.float64]
    sky: NDArray[np.float64]
    ground: NDArray[np.float64]


def draw_pictures(width: int, height: int) -> NDArray[np.int8]:
    """Draw all scenes.

    Args:
        width: Pixels per row.
        height: Rows.

    Returns:
        (COUNT, height * width * 3) pixel values minus 128, colour by colour, shape by shape, 40 of each in a row.
        Whole numbers: inner products of them can be had without any rounding.
    """
    pictures = np.empty((COUNT, height * width * 3), np.int8)
    for row, scene in zip(pictures, _scenes(), strict=True):
        row[:] = (draw_scene(scene, width, height).reshape(-1).astype(np.int16) - 128).astype(np.int8)
    return pictures


def draw_scene(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Draw one scene as an (height, width, 3) picture: a softly lit shape before a vertical gradient."""
    coverage = _coverage(scene, width, height)[:, :, None]
    down = np.linspace(0.0, 1.0, height)[:, None, None]
    background = scene.sky + down * (scene.ground - scene.sky)
    light = 1.12 - 0.24 * down  # lit from above, which gives the flat shape some body
    pixels = coverage * (np.minimum(scene.colour * light, 255.0) - background)
    pixels += background
    return np.rint(pixels, out=pixels).astype(np.uint8)


def _coverage(scene: Scene, width: int, height: int) -> NDArray[np.float64]:
    """Return which part of each pixel the shape covers, (height, width) in 0..1."""
    size = np.array([width, height]) * _OVERSAMPLING
    points = scene.centre * size + scene.outline * (scene.radius * size.min())
    mask = Image.new("L", (int(size[0]), int(size[1])))
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in points.tolist()], fill=255)
    return np.asarray(mask.reduce(_OVERSAMPLING), np.float64) / 255.0


def _scenes() -> list[Scene]:
    """Draw the lots for all scenes, in class order."""
    lots = np.random.Generator(np.random.PCG64(_SCENES_SEED))
    classes = product(COLOURS.values(), SHAPES)
    return [_scene(colour, shape, lots) for colour, shape in classes for _ in range(PER_CLASS)]


def _scene(colour: tuple[int, int, int], shape: str, lots: np.random.Generator) -> Scene:
    tilt = lots.uniform(-0.35, 0.35)
    hue, saturation, value = lots.uniform((0.0, 0.1, 0.34), (1.0, 0.35, 0.72))  # never near white: burning must show
    backdrop = np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255.0
    fade = lots.uniform(0.7, 0.95)
    return Scene(
        outline=_outline(shape) @ _rotation(tilt),
        centre=lots.uniform(0.4, 0.6, 2),
        radius=lots.uniform(0.24, 0.36),
        colour=np.array(colour) * lots.uniform(0.85, 1.05),
        sky=backdrop,
        ground=backdrop * fade,
    )


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def _outline(shape: str) -> NDArray[np.float64]:
    """Return the (points, 2) outline of an upright shape in a circle of radius about 1, y downwards."""
    turn = np.linspace(0.0, 2 * np.pi, 80, endpoint=False)
    if shape == "heart":
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return np.stack((x, -y), axis=1) / 16.0
    if shape == "star":
        turn, reach = turn[::8], np.where(np.arange(10) % 2, 0.46, 1.15)
        return _polar(turn, reach)
    if shape == "circle":
        return _polar(turn, np.full(80, 0.9))
    if shape == "triangle":
        corners = _polar(turn[:3] * (80 / 3), np.full(3, 1.1))
        corners[:, 1] += 0.15  # looks centred so
        return corners
    return _polar(turn[::20] + np.pi / 4, np.full(4, 1.1))


def _polar(angle: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points at an angle clockwise from straight up and at a distance from (0, 0)."""
    return np.stack((reach * np.sin(angle), -reach * np.cos(angle)), axis=1)
