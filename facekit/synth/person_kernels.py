"""The inner loops of building a person: painting its texture, and finding the guide that each strand follows.

Why nothing is compiled with ``fastmath`` stands in `facekit.synth.raster`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["darken", "mix_colour", "nearest_index"]

_F = np.float32
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@kernel()
def mix_colour(albedo: Floats, share: Floats, colour: Floats) -> None:
    """Mix a colour into a texture in place.

    Parameters
    ----------
    albedo : (H, W, C) float32
        Its first three channels are changed.
    share : (H, W) float32
    colour : (3,) float32
    """
    for row in range(albedo.shape[0]):
        for column in range(albedo.shape[1]):
            s = share[row, column]
            for c in range(3):
                albedo[row, column, c] += s * (colour[c] - albedo[row, column, c])


@kernel()
def darken(albedo: Floats, share: Floats, amounts: Floats) -> None:
    """Darken a texture in place: each channel is multiplied by 1 - share * amount.

    Parameters
    ----------
    albedo : (H, W, C) float32
        Its first three channels are changed.
    share : (H, W) float32
    amounts : (3,) float32
    """
    for row in range(albedo.shape[0]):
        for column in range(albedo.shape[1]):
            s = share[row, column]
            for c in range(3):
                albedo[row, column, c] *= _F(1) - s * amounts[c]


@kernel()
def nearest_index(points: Floats, others: Floats, out: Indices) -> None:
    """Index of the nearest other point, the first of several.

    Parameters
    ----------
    points : (N, 3) float32
    others : (M, 3) float32
        M at least 1.
    out : (N,) int64
        Written.
    """
    for i in range(points.shape[0]):
        best, where = _F(1e30), 0
        for j in range(others.shape[0]):
            dx, dy, dz = points[i, 0] - others[j, 0], points[i, 1] - others[j, 1], points[i, 2] - others[j, 2]
            square = dx * dx + dy * dy + dz * dz
            if square < best:
                best, where = square, j
        out[i] = where
