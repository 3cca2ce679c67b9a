"""Random numbers for one mask, and the lines on its cloth: pleats, folds from the corners, a seam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facekit.masks.catalogue import MaskType

__all__ = ["Draws", "Line", "draw_lines", "four_decimals"]

Line = tuple[float, ...]
"""(s0, t0, s1, t1, bow, width, dark, lip, shade, start, middle, end), see `facekit.masks.recipe.MaskParams`."""
NUMBERS = 768
LEVEL = 0.64  # of t at the side: where a line that is level in the picture of a face from the front crosses the middle
LOWEST_PLEAT = 0.92


def four_decimals(value: float) -> float:
    """Four decimals, for a short ledger; `round` takes three times as long, and a recipe has hundreds of numbers."""
    return math.floor(value * 1e4 + 0.5) / 1e4


class Draws:
    """Uniform numbers handed out one by one.

    One call of the generator for all of them is twenty times cheaper than one call each.

    Parameters
    ----------
    rng : numpy.random.Generator
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = iter(rng.random(NUMBERS).tolist())

    def uniform(self, low: float, high: float) -> float:
        """Between two numbers."""
        return four_decimals(low + (high - low) * next(self._numbers))

    def bell(self, centre: float, deviation: float) -> float:
        """Nearly normal (three uniforms), bounded at three deviations."""
        total = next(self._numbers) + next(self._numbers) + next(self._numbers)
        return four_decimals(centre + deviation * 2 * (total - 1.5))

    def count(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return min(least + int(next(self._numbers) * (most - least + 1)), most)

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return next(self._numbers) < share

    def choice(self, items: tuple[Any, ...]) -> Any:
        """One of some."""
        return items[min(int(next(self._numbers) * len(items)), len(items) - 1)]


def draw_lines(draw: Draws, kind: MaskType, from_above: float) -> tuple[Line, ...]:
    """The lines on one mask.

    Parameters
    ----------
    draw : Draws
    kind : MaskType
    from_above : float
        1 where light comes from straight above, -1 from below: the lower side of a pleat lies in its shade, or not.

    Returns
    -------
    tuple of Line
    """
    lit = 0.7 + 0.3 * from_above
    folded = (*_pleats(draw, kind, lit), *_pinch(draw, kind, lit), *_tension(draw, kind, lit))
    lines = (*folded, *_seam(draw, kind), *_hems(draw, kind))
    return tuple((*line[:7], four_decimals(kind.gleam * line[7]), *line[8:]) for line in lines)


def _stroke(draw: Draws, ends: Line, width: float, dark: float, lit: float, along: Line) -> Line:
    lip, shade = dark * draw.uniform(0.2, 0.8), dark * lit * draw.uniform(0.15, 0.6)
    return (*map(four_decimals, (*ends, width, dark, lip, shade, *along)),)


def _pleats(draw: Draws, kind: MaskType, lit: float) -> list[Line]:
    """From hem to hem, where they are sewn together; in the middle they stay level, or open and hang to the chin."""
    count, first, gap = draw.count(*kind.pleats), draw.uniform(0.2, 0.42), draw.uniform(0.12, 0.22)
    hanging, aside, depth = draw.uniform(0.0, 0.8), draw.bell(0, 0.02), kind.pleat_depth * draw.uniform(0.45, 1.3)
    lines: list[Line] = []
    for k in range(count):
        side = first + k * gap
        if side > LOWEST_PLEAT:
            break
        middle = side * (LEVEL + (1 - LEVEL) * hanging) + draw.bell(0, 0.015)
        dark = min(depth * 2.718281828 ** draw.bell(0, 0.35), 0.7)
        lines += _pleat(draw, (side - aside, side + aside), middle, dark, lit)
    return lines


def _pleat(draw: Draws, sides: tuple[float, float], middle: float, dark: float, lit: float) -> list[Line]:
    """One fold that lies over what is below it: a step with a shade, in two strokes where it gapes in the middle."""
    left, right = (side + draw.bell(0, 0.012) for side in sides)
    if draw.chance(0.4):
        ends = (draw.uniform(0.0, 0.06), left, draw.uniform(0.94, 1.0), right, middle - (left + right) / 2)
        return [_step(draw, ends, dark, lit, (draw.uniform(0.2, 1.3), draw.uniform(0.1, 1.1), draw.uniform(0.2, 1.3)))]
    meet, apart, over = draw.uniform(0.3, 0.7), draw.bell(0, 0.025), draw.uniform(-0.12, 0.2)
    strokes = []
    for start, at, sign in ((draw.uniform(0.0, 0.06), left, 1), (draw.uniform(0.94, 1.0), right, -1)):
        sag = (middle - at) * draw.uniform(0.15, 0.5)
        ends = (start, at, meet + sign * over / 2, middle + sign * apart, sag)
        along = (draw.uniform(0.3, 1.4), draw.uniform(0.2, 1.2), draw.uniform(0.0, 0.5))
        strokes.append(_step(draw, ends, dark * draw.uniform(0.5, 1.2), lit, along))
    return strokes


def _step(draw: Draws, ends: Line, dark: float, lit: float, along: Line) -> Line:
    """Cloth over cloth: little of a line, more of the shade below it."""
    line = _stroke(draw, ends, draw.uniform(0.009, 0.026), min(0.8 * dark, 0.6), lit, along)
    lip, shade = four_decimals(0.5 * line[7]), four_decimals(line[6] * lit * draw.uniform(0.4, 1.1))
    return (*line[:7], lip, shade, *line[9:])


def _pinch(draw: Draws, kind: MaskType, lit: float) -> list[Line]:
    """Short creases beside the bridge of the nose, where the wire is pressed in."""
    lines = []
    for sign in (-1, 1):
        for _ in range(draw.count(0, 2) if kind.pleats[1] else 0):
            s, t = 0.5 + sign * draw.uniform(0.05, 0.11), draw.uniform(0.0, 0.04)
            ends = (s, t, s + sign * draw.uniform(-0.02, 0.09), t + draw.uniform(0.08, 0.2), draw.bell(0, 0.012))
            dark = kind.pleat_depth * draw.uniform(0.15, 0.6)
            lines.append(_stroke(draw, ends, draw.uniform(0.008, 0.02), dark, lit, (1.0, draw.uniform(0.3, 0.8), 0.0)))
    return lines


def _tension(draw: Draws, kind: MaskType, lit: float) -> list[Line]:
    """Folds that run from the corners, where the loops pull, toward the nose and the chin, and short gathers."""
    lines = []
    for side in (0, 1):
        for corner, toward in ((0.04, 0.36), (0.93, 0.62)):
            for _ in range(draw.count(*kind.tension)):
                s0, s1 = draw.uniform(0.0, 0.05), draw.uniform(0.14, 0.46)
                t0 = corner + draw.bell(0, 0.05)
                ends = (abs(side - s0), t0, abs(side - s1), toward + draw.bell(0, 0.09), draw.bell(0, 0.025))
                dark = kind.pleat_depth * draw.uniform(0.25, 0.9)
                lines.append(
                    _stroke(draw, ends, draw.uniform(0.007, 0.02), dark, lit, (1.0, draw.uniform(0.3, 0.9), 0.0))
                )
    return lines


def _seam(draw: Draws, kind: MaskType) -> list[Line]:
    """Down the middle line: a groove, now and then a raised seam."""
    worn, dark, at = draw.chance(kind.seam[0]), kind.seam[1] * draw.uniform(0.4, 1.3), 0.5 + draw.bell(0, 0.003)
    raised = draw.chance(0.2)
    ends = (at, -0.01, at + draw.bell(0, 0.006), 1.01, draw.bell(0, 0.009))
    line = _stroke(
        draw, ends, draw.uniform(0.0026, 0.0045), -dark if raised else dark, 0.4, (1.0, draw.uniform(0.6, 1.0), 1.0)
    )
    return [line] if worn else []


def _hems(draw: Draws, kind: MaskType) -> list[Line]:
    """Along both sides, where the pleats are sewn together."""
    sewn, inset, dark = draw.chance(kind.hem[0]), draw.uniform(0.045, 0.085), kind.hem[1] * draw.uniform(0.5, 1.4)
    lines = []
    for at in (inset, 1 - inset):
        ends = (at + draw.bell(0, 0.004), 0.03, at + draw.bell(0, 0.004), 0.97, draw.bell(0, 0.006))
        lines.append(_stroke(draw, ends, draw.uniform(0.004, 0.008), dark, 0.4, (0.8, draw.uniform(0.6, 1.1), 0.8)))
    return lines if sewn else []
