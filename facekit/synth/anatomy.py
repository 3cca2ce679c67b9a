"""The parts of a head that are the same for everyone: rings of vertices, the skull behind the face, ears, neck, body.

Centimetres in head axes: x right (in the picture), y up, z toward the viewer, as in :mod:`facekit.faces.topology`.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces import landmarks
from facekit.faces.landmarks import EYES, LOWER_LIP_INNER, UPPER_LIP_INNER
from facekit.faces.topology import NUM_VERTICES, load_topology

__all__ = ["FACE_SIZE", "OVAL", "SKULL_SIZE", "Head", "hermite", "load_head", "turn", "unit"]

Array = NDArray[np.floating[Any]]

FACE_SIZE, SKULL_SIZE = 256, 128
"""Sides of the two square regions of the texture atlas: the face above, skull and the rest below."""

OVAL = np.array(landmarks.OVAL[18::-1] + landmarks.OVAL[:17:-1])
"""The border of the face, chin to chin (37 entries, the first again at the end), up the right side first."""
RINGS = 14
EAR_RINGS = np.array([0.0, 0.28, 0.46, 0.6, 0.74, 0.86, 0.95, 1.0, 0.97, 0.8], np.float32)
EAR_LIFT = np.array([-0.5, -0.48, -0.34, 0.02, -0.02, -0.12, 0.14, 0.0, -0.25, -0.8], np.float32)
EAR_SPOKES = 24
NECK = np.array(
    [
        [-2.0, -6.2, 4.6, 3.6],
        [-5.0, -6.0, 5.2, 4.4],
        [-8.0, -6.0, 5.4, 4.7],
        [-10.5, -6.3, 5.6, 5.0],
        [-12.5, -6.8, 6.6, 5.4],
        [-14.2, -7.2, 9.5, 6.2],
        [-16.0, -7.6, 14.0, 7.4],
        [-19.0, -8.0, 19.0, 8.6],
        [-28.0, -8.5, 21.0, 9.5],
    ],
    np.float32,
)
"""Rows of the neck's cross-sections: y, z of the centre, half width, half depth."""
NECK_SPOKES = 28
COLLAR = NECK.copy()[3:]


class Head(NamedTuple):
    """Vertices of the whole figure in one array: the face, the skull's rings, two ears, neck, clothes.

    Attributes
    ----------
    triangles : (T, 3) int32
    materials : (T,) uint8
        0 skin, 1 cloth, 2 and 3 the eye at smaller and larger x, 4 the mouth.
    two_sided : (T,) bool
    uv : (V, 2) float32
        Atlas position in texels.
    shade : (V,) float32
        1 along the upper rim of an eye or mouth opening, 0 elsewhere.
    skull, ears, neck, cloth : slice
        Where each part's vertices lie.
    """

    triangles: NDArray[np.int32]
    materials: NDArray[np.uint8]
    two_sided: NDArray[np.bool_]
    uv: Array
    shade: Array
    skull: slice
    ears: slice
    neck: slice
    cloth: slice


def unit(vectors: Array) -> Array:
    """Scale vectors to length one.

    Parameters
    ----------
    vectors : (..., 3) floating

    Returns
    -------
    (..., 3) float32
        A vector shorter than 1e-9 is divided by 1e-9, so zero stays zero.
    """
    x, y, z = (vectors[..., k] for k in range(3))
    length = np.sqrt(x * x + y * y + z * z).clip(1e-9)  # what numpy's norm gives, which is slow over three
    out = np.empty(vectors.shape, np.float32)
    for k, part in enumerate((x, y, z)):
        np.divide(part, length, out=out[..., k], casting="same_kind")
    return out


def turn(vectors: Array, matrix: Array) -> Array:
    """Multiply a matrix by each vector, in one order of sums on every processor, which a BLAS does not promise.

    Parameters
    ----------
    vectors : (..., 3) float32
    matrix : (M, 3) float32

    Returns
    -------
    (..., M) float32
    """
    x, y, z = (vectors[..., k] for k in range(3))
    out = np.empty((*vectors.shape[:-1], len(matrix)), np.result_type(vectors, matrix))
    for k, (a, b, c) in enumerate(matrix):
        out[..., k] = x * a + y * b + z * c
    return out


def hermite(t: Array) -> tuple[Array, Array, Array, Array]:
    """The four cubic Hermite weights.

    Parameters
    ----------
    t : floating array of any shape
        In [0, 1].

    Returns
    -------
    four arrays of the shape of ``t``
        Weights of the start, the start tangent, the end and the end tangent.
    """
    t2, t3 = t * t, t * t * t
    return 2 * t3 - 3 * t2 + 1, t3 - 2 * t2 + t, -2 * t3 + 3 * t2, t3 - t2


def _grid(rows: int, columns: int, offset: int, closed: bool) -> NDArray[np.int32]:
    """Triangles of a (rows, columns) sheet of vertices; `closed` joins the last column to the first."""
    row = np.arange(rows - 1)[:, None]
    column = np.arange(columns if closed else columns - 1)[None]
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = a + columns, b + columns
    quads = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], -2)
    return np.asarray(quads.reshape(-1, 3) + offset, dtype=np.int32)


def _face_materials(triangles: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Which of the face's triangles fill an eye or the mouth."""
    materials = np.zeros(len(triangles), np.uint8)
    for code, ring in (
        (2, EYES[0].upper + EYES[0].lower),
        (3, EYES[1].upper + EYES[1].lower),
        (4, UPPER_LIP_INNER + LOWER_LIP_INNER),
    ):
        materials[np.isin(triangles, ring).all(axis=1)] = code
    return materials


def _face_uv(uv: Array) -> Array:
    return np.asarray(uv * (FACE_SIZE - 1), dtype=np.float32)


def _rest_uv(u: Array, v: Array) -> Array:
    """Texels of the region below the face for `u`, `v` in [0, 1]."""
    side = SKULL_SIZE - 2
    return np.stack([u * side, FACE_SIZE + 0.5 + v * side], axis=-1).reshape(-1, 2).astype(np.float32)


@cache
def load_head() -> Head:
    """The figure's fixed topology, made once a process.

    Returns
    -------
    Head
        Shared by all callers: do not write into its arrays.
    """
    face = load_topology()
    around, rings = len(OVAL), RINGS + 1
    ear = len(EAR_RINGS) * EAR_SPOKES
    starts = np.cumsum([NUM_VERTICES, around * rings, 2 * ear, len(NECK) * NECK_SPOKES, len(COLLAR) * NECK_SPOKES])
    skull, ears, neck, cloth = (slice(int(a), int(b)) for a, b in itertools.pairwise(starts))
    skull_triangles = _grid(rings, around, skull.start, False)
    ear_triangles = [_grid(len(EAR_RINGS), EAR_SPOKES, ears.start + k * ear, True) for k in range(2)]
    tubes = [_grid(len(NECK), NECK_SPOKES, neck.start, True), _grid(len(COLLAR), NECK_SPOKES, cloth.start, True)]
    pieces = [face.triangles, skull_triangles[:, ::-1], *ear_triangles, *tubes]
    materials = np.concatenate([_face_materials(face.triangles)] + [np.zeros(len(p), np.uint8) for p in pieces[1:]])
    materials[-len(tubes[1]) :] = 1
    t = np.linspace(0, 1, rings, dtype=np.float32)[:, None]
    s = np.linspace(0, 1, around, dtype=np.float32)[None]
    skull_uv = _rest_uv(np.broadcast_to(s * 0.72, (rings, around)), np.broadcast_to(t, (rings, around)))
    ear_uv = _rest_uv(np.broadcast_to(np.float32(0.8), (ear,)), np.repeat(EAR_RINGS, EAR_SPOKES) * 0.2 + 0.02)
    neck_uv = _rest_uv(
        np.broadcast_to(np.float32(0.8), (len(NECK), NECK_SPOKES)),
        np.repeat(np.linspace(0.3, 0.5, len(NECK), dtype=np.float32)[:, None], NECK_SPOKES, 1),
    )
    cloth_uv = _rest_uv(
        np.broadcast_to(np.float32(0.8), (len(COLLAR) * NECK_SPOKES,)),
        np.broadcast_to(np.float32(0.8), (len(COLLAR) * NECK_SPOKES,)),
    )
    shade = np.zeros(int(starts[-1]), np.float32)
    shade[list(EYES[0].upper + EYES[1].upper + UPPER_LIP_INNER[1:-1])] = 1.0
    triangles = np.ascontiguousarray(np.concatenate(pieces), dtype=np.int32)
    two_sided = np.zeros(len(triangles), np.bool_)
    two_sided[len(face.triangles) + len(skull_triangles) :] = True
    return Head(
        triangles,
        materials,
        two_sided,
        np.concatenate([_face_uv(face.uv), skull_uv, ear_uv, ear_uv, neck_uv, cloth_uv]),
        shade,
        skull,
        ears,
        neck,
        cloth,
    )
