"""Gaussian blur: what an evaluation does to all pictures, and training to some."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["blurred"]


def blurred(picture: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur with a Gaussian, borders mirrored.

    Parameters
    ----------
    picture : (H, W, 3) uint8
    sigma : float
        Standard deviation in pixels, above 0.

    Returns
    -------
    (H, W, 3) uint8
        A new picture.
    """
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
