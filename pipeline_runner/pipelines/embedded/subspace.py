"""The space that the pictures span: at most COUNT coordinates in place of width * height * 3 pixel values.

Why sampling in these coordinates is exact, not an approximation:

* The denoiser's value is a weighted sum of pictures, with guidance too, hence always within their span.
* Split the noisy picture into x = s + p, s within the span and p at right angles to it. Then
  ||x - y_i||^2 = ||s - y_i||^2 + ||p||^2; the last term is the same for all i and cancels in the softmax.
* Gaussian noise in pixels has independent Gaussian coordinates in any orthonormal basis, the span's too.
* So p never has an influence, and every sampler here ends on the denoiser's value (final sigma 0), where p = 0.
  Hence p is dropped from the start.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded.pictures import COUNT, draw_pictures

Floats = NDArray[np.float64]
Number = TypeVar("Number", np.float32, np.float64)

REFERENCE_VALUES = 64 * 64 * 3
"""Sigmas are meant for pictures of this many values; other sizes are brought to the same scale."""

# Columns at a time, in every thread: few, so that it costs little memory. Sums of so many products of whole numbers in
# -128..127 stay within 2**24, so float32 adds them exactly.
_BLOCK = 256
CACHE_BYTES = 128 << 20  # of picture sets; 256x256 takes 203 MiB, and is then the only one
_spans: "dict[tuple[int, int], Span]" = {}  # by width and height; the one that was used last is the last
_building = Lock()


@dataclass(frozen=True, slots=True)
class Span:
    """A picture set in coordinates of its own span.

    Coordinates are in units of a 64x64 picture with values in [-1, 1): larger pictures have proportionally larger
    norms, which is divided out so that one sigma means the same blur at every size.

    Attributes:
        pictures: (count, values) pixel values minus 128.
        coordinates: (count, count) row i is picture i; lower triangular, the Cholesky factor of the Gram matrix.
            Unlike singular vectors this basis is unique, also in sign, and hardly depends on the size: one seed gives
            the same picture however many threads the linear algebra had, and a related one at every size.
        inverse: (count, count) inverse of coordinates.
        half_norms: (count,) half of each picture's squared norm.
        scale: One pixel level, in coordinate units.
    """

    pictures: NDArray[np.int8]
    coordinates: Floats
    inverse: Floats
    half_norms: Floats
    scale: float

    def products(self, image: NDArray[np.uint8]) -> Floats:
        """Return the (count,) inner products of each picture with an image of the same size, without rounding."""
        levels = centred(image)
        total = np.zeros(len(self.pictures))
        for start, block in _blocks(self.pictures, np.float32):
            total += each_dot(block, levels[start : start + _BLOCK].astype(np.float32))
        return total * self.scale**2

    def project(self, image: NDArray[np.uint8]) -> Floats:
        """Return the coordinates of the point of the span that is nearest to an image of the same size."""
        return each_dot(self.inverse, self.products(image))

    def render(self, point: Floats) -> Floats:
        """Return the flat pixel levels (0..255 where in range, not clipped) of a point given by coordinates."""
        # Weights of the pictures first (point = weights @ coordinates); no basis in pixels has to be kept.
        weights = mix(point, self.inverse)
        parts = [mix(weights, block) for _, block in _blocks(self.pictures, np.float64)]
        return 128.0 + np.concatenate(parts)


# The two products that every picture needs. einsum is as fast as BLAS for them on one core, but starts no threads of
# its own: with BLAS and its threads, eight pictures at the same time took 20 times as long on two cores.


def each_dot(rows: NDArray[Any], vector: NDArray[Any]) -> NDArray[Any]:
    """Return the inner product of each row with a vector."""
    return np.asarray(np.einsum("ij,j->i", rows, vector))


def mix(weights: Floats, rows: Floats) -> Floats:
    """Return the sum of all rows, each times its weight."""
    return np.asarray(np.einsum("i,ij->j", weights, rows))


def centred(image: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the flat pixel levels of an image minus 128."""
    return image.reshape(-1).astype(np.int16) - np.int16(128)


def span_of(width: int, height: int) -> Span:
    """Return the picture set of a size, from a small cache; threads that ask for it at once share one build.

    Args:
        width: Pixels per row.
        height: Rows.
    """
    with _building:
        if span := _spans.pop((width, height), None):
            _spans[width, height] = span
            return span
        room = CACHE_BYTES - _bytes_of(width, height)
        while _spans and sum(_bytes_of(*size) for size in _spans) > room:  # before the new one takes its own
            del _spans[next(iter(_spans))]
        span = _spans[width, height] = build_span(draw_pictures(width, height))
        return span


def _bytes_of(width: int, height: int) -> int:
    """Return what a picture set takes: its pixels, and two square matrices."""
    return COUNT * (width * height * 3 + 2 * 8 * COUNT)


def build_span(pictures: NDArray[np.int8]) -> Span:
    """Find coordinates for (count, values) pictures of pixel levels minus 128."""
    scale = float(np.sqrt(REFERENCE_VALUES / pictures.shape[1])) / 128.0
    gram = np.zeros((len(pictures), len(pictures)))
    products = np.empty(gram.shape, np.float32)
    for _, block in _blocks(pictures, np.float32):
        gram += np.matmul(block, block.T, out=products)
    gram *= scale**2
    # Below some 20x20 there are more pictures than values, and no Cholesky factor. This gives each picture one more
    # value of its own, a few millionths of its norm: far below what SIGMA_MIN can resolve.
    factor = np.linalg.cholesky(gram + np.eye(len(gram)) * (1e-11 * np.trace(gram) / len(gram)))
    coordinates = np.tril(factor)
    inverse = np.linalg.inv(coordinates)
    for array in (pictures, coordinates, inverse):
        array.flags.writeable = False  # shared between threads
    return Span(pictures, coordinates, inverse, np.diag(gram) / 2.0, scale)


def _blocks(pictures: NDArray[np.int8], kind: type[Number]) -> Iterator[tuple[int, NDArray[Number]]]:
    """Yield (first column, columns) in blocks that float32 multiplies without rounding, each valid until the next.

    All of them are in one piece of memory: to get a new one for each took more time than all arithmetic.
    """
    room = np.empty((len(pictures), _BLOCK), kind)
    for start in range(0, pictures.shape[1], _BLOCK):
        columns = pictures[:, start : start + _BLOCK]
        block = room[:, : columns.shape[1]]
        block[:] = columns
        yield start, block
