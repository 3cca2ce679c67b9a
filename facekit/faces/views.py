"""A picture -> square views at several scales, so that faces of every size are as large as a detector wants them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["View", "to_picture", "turned_back", "view_sides", "views"]

OVERLAP = 0.25
"""Of neighbouring views: a face too large for it is found at the scale before."""


class View(NamedTuple):
    """A square part of the picture, resized.

    Attributes
    ----------
    pixels : (side, side, 3) uint8
        RGB; black where it reaches beyond the picture.
    x, y : float
        Its upper left corner in the picture, counted from the edge of the first pixel.
    scale : (float, float)
        Pixels of the picture a pixel of the view, across and down.
    """

    pixels: NDArray[np.uint8]
    x: float
    y: float
    scale: tuple[float, float]


def view_sides(shape: tuple[int, ...], widest: float, narrowest: float) -> list[float]:
    """Sides of the views that are to be looked at, in pixels of the picture, the widest first.

    Parameters
    ----------
    shape : (H, W, ...)
    widest : float
        Side of the first view, as a multiple of the picture's longer side.
    narrowest : float
        Pixels; no view is smaller, and the last is this large unless the whole picture is smaller.

    Returns
    -------
    list of float
        Each at least half of the one before.
    """
    first = widest * max(shape[:2])
    steps = math.ceil(math.log2(first / narrowest)) if first > narrowest else 0
    return [first * (narrowest / first) ** (step / steps) if steps else first for step in range(steps + 1)]


def views(image: NDArray[np.uint8], view_side: float, pixels: int) -> Iterator[View]:
    """Cover a picture with square views of one scale.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB
    view_side : float
        Of each in pixels of the picture; a view larger than the picture has it in its middle.
    pixels : int
        Side of each as it is given.
    """
    import cv2

    height, width = image.shape[:2]
    scale = view_side / pixels
    size = max(1, round(width / scale)), max(1, round(height / scale))
    sampling = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(image, size, interpolation=sampling), np.uint8)
    across, down = width / size[0], height / size[1]  # near the scale: a size is a whole number
    for top in _starts(size[1], pixels):
        for left in _starts(size[0], pixels):
            yield View(_cut(small, left, top, pixels), left * across, top * down, (across, down))


def _starts(length: int, side: int) -> list[int]:
    """Where views begin along one axis; negative where one view holds it all."""
    if length <= side:
        return [-((side - length) // 2)]
    count = math.ceil((length - side) / (side * (1 - OVERLAP))) + 1
    return [round(place) for place in np.linspace(0, length - side, count)]


def _cut(image: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    inner = image[max(top, 0) : top + side, max(left, 0) : left + side]
    if inner.shape[:2] == (side, side):
        return inner
    view = np.zeros((side, side, 3), np.uint8)
    view[max(-top, 0) :, max(-left, 0) :][: inner.shape[0], : inner.shape[1]] = inner
    return view


def turned_back(points: NDArray[np.float32], turns: int, side: int) -> NDArray[np.float32]:
    """Points of a view that was turned by ``np.rot90(view, turns)``, in the view as it was.

    Parameters
    ----------
    points : (..., 2) float32
        (x, y) counted from the edge of the first pixel.
    turns : int
        Quarters, counter-clockwise.
    side : int
        Of the view.
    """
    for _ in range(turns % 4):
        points = np.stack([side - points[..., 1], points[..., 0]], -1)
    return points


def to_picture(points: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Points of a view, counted from its edge, in pixels of the picture, pixel centres at integers."""
    moved = points * np.array(view.scale) + np.array([view.x, view.y]) - 0.5
    return np.asarray(moved, np.float32)
