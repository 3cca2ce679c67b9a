"""Does an aligned crop show a worn mask? A linear rule on colours and edges of the lower face beside the upper one.

The weights were fitted by ``benchmarks/worn_masks.py`` to drawn people with and without masks that facekit rendered;
the same script says how often the rule is right on really worn ones.
"""

from __future__ import annotations

import io
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.errors import PictureError

__all__ = ["mask_features", "mask_scores"]

SIDE, CELLS = 112, 14
LOWER, COLUMNS = slice(7, 14), slice(1, 13)
"""Rows of cells from below the eyes to the chin; columns without the border."""
EYES = slice(4, 7)
SKIN = (slice(5, 9), slice(3, 11))
"""Cells of eyes, cheeks and the bridge of the nose, which a mask leaves bare: what colours are compared with."""
SPREAD = np.array([30, 8, 8], np.float32)
"""Lab, in OpenCV's 8 bits: how far apart parts of a bare face usually are."""
WEIGHTS = "worn_mask.npy"


def mask_features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the rule sees of a picture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, an aligned crop as for ArcFace; any size is brought to 112 x 112.

    Returns
    -------
    features : (422,) float32
        Of 7 x 6 cells, mirrored cells taken together: the mean and the difference of three colours less those of the
        bare skin and of two strengths of edges less those around the eyes; and these two themselves.

    Raises
    ------
    PictureError
        It is no such picture.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise PictureError(f"a picture must be (H, W, 3) uint8 and not empty, not {image.shape} {image.dtype}")
    if image.shape[:2] != (SIDE, SIDE):
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    colours, edges = _cells(lab), np.log1p(_edges(lab[..., 0]))
    usual = edges[EYES, COLUMNS].mean((0, 1))
    lower = (colours[LOWER, COLUMNS] - colours[SKIN].mean((0, 1))) / SPREAD
    both = np.concatenate([lower, edges[LOWER, COLUMNS] - usual], -1)
    mirrored, half = both[:, ::-1], both.shape[1] // 2
    parts = ((both + mirrored)[:, :half] / 2, np.abs(both - mirrored)[:, :half], usual)
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def mask_scores(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much pictures look as if a mask were worn; above 0: one is.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        As `mask_features`.

    Returns
    -------
    scores : (N,) float32
    """
    weights = _weights()
    found = np.stack([mask_features(image) for image in images]) if len(images) else np.empty((0, len(weights) - 1))
    return np.asarray(found @ weights[:-1] + weights[-1], np.float32)


def _cells(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over 8 x 8 pixels, (14, 14, C)."""
    side = SIDE // CELLS
    means: NDArray[np.float32] = planes.reshape(CELLS, side, CELLS, side, -1).mean((1, 3))
    return means


def _edges(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute differences of neighbours across and down in cells, (14, 14, 2), after a blur of one pixel."""
    soft = cv2.GaussianBlur(light, (0, 0), 1.0)
    across = np.abs(np.diff(soft, axis=1, prepend=soft[:, :1]))
    down = np.abs(np.diff(soft, axis=0, prepend=soft[:1]))
    return _cells(np.stack([across, down], -1))


@cache
def _weights() -> NDArray[np.float32]:
    """One a feature, and what is added: (423,)."""
    content = files("facekit.assets.faces").joinpath(WEIGHTS).read_bytes()
    weights: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    weights.setflags(write=False)
    return weights
