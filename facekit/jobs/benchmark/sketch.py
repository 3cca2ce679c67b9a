"""Thirty-two numbers of all pictures of a benchmark, by which they are compared with those that are published.

A digest says whether pictures are the same to the last bit, which another processor changes. A random projection
(Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984) keeps distances: the distance
of two sketches is that of all pictures, give or take an eighth, so it tells a last bit here and there from other
pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from facekit.errors import PictureError

__all__ = ["ALIKE_TO", "distance", "sketch"]

NUMBERS = 32
SIDE = 16
ALIKE_TO = 0.1
"""Levels of 255 up to which pictures are the published ones but for last bits: measured, see benchmarks/README.md."""

_SIGNS = 9
"""Tag of the stream of random signs."""


def sketch(pictures: Iterable[npt.NDArray[np.uint8]]) -> tuple[float, ...]:
    """Project the means of 16 x 16 fields of all pictures.

    Parameters
    ----------
    pictures : iterable of (H, W, 3) uint8
        In order; sides that 16 divides.

    Returns
    -------
    tuple of float
        32, in levels, rounded to a thousandth: scaled so that the mean square of the differences of two sketches
        estimates that of all means.

    Raises
    ------
    PictureError
        A side is not divided by 16.
    """
    total, count = np.zeros(NUMBERS), 0
    for position, image in enumerate(pictures):
        means = _field_means(image)
        signs = np.random.default_rng([_SIGNS, position]).bytes(NUMBERS * means.size // 8)
        bits = np.unpackbits(np.frombuffer(signs, np.uint8)).reshape(NUMBERS, means.size)
        total += 2 * (bits @ means) - means.sum()
        count += means.size
    return tuple(round(float(value), 3) for value in total / np.sqrt(max(count, 1)))


def _field_means(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(768,), levels."""
    height, width = image.shape[:2]
    if height % SIDE or width % SIDE:
        raise PictureError(f"a picture of {height} x {width} pixels has no {SIDE} x {SIDE} fields of one size")
    fields = image.reshape(SIDE, height // SIDE, SIDE, width // SIDE, 3)
    return np.asarray(fields.mean(axis=(1, 3)).ravel(), np.float64)


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """By how many levels the pictures of two sketches differ (root of the mean square over fields, estimated)."""
    apart = np.subtract(one, other)
    return float(np.sqrt(np.mean(apart**2)))
