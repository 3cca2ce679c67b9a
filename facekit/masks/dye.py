"""Kernels: colour and crumple a texture before it is drawn, and draw the lines of pleats, seams and folds on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["draw_lines", "dye"]

Floats = NDArray[np.float32]

F0, F1, HALF = np.float32(0), np.float32(1), np.float32(0.5)


@kernel()
def _dye(
    level: Floats, inks: Floats, two_tone: bool, slopes: Floats, crease: Floats, bright: Floats, out: Floats
) -> None:
    """What `dye` does; `bright` is filled with the light on crumpled cloth."""
    rows, columns, n = level.shape[0], level.shape[1], slopes.shape[0]
    for y in range(n):
        for x in range(n):
            fold = crease[0] * slopes[y, x, 0] + crease[1] * slopes[y, x, 1]
            bright[y, x] = F1 + fold + HALF * fold * fold
    for x in range(columns + 2):
        for k in range(4):
            out[0, x, k], out[rows + 1, x, k] = F0, F0
    wrap, size = np.uintp(n - 1), np.float32(n)
    du, dv = crease[2] * size / np.float32(columns), crease[3] * size / np.float32(columns)
    r0, g0, b0 = inks[0, 0], inks[0, 1], inks[0, 2]
    r1, g1, b1 = inks[1, 0] - r0, inks[1, 1] - g0, inks[1, 2] - b0
    r2, g2, b2 = inks[2, 0], inks[2, 1], inks[2, 2]
    for y in range(rows):
        t = (np.float32(y) + HALF) / np.float32(rows)
        u0, v0 = (crease[4] - t * crease[3] + np.float32(8)) * size, (crease[5] + t * crease[2] + np.float32(8)) * size
        row, target = level[y], out[y + 1]
        for k in range(4):
            target[0, k], target[columns + 1, k] = F0, F0
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


def dye(level: Floats, inks: Floats, two_tone: bool, slopes: Floats, crease: Floats, out: Floats) -> None:
    """Colour and crumple a texture.

    Parameters
    ----------
    level : (T, S, 4) float32
        Straight (not premultiplied), linear.
    inks : (3, 3) float32
        Base colour and two inks, linear RGB.
    two_tone : bool
        The texels are tone and the amounts of two inks; else a picture, which the base colour multiplies.
    slopes : (n, n, 2) float32
        Slopes of crumpled cloth along s and t; they repeat, and n is a power of two.
    crease : (6,) float32
        Weights of the slopes along s and t, cosine and sine of the map's turn times its size, and its offset.
    out : (T + 2, S + 2, 4) float32
        Filled: premultiplied linear RGB and coverage inside a transparent border.
    """
    _dye(level, inks, two_tone, slopes, crease, np.empty(slopes.shape[:2], np.float32), out)


LINE_REACH = np.float32(7)  # widths below a line at which its shade has faded; three above it


@kernel(inner=True)
def _profile(d: np.float32, dark: np.float32, lip: np.float32, shade: np.float32) -> np.float32:
    """Change of brightness `d` widths below a line: a bright lip, the dark line, a shade that fades."""
    change = F0
    if abs(d) < np.float32(2.5):
        change -= dark * (F1 - d * d * np.float32(0.16)) ** 4
    above = d + np.float32(1.9)
    if abs(above) < np.float32(2.5):
        change += lip * (F1 - above * above * np.float32(0.16)) ** 4
    if d > F0:
        fade = F1 - d / LINE_REACH
        change -= shade * fade * fade
    return change


@kernel()
def draw_lines(lines: Floats, out: Floats) -> None:
    """Draw lines that shade themselves on a dyed texture.

    A line is walked along the axis that it follows more: across it only few texels are touched, so that a dozen lines
    cost a twentieth of the dye.

    Parameters
    ----------
    lines : (L, 12) float32
        See `facekit.masks.recipe.MaskParams`.
    out : (T + 2, S + 2, 4) float32
        From `dye`; its colours are changed in place.
    """
    rows, columns = out.shape[0] - 2, out.shape[1] - 2
    for n in range(lines.shape[0]):
        line = lines[n]
        ds, dt = line[2] - line[0], line[3] - line[1]
        down = abs(dt) > abs(ds)
        length, across = (rows, columns) if down else (columns, rows)
        a0, run = (line[1], dt) if down else (line[0], ds)
        b0, slope = (line[0], ds) if down else (line[1], dt)
        if abs(run) < np.float32(1e-4):
            continue
        width = max(line[5] * np.float32(across), np.float32(1.1))
        first = max(int(min(a0, a0 + run) * np.float32(length)), 0)
        last = min(int(max(a0, a0 + run) * np.float32(length)), length - 1)
        for i in range(first, last + 1):
            u = ((np.float32(i) + HALF) / np.float32(length) - a0) / run
            if u < F0 or u > F1:
                continue
            bow = np.float32(4) * u * (F1 - u)
            ends = line[9] + (line[11] - line[9]) * u
            strength = ends + (line[10] - HALF * (line[9] + line[11])) * bow
            at = (b0 + slope * u + line[4] * bow) * np.float32(across) - HALF
            low, high = int(at - np.float32(4.5) * width), int(at + LINE_REACH * width) + 1
            for j in range(max(low, 0), min(high, across - 1) + 1):
                factor = F1 + strength * _profile((np.float32(j) - at) / width, line[6], line[7], line[8])
                texel = out[i + 1, j + 1] if down else out[j + 1, i + 1]
                for k in range(3):
                    texel[k] *= max(factor, np.float32(0.05))
