"""Prints on the cloth: lettering, marks and labels of the project's own drawing, as lines that a mask already knows.

The marks look like print from afar and are no letters of any script and nobody's logo.
"""

from __future__ import annotations

from collections.abc import Callable

from facekit.masks.draws import Draws, Line, four_decimals

__all__ = ["draw_print"]

DARK_CLOTH = 0.15
"""Linear level below which cloth is printed in a lighter ink."""
WIDEST = 0.75  # height over width of a texture: one tall is as many texels as .75 wide
RIGHTMOST = 0.86  # where a row ends at the latest
STROKES = (
    (0.0, 0.0, 0.0, 1.0),
    (1.0, 0.0, 1.0, 1.0),
    (0.0, 0.02, 1.0, 0.02),
    (0.0, 0.5, 1.0, 0.5),
    (0.0, 0.98, 1.0, 0.98),
    (0.0, 1.0, 1.0, 0.0),
)
"""Of a glyph, in a box of side 1: two ends each."""


def draw_print(draw: Draws, level: float) -> tuple[Line, ...]:
    """One print: a label of small rows, a word, or a mark, somewhere on the lower half of the cloth.

    Parameters
    ----------
    draw : Draws
        Takes at most 400 numbers.
    level : float
        Linear luminance of the cloth, which says whether the ink is darker or lighter.

    Returns
    -------
    tuple of Line
    """
    kind: Callable[[Draws, float], list[Line]] = draw.choice((_label, _label, _word, _mark))
    return tuple(kind(draw, _ink(draw, level)))


def _ink(draw: Draws, level: float) -> float:
    """Darkness of a stroke; below 0 it is brighter than the cloth."""
    dark, most = draw.uniform(0.4, 0.85), draw.uniform(0.25, 0.7)
    return dark if level > DARK_CLOTH else -four_decimals(min(most / max(level, 0.01) - 1, 14.0))


def _stroke(ends: tuple[float, ...], bow: float, width: float, ink: float) -> Line:
    drawn = map(four_decimals, (*ends, bow, 0.0, width, width))
    return (*drawn, ink, 0.0, 0.0, 1.0, 1.0, 1.0)


def _row(draw: Draws, left: float, top: float, height: float, glyphs: int, ink: float) -> list[Line]:
    """Glyphs side by side, each of two or three strokes."""
    wide, bold, lines = WIDEST * height * draw.uniform(0.5, 0.7), height * draw.uniform(0.05, 0.09), []
    left = max(min(left, RIGHTMOST - 1.5 * glyphs * wide), 1 - RIGHTMOST)
    for k in range(glyphs):
        s, first = left + 1.5 * k * wide, draw.count(0, len(STROKES) - 1)
        for n in range(draw.count(2, 3)):
            s0, t0, s1, t1 = STROKES[(first + n * (1 + first % 2)) % len(STROKES)]
            ends = (s + s0 * wide, top + t0 * height, s + s1 * wide, top + t1 * height)
            lines.append(_stroke(ends, 0.0, bold, ink))
    return lines


def _label(draw: Draws, ink: float) -> list[Line]:
    """Two or three rows of small print beside the middle, as respirators have them."""
    right, top, height = draw.chance(0.6), draw.uniform(0.42, 0.62), draw.uniform(0.035, 0.055)
    left = draw.uniform(0.57, 0.64) if right else draw.uniform(0.2, 0.27)
    rows = draw.count(2, 3)
    return [
        line
        for row in range(rows)
        for line in _row(draw, left, top + 1.6 * row * height, height, draw.count(3, 6), ink)
    ]


def _word(draw: Draws, ink: float) -> list[Line]:
    """One row of large print, in the middle or at a side."""
    height, glyphs = draw.uniform(0.06, 0.11), draw.count(3, 7)
    left = draw.choice((0.5 - 0.35 * height * glyphs, 0.57, 0.2))
    return _row(draw, left, draw.uniform(0.4, 0.66), height, glyphs, ink)


def _mark(draw: Draws, ink: float) -> list[Line]:
    """A ring, chevrons or a small tag, now and then over a row of small print."""
    s, t, size = draw.choice((0.33, 0.5, 0.68)), draw.uniform(0.42, 0.66), draw.uniform(0.025, 0.05)
    figure: Callable[[float, float, float, float], list[Line]] = draw.choice((_ring, _chevrons, _tag))
    under = _row(draw, s - 1.6 * size, t + 2.1 * size, 1.1 * size, 4, ink) if draw.chance(0.4) else []
    return figure(s, t, size, ink) + under


def _ring(s: float, t: float, size: float, ink: float) -> list[Line]:
    ends = (s - size, t, s + size, t)
    return [_stroke(ends, bow * size / WIDEST, 0.2 * size, ink) for bow in (1.0, -1.0)]


def _chevrons(s: float, t: float, size: float, ink: float) -> list[Line]:
    return [
        _stroke((s + side * size, t + down * size, s, t + (down + 0.7) * size), 0.0, 0.16 * size, ink)
        for down in (-0.8, 0.0)
        for side in (-1, 1)
    ]


def _tag(s: float, t: float, size: float, ink: float) -> list[Line]:
    return [_stroke((s - 0.8 * size, t, s + 0.8 * size, t), 0.0, 0.45 * size, ink)]
