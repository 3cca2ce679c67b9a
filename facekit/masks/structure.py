"""How a mask is made and worn, as lines on its cloth: pleats, crests, hems, seams and the folds of wearing it.

Every line is a step of cloth that shades itself: bright above, in shade below, dark where it gapes. What makes masks
differ is which of them there are, and how far, how sharply and how evenly each is seen.
"""

from __future__ import annotations

from typing import NamedTuple

from facekit.masks.catalogue import MaskType
from facekit.masks.draws import Draws, Line, four_decimals

__all__ = ["draw_lines"]

LEVEL = 0.64  # of t at the side: where a line that is level in the picture of a face from the front crosses the middle
LOWEST_PLEAT = 0.86
MOST_DARK, MOST_BRIGHT, MOST_SHADE = 0.5, 1.6, 0.65
BEYOND = 0.05  # the edges of the texture
GLEAM = 1.7  # lips of dark cloth are brighter still than its light: they are all that is seen of it
Pair = tuple[float, float]
Ends = tuple[float, float, float, float]
Along = tuple[float, float, float]


class _Look(NamedTuple):
    """What all lines of one mask share.

    Attributes
    ----------
    lit : float
        How dark the shade below a step is, of what it is under light from above.
    gleam : float
        How bright lips are, of what they are on light cloth.
    soft : float
        Width of the steps, of the usual one.
    deep : float
        Contrast of all lines, of the usual one: in flat light and on new masks hardly any is seen.
    """

    lit: float
    gleam: float
    soft: float
    deep: float


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
    gleam = kind.gleam**GLEAM
    soft, deep = 2.718281828 ** draw.bell(-0.1, 0.3), 2.718281828 ** draw.bell(0.5, 0.5)
    look = _Look(0.7 + 0.3 * from_above, gleam, soft, deep)
    made = (*_band(draw, kind, look), *_hems(draw, kind, look), *_seam(draw, kind, look), *_panels(draw, kind, look))
    worn = (*_crest(draw, kind, look), *_tent(draw, kind, look), *_tension(draw, kind, look))
    return (*made, *worn, *_wrinkles(draw, kind, look), *_pleats(draw, kind, look), *_sheen(draw, kind))


def _line(
    ends: Ends,
    bends: tuple[float, float],
    size: tuple[float, float],
    light: tuple[float, float, float],
    along: Along,
) -> Line:
    dark, lip, shade = light
    bounded = (min(dark, MOST_DARK), min(lip, MOST_BRIGHT), min(shade, MOST_SHADE))
    on_cloth = (min(max(end, -BEYOND), 1 + BEYOND) for end in ends)
    return (*map(four_decimals, (*on_cloth, *bends, *size, *bounded, *along)),)


def _step(draw: Draws, look: _Look, ends: Ends, bow: float, deep: Pair, along: Along, reach: Pair) -> Line:
    """Cloth over cloth, as deep and gaping as much as `deep` says: bright above, in shade below, rarely a line."""
    depth = look.deep * deep[0]
    dark, lip, shade = deep[1] * draw.uniform(-0.2, 0.7), draw.uniform(0.15, 0.8), draw.uniform(0.3, 1.0)
    drawn = (depth * max(dark, 0), depth * lip * look.gleam, depth * shade * look.lit)
    size = (look.soft * draw.uniform(0.004, 0.014), draw.uniform(*reach))
    return _line(ends, (bow, draw.bell(0, 0.008)), size, drawn, along)


def _uneven(draw: Draws) -> Along:
    return draw.uniform(0.1, 1.2), draw.uniform(0.15, 1.1), draw.uniform(0.1, 1.2)


def _pleats(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """From hem to hem, where they are sewn together; in the middle they stay level, or open and hang to the chin."""
    count, first, gap = draw.count(*kind.pleats), draw.uniform(0.22, 0.42), draw.uniform(0.13, 0.22)
    hanging, aside, through = draw.uniform(0.0, 0.8), draw.bell(0, 0.02), draw.uniform(0.0, 1.0)
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


def _through(draw: Draws, look: _Look, sides: tuple[float, float], middle: float, deep: float) -> Line:
    """One step from hem to hem."""
    left, right = (side + draw.bell(0, 0.012) for side in sides)
    ends = (draw.uniform(0.0, 0.06), left, draw.uniform(0.94, 1.0), right)
    return _step(draw, look, ends, middle - (left + right) / 2, (deep, 0.35), _uneven(draw), (0.04, 0.14))


def _from_sides(draw: Draws, look: _Look, sides: tuple[float, float], middle: float, deep: float) -> list[Line]:
    """A pleat that is shut at the hems and pulled open over nose and mouth: a fold on each side that melts away."""
    lines = []
    for out, at, sign in ((draw.uniform(0.0, 0.06), sides[0], 1), (draw.uniform(0.94, 1.0), sides[1], -1)):
        inner, aside = 0.5 - sign * draw.uniform(-0.02, 0.24), draw.bell(0, 0.025)
        start = at + draw.bell(0, 0.012)
        ends = (out, start, inner, middle + aside)
        along = (draw.uniform(0.1, 1.1), draw.uniform(0.5, 1.3), draw.uniform(0.0, 0.15))
        bow = (middle - start) * draw.uniform(0.1, 0.4)
        line = _step(draw, look, ends, bow, (deep * draw.uniform(0.4, 1.2), 0.8), along, (0.03, 0.1))
        if draw.chance(0.88):
            lines.append(line)
    return lines


def _pocket(draw: Draws, look: _Look, sides: tuple[float, float], deep: float) -> list[Line]:
    """The lowest pleat of a mask that is drawn over the chin: from both hems down, with the cloth bulging above."""
    lines = []
    for out, at, sign in ((draw.uniform(0.0, 0.05), sides[0], 1), (draw.uniform(0.95, 1.0), sides[1], -1)):
        ends = (out, at, 0.5 - sign * draw.uniform(0.06, 0.2), min(at + draw.uniform(0.04, 0.16), 0.9))
        along = (draw.uniform(0.4, 1.1), draw.uniform(0.6, 1.3), draw.uniform(0.0, 0.5))
        lines.append(_step(draw, look, ends, draw.uniform(0.0, 0.05), (deep, 0.5), along, (0.05, 0.14)))
    return lines


def _crest(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """The ridge from the bridge of the nose down: one side takes the light, the other lies in a shade of its colour."""
    worn, strong, bright = draw.chance(kind.crest[0]), draw.chance(0.35), draw.chance(0.5)
    shade = look.deep * kind.crest[1] * (draw.uniform(0.5, 1.0) if strong else draw.uniform(0.05, 0.4))
    lip, reach = look.gleam * shade * draw.uniform(0.2, 1.0), draw.uniform(0.03, 0.3)
    at, end = 0.5 + draw.bell(0, 0.008), draw.uniform(0.3, 1.0)
    ends = (at, -0.01, at + draw.bell(0, 0.012), end)
    along = (draw.uniform(0.3, 1.0), draw.uniform(0.4, 1.1), 0.0 if end < 0.9 else 0.8)
    size = (look.soft * draw.uniform(0.003, 0.012), reach if bright else -reach)
    dark, bends = 0.3 * shade * max(draw.bell(0, 1.0), 0), (draw.bell(0, 0.008), draw.bell(0, 0.004))
    return [_line(ends, bends, size, (dark, lip, shade), along)] if worn else []


def _tent(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Cloth that stands off beside the nose: two folds from the wire outward, with the bright tent between them."""
    lines, worn, deep = [], draw.chance(kind.tent[0]), look.deep * kind.tent[1] * draw.uniform(0.3, 1.2)
    wide, far = draw.uniform(0.06, 0.24), draw.uniform(0.2, 0.5)
    for sign in (-1, 1):
        s, start = 0.5 + sign * draw.uniform(0.01, 0.07), draw.uniform(0.0, 0.08)
        ends = (s, start, s + sign * wide * draw.uniform(0.5, 1.2), start + far * draw.uniform(0.6, 1.2))
        lip, shade = deep * look.gleam * draw.uniform(0.1, 0.6), deep * draw.uniform(0.3, 1.0)
        size = (look.soft * draw.uniform(0.006, 0.02), sign * draw.uniform(0.05, 0.16))
        along = (draw.uniform(0.4, 1.2), draw.uniform(0.3, 1.0), 0.0)
        line = _line(ends, (draw.bell(0, 0.006), draw.bell(0, 0.005)), size, (0.0, lip, shade), along)
        if draw.chance(0.75):
            lines.append(line)
    return lines if worn else []


def _tension(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Folds that run from the corners, where the loops pull, toward the nose and the chin, and short gathers."""
    lines = []
    for side in (0, 1):
        for corner, toward in ((0.04, 0.36), (0.93, 0.62)):
            for _ in range(draw.count(*kind.tension)):
                s0, s1 = draw.uniform(0.0, 0.05), draw.uniform(0.12, 0.4)
                ends = (abs(side - s0), corner + draw.bell(0, 0.05), abs(side - s1), toward + draw.bell(0, 0.09))
                along = (draw.uniform(0.3, 1.2), draw.uniform(0.3, 1.0), 0.0)
                deep = kind.pleat_depth * draw.uniform(0.2, 0.8)
                lines.append(_step(draw, look, ends, draw.bell(0, 0.025), (deep, 0.5), along, (0.03, 0.08)))
    return lines


def _wrinkles(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Short soft folds anywhere, which lie level in the middle and run up and down toward the corners."""
    lines = []
    for _ in range(draw.count(*kind.wrinkles)):
        s, t, long = draw.uniform(0.08, 0.92), draw.uniform(0.1, 0.9), draw.uniform(0.04, 0.17)
        rise = (s - 0.5) * (t - 0.5) * draw.uniform(0.0, 1.6) + draw.bell(0, 0.04)
        ends = (max(s - long, 0.0), t - rise * long / 0.12, min(s + long, 1.0), t + rise * long / 0.12)
        along = (draw.uniform(0.0, 0.4), draw.uniform(0.4, 1.2), draw.uniform(0.0, 0.4))
        deep = (kind.pleat_depth * draw.uniform(0.15, 0.9), 0.4)
        lines.append(_step(draw, look, ends, draw.bell(0, 0.015), deep, along, (0.02, 0.09)))
    return lines


def _band(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Along the upper edge: the welds of the hem, and the wire in it."""
    worn, at = draw.chance(kind.band[0]), draw.uniform(0.025, 0.055)
    dark = look.deep * kind.band[1] * draw.uniform(0.3, 1.2)
    lines = []
    for k in range(draw.count(1, 2)):
        t, along = at + k * draw.uniform(0.035, 0.06), (draw.uniform(0.5, 1.1), draw.uniform(0.5, 1.1), 0.8)
        ends = (0.04, t + draw.bell(0, 0.004), 0.96, t + draw.bell(0, 0.004))
        light = (dark * draw.uniform(0.4, 1.0), dark * draw.uniform(0.0, 0.6), dark * draw.uniform(0.0, 0.5))
        lines.append(_line(ends, (draw.bell(0, 0.004), 0.0), (draw.uniform(0.003, 0.007), 0.03), light, along))
    seen, grey = draw.chance(kind.wire[0]), kind.wire[1] * draw.uniform(0.3, 1.2)
    left, right = 0.5 - draw.uniform(0.1, 0.22), 0.5 + draw.uniform(0.1, 0.22)
    sides = ((left, right), (left, 0.5), (0.5, right))[draw.choice((0, 0, 1, 2))]
    t = at + draw.uniform(0.0, 0.03)
    along = (draw.uniform(0.6, 1.2), draw.uniform(0.7, 1.2), draw.uniform(0.6, 1.2))
    bar = _line((sides[0], t, sides[1], t), (0.0, 0.0), (draw.uniform(0.007, 0.012), 0.02), (grey, 0.1, 0.1), along)
    return (lines if worn else []) + ([bar] if seen else [])


def _hems(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Along both sides, where the pleats are sewn together: a step down to the double strip outside."""
    sewn, inset = draw.chance(kind.hem[0]), draw.uniform(0.04, 0.085)
    dark = look.deep * kind.hem[1] * draw.uniform(0.3, 1.3)
    lines = []
    for at, side in ((inset, 1), (1 - inset, -1)):
        ends = (at + draw.bell(0, 0.004), 0.03, at + draw.bell(0, 0.004), 0.97)
        light = (dark * draw.uniform(0, 0.5), dark * look.gleam * draw.uniform(0.0, 0.7), dark * draw.uniform(0, 0.7))
        size = (draw.uniform(0.003, 0.007), side * draw.uniform(0.02, 0.06))
        lines.append(_line(ends, (draw.bell(0, 0.006), 0.0), size, light, (0.8, draw.uniform(0.5, 1.1), 0.8)))
    return lines if sewn else []


def _seam(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Down the middle line: a groove, a raised thread, or a step where one half lies over the other; rarely even."""
    worn, at = draw.chance(kind.seam[0]), 0.5 + draw.bell(0, 0.004)
    dark = min(look.deep * kind.seam[1] * draw.uniform(0.15, 1.3), MOST_DARK)
    form, edge = draw.uniform(0.0, 1.0), draw.uniform(0.1, 0.9)
    light = (dark, 0.0, 0.0)  # a groove
    if form > 0.8:
        light = (-dark, 0.0, 0.0)
    elif form > 0.5:
        light = (dark * edge, dark * look.gleam * draw.uniform(0.3, 1.0), dark * draw.uniform(0.0, 0.5))
    ends = (at, -0.01, at + draw.bell(0, 0.008), 1.01)
    bends, size = (draw.bell(0, 0.012), draw.bell(0, 0.004)), (draw.uniform(0.0022, 0.0048), draw.uniform(-0.06, 0.06))
    along = (draw.uniform(0.4, 1.2), draw.uniform(0.3, 1.1), draw.uniform(0.0, 1.2))
    return [_line(ends, bends, (size[0], size[1] or 0.01), light, along)] if worn else []


def _panels(draw: Draws, kind: MaskType, look: _Look) -> list[Line]:
    """Welds and folds of a respirator that is packed flat, from the crest to the sides."""
    lines, deep = [], kind.panels[1] * draw.uniform(0.3, 1.2)
    high, slope = draw.uniform(0.2, 0.4), draw.uniform(-0.05, 0.22)
    for k in range(draw.count(0, 2) if draw.chance(kind.panels[0]) else 0):
        t, rise = high + k * draw.uniform(0.2, 0.34), slope * (1 if k == 0 else -0.6)
        for out in (0.05, 0.95):
            ends = (out, t + rise + draw.bell(0, 0.006), 0.5, t + draw.bell(0, 0.006))
            along = (draw.uniform(0.4, 1.1), draw.uniform(0.4, 1.1), draw.uniform(0.2, 1.0))
            line = _step(draw, look, ends, draw.bell(0, 0.01), (deep, 0.4), along, (0.015, 0.08))
            lines.append(line)
    return lines


def _sheen(draw: Draws, kind: MaskType) -> list[Line]:
    """Broad soft light on smooth cloth, beside the middle line or over a cheek."""
    lines = []
    for sign in (-1, 1):
        worn, bright = draw.chance(kind.sheen[0]), kind.sheen[1] * draw.uniform(0.1, 1.0)
        s, top = 0.5 + sign * draw.uniform(0.05, 0.28), draw.uniform(0.0, 0.2)
        ends = (s, top, s + sign * draw.uniform(-0.05, 0.1), top + draw.uniform(0.35, 0.7))
        along = (draw.uniform(0.0, 0.6), 1.0, 0.0)
        size = (draw.uniform(0.04, 0.11), 0.01)
        line = _line(ends, (draw.bell(0, 0.03), 0.0), size, (-bright, 0.0, 0.0), along)
        if worn:
            lines.append(line)
    return lines
