"""Kernels, fourth part: draw the lit shell and its straps as samples, hidden where the face is nearer.

Pictures are indexed [y, x]. Samples lie SAMPLES to a pixel and axis; sample i of the window has its centre at pixel
``window.x + (i + .5) / SAMPLES - .5``. Colours are premultiplied linear float32. No random numbers here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["SAMPLES", "Strap", "Tables", "Window", "draw"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Side = tuple[np.float32, np.float32, np.float32, int]
"""An edge of a triangle: a point on it, x a step of y, and on which side of it the triangle lies."""

F0, F1, F2, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
FAR = np.float32(-1e9)
SHELL_BIAS, STRAP_BIAS = float(np.float32(0.35)), 0.5  # centimetres by which the face may be nearer
ONE = np.uintp(1)
MOST_TINTED = np.float32(0.35)  # largest change of a colour's red or blue by the light that falls on it
TOUCH = np.float32(1e-3)  # samples by which neighbouring triangles overlap, so that rounding leaves no gap
SAMPLES = 2
TEXELS_A_CENTIMETRE = 1.2 * SAMPLES * 15 * 0.5  # times pixels a centimetre: more texels are finer than samples


class Window(NamedTuple):
    """The part of the picture that is drawn.

    Attributes
    ----------
    x, y : int
        Its first column and row.
    width, height : int
        Pixels.
    """

    x: int
    y: int
    width: int
    height: int


class Tables(NamedTuple):
    """What does not change from picture to picture.

    Attributes
    ----------
    triangles : (K, 3) int32
        Of the grid.
    occluders : (L, 3) int32
        Triangles of the face that may hide the mask.
    strap_sides : (B,) int32
        +1 right in the picture, -1 left, 0 not to be drawn.
    """

    triangles: NDArray[np.int32]
    occluders: NDArray[np.int32]
    strap_sides: NDArray[np.int32]


class Strap(NamedTuple):
    """What straps look like.

    Attributes
    ----------
    radius : float
        Half their width, pixels.
    opacity : float
        From 0 to 1.
    red, green, blue : float
        Linear colour.
    """

    radius: float
    opacity: float
    red: float
    green: float
    blue: float


@kernel(inner=True)
def _side(px: np.float32, py: np.float32, qx: np.float32, qy: np.float32, area: np.float32) -> Side:
    """An edge as the line x = x0 + (y - y0) slope, and whether the triangle lies to its right (1) or left (-1).

    An edge along the rows (0) bounds no row: those above and below it are left out already.
    """
    dy = qy - py
    if abs(dy) < np.float32(1e-6):
        return px, py, F0, 0
    return px, py, (qx - px) / dy, 1 if (dy > F0) == (area < F0) else -1


@kernel(inner=True)
def _narrow(low: np.float32, high: np.float32, edge: Side, y: np.float32) -> tuple[np.float32, np.float32]:
    """The part of a row on the triangle's side of an edge; a hair wider, so that neighbours leave no gap."""
    at = edge[0] + (y - edge[1]) * edge[2]
    if edge[3] > 0:
        return max(low, at - TOUCH), high
    return low, (min(high, at + TOUCH) if edge[3] < 0 else high)


@kernel(inner=True)
def _slope(
    a: np.float32, b: np.float32, c: np.float32, bx: np.float32, by: np.float32, cx: np.float32, cy: np.float32
) -> tuple[np.float32, np.float32]:
    """How fast a linear function changes along x and y: its values at three corners, the latter two relative to the
    first; b and c already divided by twice the area."""
    b, c = b - a, c - a
    return b * cy - c * by, c * bx - b * cx


@kernel()
def _occlude(vertices: Floats, triangles: Ints, x0: int, y0: int, depth: Floats) -> None:
    """z-buffer (rows, columns) of the face's front where it may hide the mask, in a window that begins at x0, y0."""
    height, width = depth.shape
    factor = np.float32(SAMPLES)
    ox, oy = (HALF - np.float32(x0)) * factor - HALF, (HALF - np.float32(y0)) * factor - HALF
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, bx, cx = vertices[a, 0] * factor + ox, vertices[b, 0] * factor + ox, vertices[c, 0] * factor + ox
        ay, by, cy = vertices[a, 1] * factor + oy, vertices[b, 1] * factor + oy, vertices[c, 1] * factor + oy
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > np.float32(-1e-4):  # turned away: behind something else
            continue
        top, bottom = max(0, int(min(min(ay, by), cy) + F1)), min(height - 1, int(max(max(ay, by), cy)))
        if top > bottom:
            continue
        low, high = max(F0, min(min(ax, bx), cx)), min(np.float32(width - 1), max(max(ax, bx), cx))
        ab, bc, ca = _side(ax, ay, bx, by, area), _side(bx, by, cx, cy, area), _side(cx, cy, ax, ay, area)
        inverse = F1 / area
        relative = ((bx - ax) * inverse, (by - ay) * inverse, (cx - ax) * inverse, (cy - ay) * inverse)
        za = vertices[a, 2]
        zx, zy = _slope(za, vertices[b, 2], vertices[c, 2], *relative)
        for y in range(top, bottom + 1):
            fy = np.float32(y)
            left, right = _narrow(low, high, ab, fy)
            left, right = _narrow(left, right, bc, fy)
            left, right = _narrow(left, right, ca, fy)
            z, row = za + (fy - ay) * zy - ax * zx, np.uintp(y)
            for x in range(int(np.ceil(left)), int(np.floor(right)) + 1):
                column = np.uintp(x)  # unsigned: no test for negative indices
                depth[row, column] = max(depth[row, column], z + zx * np.float32(x))


@kernel(inner=True)
def _between(texture: Floats, u: np.float32, v: np.float32, n: int) -> np.float32:
    """Bilinear value of a texture's channel."""
    j, k = np.uintp(v), np.uintp(u)
    fv, fu = v - np.float32(j), u - np.float32(k)
    above = texture[j, k, n] + fu * (texture[j, k + ONE, n] - texture[j, k, n])
    below = texture[j + ONE, k, n] + fu * (texture[j + ONE, k + ONE, n] - texture[j + ONE, k, n])
    return above + fv * (below - above)


@kernel()
def _draw_shell(
    points: Floats,
    st: Floats,
    shading: Floats,
    triangles: Ints,
    texture: Floats,
    tint: tuple[float, float],
    nearest: bool,
    x0: int,
    y0: int,
    bias: float,
    face: Floats,
    depth: Floats,
    layer: Floats,
) -> None:
    """Draw the grid into `layer`; hidden where the face's depth is nearer by more than `bias`."""
    height, width = depth.shape
    rows, columns = np.float32(texture.shape[0] - 2), np.float32(texture.shape[1] - 2)
    most_x, most_y, least = columns + np.float32(0.999), rows + np.float32(0.999), np.float32(0.02)
    factor, ruddy, cool = np.float32(SAMPLES), np.float32(tint[0]), np.float32(tint[1])
    ox, oy = (HALF - np.float32(x0)) * factor - HALF, (HALF - np.float32(y0)) * factor - HALF
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, bx, cx = points[0, a] * factor + ox, points[0, b] * factor + ox, points[0, c] * factor + ox
        ay, by, cy = points[1, a] * factor + oy, points[1, b] * factor + oy, points[1, c] * factor + oy
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        top, bottom = max(0, int(min(min(ay, by), cy) + F1)), min(height - 1, int(max(max(ay, by), cy)))
        if area > np.float32(-1e-4) or top > bottom:  # turned away: the inside of the far arm, which the head hides
            continue
        low, high = max(F0, min(min(ax, bx), cx)), min(np.float32(width - 1), max(max(ax, bx), cx))
        ab, bc, ca = _side(ax, ay, bx, by, area), _side(bx, by, cx, cy, area), _side(cx, cy, ax, ay, area)
        inverse = F1 / area
        relative = ((bx - ax) * inverse, (by - ay) * inverse, (cx - ax) * inverse, (cy - ay) * inverse)
        za, ua, va, ea = points[2, a], st[a, 0] * columns + HALF, st[a, 1] * rows + HALF, shading[a]
        zx, zy = _slope(za, points[2, b], points[2, c], *relative)
        ux, uy = _slope(ua, st[b, 0] * columns + HALF, st[c, 0] * columns + HALF, *relative)
        vx, vy = _slope(va, st[b, 1] * rows + HALF, st[c, 1] * rows + HALF, *relative)
        ex, ey = _slope(ea, shading[b], shading[c], *relative)
        for y in range(top, bottom + 1):
            fy = np.float32(y)
            left, right = _narrow(low, high, ab, fy)
            left, right = _narrow(left, right, bc, fy)
            left, right = _narrow(left, right, ca, fy)
            dy = fy - ay
            z0, u0, v0, e0 = za + dy * zy, ua + dy * uy, va + dy * vy, ea + dy * ey
            row = np.uintp(y)
            for x in range(int(np.ceil(left)), int(np.floor(right)) + 1):
                dx, column = np.float32(x) - ax, np.uintp(x)
                z = z0 + dx * zx
                if z <= depth[row, column] or z + bias < face[row, column]:
                    continue
                u, v = min(max(u0 + dx * ux, F0), most_x), min(max(v0 + dx * vx, F0), most_y)
                e = max(e0 + dx * ex, F0)
                red = e + e * min(max(ruddy * (e - F1), -MOST_TINTED), MOST_TINTED)
                blue = e + e * min(max(cool * (e - F1), -MOST_TINTED), MOST_TINTED)
                if nearest:  # texels are finer than samples, and four samples make a pixel: no need to interpolate
                    j, k = np.uintp(v + HALF), np.uintp(u + HALF)  # unsigned: no test for negative indices
                    cover = texture[j, k, 3]
                    if cover < least:
                        continue
                    layer[row, column, 0] = red * texture[j, k, 0]
                    layer[row, column, 1] = e * texture[j, k, 1]
                    layer[row, column, 2] = blue * texture[j, k, 2]
                else:
                    cover = _between(texture, u, v, 3)
                    if cover < least:
                        continue
                    layer[row, column, 0] = red * _between(texture, u, v, 0)
                    layer[row, column, 1] = e * _between(texture, u, v, 1)
                    layer[row, column, 2] = blue * _between(texture, u, v, 2)
                depth[row, column], layer[row, column, 3] = z, cover


@kernel()
def _draw_straps(
    points: Floats,
    first: int,
    count: int,
    sides: Ints,
    radius: float,
    opacity: float,
    colour: tuple[float, float, float],
    lights: tuple[np.float32, np.float32],
    x0: int,
    y0: int,
    bias: float,
    face: Floats,
    depth: Floats,
    layer: Floats,
    nearest: Floats,
    smooth: bool,
) -> None:
    """Draw straps, `count` points each from `first` on, as soft ribbons facing the viewer that fade at their far ends.

    Where the pieces of one overlap, the first counts; of a `smooth` one that which is nearest, so that it has no
    joints: `nearest` has room for each sample's distance. `lights` are left and right in the picture.
    """
    height, width = depth.shape
    factor = np.float32(SAMPLES)
    ox, oy = HALF - np.float32(x0), HALF - np.float32(y0)
    r = np.float32(radius) * factor
    for i in range(sides.shape[0]):
        if sides[i] == 0:
            continue
        if smooth:
            for y in range(height):
                for x in range(width):
                    nearest[y, x] = -FAR
        start, brightness = first + i * count, np.float32(0.9) * (lights[1] if sides[i] > 0 else lights[0])
        red, green, blue = (
            np.float32(colour[0]) * brightness,
            np.float32(colour[1]) * brightness,
            np.float32(colour[2]) * brightness,
        )
        for j in range(start, start + count - 1):
            ax, ay = (points[0, j] + ox) * factor - HALF, (points[1, j] + oy) * factor - HALF
            bx, by = (points[0, j + 1] + ox) * factor - HALF, (points[1, j + 1] + oy) * factor - HALF
            dx, dy = bx - ax, by - ay
            inverse = F1 / max(dx * dx + dy * dy, np.float32(1e-6))
            left, right = max(0, int(min(ax, bx) - r - F1)), min(width - 1, int(max(ax, bx) + r + F2))
            top, bottom = max(0, int(min(ay, by) - r - F1)), min(height - 1, int(max(ay, by) + r + F2))
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    px, py = np.float32(x) - ax, np.float32(y) - ay
                    along = min(max((px * dx + py * dy) * inverse, F0), F1)
                    px, py = px - along * dx, py - along * dy
                    distance = np.float32(np.sqrt(px * px + py * py))
                    cover = min(r + HALF - distance, F1)
                    if cover <= F0:
                        continue
                    way = (np.float32(j - start) + along) / np.float32(count - 1)
                    cover *= np.float32(opacity) * min(F1, (F1 - way) * np.float32(8))
                    z = points[2, j] + along * (points[2, j + 1] - points[2, j])
                    if z + bias < face[y, x] or z < depth[y, x] - bias:
                        continue
                    if smooth and nearest[y, x] < -FAR:
                        if distance >= nearest[y, x]:
                            continue
                    elif cover <= layer[y, x, 3]:
                        continue
                    if smooth:
                        nearest[y, x] = distance
                    bright = cover * (
                        F1 - np.float32(0.35) * (distance / max(r, F1)) ** 2
                    )  # round: darker toward its edges
                    layer[y, x, 0], layer[y, x, 1], layer[y, x, 2], layer[y, x, 3] = (
                        red * bright,
                        green * bright,
                        blue * bright,
                        cover,
                    )


def draw(
    vertices: Floats,
    points: Floats,
    st: Floats,
    shading: Floats,
    middles: tuple[int, int],
    texture: Floats,
    tint: tuple[float, float],
    tables: Tables,
    strap: Strap,
    strap_points: int,
    window: Window,
    scale: float,
    smooth: bool,
) -> Floats:
    """Draw mask and straps.

    Parameters
    ----------
    vertices : (468, 3) float32
        The face in pixels: x right, y down, z toward the viewer.
    points : (3, G') float32
        Grid points, then strap points, in the same pixels.
    st : (G, 2) float32
        Texture coordinates of the grid points.
    shading : (G,) float32
        Light at the grid points, 1 as on the skin's average.
    middles : (int, int)
        Grid points in the middle of the left and of the right edge, whose light straps take.
    texture : (T, S, 4) float32
        Premultiplied linear RGB and coverage inside a transparent border (see `facekit.masks.dye.dye`).
    tint : (float, float)
        By how much red and blue grow with the light, relative to green.
    tables : Tables
    strap : Strap
    strap_points : int
        Points a strap has.
    window : Window
    scale : float
        Pixels per centimetre.
    smooth : bool
        For large faces: texels are interpolated and straps have no joints.

    Returns
    -------
    (SAMPLES * h, SAMPLES * w, 4) float32
        Premultiplied linear RGB and coverage; 1 is white cloth lit like the skin's average.
    """
    height, width, grid = window.height * SAMPLES, window.width * SAMPLES, st.shape[0]
    samples = np.zeros((height, width, 4), np.float32)
    depth, face = np.full((2, height, width), FAR, np.float32)
    nearest = not smooth and texture.shape[1] > TEXELS_A_CENTIMETRE * scale
    _occlude(vertices, tables.occluders, *window[:2], face)
    cloth = (points, st, shading, tables.triangles, texture, tint, nearest)
    _draw_shell(*cloth, *window[:2], SHELL_BIAS * scale, face, depth, samples)
    distances = depth if not smooth else np.empty_like(depth)
    lights = (shading[middles[0]], shading[middles[1]])
    look, lit = (strap.radius, strap.opacity, strap[2:]), (lights, *window[:2])
    bias, drawn = STRAP_BIAS * scale, (face, depth, samples)
    _draw_straps(points, grid, strap_points, tables.strap_sides, *look, *lit, bias, *drawn, distances, smooth)
    return samples
