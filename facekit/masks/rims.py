"""Rims of glasses stay in front of the mask: nobody wears them behind it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from facekit.faces.landmarks import CHIN, EYES, NOSE_ROOT
from facekit.faces.topology import load_topology
from facekit.masks.rim_lines import AROUND, FEATURES, PLACES, RAYS, Layout, Search, find_rims
from facekit.masks.rim_matte import FIRST_ANGLE, LAST_ANGLE, lay_rims

__all__ = ["keep_rims", "rim_layout", "rim_search"]

OPENING = (1.65, 1.2)  # centimetres, half axes of the ellipse where rays begin: nearer are lids and their wrinkles
DARKEST = 16.0  # levels; noise in black hair is no contrast


@cache
def rim_layout() -> Layout:
    """The layout of the shipped mesh.

    Returns
    -------
    Layout
    """
    face = load_topology().positions[:, :2]
    corners = np.array([(eye.lower[0], eye.lower[-1]) for eye in EYES], np.int32)
    eye = float(np.linalg.norm(face[corners[0, 0]] - face[corners[0, 1]]))
    height = float(np.linalg.norm(face[NOSE_ROOT] - face[CHIN]))
    angles = np.deg2rad(np.linspace(FIRST_ANGLE, LAST_ANGLE, RAYS))
    begin = 1 / np.hypot(np.cos(angles) / OPENING[0], np.sin(angles) / OPENING[1])
    rays = np.stack([np.cos(angles), np.sin(angles), begin], -1).astype(np.float32)
    return Layout(corners, NOSE_ROOT, CHIN, eye, height, np.log(np.arange(256) + DARKEST).astype(np.float32), rays)


def rim_search() -> Search:
    """Room for what is found in one picture.

    Returns
    -------
    Search
        Features of 0, and no values yet.
    """
    return Search(
        np.empty((2, 6), np.float32),
        np.empty((2, RAYS, PLACES + 2 * AROUND), np.float32),
        np.empty((2, RAYS, PLACES), np.float32),
        np.empty((2, RAYS), np.int32),
        np.zeros(len(FEATURES), np.float32),
    )


def keep_rims(
    image: NDArray[np.uint8], vertices: NDArray[np.float32], coverage: NDArray[np.float32], out: NDArray[np.uint8]
) -> float:
    """Lay the rims of glasses over a masked picture, where the bare one shows any.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    vertices : (468, 3) float32
        Pixels.
    coverage : (H, W) float32
        Opacity of the mask; less where a rim lies over it.
    out : (H, W, 3) uint8
        The masked picture; nothing changes where `coverage` is 0.

    Returns
    -------
    float
        0 where no rims were found, 1 where they surely are; so opaque are they laid over.
    """
    layout, search = rim_layout(), rim_search()
    share, coarse = find_rims(image, vertices, layout, search)
    if share > 0:
        lay_rims(image, layout, search, coarse, share, coverage, out)
    return float(share)
