"""Kernels that lay the rims of glasses, found in the bare picture, over the masked one.

What is laid over is the line alone, matted against the skin on both sides of it. Pictures are indexed [y, x];
centimetres are those of the mean face. No random numbers here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel
from facekit.masks.rim_lines import Layout, Search

__all__ = ["FIRST_ANGLE", "LAST_ANGLE", "lay_rims"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Picture = NDArray[np.uint8]

F0, F1, HALF = np.float32(0), np.float32(1), np.float32(0.5)
FIRST_ANGLE, LAST_ANGLE = -10.0, 190.0
"""Degrees of the first and the last ray: 0 away from the nose, 90 down the face."""
FAINT, CLEAR = np.float32(0.01), np.float32(0.035)  # contrast of a piece that is not laid over, and that is wholly
RUN = 3  # rays on either side over which that is taken
SHORTEST, SPREAD = 9, 4  # rays of a piece that is not laid over; so many more, and it wholly is
LEAST_BELOW = np.float32(0.4)  # mean weight that the rays below the eye must have
WIDEST, WIDEST_AT_NOSE = np.float32(9), np.float32(6)  # places; what is wider is shading
BEYOND, SOFT = np.float32(0.08), np.float32(0.12)  # centimetres past half of its contrast that a rim goes on, and fades
PURE = np.float32(0.7)  # share of grey in the colour of a frame


@kernel(inner=True)
def _mean_colour(image: Picture, x: np.float32, y: np.float32, coarse: int, out: Floats) -> None:
    """Mean of the pixels that a sample of the field covers, bilinear where it is one pixel."""
    height, width = image.shape[0], image.shape[1]
    out[:] = F0
    if coarse == 1:
        x, y = (
            min(max(x, F0), np.float32(width) - np.float32(1.001)),
            min(max(y, F0), np.float32(height) - np.float32(1.001)),
        )
        i, j = int(x), int(y)
        fx, fy = x - np.float32(i), y - np.float32(j)
        for k in range(3):
            above = np.float32(image[j, i, k]) * (F1 - fx) + np.float32(image[j, i + 1, k]) * fx
            below = np.float32(image[j + 1, i, k]) * (F1 - fx) + np.float32(image[j + 1, i + 1, k]) * fx
            out[k] = above * (F1 - fy) + below * fy
        return
    left, top = int(x + HALF) - coarse // 2, int(y + HALF) - coarse // 2
    for j in range(top, top + coarse):
        for i in range(left, left + coarse):
            for k in range(3):
                out[k] += np.float32(image[min(max(j, 0), height - 1), min(max(i, 0), width - 1), k])
    for k in range(3):
        out[k] /= np.float32(coarse * coarse)


@kernel(inner=True)
def _half_width(read: Floats, place: int, way: int, sign: np.float32, most: int) -> np.float32:
    """Places, at most so many, from the middle of a line to where half of its contrast is gone, on one side of it."""
    whole, before = F0, F0
    for t in range(1, most + 1):
        whole = max(whole, sign * (read[place + way * t] - read[place]))
    for t in range(1, most + 1):
        value = sign * (read[place + way * t] - read[place])
        if value >= HALF * whole:
            return np.float32(t - 1) + (HALF * whole - before) / max(value - before, np.float32(1e-6))
        before = value
    return np.float32(most)


@kernel(inner=True)
def _colours(image: Picture, frame: Floats, ray: Floats, step: np.float32, coarse: int, row: Floats) -> None:
    """Fill in a ray's colours: on the rim, and two places inside and outside of it."""
    for n in range(3):
        r = row[0]
        if n == 1:
            r -= row[1] + np.float32(2) * step
        elif n == 2:
            r += row[2] + np.float32(2) * step
        x = frame[0] + r * (ray[0] * frame[2] + ray[1] * frame[4])
        y = frame[1] + r * (ray[0] * frame[3] + ray[1] * frame[5])
        _mean_colour(image, x, y, coarse, row[4 + 3 * n : 7 + 3 * n])


@kernel(inner=True, allocates=True)
def _trace(image: Picture, layout: Layout, search: Search, eye: int, coarse: int, rows: Floats) -> None:
    """Where the rim is and what it looks like, one row a ray (RAYS, 13).

    Radius, half width inward and outward in centimetres, weight, then the colours of the rim and of the skin inside and
    outside of it, levels.
    """
    frame, path, step, around = search.frames[eye], search.paths[eye], np.float32(layout.step), layout.around
    places, signed = path.astype(np.float32), np.empty(rows.shape[0], np.float32)
    _smoothed(places)
    for a in range(rows.shape[0]):
        read, p, ray = search.read[eye, a], path[a] + around, layout.rays[a]
        sign = F1 if HALF * (read[p - layout.near] + read[p + layout.near]) >= read[p] else -F1
        inward, outward = _half_width(read, p, -1, sign, around), _half_width(read, p, 1, sign, around)
        rows[a, 0], rows[a, 1], rows[a, 2] = ray[2] + step * places[a], step * inward, step * outward
        _colours(image, frame, ray, step, coarse, rows[a])
        widest = WIDEST if a < layout.below[1] else WIDEST_AT_NOSE
        narrow = min(max((widest - inward - outward) / np.float32(2), F0), F1)
        signed[a] = sign * narrow * min(max(search.contrast[eye, a, path[a]], F0), np.float32(layout.strong))
    _weigh(signed, rows)
    _drop_short(layout.below, rows)
    _unmix(rows)


@kernel(inner=True)
def _weigh(signed: Floats, rows: Floats) -> None:
    """Fill in the weights from contrasts, above 0 where the line is dark: a frame is dark or bright all along.

    What is both are wrinkles and their rims of light.
    """
    way = F0
    for a in range(signed.shape[0]):
        way += signed[a]
    for a in range(signed.shape[0]):
        total = F0
        for i in range(max(a - RUN, 0), min(a + RUN + 1, signed.shape[0])):
            if signed[i] * way > F0:
                total += abs(signed[i])
        total /= np.float32(2 * RUN + 1)
        rows[a, 3] = min(max((total - FAINT) / (CLEAR - FAINT), F0), F1)


@kernel(inner=True)
def _drop_short(below: tuple[int, int], rows: Floats) -> None:
    """Take the weight from short pieces, and from all where little lies below the eye.

    A fold beside the nose is as dark as a rim, but does not go on there.
    """
    first, mean = 0, F0
    for a in range(below[0], below[1]):
        mean += rows[a, 3] / np.float32(below[1] - below[0])
    seen = min(max((mean - LEAST_BELOW) / np.float32(0.2), F0), F1)
    for a in range(rows.shape[0] + 1):
        if a < rows.shape[0] and rows[a, 3] > F0:
            continue
        share = seen * min(max(np.float32(a - first - SHORTEST) / np.float32(SPREAD), F0), F1)
        for i in range(first, a):
            rows[i, 3] *= share
        first = a + 1


@kernel(inner=True)
def _smoothed(values: Floats) -> None:
    """Twice a quarter, a half, a quarter of neighbours; the ends stay."""
    for _ in range(2):
        before = values[0]
        for i in range(1, values.shape[0] - 1):
            mean = np.float32(0.25) * (before + values[i + 1]) + HALF * values[i]
            before, values[i] = values[i], mean


@kernel(inner=True, allocates=True)
def _unmix(rows: Floats) -> None:
    """Put the frame's own colour in place of what is seen of it.

    A rim is narrower than a pixel: where it is seen, it is mixed with skin. The darkest and the brightest pieces come
    nearest to what it is made of.
    """
    darkest, brightest = np.full(3, np.float32(255)), np.zeros(3, np.float32)
    for a in range(rows.shape[0]):
        if rows[a, 3] > F0:
            for k in range(3):
                darkest[k], brightest[k] = min(darkest[k], rows[a, 4 + k]), max(brightest[k], rows[a, 4 + k])
    low, high = min(darkest[0], darkest[1], darkest[2]), max(brightest[0], brightest[1], brightest[2])
    for a in range(rows.shape[0]):
        skin, seen = F0, F0
        for k in range(3):
            skin, seen = skin + rows[a, 7 + k] + rows[a, 10 + k], seen + rows[a, 4 + k] + rows[a, 4 + k]
        for k in range(3):
            rows[a, 4 + k] = (
                PURE * low + (F1 - PURE) * darkest[k] if seen <= skin else PURE * high + (F1 - PURE) * brightest[k]
            )


@kernel(inner=True)
def _span(rows: Floats) -> tuple[np.float32, np.float32]:
    """Least and greatest radius at which anything is laid over; the second is 0 where nothing is."""
    nearest, farthest = np.float32(1e3), F0
    for a in range(rows.shape[0]):
        if rows[a, 3] > F0 or rows[max(a - 1, 0), 3] > F0 or rows[min(a + 1, rows.shape[0] - 1), 3] > F0:
            nearest = min(nearest, rows[a, 0] - rows[a, 1] - BEYOND - SOFT)
            farthest = max(farthest, rows[a, 0] + rows[a, 2] + BEYOND + SOFT)
    return max(nearest, F0), farthest


@kernel(inner=True)
def _matte(pixel: Picture, row: Floats, outside: np.float32) -> np.float32:
    """How much of a pixel (3,) is rim and not skin; the skin's colour goes over from inside to outside."""
    dot, length = F0, F0
    for k in range(3):
        skin = row[7 + k] + outside * (row[10 + k] - row[7 + k])
        span = skin - row[4 + k]
        dot += span * (skin - np.float32(pixel[k]))
        length += span * span
    return min(max(dot / max(length, F1), F0), F1)


@kernel(inner=True)
def _lay_pixel(bare: Picture, row: Floats, t: np.float32, share: np.float32, out: Picture) -> np.float32:
    """Lay the rim over one pixel (3,) that lies `t` centimetres beyond its middle; returned is its opacity there."""
    beyond = -t - row[1] if t < F0 else t - row[2]
    there = share * row[3] * min(max(F1 - (beyond - BEYOND) / SOFT, F0), F1)
    if there <= F0:
        return F0
    outside = min(max((t + row[1] + SOFT) / (row[1] + row[2] + np.float32(2) * SOFT), F0), F1)
    opaque = _matte(bare, row, outside)
    for k in range(3):
        skin = row[7 + k] + outside * (row[10 + k] - row[7 + k])
        rest = np.float32(bare[k]) - opaque * row[4 + k] - (F1 - opaque) * skin
        value = there * opaque * (row[4 + k] + rest) + (F1 - there * opaque) * np.float32(out[k]) + HALF
        out[k] = np.uint8(min(max(value, F0), np.float32(255)))
    return there * opaque


@kernel(inner=True, allocates=True)
def _lay_over(
    image: Picture, frame: Floats, rows: Floats, share: np.float32, scale: np.float32, coverage: Floats, out: Picture
) -> None:
    """Lay one rim over the masked picture; of what covers it there, that much less is left in `coverage`."""
    nearest, farthest = _span(rows)
    ux, uy, vx, vy = frame[2], frame[3], frame[4], frame[5]
    determinant = ux * vy - uy * vx
    if abs(determinant) < np.float32(1e-3) or farthest <= F0:
        return
    reach = farthest * max(scale, np.float32(np.sqrt(ux * ux + uy * uy))) * np.float32(1.5)  # axes may be oblique
    spacing = np.float32(np.deg2rad((LAST_ANGLE - FIRST_ANGLE) / (rows.shape[0] - 1)))
    first, turn = np.float32(np.deg2rad(FIRST_ANGLE)), np.float32(2 * np.pi)
    row = np.empty(rows.shape[1], np.float32)
    for y in range(max(int(frame[1] - reach), 0), min(int(frame[1] + reach) + 1, image.shape[0])):
        for x in range(max(int(frame[0] - reach), 0), min(int(frame[0] + reach) + 1, image.shape[1])):
            if coverage[y, x] <= F0:
                continue
            dx, dy = np.float32(x) - frame[0], np.float32(y) - frame[1]
            u, v = (dx * vy - dy * vx) / determinant, (dy * ux - dx * uy) / determinant
            squared = u * u + v * v
            if squared < nearest * nearest or squared > farthest * farthest:
                continue
            angle = np.float32(np.arctan2(v, u)) - first
            at = (angle if angle >= F0 else angle + turn) / spacing
            a = int(at)
            if a >= rows.shape[0] - 1 or max(rows[a, 3], rows[a + 1, 3]) <= F0:
                continue
            for k in range(rows.shape[1]):
                row[k] = rows[a, k] + (at - np.float32(a)) * (rows[a + 1, k] - rows[a, k])
            laid = _lay_pixel(image[y, x], row, np.float32(np.sqrt(squared)) - row[0], share, out[y, x])
            coverage[y, x] *= F1 - laid


@kernel(allocates=True)
def lay_rims(
    image: Picture, layout: Layout, search: Search, coarse: int, share: np.float32, coverage: Floats, out: Picture
) -> None:
    """Lay both rims over the masked picture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    layout : Layout
    search : Search
    coarse : int
        Pixels to a sample, from `facekit.masks.rim_lines.find_rims`.
    share : float32
        Opacity, from 0 to 1.
    coverage : (H, W) float32
        Opacity of the mask; less where a rim lies over it.
    out : (H, W, 3) uint8
        The masked picture; nothing changes where `coverage` is 0.
    """
    down, rows = search.frames[0, 4:], np.empty((layout.rays.shape[0], 13), np.float32)
    scale = np.float32(np.sqrt(down[0] * down[0] + down[1] * down[1]))
    for k in range(2):
        _trace(image, layout, search, k, coarse, rows)
        _lay_over(image, search.frames[k], rows, share, scale, coverage, out)
