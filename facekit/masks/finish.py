"""Kernels, last part: bring the drawn samples into the picture as its camera would have taken them.

Encoded, as blurred, sharp and grainy as the picture, with a shadow on the skin. Pictures are indexed [y, x]; no random
numbers here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel
from facekit.masks.raster import Window

__all__ = ["Border", "Curves", "Finish", "finish_picture"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Picture = NDArray[np.uint8]

F0, F1, F2, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
ONE = np.uintp(1)
LEAST_GAIN = np.float32(
    0.8
)  # of detail: a soft forehead must not wipe pleats and seams out; the picture's blur softens them
MOST_GRAIN = np.float32(1.2)  # levels; more reads as a weave that the skin beside it has not


class Border(NamedTuple):
    """Vertices on the border of the mesh (see `facekit.faces.landmarks`).

    Attributes
    ----------
    left_edge, right_edge, chin : int
    oval : (36,) int32
        All of the border, once around.
    """

    left_edge: int
    right_edge: int
    chin: int
    oval: NDArray[np.int32]


class Curves(NamedTuple):
    """What does not change from picture to picture.

    Attributes
    ----------
    to_levels : (N + 2,) float32
        Level 0..255 of linear intensities from 0 to 4.
    grain : (n, n) float32
        Unit deviation, periodic; n is a power of two.
    """

    to_levels: NDArray[np.float32]  # linear 0..4 -> level 0..255
    grain: NDArray[np.float32]  # (n, n) unit deviation, periodic; n is a power of two


class Finish(NamedTuple):
    """How the layer is brought into the picture.

    Attributes
    ----------
    red, green, blue : float
        Exposure of white.
    desaturate : float
        0 leaves colours, 1 makes them grey, as the picture is.
    cast_x, cast_y : float
        How much warmer the light is at the right than at the left of the window, and at its bottom than at its top.
    sharpness : float
        Mean |Laplacian| that the mask should have, levels.
    shadow : float
        Darkness of the contact shadow, 0 none to 1 black.
    shift_x, shift_y : int
        Pixels by which the shadow lies to the right of the mask and below it.
    grain_x, grain_y : int
        Where in the grain this picture starts.
    """

    red: float
    green: float
    blue: float
    desaturate: float
    cast_x: float
    cast_y: float
    sharpness: float
    shadow: float
    shift_x: int
    shift_y: int
    grain_x: int
    grain_y: int


@kernel()
def _settle(
    samples: Floats,
    exposure: tuple[float, float, float],
    desaturate: float,
    cast: tuple[float, float],
    to_levels: Floats,
    pad: int,
    out: Floats,
) -> None:
    """Average each pixel's samples in linear light, expose and encode.

    Samples (2 h, 2 w, 4) become levels 0..255, premultiplied, in out[pad:-pad, pad:-pad]; `out` holds zeros. Two
    samples an axis are written out, since a loop over them takes 1.7 times as long; a test holds
    `facekit.masks.raster.SAMPLES` to it.
    """
    most = np.float32(to_levels.shape[0] - 2)
    span = np.float32(to_levels.shape[0] - 2) / np.float32(4)
    red, green, blue = np.float32(exposure[0]), np.float32(exposure[1]), np.float32(exposure[2])
    grey_share = np.float32(desaturate)
    cast_x, cast_y = np.float32(cast[0] * 2 / samples.shape[1]), np.float32(cast[1] * 2 / samples.shape[0])
    for y in range(samples.shape[0] // 2):
        warm = np.float32(y) * cast_y - np.float32(0.5) * np.float32(cast[0] + cast[1])
        for x in range(samples.shape[1] // 2):
            j, i = 2 * y, 2 * x
            a = samples[j, i, 3] + samples[j, i + 1, 3] + samples[j + 1, i, 3] + samples[j + 1, i + 1, 3]
            if a <= F0:
                continue
            scale = span / a
            r = samples[j, i, 0] + samples[j, i + 1, 0] + samples[j + 1, i, 0] + samples[j + 1, i + 1, 0]
            g = samples[j, i, 1] + samples[j, i + 1, 1] + samples[j + 1, i, 1] + samples[j + 1, i + 1, 1]
            b = samples[j, i, 2] + samples[j, i + 1, 2] + samples[j + 1, i, 2] + samples[j + 1, i + 1, 2]
            tint = warm + np.float32(x) * cast_x
            r, g, b = red * scale * r * (F1 + tint), green * scale * g, blue * scale * b * (F1 - tint)
            grey = np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * b
            a *= np.float32(0.25)
            r, g, b = r + grey_share * (grey - r), g + grey_share * (grey - g), b + grey_share * (grey - b)
            pixel = out[y + pad, x + pad]
            for k in range(3):
                value = min(max(r if k == 0 else (g if k == 1 else b), F0), most)
                whole = int(value)
                i0 = np.uintp(whole)  # unsigned: no test for negative indices
                pixel[k] = a * (to_levels[i0] + (value - np.float32(whole)) * (to_levels[i0 + ONE] - to_levels[i0]))
            pixel[3] = a


@kernel()
def _weigh(source: Floats, taps: Floats, steps: tuple[int, int], line: Floats, out: Floats) -> None:
    """Symmetric filter of an array (n,) with taps (2 m + 1,) from the middle outward: first lying one step apart, from
    `source` to `line`, then the other, from there to `out`.

    Two pairs of taps at once, since what costs is going over memory. The ends that the taps overhang are zeros in
    `line`; those of `out` stay as they are.
    """
    reach, size = taps.shape[0] - 1, source.shape[0]
    for x in range(reach * steps[0]):
        line[x], line[size - 1 - x] = F0, F0
    for turn in range(2):
        origin, filled = (source, line) if turn == 0 else (line, out)
        step = steps[0] if turn == 0 else steps[1]
        start, stop = reach * step, size - reach * step
        for i in range(1, taps.shape[0], 2):
            near, far, first, second = i * step, (i + 1) * step, taps[i], taps[i + 1]
            a, b = origin[start - near : stop - near], origin[start + near : stop + near]
            c, d = origin[start - far : stop - far], origin[start + far : stop + far]
            middle, target, weight = origin[start:stop], filled[start:stop], taps[0]
            if i == 1:
                for x in range(stop - start):
                    target[x] = weight * middle[x] + first * (a[x] + b[x]) + second * (c[x] + d[x])
            else:
                for x in range(stop - start):
                    target[x] += first * (a[x] + b[x]) + second * (c[x] + d[x])


def _blur(source: Floats, taps: Floats, scratch: Floats, out: Floats) -> None:
    """Separable symmetric filter of (h, w, channels) with taps (2 m + 1,) from the middle outward.

    All but a border as wide as the taps must lie in zeros, so that rows may be taken as one line. `source` and `out`
    may be one array; the border of `out` stays as it is.
    """
    _, width, channels = source.shape
    _weigh(source.reshape(-1), taps, (channels, width * channels), scratch[: source.size], out.reshape(-1))


@kernel()
def _layer_sharpness(layer: Floats, pad: int) -> np.float32:
    """Mean |Laplacian| of green where the layer is whole, levels; 0 where it nowhere is."""
    total, count, solid = F0, 0, np.float32(0.995)
    for row in range(pad, layer.shape[0] - pad):
        for column in range(pad, layer.shape[1] - pad):
            y, x = np.uintp(row), np.uintp(column)  # unsigned: no test for negative indices
            left, right, above, below = x - ONE, x + ONE, y - ONE, y + ONE
            beside = min(layer[y, left, 3], layer[y, right, 3])
            if min(layer[y, x, 3], beside, layer[above, x, 3], layer[below, x, 3]) < solid:
                continue
            around = layer[y, left, 1] + layer[y, right, 1] + layer[above, x, 1] + layer[below, x, 1]
            total += abs(around - np.float32(4) * layer[y, x, 1])
            count += 1
    return total / np.float32(max(count, 1))


@kernel()
def _temper(
    layer: Floats,
    smooth: Floats,
    pad: int,
    sharpness: float,
    desaturate: float,
    found: np.float32,
    grain: Floats,
    grain_x: int,
    grain_y: int,
) -> None:
    """Scale the detail over `smooth` (the blurred layer) to the sharpness asked for; grain makes up what is missing."""
    target = np.float32(sharpness)
    gain = min(np.float32(1.45), max(np.float32(0.9) * target / found, LEAST_GAIN)) if found > F0 else F1
    missing = max(target * target - (gain * found) ** 2, F0)
    strength = min(
        np.float32(np.sqrt(missing)) / np.float32(3.57), MOST_GRAIN
    )  # white noise of deviation 1 has mean |Laplacian| 3.57
    wrap, tint = grain.shape[0] - 1, np.float32(0.3) * (F1 - np.float32(desaturate))
    for row in range(pad, layer.shape[0] - pad):
        for column in range(pad, layer.shape[1] - pad):
            y, x = np.uintp(row), np.uintp(column)  # unsigned: no test for negative indices
            a = layer[y, x, 3]
            if a <= F0:
                continue
            share = gain + (F1 - gain) * (F1 - a)
            whole = a / max(smooth[y, x, 3], np.float32(1e-4))
            noise = a * strength * grain[(row - pad + grain_y) & wrap, (column - pad + grain_x) & wrap]
            for k in range(3):
                base = smooth[y, x, k] * whole
                value = base + share * (layer[y, x, k] - base) + noise * (F1 + tint * np.float32(k - 1))
                layer[y, x, k] = min(max(value, F0), np.float32(255) * a)


@kernel()
def _fill_reach(
    vertices: Floats,
    left_edge: int,
    right_edge: int,
    chin: int,
    oval: Ints,
    x0: int,
    y0: int,
    scale: float,
    crossings: Floats,
    out: Floats,
) -> None:
    chin_x, chin_y = vertices[chin, 0], vertices[chin, 1]
    width = abs(vertices[right_edge, 0] - vertices[left_edge, 0])
    half_jaw = np.float32(0.32) * width + F1
    for y in range(out.shape[0]):
        level, count = np.float32(y + y0), 0
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
            first, last = int(np.ceil(crossings[i])) - x0, int(np.floor(crossings[i + 1])) - x0
            for x in range(max(0, first), min(out.shape[1] - 1, last) + 1):
                out[y, x] = F1
        if (level - chin_y) / scale > np.float32(-1.5):
            for x in range(out.shape[1]):
                across = abs(np.float32(x + x0) - chin_x) / half_jaw
                out[y, x] = max(out[y, x], min(max(np.float32(1.6) - F2 * across, F0), F1))


def _shadow_reach(vertices: Floats, border: Border, window: Window, scale: float, out: Floats) -> None:
    """Where a shadow may fall (h, w): on the face (even-odd fill of its oval), and fading on the neck."""
    _fill_reach(vertices, *border, *window[:2], scale, np.empty(len(border.oval), np.float32), out)


@kernel()
def _compose(
    image: Picture,
    layer: Floats,
    spread: Floats,
    reach: Floats,
    pad: int,
    shadow: float,
    shift_x: int,
    shift_y: int,
    x0: int,
    y0: int,
    coverage: Floats,
    out: Picture,
) -> None:
    """Lay the layer over the picture; its blurred coverage `spread`, shifted, darkens the skin it may reach."""
    height, width = reach.shape
    faint, strength = np.float32(1 / 512), np.float32(shadow)
    for y in range(height):
        sy = min(max(y - shift_y, 0), height - 1) + pad
        for x in range(width):
            sx = min(max(x - shift_x, 0), width - 1) + pad
            a = layer[y + pad, x + pad, 3]
            dark = strength * spread[sy, sx] * reach[y, x]
            if a <= faint and dark <= faint:
                continue
            py, px = y + y0, x + x0
            coverage[py, px] = min(a, F1) if a > faint else F0
            share = (F1 - a) * (F1 - dark)
            for k in range(3):
                value = layer[y + pad, x + pad, k] + share * np.float32(image[py, px, k]) + HALF
                out[py, px, k] = np.uint8(min(max(value, F0), np.float32(255)))


def finish_picture(
    image: Picture,
    samples: Floats,
    vertices: Floats,
    border: Border,
    curves: Curves,
    finish: Finish,
    taps: tuple[Floats, Floats, Floats],
    window: Window,
    scale: float,
    coverage: Floats,
    out: Picture,
) -> None:
    """Lay the drawn samples over the picture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The bare picture, RGB.
    samples : (2 h, 2 w, 4) float32
        Premultiplied linear RGB and coverage of the window, from `facekit.masks.raster.draw`.
    vertices : (468, 3) float32
        Pixels.
    border : Border
    curves : Curves
    finish : Finish
    taps : three of (2 m + 1,) float32
        Filters from the middle outward: the picture's blur, detail, shadow.
    window : Window
        The part of the picture that is drawn, (h, w).
    scale : float
        Pixels per centimetre.
    coverage : (H, W) float32
        Holds zeros; filled with the opacity of the mask.
    out : (H, W, 3) uint8
        Holds the bare picture; the mask and its shadow are laid over it.
    """
    pad = max(map(len, taps))
    height, width = window.height + 2 * pad, window.width + 2 * pad
    layer, smooth = np.zeros((height, width, 4), np.float32), np.zeros((height, width, 4), np.float32)
    _settle(samples, finish[:3], finish.desaturate, finish[4:6], curves.to_levels, pad, layer)
    scratch = np.empty(layer.size, np.float32)
    _blur(layer, taps[0], scratch, layer)
    _blur(layer, taps[1], scratch, smooth)
    found, grain = np.float32(_layer_sharpness(layer, pad)), (curves.grain, finish.grain_x, finish.grain_y)
    _temper(layer, smooth, pad, finish.sharpness, finish.desaturate, found, *grain)
    cover, spread = np.ascontiguousarray(layer[:, :, 3:]), np.zeros((height, width, 1), np.float32)
    _blur(cover, taps[2], scratch, spread)
    reach = np.empty((window.height, window.width), np.float32)
    _shadow_reach(vertices, border, window, scale, reach)
    shadow = (finish.shadow, finish.shift_x, finish.shift_y)
    _compose(image, layer, spread[:, :, 0], reach, pad, *shadow, *window[:2], coverage, out)
