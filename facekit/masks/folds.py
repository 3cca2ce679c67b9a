"""How a mask is worn, as lines on its cloth: pleats that open, the ridge of the nose, folds and sheen."""

from __future__ import annotations

from facekit.masks.catalogue import MaskType
from facekit.masks.draws import Draws, Line
from facekit.masks.steps import Along, Look, Pair, line_of, step_of

__all__ = ["draw_folds"]

LEVEL = 0.64  # of t at the side: where a line that is level in the picture of a face from the front crosses the middle
LOWEST_PLEAT = 0.86
MOST_GAP = 0.8
MOST_SHEEN = 0.9


def draw_folds(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Lines that come of wearing a mask.

    Parameters
    ----------
    draw : Draws
    kind : MaskType
    look : Look
    """
    return [line for part in (_crest, _tent, _tension, _wrinkles, _pleats, _sheen) for line in part(draw, kind, look)]


def _uneven(draw: Draws) -> Along:
    return draw.between(0.1, 1.2), draw.between(0.15, 1.1), draw.between(0.1, 1.2)


def _pleats(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """From hem to hem, where they are sewn together; in the middle they stay level, or open and hang to the chin."""
    count, first, gap = draw.count(*kind.pleats), draw.between(0.22, 0.42), draw.between(0.13, 0.22)
    hanging, aside, through = draw.between(0.0, 0.8), draw.bell(0, 0.02), draw.between(0.0, 1.0)
    depth, lines = kind.pleat_depth * 2.718281828 ** draw.bell(-0.25, 0.45), list[Line]()
    for k in range(count):
        side = first + k * gap
        if side > LOWEST_PLEAT:
            break
        middle = side * (LEVEL + (1 - LEVEL) * hanging) + draw.bell(0, 0.015)
        deep, sides = depth * 2.718281828 ** draw.bell(0, 0.35), (side - aside, side + aside)
        if k == count - 1 and draw.chance(0.35):
            lines += _pocket(draw, look, sides, deep)
        elif draw.chance(through):
            lines.append(_through(draw, look, sides, middle, deep))
        else:
            lines += _from_sides(draw, look, sides, middle, deep)
    return lines


def _gap(look: Look) -> float:
    """How dark it is where a pleat gapes: on dark cloth nothing comes out, through light cloth some light falls."""
    return min(0.4 * look.gleam, MOST_GAP)


def _through(draw: Draws, look: Look, sides: Pair, middle: float, deep: float) -> Line:
    """One step from hem to hem."""
    left, right = (side + draw.bell(0, 0.012) for side in sides)
    ends = (draw.between(0.0, 0.06), left, draw.between(0.94, 1.0), right)
    return step_of(draw, look, ends, middle - (left + right) / 2, (deep, _gap(look)), _uneven(draw), (0.04, 0.14))


def _from_sides(draw: Draws, look: Look, sides: Pair, middle: float, deep: float) -> list[Line]:
    """A pleat that is shut at the hems and pulled open over nose and mouth: a fold on each side that melts away."""
    lines = []
    for out, at, sign in ((draw.between(0.0, 0.06), sides[0], 1), (draw.between(0.94, 1.0), sides[1], -1)):
        if draw.chance(0.12):
            continue
        inner, aside = 0.5 - sign * draw.between(-0.02, 0.24), draw.bell(0, 0.025)
        start = at + draw.bell(0, 0.012)
        ends = (out, start, inner, middle + aside)
        along = (draw.between(0.6, 1.4), draw.between(0.4, 1.0), draw.between(0.0, 0.15))
        bow = (middle - start) * draw.between(0.1, 0.4)
        pair = deep * draw.between(0.7, 1.4), 1.2 * _gap(look)
        lines.append(step_of(draw, look, ends, bow, pair, along, (0.06, 0.18)))
    return lines


def _pocket(draw: Draws, look: Look, sides: Pair, deep: float) -> list[Line]:
    """The lowest pleat of a mask that is drawn over the chin: from both hems down, with the cloth bulging above."""
    lines = []
    for out, at, sign in ((draw.between(0.0, 0.05), sides[0], 1), (draw.between(0.95, 1.0), sides[1], -1)):
        ends = (out, at, 0.5 - sign * draw.between(0.06, 0.2), min(at + draw.between(0.04, 0.16), 0.9))
        along = (draw.between(0.4, 1.1), draw.between(0.6, 1.3), draw.between(0.0, 0.5))
        lines.append(step_of(draw, look, ends, draw.between(0.0, 0.05), (deep, 0.5), along, (0.05, 0.14)))
    return lines


def _crest(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """The ridge from the bridge of the nose down: one side takes the light, the other lies in a shade of its colour."""
    if not draw.chance(kind.crest[0]):
        return []
    strong, bright = draw.chance(0.25), draw.chance(0.5)
    shade = look.deep * kind.crest[1] * (draw.between(0.5, 1.0) if strong else draw.between(0.05, 0.4))
    lip, reach = look.gleam * shade * draw.between(0.2, 1.0), draw.between(0.06, 0.32)
    at, end = 0.5 + draw.bell(0, 0.008), draw.between(0.3, 1.0)
    ends = (at, -0.01, at + draw.bell(0, 0.012), end)
    along = (draw.between(0.3, 1.0), draw.between(0.4, 1.1), 0.0 if end < 0.9 else 0.8)
    size = (look.soft * draw.between(0.006, 0.03), reach if bright else -reach)
    dark, bends = 0.3 * shade * max(draw.bell(0, 1.0), 0), (draw.bell(0, 0.008), draw.bell(0, 0.004))
    return [line_of(ends, bends, size, (dark, lip, shade), along)]


def _tent(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Cloth that stands off beside the nose: two folds from the wire outward, with the bright tent between them."""
    if not draw.chance(kind.tent[0]):
        return []
    lines, deep = [], look.deep * kind.tent[1] * draw.between(0.3, 1.2)
    wide, far = draw.between(0.06, 0.24), draw.between(0.2, 0.5)
    for sign in (-1, 1):
        if not draw.chance(0.75):
            continue
        s, start = 0.5 + sign * draw.between(0.01, 0.07), draw.between(0.0, 0.08)
        ends = (s, start, s + sign * wide * draw.between(0.5, 1.2), start + far * draw.between(0.6, 1.2))
        lip, shade = deep * look.gleam * draw.between(0.1, 0.6), deep * draw.between(0.2, 0.85)
        size = (look.soft * draw.between(0.02, 0.06), sign * draw.between(0.08, 0.22))
        along = (draw.between(0.4, 1.2), draw.between(0.3, 1.0), 0.0)
        lines.append(line_of(ends, (draw.bell(0, 0.006), 0.0), size, (0.0, lip, shade), along))
    return lines


def _tension(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Folds that run from the corners, where the loops pull, toward the nose and the chin, and short gathers."""
    lines = []
    for side in (0, 1):
        for corner, toward in ((0.04, 0.36), (0.93, 0.62)):
            for _ in range(draw.count(*kind.tension)):
                s0, s1 = draw.between(0.0, 0.05), draw.between(0.12, 0.4)
                ends = (abs(side - s0), corner + draw.bell(0, 0.05), abs(side - s1), toward + draw.bell(0, 0.09))
                along = (draw.between(0.3, 1.2), draw.between(0.3, 1.0), 0.0)
                deep = kind.pleat_depth * draw.between(0.15, 0.6)
                lines.append(step_of(draw, look, ends, draw.bell(0, 0.025), (deep, 0.3), along, (0.05, 0.12)))
    return lines


def _wrinkles(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Short soft folds anywhere, which lie level in the middle and run up and down toward the corners."""
    lines = []
    for _ in range(draw.count(*kind.wrinkles)):
        s, t, long = draw.between(0.08, 0.92), draw.between(0.1, 0.9), draw.between(0.04, 0.17)
        rise = (s - 0.5) * (t - 0.5) * draw.between(0.0, 1.6) + draw.bell(0, 0.04)
        ends = (max(s - long, 0.0), t - rise * long / 0.12, min(s + long, 1.0), t + rise * long / 0.12)
        along = (draw.between(0.0, 0.4), draw.between(0.4, 1.2), draw.between(0.0, 0.4))
        deep = (kind.pleat_depth * draw.between(0.1, 0.65), 0.2)
        lines.append(step_of(draw, look, ends, draw.bell(0, 0.015), deep, along, (0.04, 0.12)))
    return lines


def _sheen(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Broad soft light on smooth cloth, beside the middle line or over a cheek."""
    lines = []
    for sign in (-1, 1):
        if not draw.chance(kind.sheen[0]):
            continue
        bright = min(look.deep * kind.sheen[1] * draw.between(0.06, 0.6), MOST_SHEEN)
        s, top = 0.5 + sign * draw.between(0.05, 0.28), draw.between(0.0, 0.2)
        ends = (s, top, s + sign * draw.between(-0.05, 0.1), top + draw.between(0.35, 0.7))
        along = (draw.between(0.0, 0.6), 1.0, 0.0)
        size = (draw.between(0.04, 0.11), 0.01)
        lines.append(line_of(ends, (draw.bell(0, 0.03), 0.0), size, (-bright, 0.0, 0.0), along))
    return lines
