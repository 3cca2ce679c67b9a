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
    grain: NDArray[np.float32]  # (n, n) unit deviation, periodic; n is a power of two


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
def _project(points, axis, origin, out):
    """One axis of some points (3, n) or of a mesh's vertices (transposed) in samples of the window: (n,)."""
    factor, shift = np.float32(SAMPLES), (HALF - np.float32(origin)) * np.float32(SAMPLES) - HALF
    for i in range(out.shape[0]):
        out[i] = points[axis, i] * factor + shift


@njit(cache=True, nogil=True, error_model="numpy")
def _side(px, py, qx, qy, area):
    """An edge as the line x = x0 + (y - y0) slope, and whether the triangle lies to its right (1) or left (-1).

    An edge along the rows (0) bounds no row: those above and below it are left out already.
    """
    dy = qy - py
    if abs(dy) < np.float32(1e-6):
        return px, py, F0, 0
    return px, py, (qx - px) / dy, 1 if (dy > F0) == (area < F0) else -1


@njit(cache=True, nogil=True, error_model="numpy")
def _narrow(low, high, edge, y):
    """The part of a row on the triangle's side of an edge; a hair wider, so that neighbours leave no gap."""
    at = edge[0] + (y - edge[1]) * edge[2]
    if edge[3] > 0:
        return max(low, at - TOUCH), high
    return low, (min(high, at + TOUCH) if edge[3] < 0 else high)


@njit(cache=True, nogil=True, error_model="numpy")
def _slope(a, b, c, bx, by, cx, cy):
    """How fast a linear function changes along x and y: its values at three corners, the latter two relative to the
    first; b and c already divided by twice the area."""
    b, c = b - a, c - a
    return b * cy - c * by, c * bx - b * cx


@njit(cache=True, nogil=True, error_model="numpy")
def _occlude(vertices, triangles, window, depth):
    """z-buffer (rows, columns) of the face's front where it may hide the mask."""
    height, width = depth.shape
    corners = vertices.T
    xs, ys = np.empty(vertices.shape[0], np.float32), np.empty(vertices.shape[0], np.float32)
    _project(corners, 0, window.x, xs)
    _project(corners, 1, window.y, ys)
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, bx, cx, ay, by, cy = xs[a], xs[b], xs[c], ys[a], ys[b], ys[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > np.float32(-1e-4):  # turned away: behind something else
            continue
        top, bottom = max(0, int(min(ay, by, cy) + F1)), min(height - 1, int(max(ay, by, cy)))
        if top > bottom:
            continue
        low, high = max(F0, min(ax, bx, cx)), min(np.float32(width - 1), max(ax, bx, cx))
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
            z = za + (fy - ay) * zy - ax * zx
            for x in range(int(np.ceil(left)), int(np.floor(right)) + 1):
                depth[y, x] = max(depth[y, x], z + zx * np.float32(x))


@njit(cache=True, nogil=True, error_model="numpy")
def _between(texture, u, v, n):
    """Bilinear value of a texture's channel."""
    j, k = np.uintp(v), np.uintp(u)
    fv, fu = v - np.float32(j), u - np.float32(k)
    above = texture[j, k, n] + fu * (texture[j, k + ONE, n] - texture[j, k, n])
    below = texture[j + ONE, k, n] + fu * (texture[j + ONE, k + ONE, n] - texture[j + ONE, k, n])
    return above + fv * (below - above)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_shell(points, st, shading, triangles, texture, nearest, window, bias, face, depth, layer):
    """Draw the grid into `layer`; hidden where the face's depth is nearer by more than `bias`."""
    height, width = depth.shape
    rows, columns = np.float32(texture.shape[0] - 2), np.float32(texture.shape[1] - 2)
    most_x, most_y, least = columns + np.float32(0.999), rows + np.float32(0.999), np.float32(0.02)
    xs, ys = np.empty(st.shape[0], np.float32), np.empty(st.shape[0], np.float32)
    _project(points, 0, window.x, xs)
    _project(points, 1, window.y, ys)
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, bx, cx, ay, by, cy = xs[a], xs[b], xs[c], ys[a], ys[b], ys[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        top, bottom = max(0, int(min(ay, by, cy) + F1)), min(height - 1, int(max(ay, by, cy)))
        if abs(area) < np.float32(1e-4) or top > bottom:
            continue
        low, high = max(F0, min(ax, bx, cx)), min(np.float32(width - 1), max(ax, bx, cx))
        ab, bc, ca = _side(ax, ay, bx, by, area), _side(bx, by, cx, cy, area), _side(cx, cy, ax, ay, area)
        inverse = F1 / area
        relative = ((bx - ax) * inverse, (by - ay) * inverse, (cx - ax) * inverse, (cy - ay) * inverse)
        dim = np.float32(0.55) if area > F0 else F1  # the inside of the far edge, turned away from the viewer
        za, ua, va, ea = points[2, a], st[a, 0] * columns + HALF, st[a, 1] * rows + HALF, shading[a] * dim
        zx, zy = _slope(za, points[2, b], points[2, c], *relative)
        ux, uy = _slope(ua, st[b, 0] * columns + HALF, st[c, 0] * columns + HALF, *relative)
        vx, vy = _slope(va, st[b, 1] * rows + HALF, st[c, 1] * rows + HALF, *relative)
        ex, ey = _slope(ea, shading[b] * dim, shading[c] * dim, *relative)
        for y in range(top, bottom + 1):
            fy = np.float32(y)
            left, right = _narrow(low, high, ab, fy)
            left, right = _narrow(left, right, bc, fy)
            left, right = _narrow(left, right, ca, fy)
            dy = fy - ay
            z0, u0, v0, e0 = za + dy * zy, ua + dy * uy, va + dy * vy, ea + dy * ey
            for x in range(int(np.ceil(left)), int(np.floor(right)) + 1):
                dx = np.float32(x) - ax
                z = z0 + dx * zx
                if z <= depth[y, x] or z + bias < face[y, x]:
                    continue
                u, v = min(max(u0 + dx * ux, F0), most_x), min(max(v0 + dx * vx, F0), most_y)
                e = max(e0 + dx * ex, F0)
                if nearest:  # texels are finer than samples, and four samples make a pixel: no need to interpolate
                    j, k = np.uintp(v + HALF), np.uintp(u + HALF)  # unsigned: no test for negative indices
                    cover = texture[j, k, 3]
                    if cover < least:
                        continue
                    for n in range(3):
                        layer[y, x, n] = e * texture[j, k, n]
                else:
                    cover = _between(texture, u, v, 3)
                    if cover < least:
                        continue
                    for n in range(3):
                        layer[y, x, n] = e * _between(texture, u, v, n)
                depth[y, x], layer[y, x, 3] = z, cover


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
def _weigh(source, taps, step, out):
    """Symmetric filter of an array (n,) with taps (2 m + 1,) that lie `step` apart, from the middle outward.

    Two pairs of taps at once, since what costs is going over memory. The ends that the taps overhang stay as they are.
    """
    start, stop = (taps.shape[0] - 1) * step, source.shape[0] - (taps.shape[0] - 1) * step
    for i in range(1, taps.shape[0], 2):
        near, far, first, second = i * step, (i + 1) * step, taps[i], taps[i + 1]
        a, b = source[start - near : stop - near], source[start + near : stop + near]
        c, d = source[start - far : stop - far], source[start + far : stop + far]
        middle, target, weight = source[start:stop], out[start:stop], taps[0]
        if i == 1:
            for x in range(stop - start):
                target[x] = weight * middle[x] + first * (a[x] + b[x]) + second * (c[x] + d[x])
        else:
            for x in range(stop - start):
                target[x] += first * (a[x] + b[x]) + second * (c[x] + d[x])


@njit(cache=True, nogil=True, error_model="numpy")
def _blur(source, taps, scratch, out):
    """Separable symmetric filter of (h, w, channels) with taps (2 m + 1,) from the middle outward.

    All but a border as wide as the taps must lie in zeros, so that rows may be taken as one line. `source` and `out`
    may be one array; the border of `out` stays as it is.
    """
    line = scratch[: source.size]
    line[:] = F0
    _weigh(source.reshape(source.size), taps, source.shape[2], line)
    _weigh(line, taps, source.shape[1] * source.shape[2], out.reshape(source.size))


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
    wrap, tint = grain.shape[0] - 1, np.float32(0.15) * (F1 - np.float32(finish.desaturate))
    for y in range(pad, layer.shape[0] - pad):
        for x in range(pad, layer.shape[1] - pad):
            a = layer[y, x, 3]
            if a <= F0:
                continue
            share = gain + (F1 - gain) * (F1 - a)
            whole = a / max(smooth[y, x, 3], np.float32(1e-4))
            noise = a * strength * grain[(y - pad + finish.grain_y) & wrap, (x - pad + finish.grain_x) & wrap]
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
    _occlude(vertices, tables.occluders, window, face)
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
    scratch = np.empty(layer.size, np.float32)
    _blur(layer, taps[0], scratch, layer)
    _blur(layer, taps[1], scratch, smooth)
    _temper(layer, smooth, pad, finish, _layer_sharpness(layer, pad), tables.grain)
    cover, spread = np.ascontiguousarray(layer[:, :, 3:]), np.zeros((height, width, 1), np.float32)
    _blur(cover, taps[2], scratch, spread)
    reach = np.empty((window.height, window.width), np.float32)
    _shadow_reach(vertices, oval, window, scale, reach)
    _compose(image, layer, spread[:, :, 0], reach, pad, finish, window, coverage, out)
