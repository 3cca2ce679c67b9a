"""Carry the shell onto a face, wear it there and fold it: the steps in their order.

Points are (x, y, z) with x right, y down, z toward the viewer, in pixels; everything is float32. Nothing here draws
random numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facekit.masks.drape_kernels import Bounds, bounds, carry, lift, lower, place, relief, wave
from facekit.masks.surface import Floats, Frame, Ints, Landmarks, face_frame, grid_normals

__all__ = ["Drape", "drape"]

TOP_ROWS = 4  # of the coarse grid: on a head that leans back, a cup bulges over its own upper edge


class Drape(NamedTuple):
    """How one mask lies on the face (see `facekit.masks.params.MaskParams`).

    Attributes
    ----------
    stretch_x, stretch_y : float
        Size factors along the face's right and up.
    slide_x, slide_y : float
        Displacement along them, centimetres.
    tilt : float
        Radians, anticlockwise on the face.
    gape : float
        Gap between the side edges and the cheek, centimetres.
    corner : float
        How far the lower part hangs out beyond the jaw, centimetres.
    crease : float
        See `facekit.masks.catalogue.MaskType`.
    gather_height, gather_waves, gather_phase : float
        Gathering at the sides: centimetres, waves from top to bottom, and where they start.
    """

    stretch_x: float
    stretch_y: float
    slide_x: float
    slide_y: float
    tilt: float
    gape: float
    corner: float
    crease: float
    gather_height: float
    gather_waves: float
    gather_phase: float


def _follow(points: Floats, grid: int, straps: Ints, rests: Floats) -> None:
    """Move the straps with the points that they start from: all of the way there, not at all at the ear.

    `straps` (B,): where on the grid they start; `rests` (3, B): where that was before the grid was lifted.
    """
    if len(straps):
        lines = points[:, grid:].reshape(3, len(straps), -1)
        fade = np.linspace(1, 0, lines.shape[2], dtype=np.float32)
        lines += (points[:, straps] - rests)[..., None] * fade


def drape(
    vertices: Floats,
    landmarks: Landmarks,
    weights: Floats,
    controls: Ints,
    st: Floats,
    columns: int,
    rows: int,
    stride: int,
    folds: Floats,
    edge: Floats,
    wear: Drape,
    straps: Ints,
    points: Floats,
    normals: Floats,
    heights: Floats,
    wavy: Floats,
) -> tuple[Frame, Bounds]:
    """Put the shell on the face.

    Parameters
    ----------
    vertices : (468, 3) float32
        Pixels: x right, y down, z toward the viewer.
    landmarks : Landmarks
    weights : (C, G') float32
        Grid points, then strap points, as combinations of the control vertices.
    controls : (C,) int32
    st : (G, 2) float32
        Texture coordinates of the grid points.
    columns, rows, stride : int
        Of the grid; G is their product. On a finer grid, how many points lie as far apart as two of the coarse one.
    folds : (F, 6) float32
        See `facekit.masks.params.MaskParams`.
    edge : (6,) float32
        Waviness of the upper and the lower edge.
    wear : Drape
    straps : (B,) int32
        Grid points from which the straps start.
    points : (3, G') float32
        Filled: pixels.
    normals : (G, 3) float32
        Filled: unit vectors.
    heights : (G,) float32
        Filled: height of the folds, centimetres.
    wavy : (G, 2) float32
        Filled: texture coordinates with wavy edges.

    Returns
    -------
    Frame
    (float, float, float, float)
        Least and largest x, least and largest y of the points.
    """
    wave(st, edge, wavy)
    frame = face_frame(vertices, landmarks)
    carry(weights, controls, vertices, points)
    place(points, (rows // 2) * columns + columns // 2, *frame, *wear[:5])
    grid_normals(points, columns, rows, stride, np.float32(0), normals)  # joined: the crest must not tear
    relief(st, folds, wear.gather_height, wear.gather_waves, wear.gather_phase, heights)
    rests = points[:, straps]
    lift(points, normals, heights, st, wear.gape, wear.corner, *frame)
    _follow(points, heights.shape[0], straps, rests)
    lower(points, columns, (TOP_ROWS - 1) * stride + 1, vertices, landmarks.lids, *frame)
    grid_normals(points, columns, rows, stride, np.float32(wear.crease), normals)
    return frame, bounds(points)
