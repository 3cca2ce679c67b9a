"""Kernels, first part: carry the shell onto a face, wear it there, fold it and light it.

Points are (x, y, z) with x right, y down, z toward the viewer, in pixels; everything is float32. Nothing here draws
random numbers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["Drape", "Frame", "Landmarks", "drape", "face_normals", "face_scale"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bounds = tuple[float, float, float, float]
"""Least and largest x, least and largest y; pixels."""

F0, F1, F2 = np.float32(0), np.float32(1), np.float32(2)
TOP_ROWS = 4  # of the coarse grid: on a head that leans back, a cup bulges over its own upper edge
HEMMED = np.float32(8)  # 1 / t from which on folds are as high as drawn: the hem above keeps the edge straight
LID_GAP, LID_SIDE, MOST_LOWERED = np.float32(0.3), np.float32(0.2), np.float32(2.4)  # centimetres
HANG, PULL = np.float32(1.8), np.float32(0.5)  # how wide the lower part hangs, and how far corners are pulled
CANONICAL_WIDTH = np.float32(15.32)  # centimetres between the edges of the mean face


class Drape(NamedTuple):
    """How one mask lies on the face (see `facekit.masks.recipe.MaskParams`).

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


@kernel()
def _carry(weights: Floats, controls: Ints, vertices: Floats, points: Floats) -> None:
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


def _frame(vertices: Floats, landmarks: Landmarks) -> Frame:
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


@kernel()
def _place(
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
def _grid_normals(points: Floats, columns: int, rows: int, stride: int, crease: np.float32, normals: Floats) -> None:
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
def _relief(
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
def _lift(
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
def _lower(
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
def _wave(st: Floats, edge: Floats, out: Floats) -> None:
    """Move the texture's upper and lower edge up and down along s: constant, slope and bow of each, in units of t."""
    for g in range(st.shape[0]):
        x, t = F2 * st[g, 0] - F1, st[g, 1]
        bow = x * x - np.float32(0.3)
        top, bottom = edge[0] + edge[1] * x + edge[2] * bow, edge[3] + edge[4] * x + edge[5] * bow
        out[g, 0], out[g, 1] = st[g, 0], t + (F1 - t) * top + t * bottom


@kernel()
def _bounds(points: Floats) -> Bounds:
    """Least and largest x and y."""
    left, right, top, bottom = points[0, 0], points[0, 0], points[1, 0], points[1, 0]
    for g in range(points.shape[1]):
        left, right = min(left, points[0, g]), max(right, points[0, g])
        top, bottom = min(top, points[1, g]), max(bottom, points[1, g])
    return float(left), float(right), float(top), float(bottom)


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
        See `facekit.masks.recipe.MaskParams`.
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
    _wave(st, edge, wavy)
    frame = _frame(vertices, landmarks)
    _carry(weights, controls, vertices, points)
    _place(points, (rows // 2) * columns + columns // 2, *frame, *wear[:5])
    _grid_normals(points, columns, rows, stride, F0, normals)  # joined: the crest must not tear
    _relief(st, folds, wear.gather_height, wear.gather_waves, wear.gather_phase, heights)
    rests = points[:, straps]
    _lift(points, normals, heights, st, wear.gape, wear.corner, *frame)
    _follow(points, heights.shape[0], straps, rests)
    _lower(points, columns, (TOP_ROWS - 1) * stride + 1, vertices, landmarks.lids, *frame)
    _grid_normals(points, columns, rows, stride, np.float32(wear.crease), normals)
    return frame, _bounds(points)
