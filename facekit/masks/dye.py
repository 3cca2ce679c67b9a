"""Kernels: colour and crumple a texture before it is drawn, and draw the lines of pleats, seams and folds on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.compiled import kernel

__all__ = ["LineLight", "dye", "line_light"]

Floats = NDArray[np.float32]

F0, F1, F2, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)


MOST_TINTED = np.float32(0.35)
"""Largest change of a colour's red or blue by the light that falls on it."""
PADDING = 16
"""Texels beyond the columns of a plane that is read across: without them they all lie in the same part of the cache."""


class LineLight(NamedTuple):
    """What lines on the cloth make of its light: the product of two planes.

    Attributes
    ----------
    along : (T, S) float32
        Of lines that run down.
    beside : (S, T + `PADDING`) float32
        Of those that run from side to side.
    """

    along: NDArray[np.float32]
    beside: NDArray[np.float32]


@kernel()
def _dye(
    level: Floats,
    inks: Floats,
    two_tone: bool,
    slopes: Floats,
    crease: Floats,
    along: Floats,
    beside: Floats,
    tint: tuple[float, float],
    bright: Floats,
    out: Floats,
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
    wrap, size, ruddy, cool = np.uintp(n - 1), np.float32(n), np.float32(tint[0]), np.float32(tint[1])
    du, dv = crease[2] * size / np.float32(columns), crease[3] * size / np.float32(columns)
    r0, g0, b0 = inks[0, 0], inks[0, 1], inks[0, 2]
    r1, g1, b1 = inks[1, 0] - r0, inks[1, 1] - g0, inks[1, 2] - b0
    r2, g2, b2 = inks[2, 0], inks[2, 1], inks[2, 2]
    plain = two_tone and r1 == g1 == b1 == F0 and r2 == r0 and g2 == g0 and b2 == b0
    for y in range(rows):
        t = (np.float32(y) + HALF) / np.float32(rows)
        u0, v0 = (crease[4] - t * crease[3] + np.float32(8)) * size, (crease[5] + t * crease[2] + np.float32(8)) * size
        row, target, lights, others = level[y], out[y + 1], along[y], beside[:, y]
        for k in range(4):
            target[0, k], target[columns + 1, k] = F0, F0
        for x in range(columns):
            u, v = np.uintp(u0 + du * np.float32(x)) & wrap, np.uintp(v0 + dv * np.float32(x)) & wrap
            cover = row[x, 3]
            light = lights[x] * others[x]
            fold, above = cover * bright[v, u] * light, light - F1
            if plain:  # nothing is printed on it: most masks
                fold *= row[x, 0]
                r, g, b = r0, g0, b0
            elif two_tone:
                fold *= row[x, 0]
                first, second = row[x, 1], row[x, 2]
                r, g, b = r0 + first * r1, g0 + first * g1, b0 + first * b1
                r, g, b = r + second * (r2 - r), g + second * (g2 - g), b + second * (b2 - b)
            else:
                r, g, b = row[x, 0] * r0, row[x, 1] * g0, row[x, 2] * b0
            r += r * min(max(ruddy * above, -MOST_TINTED), MOST_TINTED)
            b += b * min(max(cool * above, -MOST_TINTED), MOST_TINTED)
            target[x + 1, 0], target[x + 1, 1], target[x + 1, 2], target[x + 1, 3] = fold * r, fold * g, fold * b, cover


def dye(
    level: Floats,
    inks: Floats,
    two_tone: bool,
    slopes: Floats,
    crease: Floats,
    lines: LineLight,
    tint: tuple[float, float],
    out: Floats,
) -> None:
    """Colour and crumple a texture, with the lines on it.

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
    lines : LineLight
        From `line_light`.
    tint : (float, float)
        By how much red and blue grow with the light of lines: shade has a colour of its own.
    out : (T + 2, S + 2, 4) float32
        Filled: premultiplied linear RGB and coverage inside a transparent border.
    """
    _dye(level, inks, two_tone, slopes, crease, *lines, tint, np.empty(slopes.shape[:2], np.float32), out)


LINE_WIDTH, LEAST_WIDTH, LEAST_LEFT, THREE = np.float32(2.5), np.float32(1.1), np.float32(0.05), np.float32(3)
"""Widths beside a line at which its darkness ends; narrowest width, texels; least light that is left; a number."""


@kernel(inner=True)
def _stroke(line: Floats, length: int, across: int, down: bool, ramp: Floats, plane: Floats) -> None:
    """Multiply the light (length, at least across) by what one line does."""
    a0, run = (line[1], line[3] - line[1]) if down else (line[0], line[2] - line[0])
    b0, slope = (line[0], line[2] - line[0]) if down else (line[1], line[3] - line[1])
    if abs(run) < np.float32(1e-4):
        return
    size, side = np.float32(across), F1 if line[7] > F0 else -F1
    far = max(abs(line[7]) * size, F1)
    dark, lip, shade = line[8], line[9], line[10]
    first = max(int(min(a0, a0 + run) * np.float32(length)), 0)
    last = min(int(max(a0, a0 + run) * np.float32(length)), length - 1)
    for i in range(first, last + 1):
        u = ((np.float32(i) + HALF) / np.float32(length) - a0) / run
        if u < F0 or u > F1:
            continue
        bow = np.float32(4) * u * (F1 - u)
        ends = line[11] + (line[13] - line[11]) * u
        strength = ends + (line[12] - HALF * (line[11] + line[13])) * bow
        width = max(line[6] * size * (HALF + HALF * min(strength, np.float32(1.5))), LEAST_WIDTH)
        at = (b0 + slope * u + (line[4] + line[5] * (F1 - F2 * u)) * bow) * size - HALF
        open_ = max(far * (HALF + HALF * min(strength, F1)), F1)  # a fold that gapes casts a wider shade
        reach = max(LINE_WIDTH * width, open_ if max(abs(lip), abs(shade)) > F0 else F0)
        low, high = max(int(at - reach), 0), min(int(at + reach) + 1, across - 1)
        narrow, soft, fade = F1 / (LINE_WIDTH * width) ** 2, side * HALF / width, side / open_
        count, start, touched = high + 1 - low, np.float32(low) - at, plane[i, low : high + 1]
        for j in range(count):
            x = start + ramp[j]
            core = max(F1 - x * x * narrow, F0)
            below = min(max(HALF + x * soft, F0), F1)
            over, under = min(max(F1 + x * fade, F0), F1), min(max(F1 - x * fade, F0), F1)
            bright, shaded = over * over * (THREE - F2 * over), under * under * (THREE - F2 * under)
            change = lip * bright * (F1 - below) - shade * shaded * below - dark * core * core
            touched[j] *= max(F1 + strength * change, LEAST_LEFT)


@kernel()
def _draw_lines(lines: Floats, ramp: Floats, along: Floats, beside: Floats) -> None:
    """What `line_light` does; the planes hold ones."""
    rows, columns = along.shape
    for n in range(lines.shape[0]):
        if abs(lines[n, 3] - lines[n, 1]) > abs(lines[n, 2] - lines[n, 0]):
            _stroke(lines[n], rows, columns, True, ramp, along)
        else:
            _stroke(lines[n], columns, rows, False, ramp, beside)


def line_light(lines: Floats, rows: int, columns: int) -> LineLight:
    """Light on cloth with lines that shade themselves.

    A line is a step of cloth: bright above and in shade below, both fading, and dark where it gapes. It is walked along
    the axis that it follows more, so that across it only few texels are touched, and those lie one after the other.

    Parameters
    ----------
    lines : (L, 14) float32
        See `facekit.masks.params.MaskParams`.
    rows, columns : int
        Of the texture.

    Returns
    -------
    LineLight
    """
    light = LineLight(np.ones((rows, columns), np.float32), np.ones((columns, rows + PADDING), np.float32))
    if len(lines):
        _draw_lines(lines, np.arange(max(rows, columns), dtype=np.float32), *light)
    return light
