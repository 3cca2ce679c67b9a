"""Normals and axes of a face's mesh, and normals of the grid that lies on it.

Points are (x, y, z) with x right, y down, z toward the viewer, in pixels; everything is float32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["Floats", "Frame", "Ints", "Landmarks", "face_frame", "face_normals", "face_scale", "grid_normals"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

F0, F1 = np.float32(0), np.float32(1)
CANONICAL_WIDTH = np.float32(15.32)  # centimetres between the edges of the mean face


class Landmarks(NamedTuple):
    """Vertices that say how a face lies in the picture (see `facekit.faces.landmarks`).

    Attributes
    ----------
    left_edge, right_edge, hairline, chin : int
    lids : (2, 9) int32
        Both lower lids, corners included.
    """

    left_edge: int
    right_edge: int
    hairline: int
    chin: int
    lids: NDArray[np.int32]


class Frame(NamedTuple):
    """The axes of a face in the picture.

    Attributes
    ----------
    axes : (3, 3) float32
        Unit vectors right, up and out of the face as rows, in the picture's x, y, z.
    scale : float32
        Pixels per centimetre.
    """

    axes: NDArray[np.float32]
    scale: np.float32


@kernel(inner=True)
def _normalise(rows: Floats) -> None:
    for i in range(rows.shape[0]):
        scale = F1 / max(np.sqrt(rows[i, 0] ** 2 + rows[i, 1] ** 2 + rows[i, 2] ** 2), np.float32(1e-6))
        for k in range(3):
            rows[i, k] *= scale


@kernel()
def face_normals(vertices: Floats, triangles: Ints, normals: Floats) -> None:
    """Unit vertex normals of a mesh, weighted by the area of the triangles around.

    Parameters
    ----------
    vertices : (V, 3) float32
        Pixels: x right, y down, z toward the viewer.
    triangles : (T, 3) int32
    normals : (V, 3) float32
        Filled; toward the viewer where the face is seen from the front.
    """
    for v in range(normals.shape[0]):
        for k in range(3):
            normals[v, k] = F0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uz * vy - uy * vz, ux * vz - uz * vx, uy * vx - ux * vy
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    _normalise(normals)


@kernel()
def grid_normals(points: Floats, columns: int, rows: int, stride: int, crease: np.float32, normals: Floats) -> None:
    """Normals (G, 3) of the grid by central differences over `stride` points to each side.

    `crease` 1 keeps the two middle columns apart, 0 joins them.
    """
    half = columns // 2
    for r in range(rows):
        above, below = max(r - stride, 0) * columns, min(r + stride, rows - 1) * columns
        for c in range(columns):
            first, last = (0, half - 1) if c < half else (half, columns - 1)
            a, b = r * columns + max(c - stride, first), r * columns + min(c + stride, last)
            d, e = above + c, below + c
            ux, uy, uz = points[0, b] - points[0, a], points[1, b] - points[1, a], points[2, b] - points[2, a]
            vx, vy, vz = points[0, e] - points[0, d], points[1, e] - points[1, d], points[2, e] - points[2, d]
            g = r * columns + c
            normals[g, 0] = uy * vz - uz * vy
            normals[g, 1] = uz * vx - ux * vz
            normals[g, 2] = ux * vy - uy * vx
    _normalise(normals)
    share = np.float32(0.5) * (F1 - crease)
    for r in range(rows):
        for d in range(stride):
            a, b, joined = r * columns + half - 1 - d, r * columns + half + d, share * np.float32(1 - d / stride)
            for k in range(3):
                na, nb = normals[a, k], normals[b, k]
                normals[a, k] += joined * (nb - na)
                normals[b, k] += joined * (na - nb)
    _normalise(normals)


@kernel()
def _fill_frame(vertices: Floats, left: int, right: int, high: int, low: int, axes: Floats) -> np.float32:
    """Fill the axes of the face, and return its scale (see `Frame`), from its edges, hairline and chin."""
    width, overlap = F0, F0
    for k in range(3):
        axes[0, k] = vertices[right, k] - vertices[left, k]
        axes[1, k] = vertices[high, k] - vertices[low, k]
        width += axes[0, k] * axes[0, k]
    width = max(np.sqrt(width), np.float32(1e-3))
    for k in range(3):
        axes[0, k] /= width
        overlap += axes[0, k] * axes[1, k]
    for k in range(3):
        axes[1, k] -= overlap * axes[0, k]
    for k in range(3):  # y points down, so up x right leaves the face
        i, j = (k + 1) % 3, (k + 2) % 3
        axes[2, k] = axes[1, i] * axes[0, j] - axes[1, j] * axes[0, i]
    _normalise(axes)
    return width / CANONICAL_WIDTH


def face_frame(vertices: Floats, landmarks: Landmarks) -> Frame:
    """The axes and the scale of a face from its mesh (468, 3), pixels."""
    axes = np.empty((3, 3), np.float32)
    return Frame(axes, np.float32(_fill_frame(vertices, *landmarks[:4], axes)))


def face_scale(vertices: Floats, landmarks: Landmarks) -> float:
    """Pixels per centimetre of a face, as `Frame.scale` has it.

    Parameters
    ----------
    vertices : (468, 3) float32
        Pixels.
    landmarks : Landmarks
    """
    left, right = vertices[landmarks.left_edge].tolist(), vertices[landmarks.right_edge].tolist()
    return math.dist(left, right) / float(CANONICAL_WIDTH)
