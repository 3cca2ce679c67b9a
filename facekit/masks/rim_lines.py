"""Kernels that look for the rims of glasses in a bare picture.

Around each eye the picture is read along rays, from the eye's opening outward. A rim is a line that crosses all rays
below the eye, the same on both sides of the face (dynamic programming finds it); wrinkles are lines as well, and so
the piece across the nose and the arms toward the ears must speak for glasses too. Pictures are indexed [y, x];
centimetres are those of the mean face. No random numbers here. The numbers were fitted to 960 aligned photographs that
were looked at, of which 155 show glasses, and to 333 others; benchmarks/README.md says how often which is right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["AROUND", "FEATURES", "PLACES", "RAYS", "Layout", "Search", "find_rims"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Picture = NDArray[np.uint8]

F0, F1, HALF = np.float32(0), np.float32(1), np.float32(0.5)
RAYS = 34
STEP = 0.1
PLACES, AROUND = 29, 5
"""Of a ray where a rim may be, and beyond them at either end, to compare with."""
THIN, THICK, LESS_FOR_THICK = 3, 5, np.float32(0.03)  # distance of what a line is compared with; wrinkles are wide
LESS_FOR_BRIGHT = np.float32(0.8)
LOWEST, HIGHEST = np.float32(-0.04), np.float32(0.12)  # of a line's contrast: one strong piece is no rim
BEND = np.float32(0.012)  # contrast that a step to the next circle costs
MOST_STEPS, WANDER = 3, 3
STRONG = np.float32(0.08)
FINEST, USUAL = 3.2, 5.7  # pixels per centimetre: below, a rim is nothing; at most about so many are looked at
BRIDGE_ROWS, BRIDGE_COLUMNS, ARM_ROWS, ARM_COLUMNS, APART = 33, 6, 31, 8, 4
SHIFTS = np.array([-3, -1, 0, 2], np.int32)  # rows by which an arm rises or falls over its length
SPARE = 4
OUTER_CORNERS = 8.9  # centimetres between the outer corners of the eyes
BELOW = (8, 26)  # rays from 40 to 140 degrees
FEATURES = ("line", "below", "radius", "bridge_dark", "bridge_bright", "arm_dark", "other_arm_dark", "arm_bright")
WEIGHTS = np.array([117, -41, 0.8, 1.6, 1.4, 1.1, 0.85, 1.2], np.float32)  # of FEATURES; of the last five, logarithms
LEAST, BIAS = np.float32(0.03), np.float32(9.4)
TOO_LITTLE = np.float32(-16.2)  # of bridge and arms: no line below the eyes makes up for it
DOUBTFUL, SURE = np.float32(0.8), np.float32(1.5)


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
    step : float
        Centimetres from one place on a ray to the next.
    around : int
        Places that are read at either end of a ray beyond those where a rim may be.
    near : int
        Places from a thin line to what it is compared with.
    strong : float
        Contrast that counts at most.
    below : (int, int)
        First ray below the eye, and the one after the last.
    """

    corners: Ints
    root: int
    chin: int
    eye: float
    height: float
    logs: Floats
    rays: Floats
    step: float = STEP
    around: int = AROUND
    near: int = THIN
    strong: float = float(STRONG)
    below: tuple[int, int] = BELOW


class Search(NamedTuple):
    """What is found, filled by `find_rims`.

    Attributes
    ----------
    frames : (2, 6) float32
        Of each eye: its middle, a centimetre away from the nose, a centimetre down the face; x and y in pixels.
    read : (2, RAYS, PLACES + 2 AROUND) float32
        Logarithm of brightness along the rays.
    contrast : (2, RAYS, PLACES) float32
        How much darker, or brighter, each place is than both sides of it.
    paths : (2, RAYS) int32
        Place of the rim on each ray.
    features : (8,) float32
        `FEATURES`: contrast of the line around both eyes and of its part below them, the radius of that in centimetres,
        contrast of lines across the nose and toward the ears.
    """

    frames: Floats
    read: Floats
    contrast: Floats
    paths: Ints
    features: Floats


@kernel(inner=True)
def _frames(vertices: Floats, layout: Layout, out: Floats) -> np.float32:
    """Of each eye (2, 6): its middle, a centimetre away from the nose, a centimetre down, in pixels.

    Returned is the scale, pixels per centimetre.
    """
    root, chin, height = layout.root, layout.chin, np.float32(layout.height)
    down_x, down_y = (vertices[chin, 0] - vertices[root, 0]) / height, (vertices[chin, 1] - vertices[root, 1]) / height
    for k in range(2):
        outer, inner = layout.corners[k, 0], layout.corners[k, 1]
        for n in range(2):
            out[k, n] = (vertices[outer, n] + vertices[inner, n]) * HALF
            out[k, 2 + n] = (vertices[outer, n] - vertices[inner, n]) / np.float32(layout.eye)
        out[k, 4], out[k, 5] = down_x, down_y
    return np.float32(np.sqrt(down_x * down_x + down_y * down_y))


@kernel(inner=True, allocates=True)
def _field(image: Picture, logs: Floats, frames: Floats, scale: np.float32, coarse: int) -> tuple[Floats, int, int]:
    """Logarithm of brightness around the eyes, `coarse` pixels to a sample, and its first column and row."""
    reach = np.float32(4.8) * scale
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


@kernel(inner=True)
def _at(field: Floats, x: np.float32, y: np.float32) -> np.float32:
    """Bilinear, clamped to the border."""
    x = min(max(x, F0), np.float32(field.shape[1]) - np.float32(1.001))
    y = min(max(y, F0), np.float32(field.shape[0]) - np.float32(1.001))
    i, j = int(x), int(y)
    fx, fy = x - np.float32(i), y - np.float32(j)
    above = field[j, i] + fx * (field[j, i + 1] - field[j, i])
    below = field[j + 1, i] + fx * (field[j + 1, i + 1] - field[j + 1, i])
    return above + fy * (below - above)


@kernel(inner=True)
def _line_across(profile: Floats) -> tuple[np.float32, np.float32]:
    """Strongest dark and strongest bright line in a profile (n,)."""
    dark, bright = F0, F0
    for i in range(APART, profile.shape[0] - APART):
        a, b, c = profile[i - APART], profile[i + APART], profile[i]
        dark, bright = max(dark, min(a, b) - c), max(bright, c - max(a, b))
    return dark, bright


@kernel(inner=True, allocates=True)
def _bridge(field: Floats, frame: Floats) -> tuple[np.float32, np.float32]:
    """Lines across the root of the nose; `frame` in samples of the field."""
    profile = np.empty(BRIDGE_ROWS, np.float32)
    for j in range(BRIDGE_ROWS):
        v, total = np.float32(0.1 * j - 1.2), F0
        for i in range(BRIDGE_COLUMNS):
            u = np.float32(0.18 * i - 0.45)
            total += _at(field, frame[0] + u * frame[2] + v * frame[4], frame[1] + u * frame[3] + v * frame[5])
        profile[j] = total / np.float32(BRIDGE_COLUMNS)
    return _line_across(profile)


@kernel(inner=True, allocates=True)
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


@kernel(inner=True)
def _read_rays(field: Floats, frame: Floats, rays: Floats, out: Floats) -> None:
    """The field along the rays (RAYS, PLACES + 2 AROUND); `frame` in samples of the field."""
    for a in range(RAYS):
        x, y = rays[a, 0] * frame[2] + rays[a, 1] * frame[4], rays[a, 0] * frame[3] + rays[a, 1] * frame[5]
        for p in range(out.shape[1]):
            r = rays[a, 2] + np.float32(STEP) * np.float32(p - AROUND)
            out[a, p] = _at(field, frame[0] + r * x, frame[1] + r * y)


@kernel(inner=True)
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


@kernel(inner=True)
def _together(contrast: Floats, out: Floats) -> None:
    """Mean of both eyes (2, RAYS, PLACES), either of which may lie a place nearer or farther."""
    for a in range(RAYS):
        for p in range(PLACES):
            total = F0
            for k in range(2):
                beside = max(contrast[k, a, max(p - 1, 0)], contrast[k, a, min(p + 1, PLACES - 1)])
                total += max(contrast[k, a, p], np.float32(0.9) * beside)
            out[a, p] = HALF * total


@kernel(allocates=True)
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


@kernel(inner=True, allocates=True)
def _own_line(contrast: Floats, path: Ints) -> None:
    """Replace the line that both eyes share by the strongest of one of them within `WANDER` places of it."""
    near = np.full((RAYS, PLACES), np.float32(-1), np.float32)
    for a in range(RAYS):
        for p in range(max(path[a] - WANDER, 0), min(path[a] + WANDER + 1, PLACES)):
            near[a, p] = contrast[a, p]
    _strongest_line(near, path)


@kernel(inner=True)
def _describe(contrast: Floats, path: Ints, rays: Floats, out: Floats) -> None:
    """The first three features: contrast along the line, contrast and radius of its part below the eye."""
    out[:3] = F0
    for a in range(RAYS):
        here = min(max(contrast[a, path[a]], F0), STRONG)
        out[0] += here / np.float32(RAYS)
        if BELOW[0] <= a < BELOW[1]:
            out[1] += here / np.float32(BELOW[1] - BELOW[0])
            out[2] += (rays[a, 2] + np.float32(STEP) * np.float32(path[a])) / np.float32(BELOW[1] - BELOW[0])


@kernel(inner=True)
def _in_field(vertices: Floats, layout: Layout, frames: Floats, left: int, top: int, coarse: int, out: Floats) -> None:
    """Frames of both eyes and of the root of the nose (3, 6) in samples of the field."""
    inverse, left_eye, right_eye = F1 / np.float32(coarse), layout.corners[0, 0], layout.corners[1, 0]
    for n in range(6):
        out[0, n], out[1, n] = frames[0, n], frames[1, n]
    for n in range(2):
        out[2, n] = vertices[layout.root, n]
        out[2, 2 + n] = (vertices[right_eye, n] - vertices[left_eye, n]) / np.float32(OUTER_CORNERS)
        out[2, 4 + n] = frames[0, 4 + n]
    for k in range(3):
        out[k, 0] = (out[k, 0] - np.float32(left) + HALF) * inverse - HALF
        out[k, 1] = (out[k, 1] - np.float32(top) + HALF) * inverse - HALF
        for n in range(2, 6):
            out[k, n] *= inverse


@kernel(inner=True, allocates=True)
def _clues(field: Floats, samples: Floats, out: Floats) -> np.float32:
    """Fill the last five features, and return what they add to the score."""
    out[3], out[4] = _bridge(field, samples[2])
    dark, bright = _arm(field, samples[0])
    other_dark, other_bright = _arm(field, samples[1])
    out[5], out[6], out[7] = max(dark, other_dark), min(dark, other_dark), max(bright, other_bright)
    total = F0
    for i in range(3, 8):
        total += WEIGHTS[i] * np.float32(np.log(out[i] + LEAST))
    return total


@kernel(inner=True, allocates=True)
def _lines(field: Floats, samples: Floats, rays: Floats, search: Search) -> np.float32:
    """Find the line of both eyes, fill the first three features, and return what they add to the score."""
    both, path = np.empty((RAYS, PLACES), np.float32), search.paths[0]
    for k in range(2):
        _read_rays(field, samples[k], rays, search.read[k])
        _contrast(search.read[k], search.contrast[k])
    _together(search.contrast, both)
    _strongest_line(both, path)
    _describe(both, path, rays, search.features)
    for a in range(RAYS):
        search.paths[1, a] = path[a]
    score = F0
    for i in range(3):
        score += WEIGHTS[i] * search.features[i]
    return score


@kernel(allocates=True)
def find_rims(image: Picture, vertices: Floats, layout: Layout, search: Search) -> tuple[np.float32, int]:
    """Look for the rims of glasses.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    vertices : (468, 3) float32
        Pixels.
    layout : Layout
    search : Search
        Filled as far as the search goes: where the bridge and the arms rule glasses out, no line is looked for.

    Returns
    -------
    float32
        0 where nothing or too little speaks for glasses, 1 where they surely are.
    int
        Pixels to a sample of what was looked at.
    """
    scale = _frames(vertices, layout, search.frames)
    coarse = max(int(scale / np.float32(USUAL) + HALF), 1)
    if scale < np.float32(FINEST):
        return F0, coarse
    field, left, top = _field(image, layout.logs, search.frames, scale, coarse)
    if field.shape[0] < 8 or field.shape[1] < 8:
        return F0, coarse
    samples = np.empty((3, 6), np.float32)
    _in_field(vertices, layout, search.frames, left, top, coarse, samples)
    clues = _clues(field, samples, search.features)
    if clues < TOO_LITTLE:
        return F0, coarse
    score = BIAS + clues + _lines(field, samples, layout.rays, search)
    share = min(max((score - DOUBTFUL) / (SURE - DOUBTFUL), F0), F1)
    if share > F0:
        for k in range(2):
            _own_line(search.contrast[k], search.paths[k])
    return share, coarse
