"""All compiled kernels of the mask renderer. They live in one file because numba's cache sees edits only in the file of the cached function.

Conventions: pictures are indexed [y, x]; points are (x, y, z) with x right, y down, z toward the viewer, in pixels; everything is float32.
Outputs are passed in. No kernel draws random numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Frame", "Light", "Window"]

F0, F1, F2, F4 = np.float32(0), np.float32(1), np.float32(2), np.float32(4)
LUMA_R, LUMA_G, LUMA_B = np.float32(0.299), np.float32(0.587), np.float32(0.114)
FAR = np.float32(-1e9)
LIGHT_TERMS = 5  # constant, three of the normal, and the side of the face


class Frame(NamedTuple):
    """The axes of a face in the picture: unit vectors (3,) right, up and out of the face, its middle, and pixels per centimetre."""

    right: NDArray[np.float32]
    up: NDArray[np.float32]
    out: NDArray[np.float32]
    origin: NDArray[np.float32]
    scale: np.float32


class Light(NamedTuple):
    """First-order light on a face: `terms` (5,) float32 over (1, nx, ny, nz, side), and the skin's mean colour (3,) linear."""

    terms: NDArray[np.float32]
    skin: NDArray[np.float32]


class Window(NamedTuple):
    """The part of the picture that is drawn: first column and row, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int


@njit(cache=True, nogil=True)
def carry(weights, controls, vertices, out):
    """Grid points (3, G) from the control vertices: weights (C, G)."""
    out[:] = F0
    for c in range(weights.shape[0]):
        x, y, z = vertices[controls[c], 0], vertices[controls[c], 1], vertices[controls[c], 2]
        for g in range(weights.shape[1]):
            w = weights[c, g]
            out[0, g] += w * x
            out[1, g] += w * y
            out[2, g] += w * z


@njit(cache=True, nogil=True)
def normalise_rows(normals):
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** F2 + normals[i, 1] ** F2 + normals[i, 2] ** F2)
        scale = F1 / max(length, np.float32(1e-6))
        for k in range(3):
            normals[i, k] *= scale


@njit(cache=True, nogil=True)
def face_normals(vertices, triangles, normals):
    """Area-weighted vertex normals (V, 3) toward the viewer; triangles turn so that their front is counter-clockwise with y up."""
    normals[:] = F0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uz * vy - uy * vz, ux * vz - uz * vx, uy * vx - ux * vy
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    normalise_rows(normals)


@njit(cache=True, nogil=True)
def grid_normals(points, columns, rows, crease, normals):
    """Normals (G, 3) of a grid of points (3, G) by central differences; `crease` 1 keeps the two middle columns apart, 0 joins them."""
    half = columns // 2
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(columns):
            first, last = (0, half - 1) if c < half else (half, columns - 1)
            left, right = max(c - 1, first), min(c + 1, last)
            a, b = r * columns + left, r * columns + right
            d, e = above * columns + c, below * columns + c
            ux, uy, uz = points[0, b] - points[0, a], points[1, b] - points[1, a], points[2, b] - points[2, a]
            vx, vy, vz = points[0, e] - points[0, d], points[1, e] - points[1, d], points[2, e] - points[2, d]
            g = r * columns + c
            normals[g, 0] = uy * vz - uz * vy
            normals[g, 1] = uz * vx - ux * vz
            normals[g, 2] = ux * vy - uy * vx
    normalise_rows(normals)
    share = np.float32(0.5) * (F1 - crease)
    for r in range(rows):
        a, b = r * columns + half - 1, r * columns + half
        for k in range(3):
            na, nb = normals[a, k], normals[b, k]
            normals[a, k] += share * (nb - na)
            normals[b, k] += share * (na - nb)
    normalise_rows(normals)


@njit(cache=True, nogil=True)
def place(points, frame, stretch, tilt, slide):
    """Stretch, tilt and slide the shell on the face, in the face's own axes: stretch (sx, sy), tilt radians, slide (x, y) centimetres."""
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    for g in range(points.shape[1]):
        dx, dy, dz = points[0, g] - frame.origin[0], points[1, g] - frame.origin[1], points[2, g] - frame.origin[2]
        x = (dx * frame.right[0] + dy * frame.right[1] + dz * frame.right[2]) * stretch[0]
        y = (dx * frame.up[0] + dy * frame.up[1] + dz * frame.up[2]) * stretch[1]
        z = dx * frame.out[0] + dy * frame.out[1] + dz * frame.out[2]
        x, y = cosine * x - sine * y + slide[0] * frame.scale, sine * x + cosine * y + slide[1] * frame.scale
        for k in range(3):
            points[k, g] = frame.origin[k] + x * frame.right[k] + y * frame.up[k] + z * frame.out[k]


@njit(cache=True, nogil=True)
def relief(st, folds, gather, heights):
    """Height (G,) in centimetres of the cloth over its smooth surface.

    folds : (F, 6): s, t, angle, half length, half width, height; gather : (3,): height, waves from top to bottom, phase.
    """
    for g in range(heights.shape[0]):
        s, t = st[g, 0], st[g, 1]
        h = F0
        for f in range(folds.shape[0]):
            dx, dy = s - folds[f, 0], (t - folds[f, 1]) * np.float32(0.7)
            cosine, sine = np.cos(folds[f, 2]), np.sin(folds[f, 2])
            along = (dx * cosine + dy * sine) / folds[f, 3]
            across = (dy * cosine - dx * sine) / folds[f, 4]
            across *= np.float32(0.75) if across > F0 else np.float32(2.2)  # cloth hangs over: steep above, slow below
            h += folds[f, 5] * np.exp(-along * along - across * across)
        side = max(F0, (abs(F2 * s - F1) - np.float32(0.55)) / np.float32(0.45))
        h += gather[0] * side * side * np.sin(np.float32(6.2831853) * (gather[1] * t + gather[2]))
        heights[g] = h


@njit(cache=True, nogil=True)
def lift(points, normals, heights, st, gape, scale):
    """Raise the first points (3, G) along their normals by heights plus a gap at the side edges, centimetres."""
    for g in range(heights.shape[0]):
        side = max(F0, (abs(F2 * st[g, 0] - F1) - np.float32(0.7)) / np.float32(0.3))
        amount = (heights[g] + gape * side * side) * scale
        for k in range(3):
            points[k, g] += amount * normals[g, k]


@njit(cache=True, nogil=True)
def _solve_symmetric(a, b, x):
    """Cholesky in place for a small positive definite system."""
    n = b.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / a[j, j]
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= a[i, k] * x[k]
        x[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= a[k, i] * x[k]
        x[i] = total / a[i, i]


@njit(cache=True, nogil=True)
def sample_skin(image, to_linear, vertices, normals, skin, sides, basis, colours):
    """Fill basis (S, 5) and colours (S, 3) linear from the skin vertices in view; returns how many there are."""
    height, width = image.shape[0], image.shape[1]
    count = 0
    for i in range(skin.shape[0]):
        v = skin[i]
        x, y = int(np.rint(vertices[v, 0])), int(np.rint(vertices[v, 1]))
        if x < 0 or y < 0 or x >= width or y >= height or normals[v, 2] < 0.15:
            continue
        for k in range(3):
            basis[count, 1 + k] = normals[v, k]
            colours[count, k] = to_linear[image[y, x, k]]
        basis[count, 0], basis[count, 4] = F1, sides[i]
        count += 1
    return count


@njit(cache=True, nogil=True)
def fit_light(basis, colours, count, terms, skin):
    """Robust least squares of luminance over the basis; four rounds of reweighting leave hair, rims and highlights out."""
    lum, weight = np.empty(count, np.float64), np.ones(count, np.float64)
    mean = 0.0
    for i in range(count):
        lum[i] = 0.2126 * colours[i, 0] + 0.7152 * colours[i, 1] + 0.0722 * colours[i, 2]
        mean += lum[i] / count
    a, b, x = np.zeros((5, 5)), np.zeros(5), np.zeros(5)
    for _ in range(4):
        a[:], b[:] = 0.0, 0.0
        for i in range(count):
            for j in range(5):
                b[j] += weight[i] * basis[i, j] * lum[i]
                for k in range(j + 1):
                    a[j, k] += weight[i] * basis[i, j] * basis[i, k]
        for j in range(5):
            a[j, j] += (0.001 if j == 0 else 0.02) * count
        _solve_symmetric(a, b, x)
        for i in range(count):
            fit = 0.0
            for j in range(5):
                fit += basis[i, j] * x[j]
            error = (lum[i] - fit) / (0.25 * mean + 1e-6)
            weight[i] = 1.0 / (1.0 + error * error) ** 2
    total = 1e-9
    skin[:] = F0
    for i in range(count):
        total += weight[i]
        for k in range(3):
            skin[k] += np.float32(weight[i]) * colours[i, k]
    for k in range(3):
        skin[k] /= np.float32(total)
    for j in range(5):
        terms[j] = np.float32(x[j])


@njit(cache=True, nogil=True)
def measure_picture(image, window, histogram):
    """Luma histogram (256,) of the picture, and (mean chroma, mean gradient, mean Laplacian at strong edges) of the window."""
    histogram[:] = 0
    chroma, cells = 0.0, 0
    for y in range(0, image.shape[0], 2):
        for x in range(0, image.shape[1], 2):
            r, g, b = np.int32(image[y, x, 0]), np.int32(image[y, x, 1]), np.int32(image[y, x, 2])
            histogram[(77 * r + 150 * g + 29 * b) >> 8] += 1
            chroma += max(r, g, b) - min(r, g, b)
            cells += 1
    gradient, laplacian = 0.0, 0.0
    for y in range(max(window.y, 1), min(window.y + window.height, image.shape[0]) - 1):
        for x in range(max(window.x, 1), min(window.x + window.width, image.shape[1]) - 1):
            c, left, right = np.int32(image[y, x, 1]), np.int32(image[y, x - 1, 1]), np.int32(image[y, x + 1, 1])
            above, below = np.int32(image[y - 1, x, 1]), np.int32(image[y + 1, x, 1])
            g = abs(right - left) + abs(below - above)
            if g > 24:
                gradient += g
                laplacian += abs(left + right + above + below - 4 * c)
    return chroma / cells, gradient, laplacian


@njit(cache=True, nogil=True)
def skin_sharpness(image, vertices, patch):
    """Mean |Laplacian| of green over 3 x 3 pixels at bare skin vertices (the forehead), levels; -1 where none is in the picture."""
    total, count = 0.0, 0
    for i in range(patch.shape[0]):
        cx, cy = int(np.rint(vertices[patch[i], 0])), int(np.rint(vertices[patch[i], 1]))
        for y in range(cy - 1, cy + 2):
            for x in range(cx - 1, cx + 2):
                if x < 1 or y < 1 or x >= image.shape[1] - 1 or y >= image.shape[0] - 1:
                    continue
                c = np.int32(image[y, x, 1])
                around = np.int32(image[y, x - 1, 1]) + np.int32(image[y, x + 1, 1])
                around += np.int32(image[y - 1, x, 1]) + np.int32(image[y + 1, x, 1])
                total += abs(around - 4 * c)
                count += 1
    return total / count if count > 0 else -1.0


@njit(cache=True, nogil=True)
def shade(normals, st, heights, columns, rows, light, floor, falloff, ambient, relief, out):
    """Light (G,) on the grid relative to the light on the skin's average.

    falloff : (3,): darkening from top to bottom, its curve, and darkening to the right; relief : (3,): contrast of the folds, and the direction (s, t) they face the
    light in. A picture shows folds far stronger than a first-order light explains: they shade themselves and each other.
    """
    mean = light.terms[0] + light.terms[3] * np.float32(0.75)
    mean = max(mean, np.float32(1e-4))
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(columns):
            g = r * columns + c
            e = light.terms[0] + light.terms[4] * (F2 * st[g, 0] - F1)
            for k in range(3):
                e += light.terms[1 + k] * normals[g, k]
            e = e / mean
            e = floor + (e - floor if e > floor else (e - floor) * np.float32(0.25))
            t = st[g, 1]
            e *= F1 - falloff[0] * (t + falloff[1] * t * (t - F1)) - falloff[2] * (st[g, 0] - np.float32(0.5))
            e = e * (F1 - ambient) + ambient
            left, right = r * columns + max(c - 1, 0), r * columns + min(c + 1, columns - 1)
            slope_s = heights[right] - heights[left]
            slope_t = heights[below * columns + c] - heights[above * columns + c]
            fold = relief[0] * (relief[1] * slope_s + relief[2] * slope_t + np.float32(0.35) * min(heights[g], F0))
            e *= np.exp(min(max(fold, np.float32(-1.2)), np.float32(0.7)))
            out[g] = max(e, np.float32(0.03))


@njit(cache=True, nogil=True)
def raster_depth(vertices, triangles, window, factor, depth):
    """z-buffer of face triangles in the window at `factor` samples a pixel; sample centres at (i + .5) / factor - .5 pixels."""
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        half = np.float32(0.5)
        ax, ay = (vertices[a, 0] - window.x + half) * factor - half, (vertices[a, 1] - window.y + half) * factor - half
        bx, by = (vertices[b, 0] - window.x + half) * factor - half, (vertices[b, 1] - window.y + half) * factor - half
        cx, cy = (vertices[c, 0] - window.x + half) * factor - half, (vertices[c, 1] - window.y + half) * factor - half
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        inverse = F1 / area
        first, last = max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(np.floor(max(ax, bx, cx))))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(np.floor(max(ay, by, cy))))
        for y in range(top, bottom + 1):
            for x in range(first, last + 1):
                w1 = ((np.float32(x) - ax) * (cy - ay) - (np.float32(y) - ay) * (cx - ax)) * inverse
                w2 = ((bx - ax) * (np.float32(y) - ay) - (by - ay) * (np.float32(x) - ax)) * inverse
                w0 = F1 - w1 - w2
                if w0 < F0 or w1 < F0 or w2 < F0:
                    continue
                z = w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]
                if z > depth[y, x]:
                    depth[y, x] = z


@njit(cache=True, nogil=True, inline="always")
def _texel(texture, s, t, out):
    """Bilinear sample of a premultiplied (T, S, 4) float32 texture; transparent outside."""
    rows, columns = texture.shape[0], texture.shape[1]
    x, y = s * columns - np.float32(0.5), t * rows - np.float32(0.5)
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - np.float32(x0), y - np.float32(y0)
    for k in range(4):
        out[k] = F0
    for j in range(2):
        yy = y0 + j
        wy = fy if j == 1 else F1 - fy
        if yy < 0 or yy >= rows:
            continue
        for i in range(2):
            xx = x0 + i
            if xx < 0 or xx >= columns:
                continue
            w = wy * (fx if i == 1 else F1 - fx)
            for k in range(4):
                out[k] += w * texture[yy, xx, k]


@njit(cache=True, nogil=True, inline="always")
def _albedo(texel, inks, two_tone, out):
    """Colour of the cloth from a premultiplied texel: ink mixture or tinted picture; inks (3, 3) linear."""
    cover = max(texel[3], np.float32(1e-5))
    if two_tone:
        tone, first, second = texel[0] / cover, texel[1] / cover, texel[2] / cover
        for k in range(3):
            colour = inks[0, k] + first * (inks[1, k] - inks[0, k])
            out[k] = tone * (colour + second * (inks[2, k] - colour))
    else:
        for k in range(3):
            out[k] = texel[k] / cover * inks[0, k]


@njit(cache=True, nogil=True, inline="always")
def _crease(slopes, s, t, crease):
    """Logarithm of the light that crumpled cloth throws back at (s, t): bilinear in the periodic slopes (n, n, 2).

    crease : (6,): factor for the slope along s and along t, cosine and sine of the map's turn times its size, and its offset.
    """
    n = slopes.shape[0]
    x = (s * crease[2] - t * crease[3] + crease[4]) * n
    y = (s * crease[3] + t * crease[2] + crease[5]) * n
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - np.float32(x0), y - np.float32(y0)
    x0, y0 = x0 % n, y0 % n
    x1, y1 = (x0 + 1) % n, (y0 + 1) % n
    total = F0
    for k in range(2):
        above = slopes[y0, x0, k] + fx * (slopes[y0, x1, k] - slopes[y0, x0, k])
        below = slopes[y1, x0, k] + fx * (slopes[y1, x1, k] - slopes[y1, x0, k])
        total += crease[k] * (above + fy * (below - above))
    return total


@njit(cache=True, nogil=True)
def raster_shell(points, st, shading, triangles, texture, inks, two_tone, slopes, crease, window, factor, bias, face, depth, layer):
    """Draw the grid into `layer` (h, w, 4) premultiplied linear; hidden where the face's depth is nearer by more than `bias`."""
    height, width = depth.shape
    texel, colour = np.zeros(4, np.float32), np.zeros(3, np.float32)
    half = np.float32(0.5)
    for i in range(triangles.shape[0]):
        a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
        ax, ay = (points[0, a] - window.x + half) * factor - half, (points[1, a] - window.y + half) * factor - half
        bx, by = (points[0, b] - window.x + half) * factor - half, (points[1, b] - window.y + half) * factor - half
        cx, cy = (points[0, c] - window.x + half) * factor - half, (points[1, c] - window.y + half) * factor - half
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        inverse = F1 / area
        first, last = max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(np.floor(max(ax, bx, cx))))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(np.floor(max(ay, by, cy))))
        for y in range(top, bottom + 1):
            for x in range(first, last + 1):
                w1 = ((np.float32(x) - ax) * (cy - ay) - (np.float32(y) - ay) * (cx - ax)) * inverse
                w2 = ((bx - ax) * (np.float32(y) - ay) - (by - ay) * (np.float32(x) - ax)) * inverse
                w0 = F1 - w1 - w2
                if w0 < F0 or w1 < F0 or w2 < F0:
                    continue
                z = w0 * points[2, a] + w1 * points[2, b] + w2 * points[2, c]
                if z <= depth[y, x] or z + bias < face[y, x]:
                    continue
                s = w0 * st[a, 0] + w1 * st[b, 0] + w2 * st[c, 0]
                t = w0 * st[a, 1] + w1 * st[b, 1] + w2 * st[c, 1]
                _texel(texture, s, t, texel)
                if texel[3] < np.float32(0.02):
                    continue
                _albedo(texel, inks, two_tone, colour)
                fold = _crease(slopes, s, t, crease)
                e = (w0 * shading[a] + w1 * shading[b] + w2 * shading[c]) * (F1 + fold + np.float32(0.5) * fold * fold)
                if area > F0:  # the inside of the far edge, turned away from the viewer
                    e *= np.float32(0.55)
                depth[y, x] = z
                for k in range(3):
                    layer[y, x, k] = colour[k] * e * texel[3]
                layer[y, x, 3] = texel[3]


@njit(cache=True, nogil=True)
def raster_strap(points, first, count, radius, colour, brightness, opacity, window, factor, bias, face, depth, layer):
    """Draw one strap (points first .. first + count of (3, G)) as a soft ribbon facing the viewer that fades out at its far end."""
    height, width = depth.shape
    r = radius * factor
    for j in range(first, first + count - 1):
        half = np.float32(0.5)
        ax, ay = (points[0, j] - window.x + half) * factor - half, (points[1, j] - window.y + half) * factor - half
        bx, by = (points[0, j + 1] - window.x + half) * factor - half, (points[1, j + 1] - window.y + half) * factor - half
        dx, dy = bx - ax, by - ay
        square = max(dx * dx + dy * dy, np.float32(1e-6))
        left, right = max(0, int(np.floor(min(ax, bx) - r - F1))), min(width - 1, int(np.ceil(max(ax, bx) + r + F1)))
        top, bottom = max(0, int(np.floor(min(ay, by) - r - F1))), min(height - 1, int(np.ceil(max(ay, by) + r + F1)))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                along = ((np.float32(x) - ax) * dx + (np.float32(y) - ay) * dy) / square
                along = min(max(along, F0), F1)
                px, py = np.float32(x) - ax - along * dx, np.float32(y) - ay - along * dy
                distance = np.sqrt(px * px + py * py)
                cover = min(max(r + half - distance, F0), F1)
                if cover <= F0:
                    continue
                way = (np.float32(j - first) + along) / np.float32(count - 1)
                cover *= opacity * min(F1, (F1 - way) * np.float32(5))
                z = points[2, j] + along * (points[2, j + 1] - points[2, j])
                if z + bias < face[y, x] or z < depth[y, x] - bias or cover <= layer[y, x, 3]:
                    continue
                round_off = F1 - np.float32(0.35) * (distance / max(r, F1)) ** F2
                for k in range(3):
                    layer[y, x, k] = colour[k] * brightness * round_off * cover
                layer[y, x, 3] = cover


@njit(cache=True, nogil=True)
def settle(layer, factor, exposure, desaturate, to_levels, out):
    """Average the samples of each pixel in linear light, expose, and encode: out (h, w, 4) premultiplied levels 0..255 and coverage."""
    top = np.float32(to_levels.shape[0] - 2)
    span = np.float32(to_levels.shape[0] - 1) / F4
    inverse = F1 / np.float32(factor * factor)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            r, g, b, a = F0, F0, F0, F0
            for j in range(factor):
                for i in range(factor):
                    r += layer[y * factor + j, x * factor + i, 0]
                    g += layer[y * factor + j, x * factor + i, 1]
                    b += layer[y * factor + j, x * factor + i, 2]
                    a += layer[y * factor + j, x * factor + i, 3]
            if a <= F0:
                for k in range(4):
                    out[y, x, k] = F0
                continue
            r, g, b = r / a * exposure[0], g / a * exposure[1], b / a * exposure[2]
            grey = np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * b
            a *= inverse
            for k in range(3):
                value = r if k == 0 else (g if k == 1 else b)
                value = (value + desaturate * (grey - value)) * span
                value = min(max(value, F0), top)
                i0 = int(value)
                f = value - np.float32(i0)
                out[y, x, k] = a * (to_levels[i0] + f * (to_levels[i0 + 1] - to_levels[i0]))
            out[y, x, 3] = a


@njit(cache=True, nogil=True)
def blur(source, taps, scratch, out):
    """Separable symmetric filter over the first two axes of (h, w, c); taps (r + 1,) from the middle outward; zero outside."""
    height, width, channels = source.shape
    radius = taps.shape[0] - 1
    for y in range(height):
        for x in range(width):
            for k in range(channels):
                total = taps[0] * source[y, x, k]
                for i in range(1, radius + 1):
                    if x - i >= 0:
                        total += taps[i] * source[y, x - i, k]
                    if x + i < width:
                        total += taps[i] * source[y, x + i, k]
                scratch[y, x, k] = total
    for y in range(height):
        for x in range(width):
            for k in range(channels):
                total = taps[0] * scratch[y, x, k]
                for i in range(1, radius + 1):
                    if y - i >= 0:
                        total += taps[i] * scratch[y - i, x, k]
                    if y + i < height:
                        total += taps[i] * scratch[y + i, x, k]
                out[y, x, k] = total


@njit(cache=True, nogil=True)
def layer_sharpness(layer):
    """Mean |Laplacian| of green where the layer is whole, levels; -1 where it nowhere is."""
    total, count = 0.0, 0
    solid = np.float32(0.995)
    for y in range(1, layer.shape[0] - 1):
        for x in range(1, layer.shape[1] - 1):
            if layer[y, x, 3] < solid or layer[y, x - 1, 3] < solid or layer[y, x + 1, 3] < solid:
                continue
            if layer[y - 1, x, 3] < solid or layer[y + 1, x, 3] < solid:
                continue
            around = layer[y, x - 1, 1] + layer[y, x + 1, 1] + layer[y - 1, x, 1] + layer[y + 1, x, 1]
            total += abs(around - F4 * layer[y, x, 1])
            count += 1
    return total / count if count > 0 else -1.0


@njit(cache=True, nogil=True)
def temper(layer, smooth, gain, grain, strength, chroma_grain):
    """Scale the layer's detail over `smooth` (its blurred self) by gain and add grain (h, w) levels, in proportion to coverage."""
    for y in range(layer.shape[0]):
        for x in range(layer.shape[1]):
            a = layer[y, x, 3]
            if a <= F0:
                continue
            share = gain + (F1 - gain) * (F1 - a)
            cover = max(smooth[y, x, 3], np.float32(1e-4))
            for k in range(3):
                base = smooth[y, x, k] / cover * a
                noise = strength * grain[y, x] * (F1 + chroma_grain * np.float32(k - 1))
                layer[y, x, k] = min(max(base + share * (layer[y, x, k] - base) + a * noise, F0), np.float32(255) * a)


@njit(cache=True, nogil=True)
def shadow_reach(vertices, face, factor, window, scale, out):
    """Where a shadow may fall (h, w) 0..1: on the face, and on the neck below the chin, narrowing and fading."""
    chin_x, chin_y = vertices[152, 0], vertices[152, 1]
    half_jaw = np.float32(0.32) * abs(vertices[454, 0] - vertices[234, 0]) + F1
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            inside = F0
            for j in range(factor):
                for i in range(factor):
                    if face[y * factor + j, x * factor + i] > FAR:
                        inside += F1
            inside /= np.float32(factor * factor)
            down = (np.float32(y + window.y) - chin_y) / scale
            if down > np.float32(-1.5):
                across = abs(np.float32(x + window.x) - chin_x) / half_jaw
                inside = max(inside, min(max(np.float32(1.6) - F2 * across, F0), F1))
            out[y, x] = inside


@njit(cache=True, nogil=True)
def compose(image, layer, spread, reach, shift, strength, window, coverage, out):
    """Lay the layer over the picture; the blurred coverage `spread` shifted by `shift` pixels darkens what it may reach."""
    for y in range(layer.shape[0]):
        sy = min(max(y - shift[1], 0), layer.shape[0] - 1)
        for x in range(layer.shape[1]):
            sx = min(max(x - shift[0], 0), layer.shape[1] - 1)
            a = layer[y, x, 3]
            dark = strength * spread[sy, sx, 0] * reach[y, x]
            py, px = y + window.y, x + window.x
            coverage[py, px] = a
            if a <= np.float32(1 / 512) and dark <= np.float32(1 / 512):
                coverage[py, px] = F0
                continue
            for k in range(3):
                value = layer[y, x, k] + (F1 - a) * np.float32(image[py, px, k]) * (F1 - dark)
                out[py, px, k] = np.uint8(min(max(value + np.float32(0.5), F0), np.float32(255)))
