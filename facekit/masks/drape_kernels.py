"""Kernels that carry the shell onto a face, place it, fold it, lift it off the skin and keep it out of the eyes.

Points are (x, y, z) with x right, y down, z toward the viewer, in pixels; everything is float32. Nothing here draws
random numbers.
"""

from __future__ import annotations

import numpy as np

from facekit.compiled import kernel
from facekit.masks.surface import Floats, Ints

__all__ = ["Bounds", "bounds", "carry", "lift", "lower", "place", "relief", "wave"]

Bounds = tuple[float, float, float, float]
"""Least and largest x, least and largest y; pixels."""

F0, F1, F2 = np.float32(0), np.float32(1), np.float32(2)
HEMMED = np.float32(8)  # 1 / t from which on folds are as high as drawn: the hem above keeps the edge straight
LID_GAP, LID_SIDE, MOST_LOWERED = np.float32(0.3), np.float32(0.2), np.float32(2.4)  # centimetres
HANG, PULL = np.float32(1.8), np.float32(0.9)  # how wide the lower part hangs, and how far corners are pulled


@kernel()
def carry(weights: Floats, controls: Ints, vertices: Floats, points: Floats) -> None:
    """Grid points (3, G) from the control vertices: weights (C, G)."""
    for k in range(3):
        for g in range(weights.shape[1]):
            points[k, g] = F0
    for c in range(weights.shape[0]):
        x, y, z = vertices[controls[c], 0], vertices[controls[c], 1], vertices[controls[c], 2]
        for g in range(weights.shape[1]):
            points[0, g] += weights[c, g] * x
            points[1, g] += weights[c, g] * y
            points[2, g] += weights[c, g] * z


@kernel()
def place(
    points: Floats,
    middle: int,
    axes: Floats,
    scale: np.float32,
    stretch_x: float,
    stretch_y: float,
    slide_x: float,
    slide_y: float,
    tilt: float,
) -> None:
    """Stretch, tilt and slide the shell about grid point `middle`, in the face's own axes."""
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    sx, sy = np.float32(stretch_x), np.float32(stretch_y)
    mx, my = np.float32(slide_x) * scale, np.float32(slide_y) * scale
    ox, oy, oz = points[0, middle], points[1, middle], points[2, middle]
    a = axes
    for g in range(points.shape[1]):
        dx, dy, dz = points[0, g] - ox, points[1, g] - oy, points[2, g] - oz
        x = (dx * a[0, 0] + dy * a[0, 1] + dz * a[0, 2]) * sx
        y = (dx * a[1, 0] + dy * a[1, 1] + dz * a[1, 2]) * sy
        z = dx * a[2, 0] + dy * a[2, 1] + dz * a[2, 2]
        x, y = cosine * x - sine * y + mx, sine * x + cosine * y + my
        points[0, g] = ox + x * a[0, 0] + y * a[1, 0] + z * a[2, 0]
        points[1, g] = oy + x * a[0, 1] + y * a[1, 1] + z * a[2, 1]
        points[2, g] = oz + x * a[0, 2] + y * a[1, 2] + z * a[2, 2]


@kernel()
def relief(
    st: Floats, folds: Floats, gather_height: float, gather_waves: float, gather_phase: float, heights: Floats
) -> None:
    """Height (G,) of the cloth over its smooth surface; folds (F, 6): s, t, angle, half length, half width, height."""
    for g in range(heights.shape[0]):
        heights[g] = F0
    for f in range(folds.shape[0]):
        cosine, sine = np.float32(np.cos(folds[f, 2])), np.float32(np.sin(folds[f, 2]))
        long, wide = F1 / folds[f, 3], F1 / folds[f, 4]
        for g in range(heights.shape[0]):
            dx, dy = st[g, 0] - folds[f, 0], (st[g, 1] - folds[f, 1]) * np.float32(0.7)
            along, across = (dx * cosine + dy * sine) * long, (dy * cosine - dx * sine) * wide
            across *= np.float32(0.75) if across > F0 else np.float32(1.6)  # cloth hangs over: steep above, slow below
            reach = along * along + across * across
            if reach < np.float32(6):
                heights[g] += folds[f, 5] * np.float32(np.exp(-reach))
    if gather_height > 0:
        height, waves, phase = (
            np.float32(gather_height),
            np.float32(gather_waves),
            np.float32(gather_phase),
        )
        for g in range(heights.shape[0]):
            side = (abs(F2 * st[g, 0] - F1) - np.float32(0.55)) / np.float32(0.45)
            if side > F0:
                heights[g] += (
                    height * side * side * np.float32(np.sin(np.float32(6.2831853) * (waves * st[g, 1] + phase)))
                )


@kernel()
def lift(
    points: Floats,
    normals: Floats,
    heights: Floats,
    st: Floats,
    gape: float,
    corner: float,
    axes: Floats,
    scale: np.float32,
) -> None:
    """Raise the grid along its normals by `heights` and by a gap at the side edges, and push the lower part out.

    There the cloth hangs wider than the jaw, which draws in. All corners are pulled out by the loops, so that the side
    between them is hollow.
    """
    gap, stands = np.float32(gape), np.float32(corner) * scale
    for g in range(heights.shape[0]):
        side = max(F0, (abs(F2 * st[g, 0] - F1) - np.float32(0.7)) / np.float32(0.3))
        x, t = F2 * st[g, 0] - F1, st[g, 1]
        amount = (heights[g] * min(F1, HEMMED * t) + gap * side * side) * scale
        across = x * x
        hang, pull = (HANG - (HANG - F1) * across) * t * t, PULL * across * across * (F2 * t - F1) ** 4
        out = stands * x * (hang + pull)
        for k in range(3):
            points[k, g] += amount * normals[g, k] + out * axes[0, k]


@kernel(inner=True)
def _eye_width(vertices: Floats, lid: Ints, right_x: np.float32, right_y: np.float32) -> np.float32:
    """Along a direction of the picture, from the first to the last vertex of a lid."""
    a, b = lid[0], lid[lid.shape[0] - 1]
    first = vertices[a, 0] * right_x + vertices[a, 1] * right_y
    return abs(vertices[b, 0] * right_x + vertices[b, 1] * right_y - first)


@kernel()
def lower(
    points: Floats, columns: int, top_rows: int, vertices: Floats, lids: Ints, axes: Floats, scale: np.float32
) -> None:
    """Pull the mask down the picture where its upper edge, seen from below, would cover an eye.

    An eye that is turned away, and so has less than a third of the other's width, does not count.
    """
    long = max(np.sqrt(axes[1, 0] ** 2 + axes[1, 1] ** 2), np.float32(1e-3))
    down_x, down_y = np.float32(-axes[1, 0] / long), np.float32(-axes[1, 1] / long)
    right_x, right_y = down_y, -down_x
    need = F0
    for e in range(2):
        width = _eye_width(vertices, lids[e], right_x, right_y)
        if F2 * width + width < _eye_width(vertices, lids[1 - e], right_x, right_y):
            continue
        for i in range(lids.shape[1]):
            v = lids[e, i]
            x = vertices[v, 0] * right_x + vertices[v, 1] * right_y
            y = vertices[v, 0] * down_x + vertices[v, 1] * down_y
            beside = LID_SIDE * scale
            for c in range(columns * top_rows - 1):
                if (c + 1) % columns == 0:
                    continue
                x0 = points[0, c] * right_x + points[1, c] * right_y
                x1 = points[0, c + 1] * right_x + points[1, c + 1] * right_y
                if min(x0, x1) > x + beside or max(x0, x1) <= x - beside or x0 == x1:
                    continue
                y0 = points[0, c] * down_x + points[1, c] * down_y
                y1 = points[0, c + 1] * down_x + points[1, c + 1] * down_y
                first = (min(max(x - beside, min(x0, x1)), max(x0, x1)) - x0) / (x1 - x0)
                last = (min(max(x + beside, min(x0, x1)), max(x0, x1)) - x0) / (x1 - x0)
                highest = y0 + (y1 - y0) * (first if (y1 - y0) * (last - first) > F0 else last)
                need = max(need, y + LID_GAP * scale - highest)
    need = min(need, MOST_LOWERED * scale)
    if need > F0:
        for g in range(points.shape[1]):
            points[0, g] += need * down_x
            points[1, g] += need * down_y


@kernel()
def wave(st: Floats, edge: Floats, out: Floats) -> None:
    """Move the texture's upper and lower edge up and down along s: constant, slope and bow of each, in units of t."""
    for g in range(st.shape[0]):
        x, t = F2 * st[g, 0] - F1, st[g, 1]
        bow = x * x - np.float32(0.3)
        top, bottom = edge[0] + edge[1] * x + edge[2] * bow, edge[3] + edge[4] * x + edge[5] * bow
        out[g, 0], out[g, 1] = st[g, 0], t + (F1 - t) * top + t * bottom


@kernel()
def bounds(points: Floats) -> Bounds:
    """Least and largest x and y."""
    left, right, top, bottom = points[0, 0], points[0, 0], points[1, 0], points[1, 0]
    for g in range(points.shape[1]):
        left, right = min(left, points[0, g]), max(right, points[0, g])
        top, bottom = min(top, points[1, g]), max(bottom, points[1, g])
    return float(left), float(right), float(top), float(bottom)
