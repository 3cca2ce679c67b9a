"""Aligned crops of the one photograph that scikit-image ships, for tests that need a face."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from facekit.faces.align import ARCFACE_TEMPLATE, similarity_transform

Picture = npt.NDArray[np.uint8]

POINTS = np.array([[202.9, 100.8], [246.7, 103.4], [222.2, 128.5], [200.5, 138.5], [245.5, 141.4]])
"""(x, y) of eyes, nose and mouth corners in `skimage.data.astronaut()`."""


@cache
def photograph() -> Picture:
    from skimage.data import astronaut

    picture: Picture = astronaut()
    return picture


def face(seed: int | None = None, side: int = 112) -> Picture:
    """An aligned crop, (side, side, 3) RGB; with a seed slightly moved, turned and lit."""
    import cv2

    rng = np.random.default_rng(seed)
    moved = POINTS if seed is None else POINTS + rng.normal(0, 1.5, POINTS.shape)
    matrix = similarity_transform(moved, (ARCFACE_TEMPLATE.astype(np.float32) + 0.5) * (side / 112) - 0.5)
    crop = cv2.warpAffine(photograph(), matrix, (side, side), flags=cv2.INTER_AREA)
    gain = 1.0 if seed is None else rng.uniform(0.6, 1.2)
    return np.clip(crop * gain, 0, 255).astype(np.uint8)
