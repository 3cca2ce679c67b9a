"""Where things are on a face: fixed pictures in the mesh's texture coordinates, painted once a process.

Lengths are about 0.064 cm a texel.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facekit.faces.landmarks import EYES, LIPS_OUTLINE, LOWER_LIP_INNER, UPPER_LIP_INNER
from facekit.faces.topology import load_topology
from facekit.synth.anatomy import FACE_SIZE
from facekit.synth.raster import rasterize

__all__ = ["SHIFT", "FaceMap", "face_map", "smoothstep"]

Array = NDArray[np.floating[Any]]
SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with."""


class FaceMap(NamedTuple):
    """Fixed pictures (256, 256) of the face's texture: where things are."""

    lips: Array
    mouth_line: Array
    crease: Array
    lash: Array
    waterline: Array
    cavity: Array
    nostril: Array
    corners: Array
    folds: dict[str, Array]
    beard: dict[str, Array]
    red: Array
    socket: Array
    bag: Array
    forehead: Array
    oil: Array


def _fill_nearest(values: Array, valid: NDArray[np.bool_]) -> Array:
    """Fill texels outside the face with the nearest one inside."""
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(labels.max() + 1, np.int64)
    lookup[labels[valid]] = np.flatnonzero(valid)
    return np.asarray(values.reshape(-1, values.shape[-1])[lookup[labels]], dtype=np.float32)


def _positions() -> Array:
    face = load_topology()
    screen = np.zeros((len(face.uv), 3), np.float32)
    screen[:, :2] = face.uv * (FACE_SIZE - 1)
    shape = (FACE_SIZE, FACE_SIZE)
    depth, ids = np.full(shape, -1e9, np.float32), np.full(shape, -1, np.int32)
    bary = np.zeros((*shape, 2), np.float32)
    triangles = face.triangles.copy()  # of what cannot be written numba makes a kernel of its own
    rasterize(screen, triangles, np.ones(len(triangles), np.bool_), depth, ids, bary)
    corners = face.positions[face.triangles[ids.clip(0)]]
    weights = np.concatenate([bary, 1 - bary.sum(axis=-1, keepdims=True)], axis=-1)
    return _fill_nearest(np.einsum("hwk,hwkc->hwc", weights, corners).astype(np.float32), ids >= 0)


def _texels(vertices: tuple[int, ...]) -> NDArray[np.int32]:
    uv = load_topology().uv[list(vertices)] * (FACE_SIZE - 1)
    return np.asarray(np.round(uv * 2**SHIFT), dtype=np.int32)


def _soft_line(rows: list[NDArray[np.int32]], sigma: float) -> Array:
    """Gaussian ridge along polylines in texture space; `sigma` in texels."""
    canvas = np.full((FACE_SIZE, FACE_SIZE), 255, np.uint8)
    for row in rows:
        cv2.polylines(canvas, [row], False, 0, 1, cv2.LINE_8, SHIFT)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, 5)
    return np.asarray(np.exp(-0.5 * (distance / sigma) ** 2), dtype=np.float32)


def _soft_polygon(vertices: tuple[int, ...], soft: float) -> Array:
    canvas = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    cv2.fillPoly(canvas, [_texels(vertices)], 1.0, cv2.LINE_8, SHIFT)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), soft), dtype=np.float32)


def _gaussian(position: Array, centre: tuple[float, float, float], sigma: tuple[float, float, float]) -> Array:
    """Mirrored Gaussian in centimetres."""
    folded = np.concatenate([np.abs(position[..., :1]), position[..., 1:]], axis=-1)
    delta = (folded - np.array(centre, np.float32)) / np.array(sigma, np.float32)
    return np.asarray(np.exp(-0.5 * (delta**2).sum(axis=-1)), dtype=np.float32)


def _soft_curve(position: Array, points: tuple[tuple[float, float], ...], sigma: float) -> Array:
    """Mirrored Gaussian ridge along a polyline given as (|x|, y) in centimetres, fading at both ends."""
    x, y = np.abs(position[..., 0]), position[..., 1]
    best = np.full(x.shape, 1e9, np.float32)
    share = np.zeros(x.shape, np.float32)
    ends = np.array(points, np.float32)
    for k, (a, b) in enumerate(itertools.pairwise(ends)):
        along = ((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
        t = along.clip(0, 1)
        square = (x - a[0] - t * (b - a)[0]) ** 2 + (y - a[1] - t * (b - a)[1]) ** 2
        share = np.where(square < best, (k + t) / (len(ends) - 1), share)
        best = np.minimum(best, square)
    fade = np.minimum(1, 5 * np.minimum(share, 1 - share) + 0.15)
    return np.asarray(np.exp(-0.5 * best / sigma**2) * fade, dtype=np.float32)


def _fold_maps(position: Array) -> dict[str, Array]:
    wave = 0.12 * np.sin(position[..., 0] * 1.3)
    brow_lines = sum(np.exp(-0.5 * ((position[..., 1] - y + wave) / 0.10) ** 2) for y in (5.95, 6.65, 7.3))
    feet = [_soft_curve(position, ((4.75, 2.6 + 0.1 * k), (6.3, 2.6 + 0.75 * k)), 0.09) for k in (-1.2, 0, 1.2)]
    return {
        "forehead": np.asarray(brow_lines * np.exp(-0.5 * (position[..., 0] / 2.9) ** 4), np.float32),
        "feet": np.asarray(sum(feet), np.float32),
        "frown": _soft_curve(position, ((0.62, 4.1), (0.72, 5.3)), 0.10),
        "smile": _soft_curve(position, ((1.95, -0.6), (2.6, -2.0), (3.15, -3.6), (3.2, -4.6)), 0.17),
        "marionette": _soft_curve(position, ((2.65, -4.6), (3.0, -5.6), (3.05, -7.0)), 0.16),
        "bag": _soft_curve(position, ((2.0, 1.9), (2.7, 1.25), (3.6, 1.15), (4.5, 1.7)), 0.15),
        "cheek": _soft_curve(position, ((2.3, 0.9), (3.6, -0.4), (4.6, -0.9)), 0.2),
    }


def smoothstep(low: float, high: float, x: Array) -> NDArray[np.float32]:
    """Rise from 0 at ``low`` to 1 at ``high`` along 3 t^2 - 2 t^3; falls where low > high.

    Parameters
    ----------
    low, high : float
    x : floating array

    Returns
    -------
    float32 of the shape of ``x``
    """
    t = ((x - low) / (high - low)).clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _beard_maps(position: Array, lips: Array) -> dict[str, Array]:
    x, y = np.abs(position[..., 0]), position[..., 1]
    edge = -3.3 + 0.75 * (x - 2.6).clip(0) + 0.10 * (x - 5.2).clip(0) ** 2
    jaw = smoothstep(0.9, -0.8, y - edge) * smoothstep(1.8, 2.7, x + 1.6 * (y < -5.3))
    sideburn = smoothstep(6.4, 6.9, x) * smoothstep(2.5, 1.5, y)
    chin = smoothstep(-5.9, -6.6, y) * smoothstep(2.7, 2.1, x)
    upper = smoothstep(-2.35, -2.75, y) * smoothstep(-4.5, -3.9, y) * smoothstep(2.9, 2.3, x)
    side = smoothstep(2.1, 2.5, x) * smoothstep(3.3, 2.8, x) * smoothstep(-3.0, -3.6, y)
    soul: Array = np.exp(-0.5 * ((x / 0.45) ** 2 + ((y + 5.75) / 0.4) ** 2)).astype(np.float32)
    bare = (1 - 1.6 * lips).clip(0, 1)
    full = np.maximum.reduce(np.stack([jaw, sideburn, chin, upper * 0.9, side * 0.9, soul])) * bare
    ring = np.maximum.reduce(np.stack([upper, side, chin * smoothstep(2.7, 2.0, x), soul])) * bare
    return {"full": full, "goatee": ring, "moustache": upper * bare}


def _lids(name: str) -> list[NDArray[np.int32]]:
    """A line of both eyes."""
    return [_texels(getattr(eye, name)) for eye in EYES]


@cache
def face_map() -> FaceMap:
    """The fixed maps, painted once a process.

    Returns
    -------
    FaceMap
        Shared by all callers: do not write into its arrays.
    """
    position = _positions()
    lips = _soft_polygon(LIPS_OUTLINE, 1.3)
    height = position[..., 2]
    cavity = (cv2.GaussianBlur(height, (0, 0), 9) - height).clip(0) + 0.6 * (
        cv2.GaussianBlur(height, (0, 0), 22) - height
    ).clip(0)
    nostril = _gaussian(position, (0.70, -1.66, 6.0), (0.34, 0.20, 0.42))
    red = (
        0.9 * _gaussian(position, (4.3, -0.9, 4.0), (1.6, 1.4, 3))
        + 0.9 * _gaussian(position, (0.4, -0.7, 7.3), (1.1, 0.9, 1.4))
        + 0.35 * _gaussian(position, (0, -8.0, 4.5), (1.6, 1.0, 3))
        + 0.25 * _gaussian(position, (1.0, 5.6, 5.0), (3.2, 1.3, 4))
    )
    socket = _gaussian(position, (2.1, 2.5, 3.7), (0.8, 0.7, 2)) + 0.6 * _gaussian(
        position, (3.3, 2.9, 3.8), (1.3, 0.8, 2)
    )
    bag = _gaussian(position, (3.0, 1.65, 3.7), (1.1, 0.5, 2))
    forehead = _gaussian(position, (0, 6.6, 4.5), (4.2, 1.9, 4))
    oil = (
        forehead
        + _gaussian(position, (0, -0.5, 7.2), (0.9, 2.4, 2))
        + 0.6 * _gaussian(position, (3.7, 0.3, 4.2), (1.2, 0.9, 2))
        + 0.6 * _gaussian(position, (0, -8.2, 4.6), (1.2, 0.8, 2))
    )
    return FaceMap(
        lips,
        _soft_line([_texels(UPPER_LIP_INNER), _texels(LOWER_LIP_INNER)], 1.7),
        _soft_line(_lids("fold"), 1.3),
        _soft_line(_lids("upper"), 1.2),
        _soft_line(_lids("lower"), 1.2),
        np.asarray(cavity, np.float32),
        nostril,
        _gaussian(position, (2.34, -4.3, 4.2), (0.26, 0.18, 0.5)),
        _fold_maps(position),
        _beard_maps(position, lips),
        red,
        socket,
        bag,
        forehead,
        oil,
    )
