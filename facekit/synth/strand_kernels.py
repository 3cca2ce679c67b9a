"""Strands: placed, shadowed, drawn among the triangles and shaded.

Arrays and axes are those of `facekit.synth.raster`, and why nothing is compiled with ``fastmath`` stands there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["draw_strands", "place_strands", "shadow_strands"]

STRAND = -2
"""What `ids` says where a strand is seen; `facekit.synth.surfaces` has it too, as numba's cache sees no other file."""
_F = np.float32
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Scalar = np.floating[Any] | float
"""A number; compiled it is a float32 like everything else."""


@kernel(inner=True)
def _floor(x: Scalar) -> int:
    """As ``math.floor`` of anything finite: that calls the C library, and what is in registers has to leave them."""
    whole = int(x)
    return whole - int(x < _F(whole))


@kernel()
def place_strands(points: Floats, roots: Floats, sway: Floats, turn: Floats, pivot: Floats, out: Floats) -> None:
    """Put strands on their roots, let them sway with the square of the way, and turn them to camera axes.

    Parameters
    ----------
    points : (S, P, 3) float32
        Head axes, cm, relative to the roots.
    roots : (S, 3) float32
    sway : (3,) float32
        Displacement of the tips, cm.
    turn : (3, 3) float32
        Head axes to camera axes.
    pivot : (3,) float32
    out : (S, P, 3) float32
        Written.
    """
    length = points.shape[1]
    for s in range(points.shape[0]):
        for p in range(length):
            t = _F(p) / _F(length - 1)
            x = points[s, p, 0] + roots[s, 0] + t * t * sway[0] - pivot[0]
            y = points[s, p, 1] + roots[s, 1] + t * t * sway[1] - pivot[1]
            z = points[s, p, 2] + roots[s, 2] + t * t * sway[2] - pivot[2]
            for k in range(3):
                out[s, p, k] = turn[k, 0] * x + turn[k, 1] * y + turn[k, 2] * z


@kernel(inner=True)
def _to_light(x: Scalar, y: Scalar, z: Scalar, matrix: Floats) -> tuple[Scalar, Scalar, Scalar]:
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3],
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3],
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3],
    )


@kernel()
def shadow_strands(points: Floats, matrix: Floats, stride: int, depth: Floats) -> None:
    """Add every ``stride``-th strand to the depth map of the key light.

    Parameters
    ----------
    points : (S, P, 3) float32
        Camera axes, cm.
    matrix : (3, 4) float32
        Camera axes to texels of the map and depth toward the light.
    stride : int
    depth : (M, M) float32
        Written where a strand is nearer to the light.
    """
    size = depth.shape[0]
    for s in range(0, points.shape[0], stride):
        for p in range(1, points.shape[1]):
            for half in range(2):
                f = _F(0.5) * _F(half)
                x = points[s, p, 0] * (_F(1) - f) + points[s, p - 1, 0] * f
                y = points[s, p, 1] * (_F(1) - f) + points[s, p - 1, 1] * f
                z = points[s, p, 2] * (_F(1) - f) + points[s, p - 1, 2] * f
                u, v, w = _to_light(x, y, z, matrix)
                column, row = _floor(u), _floor(v)
                if 0 <= row < size - 1 and 0 <= column < size - 1:
                    for j in range(2):
                        for i in range(2):
                            if w > depth[row + j, column + i]:
                                depth[row + j, column + i] = w


@kernel(inner=True, forceinline=True)
def _strand_colour(
    points: Floats,
    s: int,
    p: int,
    base: Floats,
    tint: Scalar,
    open_: Scalar,
    gloss: Scalar,
    lights: Floats,
    matrix: Floats,
    shadow: Floats,
    eye: Floats,
    out: Floats,
    place: int,
) -> None:
    """Kajiya-Kay shading (1989) with a second, tinted highlight; light fades with the depth of hair above."""
    size = shadow.shape[0]
    q = min(p, points.shape[1] - 2)
    tx = points[s, q + 1, 0] - points[s, q, 0]
    ty = points[s, q + 1, 1] - points[s, q, 1]
    tz = points[s, q + 1, 2] - points[s, q, 2]
    norm = _F(1) / math.sqrt(tx * tx + ty * ty + tz * tz + _F(1e-12))
    tx, ty, tz = tx * norm, ty * norm, tz * norm
    x, y, z = points[s, p, 0], points[s, p, 1], points[s, p, 2]
    u, v, w = _to_light(x, y, z, matrix)
    column, row = _floor(u + _F(0.5)), _floor(v + _F(0.5))
    lit = _F(1)
    if 0 <= row < size and 0 <= column < size:
        lit = math.exp(_F(-1.6) * max(_F(0), shadow[row, column] - w - _F(0.25)))
    vx, vy, vz = eye[0] - x, eye[1] - y, eye[2] - z
    norm = _F(1) / math.sqrt(vx * vx + vy * vy + vz * vz)
    tv = (tx * vx + ty * vy + tz * vz) * norm
    across = math.sqrt(max(_F(0), _F(1) - tv * tv))
    for c in range(3):
        sky = lights[4, c] * (_F(0.5) + _F(0.5) * open_) + lights[5, c] * _F(0.35)
        out[place, c] = base[s, c] * tint * sky * (_F(0.55) + _F(0.45) * open_)
    for k in range(2):
        tl = tx * lights[2 * k, 0] + ty * lights[2 * k, 1] + tz * lights[2 * k, 2]
        sine = math.sqrt(max(_F(0), _F(1) - tl * tl))
        high = max(_F(0), sine * across - tl * tv)
        high2 = high * high
        high4 = high2 * high2
        high8 = high4 * high4
        facing = lights[2 * k, 2] * _F(0.35) + _F(0.65)
        share = (lit if k == 0 else _F(1)) * facing * (_F(0.35) + _F(0.65) * open_)
        for c in range(3):
            diffuse = base[s, c] * (_F(0.25) + _F(0.75) * sine) * _F(0.8)
            shine = gloss * (_F(0.05) * high8 * high8 * high4 + (_F(0.02) + base[s, c]) * _F(0.5) * high8)
            out[place, c] += lights[2 * k + 1, c] * share * tint * (diffuse + shine)


@kernel(inner=True)
def _draw_segment(
    ax: Scalar,
    ay: Scalar,
    az: Scalar,
    bx: Scalar,
    by: Scalar,
    bz: Scalar,
    wide: Scalar,
    wide_end: Scalar,
    code: int,
    depth: Floats,
    ids: Ints,
    rgb: Floats,
) -> None:
    """One piece of a strand, widths in samples: `code` and the share of the way go where its colour will stand."""
    height, width = depth.shape
    dx, dy, dz = bx - ax, by - ay, bz - az
    steps = max(1, -_floor(-max(abs(dx), abs(dy))))
    steep = abs(dy) > abs(dx)
    inverse = _F(1) / _F(steps)
    for k in range(steps):
        f = _F(k) * inverse
        half = _F(0.5) * max(_F(1), wide + f * (wide_end - wide))
        x, y, z = ax + f * dx, ay + f * dy, az + f * dz
        along, across = (y, x) if steep else (x, y)
        at = _floor(along + _F(0.5))
        if at < 0 or at >= (height if steep else width):
            continue
        first = max(0, _floor(across - half + _F(1)))
        last = min((width if steep else height) - 1, _floor(across + half))
        for other in range(first, last + 1):
            row, column = (at, other) if steep else (other, at)
            if z > depth[row, column]:
                depth[row, column] = z
                ids[row, column] = code
                rgb[row, column, 0] = f


@kernel(inner=True, allocates=True)
def _colour_strands(
    points: Floats,
    base: Floats,
    tints: Floats,
    openness: Floats,
    gloss: Scalar,
    lights: Floats,
    matrix: Floats,
    shadow: Floats,
    eye: Floats,
    ids: Ints,
    rgb: Floats,
) -> None:
    """Shade what `_draw_segment` drew and nothing hid: each point once that a sample needs."""
    height, width = ids.shape
    length = points.shape[1]
    count = points.shape[0] * length
    shades = np.zeros((count, 4), np.float32)  # the fourth: whether the others are known
    for row in range(height):
        least = ids[row, 0]
        for column in range(width):
            least = min(least, ids[row, column])
        if least >= STRAND:
            continue
        for column in range(width):
            end = STRAND - 1 - ids[row, column]
            if end < 0:
                continue
            for k in range(end - 1, end + 1):
                if shades[k, 3] == 0:
                    shades[k, 3] = _F(1)
                    s, p = k // length, k % length
                    _strand_colour(
                        points, s, p, base, tints[s, p], openness[s, p], gloss, lights, matrix, shadow, eye, shades, k
                    )
            f = rgb[row, column, 0]
            ids[row, column] = STRAND
            for c in range(3):
                shade = shades[end - 1, c]
                rgb[row, column, c] = shade + f * (shades[end, c] - shade)


@kernel(allocates=True)
def draw_strands(
    points: Floats,
    base: Floats,
    tints: Floats,
    openness: Floats,
    widths: Floats,
    tips: Floats,
    gloss: Scalar,
    lights: Floats,
    matrix: Floats,
    shadow: Floats,
    eye: Floats,
    frame: Floats,
    scale: Scalar,
    depth: Floats,
    ids: Ints,
    rgb: Floats,
) -> None:
    """Project, shade and draw strands.

    points (S, P, 3) camera cm; base (S, 3) linear colour; tints, openness (S, P); widths (S,) in samples at the root,
    times tips (S,) at the tip; frame (2, 3) from the plane at unit distance to samples; scale samples a cm.
    """
    height, width = depth.shape
    length = points.shape[1]
    margin = _F(1.2) * scale
    for s in range(points.shape[0]):
        ax, ay, az = _F(0), _F(0), _F(0)
        hidden = False
        for p in range(length):
            inverse = _F(1) / (eye[2] - points[s, p, 2])
            px, py = points[s, p, 0] * inverse, -points[s, p, 1] * inverse
            x = frame[0, 0] * px + frame[0, 1] * py + frame[0, 2]
            y = frame[1, 0] * px + frame[1, 1] * py + frame[1, 2]
            z = points[s, p, 2] * scale
            column, row = _floor(x + _F(0.5)), _floor(y + _F(0.5))
            behind = False
            if (column >= 0) & (column < width) & (row >= 0) & (row < height):
                behind = z < depth[row, column] - margin
            outside = (min(ax, x) > width) | (max(ax, x) < 0) | (min(ay, y) > height) | (max(ay, y) < 0)
            if (p > 0) & (not outside) & (not (hidden & behind)):
                before, after = _F(p - 1) / _F(length - 1), _F(p) / _F(length - 1)
                wide = widths[s] * (_F(1) - before * before * (_F(1) - tips[s]))
                wide_end = widths[s] * (_F(1) - after * after * (_F(1) - tips[s]))
                _draw_segment(ax, ay, az, x, y, z, wide, wide_end, STRAND - 1 - (s * length + p), depth, ids, rgb)
            ax, ay, az, hidden = x, y, z, behind
    _colour_strands(points, base, tints, openness, gloss, lights, matrix, shadow, eye, ids, rgb)
