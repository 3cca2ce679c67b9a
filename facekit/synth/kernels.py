"""The renderer's inner loops, all in one file because numba's cache does not see edits in other files.

Screen arrays are supersampled, [row, column]; screen points are (x, y, depth), depth growing toward the viewer. `ids`
holds the triangle seen in a sample, ``EMPTY`` or ``STRAND``. All is float32; nothing here draws a random number.

None is compiled with ``fastmath``: it lets the compiler reorder sums and fuse products, so that another processor put
the edges of strands into other samples (75 of 96 pictures, up to 16 levels in 1.2% of their pixels), and saves no time
that could be measured (12.3 ms a picture with it and without).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = [
    "EMPTY",
    "STRAND",
    "darken",
    "draw_strands",
    "mix_colour",
    "nearest_index",
    "place_strands",
    "rasterize",
    "resolve",
    "shadow_strands",
    "shadow_triangles",
    "vertex_normals",
]

EMPTY, STRAND = -1, -2
_F = np.float32
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Indices = NDArray[np.int64]
Scalar = np.floating[Any] | float
"""A number; compiled it is a float32 like everything else."""


@kernel(inner=True)
def _floor(x: Scalar) -> int:
    """As ``math.floor`` of anything finite: that calls the C library, and what is in registers has to leave them."""
    whole = int(x)
    return whole - int(x < _F(whole))


@kernel()
def vertex_normals(points: Floats, triangles: Ints, out: Floats) -> None:
    """Area-weighted vertex normals, not yet of unit length.

    Parameters
    ----------
    points : (V, 3) float32
    triangles : (T, 3) int32
    out : (V, 3) float32
        Written.
    """
    out[:] = _F(0)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz


@kernel()
def rasterize(
    screen: Floats, triangles: Ints, two_sided: NDArray[np.bool_], depth: Floats, ids: Ints, bary: Floats
) -> None:
    """Find the nearest triangle of every sample.

    Parameters
    ----------
    screen : (V, 3) float32
        x, y in samples, depth growing toward the viewer.
    triangles : (T, 3) int32
        Clockwise on the screen when seen from the front; others are skipped unless they are two-sided.
    two_sided : (T,) bool
    depth : (H, W) float32
        Written where a triangle is nearer.
    ids : (H, W) int32
        Number of the triangle.
    bary : (H, W, 2) float32
        Barycentric weights of its first two corners.
    """
    height, width = depth.shape
    low = _F(-1e-5)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > _F(-1e-6) and (not two_sided[t] or area < _F(1e-6)):
            continue
        x0 = max(0, -_floor(-min(ax, bx, cx)))
        x1 = min(width - 1, _floor(max(ax, bx, cx)))
        y0 = max(0, -_floor(-min(ay, by, cy)))
        y1 = min(height - 1, _floor(max(ay, by, cy)))
        inverse = _F(1) / area
        ux, vx = (by - cy) * inverse, (cy - ay) * inverse
        uy, vy = (cx - bx) * inverse, (ax - cx) * inverse
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        for y in range(y0, y1 + 1):
            u = (_F(x0) - cx) * ux + (_F(y) - cy) * uy
            v = (_F(x0) - cx) * vx + (_F(y) - cy) * vy
            for x in range(x0, x1 + 1):
                w = _F(1) - u - v
                if (u >= low) & (v >= low) & (w >= low):
                    z = u * za + v * zb + w * zc
                    if z > depth[y, x]:
                        depth[y, x] = z
                        ids[y, x] = t
                        bary[y, x, 0] = u
                        bary[y, x, 1] = v
                elif (u < low and ux <= 0) or (v < low and vx <= 0) or (w < low and ux >= 0 and vx >= 0):
                    break  # rounded sums too never turn back: no later sample of the row is inside
                u += ux
                v += vx


@kernel()
def shadow_triangles(light: Floats, triangles: Ints, depth: Floats) -> None:
    """Add triangles to the depth map of the key light.

    Parameters
    ----------
    light : (V, 3) float32
        x, y in texels of the map, depth toward the light in cm.
    triangles : (T, 3) int32
    depth : (S, S) float32
        Written where a triangle is nearer to the light.
    """
    size = depth.shape[0]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = light[a, 0], light[a, 1], light[b, 0], light[b, 1], light[c, 0], light[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < _F(1e-6):
            continue
        x0, x1 = max(0, -_floor(-min(ax, bx, cx))), min(size - 1, _floor(max(ax, bx, cx)))
        y0, y1 = max(0, -_floor(-min(ay, by, cy))), min(size - 1, _floor(max(ay, by, cy)))
        inverse = _F(1) / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                u = ((by - cy) * (_F(x) - cx) + (cx - bx) * (_F(y) - cy)) * inverse
                v = ((cy - ay) * (_F(x) - cx) + (ax - cx) * (_F(y) - cy)) * inverse
                w = _F(1) - u - v
                if (u >= 0) & (v >= 0) & (w >= 0):
                    z = u * light[a, 2] + v * light[b, 2] + w * light[c, 2]
                    if z > depth[y, x]:
                        depth[y, x] = z


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
def _soft_shadow(x: Scalar, y: Scalar, z: Scalar, matrix: Floats, depth: Floats, bias: Scalar) -> Scalar:
    """Share of the key light that reaches a point: a box of 4 x 4 texels at any place, fading over depth."""
    size = depth.shape[0]
    u, v, w = _to_light(x, y, z, matrix)
    left, top = _floor(u - _F(1.5)), _floor(v - _F(1.5))
    if left < 0 or top < 0 or left + 4 >= size or top + 4 >= size:
        return _F(1)
    fx, fy = u - _F(1.5) - _F(left), v - _F(1.5) - _F(top)
    lit = _F(0)
    for j in range(5):
        weight = _F(1) - fy if j == 0 else (fy if j == 4 else _F(1))
        row = _F(0)
        for i in range(5):
            gap = depth[top + j, left + i] - w - bias
            tap = min(_F(1), max(_F(0), _F(1) - gap * _F(1.6)))
            row += tap * (_F(1) - fx if i == 0 else (fx if i == 4 else _F(1)))
        lit += row * weight
    return lit * _F(1.0 / 16)


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
    shades, known = np.empty((count, 3), np.float32), np.zeros(count, np.bool_)
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
                if not known[k]:
                    known[k] = True
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


@kernel()
def mix_colour(albedo: Floats, share: Floats, colour: Floats) -> None:
    """Mix a colour into a texture in place.

    Parameters
    ----------
    albedo : (H, W, C) float32
        Its first three channels are changed.
    share : (H, W) float32
    colour : (3,) float32
    """
    for row in range(albedo.shape[0]):
        for column in range(albedo.shape[1]):
            s = share[row, column]
            for c in range(3):
                albedo[row, column, c] += s * (colour[c] - albedo[row, column, c])


@kernel()
def darken(albedo: Floats, share: Floats, amounts: Floats) -> None:
    """Darken a texture in place: each channel is multiplied by 1 - share * amount.

    Parameters
    ----------
    albedo : (H, W, C) float32
        Its first three channels are changed.
    share : (H, W) float32
    amounts : (3,) float32
    """
    for row in range(albedo.shape[0]):
        for column in range(albedo.shape[1]):
            s = share[row, column]
            for c in range(3):
                albedo[row, column, c] *= _F(1) - s * amounts[c]


@kernel()
def nearest_index(points: Floats, others: Floats, out: Indices) -> None:
    """Index of the nearest other point, the first of several.

    Parameters
    ----------
    points : (N, 3) float32
    others : (M, 3) float32
        M at least 1.
    out : (N,) int64
        Written.
    """
    for i in range(points.shape[0]):
        best, where = _F(1e30), 0
        for j in range(others.shape[0]):
            dx, dy, dz = points[i, 0] - others[j, 0], points[i, 1] - others[j, 1], points[i, 2] - others[j, 2]
            square = dx * dx + dy * dy + dz * dz
            if square < best:
                best, where = square, j
        out[i] = where


@kernel(inner=True, forceinline=True)
def _texel(atlas: Floats, u: Scalar, v: Scalar, out: Floats) -> None:
    """Bilinear sample of the atlas at texel coordinates."""
    x = min(max(u, _F(0)), _F(atlas.shape[1] - 1.001))
    y = min(max(v, _F(0)), _F(atlas.shape[0] - 1.001))
    column, row = int(x), int(y)
    fx, fy = x - _F(column), y - _F(row)
    a, b = (_F(1) - fx) * (_F(1) - fy), fx * (_F(1) - fy)
    c, d = (_F(1) - fx) * fy, fx * fy
    for k in range(5):
        out[k] = (
            a * atlas[row, column, k]
            + b * atlas[row, column + 1, k]
            + c * atlas[row + 1, column, k]
            + d * atlas[row + 1, column + 1, k]
        )


@kernel(inner=True)
def _smoothstep(low: Scalar, high: Scalar, x: Scalar) -> Scalar:
    t = min(_F(1), max(_F(0), (x - low) / (high - low)))
    return t * t * (_F(3) - _F(2) * t)


@kernel(inner=True)
def _hash(a: Scalar, b: Scalar) -> Scalar:
    """A fixed pattern in [0, 1) from two coordinates."""
    h = math.sin(_F(a) * _F(12.9898) + _F(b) * _F(78.233)) * _F(43758.547)
    return h - _floor(h)


@kernel(inner=True)
def _eye(
    x: Scalar, y: Scalar, z: Scalar, shade: Scalar, eyes: Floats, side: int, view: Floats, lights: Floats, out: Floats
) -> None:
    """Radiance of the eyeball seen through a point of the lid opening.

    eyes (2, 6, 3): centre, gaze, up (unit, camera axes), iris colour, (iris radius, pupil radius, redness), sclera.
    """
    cx, cy, cz = eyes[side, 0, 0], eyes[side, 0, 1], eyes[side, 0, 2]
    gx, gy, gz = eyes[side, 1, 0], eyes[side, 1, 1], eyes[side, 1, 2]
    ox, oy, oz = x - cx, y - cy, z - cz
    vx, vy, vz = view[0], view[1], view[2]
    along = ox * vx + oy * vy + oz * vz
    reach = _F(1.22) * _F(1.22) - (ox * ox + oy * oy + oz * oz - along * along)
    t = -along - math.sqrt(max(reach, _F(0)))
    nx, ny, nz = ox + vx * t, oy + vy * t, oz + vz * t
    norm = _F(1) / math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    cosine = nx * gx + ny * gy + nz * gz
    px, py, pz = nx - gx * cosine, ny - gy * cosine, nz - gz * cosine
    rho = _F(1.22) * math.sqrt(px * px + py * py + pz * pz) if cosine > 0 else _F(1.2)
    iris, pupil, red = eyes[side, 4, 0], eyes[side, 4, 1], eyes[side, 4, 2]
    inside = _F(1) - _smoothstep(iris - _F(0.05), iris + _F(0.03), rho)
    if inside > 0:
        rise = px * eyes[side, 2, 0] + py * eyes[side, 2, 1] + pz * eyes[side, 2, 2]
        angle = math.asin(min(_F(1), max(_F(-1), rise / (rho / _F(1.22) + _F(1e-6)))))
        fibre = _F(0.8) + _F(0.4) * _hash(_floor(angle * _F(6)), _F(3)) * _smoothstep(pupil, iris, rho)
        ring = _smoothstep(iris * _F(0.72), iris, rho)
        dark = _smoothstep(pupil - _F(0.03), pupil + _F(0.04), rho)
        caustic = _F(1) + _F(0.5) * max(_F(0), -rise) / iris
    facing = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
    light = max(_F(0), facing * _F(0.7) + _F(0.3))
    kx, ky, kz = nx + px * _F(0.9) * inside, ny + py * _F(0.9) * inside, nz + pz * _F(0.9) * inside
    norm = _F(1) / math.sqrt(kx * kx + ky * ky + kz * kz)
    hx, hy, hz = lights[0, 0] - vx, lights[0, 1] - vy, lights[0, 2] - vz
    hnorm = _F(1) / math.sqrt(hx * hx + hy * hy + hz * hz)
    mirror = (kx * hx + ky * hy + kz * hz) * norm * hnorm
    spark = _smoothstep(_F(0.982), _F(0.992), mirror) * _F(0.8) + _smoothstep(_F(0.8), _F(1), mirror) * _F(0.03)
    cover = (
        _F(1) - _F(0.75) * _smoothstep(_F(0.25), _F(1), shade) - _F(0.25) * _smoothstep(_F(0.75), _F(1), _F(1) - shade)
    )
    sky = _F(0.5) + _F(0.5) * ny
    for c in range(3):
        white = eyes[side, 5, c] * (_F(1) - red * (_F(0.25) if c > 0 else _F(0.0)) * _smoothstep(_F(0.6), _F(1.2), rho))
        colour = white
        if inside > 0:
            tone = eyes[side, 3, c] * fibre * caustic * (_F(1) - _F(0.75) * ring)
            tone = tone * dark + _F(0.004) * (_F(1) - dark)
            colour = white * (_F(1) - inside) + tone * inside
        ambient = lights[4, c] * sky + lights[5, c] * (_F(1) - sky)
        out[c] = colour * cover * (ambient + lights[1, c] * light) + spark * lights[1, c] * cover * _F(0.55)


@kernel(inner=True)
def _teeth(
    x: Scalar, y: Scalar, z: Scalar, shade: Scalar, mouth: Floats, view: Floats, lights: Floats, out: Floats
) -> None:
    """Radiance of teeth, gums and tongue seen through a point of the mouth opening.

    mouth (6, 3): origin, right, up, forward (camera axes), (drop of the jaw, width of a tooth, brightness), tooth.
    """
    dx, dy, dz = x - mouth[0, 0], y - mouth[0, 1], z - mouth[0, 2]
    right = dx * mouth[1, 0] + dy * mouth[1, 1] + dz * mouth[1, 2]
    up = dx * mouth[2, 0] + dy * mouth[2, 1] + dz * mouth[2, 2]
    forward = dx * mouth[3, 0] + dy * mouth[3, 1] + dz * mouth[3, 2]
    sx = view[0] * mouth[1, 0] + view[1] * mouth[1, 1] + view[2] * mouth[1, 2]
    sy = view[0] * mouth[2, 0] + view[1] * mouth[2, 1] + view[2] * mouth[2, 2]
    sz = min(_F(-0.3), view[0] * mouth[3, 0] + view[1] * mouth[3, 1] + view[2] * mouth[3, 2])
    t = max(_F(0), forward + _F(0.35) + _F(0.16) * right * right) / -sz
    right, up = right + sx * t, up + sy * t
    drop, width = mouth[4, 0], mouth[4, 1]
    inner = _F(1) - _smoothstep(_F(1.2), _F(2.3), abs(right))
    cell = abs(right) / width
    gap = abs(cell - _floor(cell + _F(0.5)))
    seam = _F(0.78) + _F(0.22) * _smoothstep(_F(0.0), _F(0.14), gap)
    edge = _F(-0.42) - _F(0.05) * (_floor(cell) % 2) + _F(0.06) * cell
    upper = _smoothstep(edge - _F(0.05), edge + _F(0.05), up)
    low_top = edge - _F(0.08) - drop
    lower = (_F(1) - _smoothstep(low_top - _F(0.05), low_top + _F(0.05), up)) * _F(0.75)
    tooth = max(upper, lower)
    gum = _smoothstep(_F(0.42), _F(0.6), up)
    deep = (
        _F(0.9) - _F(0.65) * _smoothstep(_F(0.6), _F(1), shade) - _F(0.45) * _smoothstep(_F(0.6), _F(1), _F(1) - shade)
    )
    for c in range(3):
        flesh = _F(0.16) if c == 0 else _F(0.05)
        bone = mouth[5, c] * seam * (_F(1) - gum) + gum * (_F(0.3) if c == 0 else _F(0.12))
        hollow = flesh * _F(0.5)
        colour = (
            (bone * tooth * mouth[4, 2] + hollow * (_F(1) - tooth))
            * (_F(0.25) + _F(0.75) * inner)
            * max(_F(0.12), deep)
        )
        out[c] = colour * (
            lights[4, c] * _F(0.35) + lights[5, c] * _F(0.35) + lights[1, c] * _F(0.5) * max(_F(0.1), lights[0, 2])
        )


@kernel(inner=True, forceinline=True)
def _surface(
    group: Floats, cloth: bool, eye: Floats, lights: Floats, matrix: Floats, shadow: Floats, out: Floats
) -> None:
    """Radiance of skin or cloth. group: normal (3), point (3), albedo (3), openness, gloss, all already averaged.

    The diffuse term wraps round the terminator, furthest in red, for light that travelled through the skin.
    """
    nx, ny, nz = group[0], group[1], group[2]
    norm = _F(1) / math.sqrt(nx * nx + ny * ny + nz * nz + _F(1e-12))
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    x, y, z = group[3], group[4], group[5]
    vx, vy, vz = eye[0] - x, eye[1] - y, eye[2] - z
    norm = _F(1) / math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * norm, vy * norm, vz * norm
    facing = max(_F(0.02), nx * vx + ny * vy + nz * vz)
    open_, gloss = group[9], group[10] * (_F(0) if cloth else _F(1))
    lit = _soft_shadow(x + nx * _F(0.25), y + ny * _F(0.25), z + nz * _F(0.25), matrix, shadow, _F(0.26))
    rim = (_F(1) - facing) ** 3
    sky = _F(0.5) + _F(0.5) * ny
    for c in range(3):
        out[c] = group[6 + c] * open_ * (lights[4, c] * sky + lights[5, c] * (_F(1) - sky))
        out[c] += rim * gloss * _F(0.10) * lights[4, c] * open_
    for k in range(2):
        lx, ly, lz = lights[2 * k, 0], lights[2 * k, 1], lights[2 * k, 2]
        cosine = nx * lx + ny * ly + nz * lz
        share = lit if k == 0 else open_
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        hnorm = _F(1) / math.sqrt(hx * hx + hy * hy + hz * hz + _F(1e-6))
        mirror = max(_F(0), (nx * hx + ny * hy + nz * hz) * hnorm)
        m2 = mirror * mirror
        m8 = m2 * m2 * m2 * m2
        m32 = m8 * m8 * m8 * m8
        shine = gloss * (_F(0.055) * m8 * m2 + _F(0.10) * m32) * max(_F(0), min(_F(1), cosine * _F(4)))
        for c in range(3):
            wrap = _F(0.1) if cloth else (_F(0.34) if c == 0 else (_F(0.16) if c == 1 else _F(0.10)))
            diffuse = max(_F(0), (cosine + wrap) / (_F(1) + wrap))
            pass_ = share if cloth else (share ** (_F(0.75) if c == 0 else _F(1)))
            out[c] += lights[2 * k + 1, c] * pass_ * (group[6 + c] * diffuse * (_F(0.6) + _F(0.4) * open_) + shine)


@kernel(allocates=True)
def resolve(
    ids: Ints,
    bary: Floats,
    rgb: Floats,
    triangles: Ints,
    materials: NDArray[np.uint8],
    vertices: Floats,
    atlas: Floats,
    eyes: Floats,
    mouth: Floats,
    lights: Floats,
    matrix: Floats,
    shadow: Floats,
    eye: Floats,
    ground: Floats,
    cloth: Floats,
    factor: int,
    out: Floats,
) -> None:
    """Shade and average the samples: colour at every sample, light once a pixel and material.

    Parameters
    ----------
    ids : (H * factor, W * factor) int32
    bary : (H * factor, W * factor, 2) float32
    rgb : (H * factor, W * factor, 3) float32
        Radiance of strands.
    triangles : (T, 3) int32
    materials : (T,) uint8
        0 skin, 1 cloth, 2 and 3 eyes, 4 mouth.
    vertices : (V, 9) float32
        Normal, point (camera axes, cm), texel (u, v), shade of the opening.
    atlas : (A, B, 5) float32
        Linear red, green, blue, openness, gloss.
    eyes : (2, 6, 3) float32
        See `_eye`.
    mouth : (6, 3) float32
        See `_teeth`.
    lights : (6, 3) float32
        Key direction and colour, fill direction and colour, sky, floor.
    matrix, shadow : (3, 4) and (M, M) float32
        The key light's map.
    eye : (3,) float32
        The camera.
    ground : (H, W, 3) float32
        What is behind the figure.
    cloth : (3,) float32
    factor : int
        Samples along each side of a pixel.
    out : (H, W, 3) float32
        Linear radiance, written.
    """
    height, width = out.shape[0], out.shape[1]
    texel = np.zeros(5, np.float32)
    group = np.zeros((2, 11), np.float32)
    count = np.zeros(2, np.float32)
    colour = np.zeros(3, np.float32)
    view = np.zeros(3, np.float32)
    share = _F(1) / _F(factor * factor)
    for row in range(height):
        for column in range(width):
            red, green, blue = _F(0), _F(0), _F(0)
            empty = 0
            count[:] = _F(0)
            group[:] = _F(0)
            for j in range(factor):
                for i in range(factor):
                    r, c = row * factor + j, column * factor + i
                    t = ids[r, c]
                    if t == EMPTY:
                        empty += 1
                        continue
                    if t == STRAND:
                        red += rgb[r, c, 0]
                        green += rgb[r, c, 1]
                        blue += rgb[r, c, 2]
                        continue
                    a, b, d = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                    u, v = bary[r, c, 0], bary[r, c, 1]
                    w = _F(1) - u - v
                    material = materials[t]
                    if material >= 2:
                        x = u * vertices[a, 3] + v * vertices[b, 3] + w * vertices[d, 3]
                        y = u * vertices[a, 4] + v * vertices[b, 4] + w * vertices[d, 4]
                        z = u * vertices[a, 5] + v * vertices[b, 5] + w * vertices[d, 5]
                        shade = u * vertices[a, 8] + v * vertices[b, 8] + w * vertices[d, 8]
                        view[0], view[1], view[2] = x - eye[0], y - eye[1], z - eye[2]
                        norm = _F(1) / math.sqrt(view[0] * view[0] + view[1] * view[1] + view[2] * view[2])
                        view[0], view[1], view[2] = view[0] * norm, view[1] * norm, view[2] * norm
                        if material == 4:
                            _teeth(x, y, z, shade, mouth, view, lights, colour)
                        else:
                            _eye(x, y, z, shade, eyes, material - 2, view, lights, colour)
                        red += colour[0]
                        green += colour[1]
                        blue += colour[2]
                        continue
                    count[material] += _F(1)
                    for k in range(6):
                        group[material, k] += u * vertices[a, k] + v * vertices[b, k] + w * vertices[d, k]
                    tu = u * vertices[a, 6] + v * vertices[b, 6] + w * vertices[d, 6]
                    tv = u * vertices[a, 7] + v * vertices[b, 7] + w * vertices[d, 7]
                    _texel(atlas, tu, tv, texel)
                    for k in range(5):
                        group[material, 6 + k] += texel[k]
            for m in range(2):
                if count[m] > 0:
                    scale = _F(1) / count[m]
                    for k in range(11):
                        group[m, k] *= scale
                    if m == 1:
                        for k in range(3):
                            group[m, 6 + k] *= cloth[k]
                    _surface(group[m], m == 1, eye, lights, matrix, shadow, colour)
                    red += colour[0] * count[m]
                    green += colour[1] * count[m]
                    blue += colour[2] * count[m]
            out[row, column, 0] = (red + ground[row, column, 0] * empty) * share
            out[row, column, 1] = (green + ground[row, column, 1] * empty) * share
            out[row, column, 2] = (blue + ground[row, column, 2] * empty) * share
