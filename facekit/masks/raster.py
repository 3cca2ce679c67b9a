"""Kernels, third part: draw the lit shell and its straps into the picture.

Pictures are indexed [y, x]. Samples lie SAMPLES to a pixel and axis; sample i of the window has its centre at pixel
``window.x + (i + .5) / SAMPLES - .5``. Colours are premultiplied linear float32 until `_settle` encodes them. No random
numbers here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["SAMPLES", "Finish", "Strap", "Tables", "Window", "dye", "paint"]

F0, F1, F2, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
FAR = np.float32(-1e9)
ONE = np.uintp(1)
TOUCH = np.float32(1e-3)  # samples by which neighbouring triangles overlap, so that rounding leaves no gap
SAMPLES = 2
CHIN, RIGHT_EDGE, LEFT_EDGE = 152, 454, 234
LEFT_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
RIGHT_OVAL = (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
OVAL = (*LEFT_OVAL, *RIGHT_OVAL)  # the outline of the mesh, once around


class Window(NamedTuple):
    """The part of the picture that is drawn: first column and row, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int


class Tables(NamedTuple):
    """What does not change from picture to picture.

    The grid's triangles, the face's that may hide it, the side of each strap, curves.
    """

    triangles: NDArray[np.int32]
    occluders: NDArray[np.int32]
    strap_sides: NDArray[np.int32]
    to_levels: NDArray[np.float32]  # linear 0..4 -> level 0..255
    grain: NDArray[np.float32]  # (n, n) unit deviation, periodic


class Strap(NamedTuple):
    """Half width in pixels, opacity, and linear colour of the straps."""

    radius: float
    opacity: float
    red: float
    green: float
    blue: float


class Finish(NamedTuple):
    """How the layer is brought into the picture.

    Exposure of white per channel, greyness, and what `MaskParams` says of the rest.
    """

    red: float
    green: float
    blue: float
    desaturate: float
    sharpness: float
    shadow: float
    shift_x: int
    shift_y: int
    grain_x: int
    grain_y: int


@njit(cache=True, nogil=True, error_model="numpy")
def dye(level, inks, two_tone, slopes, crease, out):
    """Colour and crumple a texture level (T, S, 4) into (T + 2, S + 2, 4) premultiplied linear, its border transparent.

    level : straight (not premultiplied); inks : (3, 3): base and two inks, linear; crease : (6,): weights of the slopes
    along s and t, cosine and sine of the map's turn times its size, and its offset. The slopes (n, n, 2) of crumpled
    cloth repeat; n is a power of two.
    """
    rows, columns, n = level.shape[0], level.shape[1], slopes.shape[0]
    bright = np.empty((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            fold = crease[0] * slopes[y, x, 0] + crease[1] * slopes[y, x, 1]
            bright[y, x] = F1 + fold + HALF * fold * fold
    out[0], out[rows + 1] = F0, F0
    wrap, size = np.uintp(n - 1), np.float32(n)
    du, dv = crease[2] * size / np.float32(columns), crease[3] * size / np.float32(columns)
    r0, g0, b0 = inks[0, 0], inks[0, 1], inks[0, 2]
    r1, g1, b1 = inks[1, 0] - r0, inks[1, 1] - g0, inks[1, 2] - b0
    r2, g2, b2 = inks[2, 0], inks[2, 1], inks[2, 2]
    for y in range(rows):
        t = (np.float32(y) + HALF) / np.float32(rows)
        u0, v0 = (crease[4] - t * crease[3] + np.float32(8)) * size, (crease[5] + t * crease[2] + np.float32(8)) * size
        row, target = level[y], out[y + 1]
        target[0], target[columns + 1] = F0, F0
        for x in range(columns):
            u, v = np.uintp(u0 + du * np.float32(x)) & wrap, np.uintp(v0 + dv * np.float32(x)) & wrap
            cover = row[x, 3]
            fold = cover * bright[v, u]
            if two_tone:
                fold *= row[x, 0]
                first, second = row[x, 1], row[x, 2]
                r, g, b = r0 + first * r1, g0 + first * g1, b0 + first * b1
                r, g, b = r + second * (r2 - r), g + second * (g2 - g), b + second * (b2 - b)
            else:
                r, g, b = row[x, 0] * r0, row[x, 1] * g0, row[x, 2] * b0
            target[x + 1, 0], target[x + 1, 1], target[x + 1, 2], target[x + 1, 3] = fold * r, fold * g, fold * b, cover


@njit(cache=True, nogil=True, error_model="numpy")
def _edge_functions(ax, ay, bx, by, cx, cy, area):
    """Barycentric weights of b and c as (value at the origin, step in x, step in y)."""
    inverse = F1 / area
    b = (-(ax * (cy - ay) - ay * (cx - ax)) * inverse, (cy - ay) * inverse, -(cx - ax) * inverse)
    c = (-((bx - ax) * ay - (by - ay) * ax) * inverse, -(by - ay) * inverse, (bx - ax) * inverse)
    return b, c


@njit(cache=True, nogil=True, error_model="numpy")
def _clip(low, high, value, inverse):
    """Where value + x / inverse >= 0 within [low, high].

    An edge along the row has inverse 0 and a sign test decides.
    """
    if inverse > F0:
        return max(low, -value * inverse), high
    if inverse < F0:
        return low, min(high, -value * inverse)
    return (low, high) if value >= -TOUCH else (F1, F0)


@njit(cache=True, nogil=True, error_model="numpy")
def _span(wb, wc, steps, y, low, high):
    """First and last sample of row y inside the triangle.

    A hair is added so that neighbours leave no gap between them.
    """
    p, q = wb[0] + wb[2] * y, wc[0] + wc[2] * y
    low, high = _clip(low, high, p, steps[0])
    low, high = _clip(low, high, q, steps[1])
    low, high = _clip(low, high, F1 - p - q, steps[2])
    return int(np.ceil(low - TOUCH)), int(np.floor(high + TOUCH)), p, q


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(wb, wc):
    """Reciprocals of how fast the three weights change along a row, 0 for an edge that runs along it."""
    total = -wb[1] - wc[1]
    tiny = np.float32(1e-9)
    a = F1 / wb[1] if abs(wb[1]) > tiny else F0
    b = F1 / wc[1] if abs(wc[1]) > tiny else F0
    return a, b, F1 / total if abs(total) > tiny else F0


@njit(cache=True, nogil=True, error_model="numpy")
def _occlude(vertices, triangles, window, first_row, depth):
    """z-buffer (rows, columns) of the face's front where it may hide the mask; rows above `first_row` are left out."""
    height, width = depth.shape
    factor = np.float32(SAMPLES)
    ox, oy = HALF - np.float32(window.x), HALF - np.float32(window.y)
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ay, by, cy = (
            (vertices[a, 1] + oy) * factor - HALF,
            (vertices[b, 1] + oy) * factor - HALF,
            (vertices[c, 1] + oy) * factor - HALF,
        )
        if max(ay, by, cy) < first_row or min(ay, by, cy) > height:
            continue
        ax, bx, cx = (
            (vertices[a, 0] + ox) * factor - HALF,
            (vertices[b, 0] + ox) * factor - HALF,
            (vertices[c, 0] + ox) * factor - HALF,
        )
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > np.float32(-1e-4):  # turned away: behind something else
            continue
        wb, wc = _edge_functions(ax, ay, bx, by, cx, cy, area)
        steps = _steps(wb, wc)
        az, ub, uc = vertices[a, 2], vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        low, high = max(F0, min(ax, bx, cx)), min(np.float32(width - 1), max(ax, bx, cx))
        top, bottom = max(first_row, int(min(ay, by, cy) + F1)), min(height - 1, int(max(ay, by, cy)))
        for y in range(top, bottom + 1):
            left, right, p, q = _span(wb, wc, steps, np.float32(y), low, high)
            z, dz = az + p * ub + q * uc, wb[1] * ub + wc[1] * uc
            for x in range(max(left, 0), min(right, width - 1) + 1):
                depth[y, x] = max(depth[y, x], z + dz * np.float32(x))


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_shell(points, st, shading, triangles, texture, nearest, window, bias, face, depth, layer):
    """Draw the grid into `layer`; hidden where the face's depth is nearer by more than `bias`."""
    height, width = depth.shape
    rows, columns = np.float32(texture.shape[0] - 2), np.float32(texture.shape[1] - 2)
    factor = np.float32(SAMPLES)
    ox, oy = HALF - np.float32(window.x), HALF - np.float32(window.y)
    most_x, most_y = columns + np.float32(0.999), rows + np.float32(0.999)
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, ay = (points[0, a] + ox) * factor - HALF, (points[1, a] + oy) * factor - HALF
        bx, by = (points[0, b] + ox) * factor - HALF, (points[1, b] + oy) * factor - HALF
        cx, cy = (points[0, c] + ox) * factor - HALF, (points[1, c] + oy) * factor - HALF
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-4):
            continue
        dim = np.float32(0.55) if area > F0 else F1  # the inside of the far edge, turned away from the viewer
        wb, wc = _edge_functions(ax, ay, bx, by, cx, cy, area)
        steps = _steps(wb, wc)
        az, zb, zc = points[2, a], points[2, b] - points[2, a], points[2, c] - points[2, a]
        sa, sb, sc = st[a, 0] * columns + HALF, (st[b, 0] - st[a, 0]) * columns, (st[c, 0] - st[a, 0]) * columns
        ta, tb, tc = st[a, 1] * rows + HALF, (st[b, 1] - st[a, 1]) * rows, (st[c, 1] - st[a, 1]) * rows
        ea, eb, ec = shading[a] * dim, (shading[b] - shading[a]) * dim, (shading[c] - shading[a]) * dim
        low, high = max(F0, min(ax, bx, cx)), min(np.float32(width - 1), max(ax, bx, cx))
        top, bottom = max(0, int(min(ay, by, cy) + F1)), min(height - 1, int(max(ay, by, cy)))
        dz, du, dv = wb[1] * zb + wc[1] * zc, wb[1] * sb + wc[1] * sc, wb[1] * tb + wc[1] * tc
        de = wb[1] * eb + wc[1] * ec
        for y in range(top, bottom + 1):
            left, right, p, q = _span(wb, wc, steps, np.float32(y), low, high)
            z0, u0, v0, e0 = az + p * zb + q * zc, sa + p * sb + q * sc, ta + p * tb + q * tc, ea + p * eb + q * ec
            for x in range(max(left, 0), min(right, width - 1) + 1):
                fx = np.float32(x)
                z = z0 + dz * fx
                if z <= depth[y, x] or z + bias < face[y, x]:
                    continue
                u = min(max(u0 + du * fx, F0), most_x)
                v = min(max(v0 + dv * fx, F0), most_y)
                e = max(e0 + de * fx, F0)
                if nearest:  # texels are finer than samples, and four samples make a pixel: no need to interpolate
                    j, k = (
                        np.uintp(v + HALF),
                        np.uintp(u + HALF),
                    )  # unsigned: numba then leaves out the test for negative indices
                    cover = texture[j, k, 3]
                    if cover < np.float32(0.02):
                        continue
                    layer[y, x, 0] = e * texture[j, k, 0]
                    layer[y, x, 1] = e * texture[j, k, 1]
                    layer[y, x, 2] = e * texture[j, k, 2]
                else:
                    j, k = np.uintp(v), np.uintp(u)
                    j1, k1 = j + ONE, k + ONE
                    fv, fu = v - np.float32(j), u - np.float32(k)
                    w11 = fv * fu
                    w10, w01 = fv - w11, fu - w11
                    w00 = F1 - fv - w01
                    cover = (
                        w00 * texture[j, k, 3]
                        + w01 * texture[j, k1, 3]
                        + w10 * texture[j1, k, 3]
                        + w11 * texture[j1, k1, 3]
                    )
                    if cover < np.float32(0.02):
                        continue
                    w00, w01, w10, w11 = e * w00, e * w01, e * w10, e * w11
                    for n in range(3):
                        value = (
                            w00 * texture[j, k, n]
                            + w01 * texture[j, k1, n]
                            + w10 * texture[j1, k, n]
                            + w11 * texture[j1, k1, n]
                        )
                        layer[y, x, n] = value
                depth[y, x] = z
                layer[y, x, 3] = cover


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_strap(points, first, count, strap, brightness, window, bias, face, depth, layer):
    """Draw one strap (points first ..

    First + count) as a soft ribbon facing the viewer that fades out at its far end.
    """
    height, width = depth.shape
    factor = np.float32(SAMPLES)
    ox, oy = HALF - np.float32(window.x), HALF - np.float32(window.y)
    r = np.float32(strap.radius) * factor
    red, green, blue = (
        np.float32(strap.red) * brightness,
        np.float32(strap.green) * brightness,
        np.float32(strap.blue) * brightness,
    )
    for j in range(first, first + count - 1):
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
                way = (np.float32(j - first) + along) / np.float32(count - 1)
                cover *= np.float32(strap.opacity) * min(F1, (F1 - way) * np.float32(5))
                z = points[2, j] + along * (points[2, j + 1] - points[2, j])
                if z + bias < face[y, x] or z < depth[y, x] - bias or cover <= layer[y, x, 3]:
                    continue
                bright = cover * (
                    F1 - np.float32(0.35) * (distance / max(r, F1)) ** 2
                )  # round: darker toward its edges
                layer[y, x, 0], layer[y, x, 1], layer[y, x, 2], layer[y, x, 3] = (
                    red * bright,
                    green * bright,
                    blue * bright,
                    cover,
                )


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(samples, finish, to_levels, pad, out):
    """Average each pixel's samples in linear light, expose and encode.

    Levels 0..255 premultiplied into out[pad:-pad, pad:-pad].
    """
    most = np.float32(to_levels.shape[0] - 2)
    span = np.float32(to_levels.shape[0] - 2) / np.float32(4)
    red, green, blue = np.float32(finish.red), np.float32(finish.green), np.float32(finish.blue)
    grey_share = np.float32(finish.desaturate)
    out[:] = F0
    for y in range(samples.shape[0] // SAMPLES):
        for x in range(samples.shape[1] // SAMPLES):
            j, i = y * SAMPLES, x * SAMPLES
            a = samples[j, i, 3] + samples[j, i + 1, 3] + samples[j + 1, i, 3] + samples[j + 1, i + 1, 3]
            if a <= F0:
                continue
            scale = span / a
            r = (
                red
                * scale
                * (samples[j, i, 0] + samples[j, i + 1, 0] + samples[j + 1, i, 0] + samples[j + 1, i + 1, 0])
            )
            g = (
                green
                * scale
                * (samples[j, i, 1] + samples[j, i + 1, 1] + samples[j + 1, i, 1] + samples[j + 1, i + 1, 1])
            )
            b = (
                blue
                * scale
                * (samples[j, i, 2] + samples[j, i + 1, 2] + samples[j + 1, i, 2] + samples[j + 1, i + 1, 2])
            )
            grey = np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * b
            a *= np.float32(0.25)
            r, g, b = r + grey_share * (grey - r), g + grey_share * (grey - g), b + grey_share * (grey - b)
            pixel = out[y + pad, x + pad]
            for k in range(3):
                value = min(max(r if k == 0 else (g if k == 1 else b), F0), most)
                i0 = int(value)
                pixel[k] = a * (to_levels[i0] + (value - np.float32(i0)) * (to_levels[i0 + 1] - to_levels[i0]))
            pixel[3] = a


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(tap, row, out):
    for x in range(out.shape[0]):
        out[x] = tap * row[x]


@njit(cache=True, nogil=True, error_model="numpy")
def _add(tap, first, second, out):
    for x in range(out.shape[0]):
        out[x] += tap * (first[x] + second[x])


@njit(cache=True, nogil=True, error_model="numpy")
def _blur(source, taps, channels, scratch, out):
    """Separable symmetric filter of (h, w * channels) planes with taps (r + 1,) from the middle outward.

    A border of r pixels is taken to be zero and is left zero in `out`; `source` and `out` may be one array.
    """
    height, width = source.shape
    radius = taps.shape[0] - 1
    margin = radius * channels
    for y in range(height):
        _weigh(taps[0], source[y, margin : width - margin], scratch[y, margin : width - margin])
        for i in range(1, radius + 1):
            left, right = margin - i * channels, margin + i * channels
            pair = (source[y, left : width - margin - i * channels], source[y, right : width - margin + i * channels])
            _add(taps[i], pair[0], pair[1], scratch[y, margin : width - margin])
    for y in range(radius, height - radius):
        _weigh(taps[0], scratch[y, margin : width - margin], out[y, margin : width - margin])
        for i in range(1, radius + 1):
            _add(
                taps[i],
                scratch[y - i, margin : width - margin],
                scratch[y + i, margin : width - margin],
                out[y, margin : width - margin],
            )


@njit(cache=True, nogil=True, error_model="numpy")
def _layer_sharpness(layer, pad):
    """Mean |Laplacian| of green where the layer is whole, levels; 0 where it nowhere is."""
    total, count, solid = F0, 0, np.float32(0.995)
    for y in range(pad, layer.shape[0] - pad):
        for x in range(pad, layer.shape[1] - pad):
            if (
                min(layer[y, x, 3], layer[y, x - 1, 3], layer[y, x + 1, 3], layer[y - 1, x, 3], layer[y + 1, x, 3])
                < solid
            ):
                continue
            around = layer[y, x - 1, 1] + layer[y, x + 1, 1] + layer[y - 1, x, 1] + layer[y + 1, x, 1]
            total += abs(around - np.float32(4) * layer[y, x, 1])
            count += 1
    return total / np.float32(max(count, 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _temper(layer, smooth, pad, finish, found, grain):
    """Scale the detail over `smooth` (the blurred layer) to the sharpness asked for; grain makes up what is missing."""
    target = np.float32(finish.sharpness)
    gain = min(np.float32(1.7), max(np.float32(0.9) * target / found, np.float32(0.05))) if found > F0 else F1
    missing = max(target * target - (gain * found) ** 2, F0)
    strength = min(
        np.float32(np.sqrt(missing)) / np.float32(3.57), np.float32(3)
    )  # white noise of deviation 1 has mean |Laplacian| 3.57
    n, tint = grain.shape[0], np.float32(0.15) * (F1 - np.float32(finish.desaturate))
    for y in range(pad, layer.shape[0] - pad):
        for x in range(pad, layer.shape[1] - pad):
            a = layer[y, x, 3]
            if a <= F0:
                continue
            share = gain + (F1 - gain) * (F1 - a)
            whole = a / max(smooth[y, x, 3], np.float32(1e-4))
            noise = a * strength * grain[(y + finish.grain_y) % n, (x + finish.grain_x) % n]
            for k in range(3):
                base = smooth[y, x, k] * whole
                value = base + share * (layer[y, x, k] - base) + noise * (F1 + tint * np.float32(k - 1))
                layer[y, x, k] = min(max(value, F0), np.float32(255) * a)


@njit(cache=True, nogil=True, error_model="numpy")
def _shadow_reach(vertices, oval, window, scale, out):
    """Where a shadow may fall (h, w): on the face (even-odd fill of its oval), and fading on the neck."""
    crossings = np.empty(oval.shape[0], np.float32)
    chin_x, chin_y = vertices[CHIN, 0], vertices[CHIN, 1]
    half_jaw = np.float32(0.32) * abs(vertices[RIGHT_EDGE, 0] - vertices[LEFT_EDGE, 0]) + F1
    for y in range(out.shape[0]):
        level, count = np.float32(y + window.y), 0
        for i in range(oval.shape[0]):
            a, b = oval[i], oval[(i + 1) % oval.shape[0]]
            if (vertices[a, 1] <= level) != (vertices[b, 1] <= level):
                share = (level - vertices[a, 1]) / (vertices[b, 1] - vertices[a, 1])
                crossings[count] = vertices[a, 0] + share * (vertices[b, 0] - vertices[a, 0])
                count += 1
        for i in range(1, count):  # insertion sort: there are two crossings, rarely four
            j = i
            while j > 0 and crossings[j - 1] > crossings[j]:
                crossings[j - 1], crossings[j] = crossings[j], crossings[j - 1]
                j -= 1
        for x in range(out.shape[1]):
            out[y, x] = F0
        for i in range(0, count - 1, 2):
            first, last = int(np.ceil(crossings[i])) - window.x, int(np.floor(crossings[i + 1])) - window.x
            for x in range(max(0, first), min(out.shape[1] - 1, last) + 1):
                out[y, x] = F1
        if (level - chin_y) / scale > np.float32(-1.5):
            for x in range(out.shape[1]):
                across = abs(np.float32(x + window.x) - chin_x) / half_jaw
                out[y, x] = max(out[y, x], min(max(np.float32(1.6) - F2 * across, F0), F1))


@njit(cache=True, nogil=True, error_model="numpy")
def _compose(image, layer, spread, reach, pad, finish, window, coverage, out):
    """Lay the layer over the picture; its blurred coverage `spread`, shifted, darkens the skin it may reach."""
    faint, strength = np.float32(1 / 512), np.float32(finish.shadow)
    for y in range(window.height):
        sy = min(max(y - finish.shift_y, 0), window.height - 1) + pad
        for x in range(window.width):
            sx = min(max(x - finish.shift_x, 0), window.width - 1) + pad
            a = layer[y + pad, x + pad, 3]
            dark = strength * spread[sy, sx] * reach[y, x]
            if a <= faint and dark <= faint:
                continue
            py, px = y + window.y, x + window.x
            coverage[py, px] = min(a, F1) if a > faint else F0
            share = (F1 - a) * (F1 - dark)
            for k in range(3):
                value = layer[y + pad, x + pad, k] + share * np.float32(image[py, px, k]) + HALF
                out[py, px, k] = np.uint8(min(max(value, F0), np.float32(255)))


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(vertices, points, st, shading, middles, texture, tables, strap, strap_points, window, scale):
    """Mask and straps as samples (h * SAMPLES, w * SAMPLES, 4); 1 is white cloth lit like the skin's average."""
    height, width, grid = window.height * SAMPLES, window.width * SAMPLES, st.shape[0]
    samples = np.zeros((height, width, 4), np.float32)
    depth, face = np.full((height, width), FAR, np.float32), np.full((height, width), FAR, np.float32)
    nearest = np.float32(texture.shape[1]) > np.float32(1.2 * SAMPLES * 15 * 0.5) * scale
    _occlude(vertices, tables.occluders, window, 0, face)
    _draw_shell(
        points, st, shading, tables.triangles, texture, nearest, window, np.float32(0.35) * scale, face, depth, samples
    )
    for i in range(tables.strap_sides.shape[0]):
        brightness = np.float32(0.78) * shading[middles[1] if tables.strap_sides[i] > 0 else middles[0]]
        _draw_strap(
            points, grid + i * strap_points, strap_points, strap, brightness, window, HALF * scale, face, depth, samples
        )
    return samples


@njit(cache=True, nogil=True, error_model="numpy")
def paint(
    image,
    vertices,
    points,
    st,
    shading,
    middles,
    texture,
    tables,
    oval,
    strap,
    strap_points,
    finish,
    taps,
    window,
    scale,
    coverage,
    out,
):
    """Draw the worn mask into `out` (H, W, 3) and `coverage` (H, W), which hold the bare picture and zeros.

    middles : the grid points half way down the left and the right edge; taps : three filters (picture's blur, detail,
    shadow).
    """
    samples = _draw(vertices, points, st, shading, middles, texture, tables, strap, strap_points, window, scale)
    pad = max(taps[0].shape[0], taps[1].shape[0], taps[2].shape[0])
    height, width = window.height + 2 * pad, window.width + 2 * pad
    layer, smooth = np.empty((height, width, 4), np.float32), np.zeros((height, width, 4), np.float32)
    _settle(samples, finish, tables.to_levels, pad, layer)
    flat, wide = layer.reshape(height, width * 4), smooth.reshape(height, width * 4)
    scratch = np.zeros((height, width * 4), np.float32)
    _blur(flat, taps[0], 4, scratch, flat)
    _blur(flat, taps[1], 4, scratch, wide)
    _temper(layer, smooth, pad, finish, _layer_sharpness(layer, pad), tables.grain)
    cover, spread = np.ascontiguousarray(layer[:, :, 3]), np.zeros((height, width), np.float32)
    _blur(cover, taps[2], 1, scratch[:, :width], spread)
    reach = np.empty((window.height, window.width), np.float32)
    _shadow_reach(vertices, oval, window, scale, reach)
    _compose(image, layer, spread, reach, pad, finish, window, coverage, out)
