"""Rims of glasses stay in front of the mask: found by their shape in the bare picture, then laid over it again.

Around each eye the picture is read along rays, from the eye's opening outward. A rim is a line that crosses all rays
below the eye, the same on both sides of the face (dynamic programming finds it); wrinkles are lines as well, and so
the piece across the nose and the arms toward the ears must speak for glasses too. What is laid over the mask is the
line alone, matted against the skin on both sides of it. Pictures are indexed [y, x]; centimetres are those of the
mean face. No random numbers here. benchmarks/README.md says how often which is right.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel
from facekit.faces.landmarks import CHIN, EYES, NOSE_ROOT
from facekit.faces.topology import load_topology

__all__ = ["FEATURES", "Layout", "keep_rims", "rim_features", "rim_layout"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Picture = NDArray[np.uint8]

F0, F1, HALF = np.float32(0), np.float32(1), np.float32(0.5)
RAYS, FIRST_ANGLE, LAST_ANGLE = 34, -10.0, 190.0  # degrees: 0 away from the nose, 90 down the face
STEP = 0.1  # centimetres from one place on a ray to the next
PLACES, AROUND = 24, 5  # of a ray where a rim may be; beyond them at either end, to compare with
OPENING = (1.65, 1.2)  # half axes of the ellipse where rays begin: nearer the eye are lids and their wrinkles
THIN, THICK, LESS_FOR_THICK = 3, 5, np.float32(0.03)  # distance of what a line is compared with; wrinkles are wide
LESS_FOR_BRIGHT = np.float32(0.8)
LOWEST, HIGHEST = np.float32(-0.04), np.float32(0.12)  # of a line's contrast: one strong piece is no rim
BEND = np.float32(0.012)  # contrast that a step to the next circle costs
MOST_STEPS, WANDER = 3, 3
STRONG = np.float32(0.08)
DARKEST = 16.0  # levels; noise in black hair is no contrast
FINEST, USUAL = 3.2, 5.7  # pixels per centimetre: below, a rim is nothing; at most about so many are looked at
BRIDGE_ROWS, BRIDGE_COLUMNS, ARM_ROWS, ARM_COLUMNS, APART = 33, 6, 31, 8, 4
SHIFTS = np.array([-3, -1, 0, 2], np.int32)  # rows by which an arm rises or falls over its length
SPARE = 4
FAINT, CLEAR = np.float32(0.01), np.float32(0.035)  # contrast of a piece that is not laid over, and that is wholly
RUN = 3  # rays on either side over which that is taken
SHORTEST, SPREAD = 9, 4  # rays of a piece that is not laid over; so many more, and it wholly is
BELOW, LEAST_BELOW = (8, 26), np.float32(0.4)  # rays 40 to 140 degrees, and the weight that they must have on average
WIDEST, WIDEST_AT_NOSE = np.float32(9), np.float32(6)  # places; what is wider is shading
PURE = np.float32(0.7)  # share of grey in the colour of a frame
WEIGHTS = np.array([118, -46, 1.3, 1.6, 1.35, 1.0, 0.95, 1.2], np.float32)  # of FEATURES; of the last five, logarithms
LEAST, BIAS = np.float32(0.03), np.float32(8.8)
TOO_LITTLE = np.float32(-16.5)  # of bridge and arms: no line below the eyes makes up for it
DOUBTFUL, SURE = np.float32(0.8), np.float32(1.5)
FEATURES = ("line", "below", "radius", "bridge_dark", "bridge_bright", "arm_dark", "other_arm_dark", "arm_bright")


class Layout(NamedTuple):
    """What does not change from picture to picture.

    Attributes
    ----------
    corners : (2, 2) int32
        Vertices at the outer and the inner corner of both eyes.
    root, chin : int
        Vertices at the root of the nose and at the chin.
    eye, height : float
        Centimetres from corner to corner, and from root to chin, of the mean face.
    logs : (256,) float32
        Logarithm of a level.
    rays : (RAYS, 3) float32
        Cosine and sine of each ray, and where it begins, centimetres.
    """

    corners: Ints
    root: int
    chin: int
    eye: float
    height: float
    logs: Floats
    rays: Floats


@cache
def rim_layout() -> Layout:
    """The layout of the shipped mesh.

    Returns
    -------
    Layout
    """
    face = load_topology().positions[:, :2]
    corners = np.array([(eye.lower[0], eye.lower[-1]) for eye in EYES], np.int32)
    eye = float(np.linalg.norm(face[corners[0, 0]] - face[corners[0, 1]]))
    height = float(np.linalg.norm(face[NOSE_ROOT] - face[CHIN]))
    angles = np.deg2rad(np.linspace(FIRST_ANGLE, LAST_ANGLE, RAYS))
    begin = 1 / np.hypot(np.cos(angles) / OPENING[0], np.sin(angles) / OPENING[1])
    rays = np.stack([np.cos(angles), np.sin(angles), begin], -1).astype(np.float32)
    return Layout(corners, NOSE_ROOT, CHIN, eye, height, np.log(np.arange(256) + DARKEST).astype(np.float32), rays)


@kernel()
def _frames(vertices: Floats, layout: Layout, out: Floats) -> np.float32:
    """Of each eye (2, 6): its middle, a centimetre away from the nose, a centimetre down, in pixels.

    Returned is the scale, pixels per centimetre.
    """
    down = (vertices[layout.chin] - vertices[layout.root]) / np.float32(layout.height)
    for k in range(2):
        outer, inner = vertices[layout.corners[k, 0]], vertices[layout.corners[k, 1]]
        out[k, 0], out[k, 1] = (outer[0] + inner[0]) * HALF, (outer[1] + inner[1]) * HALF
        out[k, 2] = (outer[0] - inner[0]) / np.float32(layout.eye)
        out[k, 3] = (outer[1] - inner[1]) / np.float32(layout.eye)
        out[k, 4], out[k, 5] = down[0], down[1]
    return np.float32(np.sqrt(down[0] * down[0] + down[1] * down[1]))


@kernel()
def _field(image: Picture, logs: Floats, frames: Floats, scale: np.float32, coarse: int) -> tuple[Floats, int, int]:
    """Logarithm of brightness around the eyes, `coarse` pixels to a sample, and its first column and row."""
    reach = np.float32(4.4) * scale
    left = max(int(min(frames[0, 0], frames[1, 0]) - reach), 0)
    top = max(int(min(frames[0, 1], frames[1, 1]) - HALF * reach), 0)
    right = min(int(max(frames[0, 0], frames[1, 0]) + reach), image.shape[1])
    bottom = min(int(max(frames[0, 1], frames[1, 1]) + reach), image.shape[0])
    height, width = max((bottom - top) // coarse, 0), max((right - left) // coarse, 0)
    field, share = np.empty((height, width), np.float32), F1 / np.float32(coarse * coarse)
    for y in range(height):
        for x in range(width):
            total = F0
            for j in range(top + y * coarse, top + (y + 1) * coarse):
                for i in range(left + x * coarse, left + (x + 1) * coarse):
                    red, green, blue = np.int32(image[j, i, 0]), np.int32(image[j, i, 1]), np.int32(image[j, i, 2])
                    total += logs[(77 * red + 150 * green + 29 * blue) >> 8]
            field[y, x] = total * share
    return field, left, top


@kernel(inline="always")
def _at(field: Floats, x: np.float32, y: np.float32) -> np.float32:
    """Bilinear, clamped to the border."""
    x = min(max(x, F0), np.float32(field.shape[1]) - np.float32(1.001))
    y = min(max(y, F0), np.float32(field.shape[0]) - np.float32(1.001))
    i, j = int(x), int(y)
    fx, fy = x - np.float32(i), y - np.float32(j)
    above = field[j, i] + fx * (field[j, i + 1] - field[j, i])
    below = field[j + 1, i] + fx * (field[j + 1, i + 1] - field[j + 1, i])
    return above + fy * (below - above)


@kernel()
def _line_across(profile: Floats) -> tuple[np.float32, np.float32]:
    """Strongest dark and strongest bright line in a profile (n,)."""
    dark, bright = F0, F0
    for i in range(APART, profile.shape[0] - APART):
        a, b, c = profile[i - APART], profile[i + APART], profile[i]
        dark, bright = max(dark, min(a, b) - c), max(bright, c - max(a, b))
    return dark, bright


@kernel()
def _bridge(field: Floats, root: Floats, along: Floats, down: Floats) -> tuple[np.float32, np.float32]:
    """Lines across the root of the nose; places and directions in samples of the field."""
    profile = np.empty(BRIDGE_ROWS, np.float32)
    for j in range(BRIDGE_ROWS):
        v, total = np.float32(0.1 * j - 1.2), F0
        for i in range(BRIDGE_COLUMNS):
            u = np.float32(0.18 * i - 0.45)
            total += _at(field, root[0] + u * along[0] + v * down[0], root[1] + u * along[1] + v * down[1])
        profile[j] = total / np.float32(BRIDGE_COLUMNS)
    return _line_across(profile)


@kernel()
def _arm(field: Floats, frame: Floats) -> tuple[np.float32, np.float32]:
    """Lines from the eye's outer side toward the ear; `frame` in samples of the field."""
    rows = ARM_ROWS + 2 * SPARE
    read, profile = np.empty((ARM_COLUMNS, rows), np.float32), np.empty(ARM_ROWS, np.float32)
    for i in range(ARM_COLUMNS):
        u = np.float32(1.7 + 0.2 * i)
        for j in range(rows):
            v = np.float32(0.1 * (j - SPARE) - 1.6)
            x, y = frame[0] + u * frame[2] + v * frame[4], frame[1] + u * frame[3] + v * frame[5]
            read[i, j] = _at(field, x, y)
    dark, bright = F0, F0
    for k in range(SHIFTS.shape[0]):
        profile[:] = F0
        for i in range(ARM_COLUMNS):
            shift = SPARE + (SHIFTS[k] * i + 32 * (ARM_COLUMNS - 1)) // (ARM_COLUMNS - 1) - 32
            for j in range(ARM_ROWS):
                profile[j] += read[i, j + shift]
        found = _line_across(profile)
        dark, bright = max(dark, found[0]), max(bright, found[1])
    return dark / np.float32(ARM_COLUMNS), bright / np.float32(ARM_COLUMNS)


@kernel()
def _read_rays(field: Floats, frame: Floats, rays: Floats, out: Floats) -> None:
    """The field along the rays (RAYS, PLACES + 2 AROUND); `frame` in samples of the field."""
    for a in range(RAYS):
        x, y = rays[a, 0] * frame[2] + rays[a, 1] * frame[4], rays[a, 0] * frame[3] + rays[a, 1] * frame[5]
        for p in range(out.shape[1]):
            r = rays[a, 2] + np.float32(STEP) * np.float32(p - AROUND)
            out[a, p] = _at(field, frame[0] + r * x, frame[1] + r * y)


@kernel()
def _contrast(read: Floats, out: Floats) -> None:
    """How much each place (RAYS, PLACES) is darker, or brighter, than both sides of it on its ray."""
    for a in range(RAYS):
        for p in range(PLACES):
            q = p + AROUND
            c = read[a, q]
            dark = min(read[a, q - THIN], read[a, q + THIN]) - c
            dark = max(dark, min(read[a, q - THICK], read[a, q + THICK]) - c - LESS_FOR_THICK)
            bright = LESS_FOR_BRIGHT * (c - max(read[a, q - THIN], read[a, q + THIN]))
            out[a, p] = min(max(max(dark, bright), LOWEST), HIGHEST)


@kernel()
def _together(contrast: Floats, out: Floats) -> None:
    """Mean of both eyes (2, RAYS, PLACES), either of which may lie a place nearer or farther."""
    for a in range(RAYS):
        for p in range(PLACES):
            total = F0
            for k in range(2):
                beside = max(contrast[k, a, max(p - 1, 0)], contrast[k, a, min(p + 1, PLACES - 1)])
                total += max(contrast[k, a, p], np.float32(0.9) * beside)
            out[a, p] = HALF * total


@kernel()
def _strongest_line(contrast: Floats, path: Ints) -> None:
    """The line across all rays along which the contrast (RAYS, PLACES) is greatest, a place for each ray."""
    best, back = contrast[0].copy(), np.zeros((RAYS, PLACES), np.int8)
    after = np.empty(PLACES, np.float32)
    for a in range(1, RAYS):
        for p in range(PLACES):
            most, step = best[p], 0
            for s in range(-MOST_STEPS, MOST_STEPS + 1):
                if 0 <= p - s < PLACES and best[p - s] - BEND * np.float32(abs(s)) > most:
                    most, step = best[p - s] - BEND * np.float32(abs(s)), s
            after[p], back[a, p] = most + contrast[a, p], step
        best[:] = after
    place = 0
    for p in range(1, PLACES):
        if best[p] > best[place]:
            place = p
    for a in range(RAYS - 1, -1, -1):
        path[a] = place
        place -= back[a, place]


@kernel()
def _logarithms(features: Floats) -> np.float32:
    """What bridge and arms add to the score."""
    total = F0
    for i in range(3, 8):
        total += WEIGHTS[i] * np.float32(np.log(features[i] + LEAST))
    return total


@kernel()
def _find(
    image: Picture,
    vertices: Floats,
    layout: Layout,
    frames: Floats,
    read: Floats,
    contrast: Floats,
    path: Ints,
    out: Floats,
) -> int:
    """Fill frames, features, rays, contrast and the line that both eyes share; pixels to a sample, 0 without any rim.

    The last three are left alone where bridge and arms rule glasses out.
    """
    scale = _frames(vertices, layout, frames)
    if scale < np.float32(FINEST):
        return 0
    coarse = max(int(scale / np.float32(USUAL) + HALF), 1)
    field, left, top = _field(image, layout.logs, frames, scale, coarse)
    if field.shape[0] < 8 or field.shape[1] < 8:
        return 0
    inverse = F1 / np.float32(coarse)
    samples = frames * inverse
    for k in range(2):
        samples[k, 0] = (frames[k, 0] - np.float32(left) + HALF) * inverse - HALF
        samples[k, 1] = (frames[k, 1] - np.float32(top) + HALF) * inverse - HALF
    root = np.array([vertices[layout.root, 0] - np.float32(left), vertices[layout.root, 1] - np.float32(top)])
    root = (root + HALF) * inverse - HALF
    along = (vertices[layout.corners[1, 0], :2] - vertices[layout.corners[0, 0], :2]) * (inverse / np.float32(8.9))
    out[3], out[4] = _bridge(field, root, along, samples[0, 4:])
    first, second = _arm(field, samples[0]), _arm(field, samples[1])
    out[5], out[6] = max(first[0], second[0]), min(first[0], second[0])
    out[7] = max(first[1], second[1])
    if _logarithms(out) < TOO_LITTLE:
        return 0
    both = np.empty((RAYS, PLACES), np.float32)
    for k in range(2):
        _read_rays(field, samples[k], layout.rays, read[k])
        _contrast(read[k], contrast[k])
    _together(contrast, both)
    _strongest_line(both, path)
    _describe(both, path, layout.rays, out)
    return coarse


@kernel()
def _describe(contrast: Floats, path: Ints, rays: Floats, out: Floats) -> None:
    """The first three features: contrast along the line, contrast and radius of its part below the eye."""
    out[:3] = F0
    for a in range(RAYS):
        here = min(max(contrast[a, path[a]], F0), STRONG)
        out[0] += here / np.float32(RAYS)
        if BELOW[0] <= a < BELOW[1]:
            out[1] += here / np.float32(BELOW[1] - BELOW[0])
            out[2] += (rays[a, 2] + np.float32(STEP) * np.float32(path[a])) / np.float32(BELOW[1] - BELOW[0])


def rim_features(image: NDArray[np.uint8], vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """What speaks for glasses in a bare picture.

    Returns
    -------
    (8,) float32
        `FEATURES`: contrast, in logarithms of brightness, of the line around both eyes and of its part below them, and
        the radius of that in centimetres; contrast of lines across the nose and toward the ears. Zeros where the face
        is too small.
    """
    out = np.zeros(len(FEATURES), np.float32)
    frames, read = np.empty((2, 6), np.float32), np.empty((2, RAYS, PLACES + 2 * AROUND), np.float32)
    contrast, path = np.empty((2, RAYS, PLACES), np.float32), np.empty(RAYS, np.int32)
    _find(image, vertices, rim_layout(), frames, read, contrast, path, out)
    return out


@kernel()
def _own_line(contrast: Floats, shared: Ints, path: Ints) -> None:
    """The strongest line of one eye within `WANDER` places of the one that both share."""
    near = np.full((RAYS, PLACES), np.float32(-1), np.float32)
    for a in range(RAYS):
        for p in range(max(shared[a] - WANDER, 0), min(shared[a] + WANDER + 1, PLACES)):
            near[a, p] = contrast[a, p]
    _strongest_line(near, path)


@kernel()
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


@kernel()
def _half_width(read: Floats, place: int, way: int, sign: np.float32) -> np.float32:
    """Places from the middle of a line to where half of its contrast is gone, on one side of it."""
    most = F0
    for t in range(1, AROUND + 1):
        most = max(most, sign * (read[place + way * t] - read[place]))
    before = F0
    for t in range(1, AROUND + 1):
        value = sign * (read[place + way * t] - read[place])
        if value >= HALF * most:
            return np.float32(t - 1) + (HALF * most - before) / max(value - before, np.float32(1e-6))
        before = value
    return np.float32(AROUND)


@kernel()
def _trace(
    image: Picture, frame: Floats, rays: Floats, read: Floats, contrast: Floats, path: Ints, coarse: int, out: Floats
) -> None:
    """Where the rim is and what it looks like, one row a ray (RAYS, 13).

    Radius, half width inward and outward in centimetres, weight, then the colours of the rim and of the skin inside and
    outside of it, levels.
    """
    weight, places, signs = np.empty(RAYS, np.float32), path.astype(np.float32), np.empty(RAYS, np.float32)
    _smoothed(places)
    way = F0
    for a in range(RAYS):
        p = path[a] + AROUND
        sides = HALF * (read[a, p - THIN] + read[a, p + THIN])
        sign = F1 if sides >= read[a, p] else -F1
        inward, outward = _half_width(read[a], p, -1, sign), _half_width(read[a], p, 1, sign)
        radius = rays[a, 2] + np.float32(STEP) * places[a]
        out[a, 0], out[a, 1], out[a, 2] = radius, np.float32(STEP) * inward, np.float32(STEP) * outward
        for n in range(3):
            apart = F0 if n == 0 else (-inward - np.float32(2) if n == 1 else outward + np.float32(2))
            r = radius + np.float32(STEP) * apart
            x = frame[0] + r * (rays[a, 0] * frame[2] + rays[a, 1] * frame[4])
            y = frame[1] + r * (rays[a, 0] * frame[3] + rays[a, 1] * frame[5])
            _mean_colour(image, x, y, coarse, out[a, 4 + 3 * n : 7 + 3 * n])
        widest = WIDEST if a < BELOW[1] else WIDEST_AT_NOSE
        narrow = min(max((widest - inward - outward) / np.float32(2), F0), F1)
        weight[a], signs[a] = narrow * min(max(contrast[a, path[a]], F0), STRONG), sign
        way += sign * weight[a]
    for a in range(RAYS):
        if signs[a] * way < F0:  # a frame is dark or bright; what is both are wrinkles and their rims of light
            weight[a] = F0
    for a in range(RAYS):
        total = F0
        for i in range(max(a - RUN, 0), min(a + RUN + 1, RAYS)):
            total += weight[i]
        total /= np.float32(2 * RUN + 1)
        out[a, 3] = min(max((total - FAINT) / (CLEAR - FAINT), F0), F1)
    _drop_short(out)
    _unmix(out)


@kernel()
def _drop_short(rows: Floats) -> None:
    """Take the weight from short pieces, and from all where little lies below the eye.

    A fold beside the nose is as dark as a rim, but does not go on there.
    """
    first, below = 0, F0
    for a in range(BELOW[0], BELOW[1]):
        below += rows[a, 3] / np.float32(BELOW[1] - BELOW[0])
    seen = min(max((below - LEAST_BELOW) / np.float32(0.2), F0), F1)
    for a in range(RAYS + 1):
        if a < RAYS and rows[a, 3] > F0:
            continue
        share = seen * min(max(np.float32(a - first - SHORTEST) / np.float32(SPREAD), F0), F1)
        for i in range(first, a):
            rows[i, 3] *= share
        first = a + 1


@kernel()
def _smoothed(values: Floats) -> None:
    """Twice a quarter, a half, a quarter of neighbours; the ends stay."""
    for _ in range(2):
        before = values[0]
        for i in range(1, values.shape[0] - 1):
            mean = np.float32(0.25) * (before + values[i + 1]) + HALF * values[i]
            before, values[i] = values[i], mean


@kernel()
def _unmix(rows: Floats) -> None:
    """Put the frame's own colour in place of what is seen of it.

    A rim is narrower than a pixel: where it is seen, it is mixed with skin. The darkest and the brightest pieces come
    nearest to what it is made of.
    """
    darkest, brightest = np.full(3, np.float32(255)), np.zeros(3, np.float32)
    for a in range(RAYS):
        if rows[a, 3] > F0:
            for k in range(3):
                darkest[k], brightest[k] = min(darkest[k], rows[a, 4 + k]), max(brightest[k], rows[a, 4 + k])
    low, high = min(darkest[0], darkest[1], darkest[2]), max(brightest[0], brightest[1], brightest[2])
    for a in range(RAYS):
        skin, seen = F0, F0
        for k in range(3):
            skin, seen = skin + rows[a, 7 + k] + rows[a, 10 + k], seen + rows[a, 4 + k] + rows[a, 4 + k]
        for k in range(3):
            rows[a, 4 + k] = (
                PURE * low + (F1 - PURE) * darkest[k] if seen <= skin else PURE * high + (F1 - PURE) * brightest[k]
            )


@kernel()
def _lay_over(
    image: Picture, frame: Floats, rows: Floats, share: np.float32, scale: np.float32, coverage: Floats, out: Picture
) -> None:
    """Lay one rim over the masked picture; of what covers it there, that much less is left in `coverage`."""
    reach = np.float32(4.2) * scale
    ux, uy, vx, vy = frame[2], frame[3], frame[4], frame[5]
    determinant = ux * vy - uy * vx
    if abs(determinant) < np.float32(1e-3):
        return
    softness = np.float32(0.12)
    spacing = np.float32(np.deg2rad((LAST_ANGLE - FIRST_ANGLE) / (RAYS - 1)))
    first, turn = np.float32(np.deg2rad(FIRST_ANGLE)), np.float32(2 * np.pi)
    row = np.empty(rows.shape[1], np.float32)
    for y in range(max(int(frame[1] - reach), 0), min(int(frame[1] + reach) + 1, image.shape[0])):
        for x in range(max(int(frame[0] - reach), 0), min(int(frame[0] + reach) + 1, image.shape[1])):
            if coverage[y, x] <= F0:
                continue
            dx, dy = np.float32(x) - frame[0], np.float32(y) - frame[1]
            u, v = (dx * vy - dy * vx) / determinant, (dy * ux - dx * uy) / determinant
            angle = np.float32(np.arctan2(v, u)) - first
            at = (angle if angle >= F0 else angle + turn) / spacing
            a = int(at)
            if a >= RAYS - 1:
                continue
            share_next = at - np.float32(a)
            for k in range(rows.shape[1]):
                row[k] = rows[a, k] + share_next * (rows[a + 1, k] - rows[a, k])
            t = np.float32(np.sqrt(u * u + v * v)) - row[0]
            beyond = -t - row[1] if t < F0 else t - row[2]
            there = share * row[3] * min(max(F1 - (beyond - np.float32(0.08)) / softness, F0), F1)
            if there <= F0:
                continue
            outside = min(max((t + row[1] + softness) / (row[1] + row[2] + np.float32(2) * softness), F0), F1)
            dot, length = F0, F0
            for k in range(3):
                skin = row[7 + k] + outside * (row[10 + k] - row[7 + k])
                span = skin - row[4 + k]
                dot += span * (skin - np.float32(image[y, x, k]))
                length += span * span
            opaque = min(max(dot / max(length, F1), F0), F1)
            if opaque <= F0:
                continue
            for k in range(3):
                skin = row[7 + k] + outside * (row[10 + k] - row[7 + k])
                own = opaque * (row[4 + k] + (np.float32(image[y, x, k]) - opaque * row[4 + k] - (F1 - opaque) * skin))
                value = there * own + (F1 - there * opaque) * np.float32(out[y, x, k]) + HALF
                out[y, x, k] = np.uint8(min(max(value, F0), np.float32(255)))
            coverage[y, x] *= F1 - there * opaque


@kernel()
def _sureness(features: Floats) -> np.float32:
    """0 where nothing or too little speaks for glasses, 1 where they surely are."""
    score = BIAS + _logarithms(features)
    for i in range(3):
        score += WEIGHTS[i] * features[i]
    return min(max((score - DOUBTFUL) / (SURE - DOUBTFUL), F0), F1)


@kernel()
def keep_rims(image: Picture, vertices: Floats, layout: Layout, coverage: Floats, out: Picture) -> np.float32:
    """Lay the rims of glasses over a masked picture, where the bare one shows any.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    vertices : (468, 3) float32
        Pixels.
    layout : Layout
    coverage : (H, W) float32
        Opacity of the mask; less where a rim lies over it.
    out : (H, W, 3) uint8
        The masked picture; nothing changes where `coverage` is 0.

    Returns
    -------
    float32
        0 where no rims were found, 1 where they surely are.
    """
    frames, read = np.empty((2, 6), np.float32), np.empty((2, RAYS, PLACES + 2 * AROUND), np.float32)
    contrast, shared = np.empty((2, RAYS, PLACES), np.float32), np.empty(RAYS, np.int32)
    features = np.empty(8, np.float32)
    coarse = _find(image, vertices, layout, frames, read, contrast, shared, features)
    if coarse == 0:
        return F0
    share = _sureness(features)
    if share <= F0:
        return F0
    scale = np.float32(np.sqrt(frames[0, 4] ** 2 + frames[0, 5] ** 2))
    path, rows = np.empty(RAYS, np.int32), np.empty((RAYS, 13), np.float32)
    for k in range(2):
        _own_line(contrast[k], shared, path)
        _trace(image, frames[k], layout.rays, read[k], contrast[k], path, coarse, rows)
        _lay_over(image, frames[k], rows, share, scale, coverage, out)
    return share
