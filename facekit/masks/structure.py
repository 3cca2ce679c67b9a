"""How a mask is made, as lines on its cloth: hems, wire, seams and welds; and all lines on one mask.

Every line is a step of cloth that shades itself: bright above, in shade below, dark where it gapes. What makes masks
differ is which of them there are, and how far, how sharply and how evenly each is seen.
"""

from __future__ import annotations

from facekit.masks.catalogue import MaskType
from facekit.masks.draws import Draws, Line
from facekit.masks.folds import draw_folds
from facekit.masks.steps import MOST_DARK, Look, line_of, step_of

__all__ = ["draw_lines"]

MOST_SEWN = 0.35  # darkness of hems: darker, they are pen lines
GLEAM = 2.0  # lips of dark cloth are brighter still than its light: they are all that is seen of it


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
    soft, deep = 2.718281828 ** draw.bell(0.2, 0.3), 2.718281828 ** draw.bell(0.5, 0.5)
    look = Look(0.7 + 0.3 * from_above, gleam, soft, deep)
    made = (
        *_band(draw, kind, look),
        *_wire(draw, kind),
        *_hems(draw, kind, look),
        *_seam(draw, kind, look),
        *_panels(draw, kind, look),
    )
    return (*made, *draw_folds(draw, kind, look))


def _band(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """The welds of the hem along the upper edge."""
    if not draw.chance(kind.band[0]):
        return []
    lines, at = [], draw.between(0.025, 0.055)
    dark = min(look.deep * kind.band[1] * draw.between(0.3, 1.2), MOST_SEWN)
    for k in range(draw.count(1, 2)):
        t, along = at + k * draw.between(0.035, 0.06), (draw.between(0.5, 1.1), draw.between(0.5, 1.1), 0.8)
        ends = (0.04, t + draw.bell(0, 0.004), 0.96, t + draw.bell(0, 0.004))
        light = (dark * draw.between(0.4, 1.0), dark * draw.between(0.0, 0.6), dark * draw.between(0.0, 0.5))
        lines.append(line_of(ends, (draw.bell(0, 0.004), 0.0), (draw.between(0.003, 0.007), 0.03), light, along))
    return lines


def _wire(draw: Draws, kind: MaskType) -> list[Line]:
    """The bar over the nose, of which often one half alone is seen: the other one mirrors the light."""
    if not draw.chance(kind.wire[0]):
        return []
    grey, t, half = kind.wire[1] * draw.between(0.3, 1.2), draw.between(0.03, 0.08), draw.choice((0, 0, 1, 2))
    left, right = 0.5 - draw.between(0.1, 0.22), 0.5 + draw.between(0.1, 0.22)
    left, right = ((left, right), (left, 0.5), (0.5, right))[half]
    along = (draw.between(0.6, 1.2), draw.between(0.7, 1.2), draw.between(0.6, 1.2))
    return [line_of((left, t, right, t), (0.0, 0.0), (draw.between(0.007, 0.012), 0.02), (grey, 0.1, 0.1), along)]


def _hems(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Along both sides, where the pleats are sewn together: a step down to the double strip outside."""
    if not draw.chance(kind.hem[0]):
        return []
    inset = draw.between(0.04, 0.085)
    dark = min(look.deep * kind.hem[1] * draw.between(0.3, 1.3), MOST_SEWN)
    lines = []
    for at, side in ((inset, 1), (1 - inset, -1)):
        ends = (at + draw.bell(0, 0.004), 0.03, at + draw.bell(0, 0.004), 0.97)
        light = (dark * draw.between(0, 0.5), dark * look.gleam * draw.between(0.0, 0.7), dark * draw.between(0, 0.7))
        size = (draw.between(0.003, 0.007), side * draw.between(0.02, 0.06))
        lines.append(line_of(ends, (draw.bell(0, 0.006), 0.0), size, light, (0.8, draw.between(0.5, 1.1), 0.8)))
    return lines


def _seam(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Down the middle line: a groove, a raised thread, or a step where one half lies over the other; rarely even."""
    if not draw.chance(kind.seam[0]):
        return []
    at, dark = 0.5 + draw.bell(0, 0.004), min(look.deep * kind.seam[1] * draw.between(0.05, 0.9), MOST_DARK)
    form, edge = draw.between(0.0, 1.0), draw.between(0.1, 0.9)
    light = (dark, 0.0, 0.0)  # a groove
    if form > 0.8:
        light = (-dark, 0.0, 0.0)
    elif form > 0.5:
        light = (dark * edge, dark * look.gleam * draw.between(0.3, 1.0), dark * draw.between(0.0, 0.5))
    ends = (at, -0.01, at + draw.bell(0, 0.008), 1.01)
    bends, size = (draw.bell(0, 0.014), draw.bell(0, 0.007)), (draw.between(0.0025, 0.0085), draw.between(-0.06, 0.06))
    along = (draw.between(0.4, 1.2), draw.between(0.3, 1.1), draw.between(0.0, 1.2))
    return [line_of(ends, bends, (size[0], size[1] or 0.01), light, along)]


def _panels(draw: Draws, kind: MaskType, look: Look) -> list[Line]:
    """Welds and folds of a respirator that is packed flat, from the crest to the sides."""
    lines, deep = [], kind.panels[1] * draw.between(0.3, 1.2)
    high, slope = draw.between(0.2, 0.4), draw.between(-0.05, 0.22)
    for k in range(draw.count(0, 2) if draw.chance(kind.panels[0]) else 0):
        t, rise = high + k * draw.between(0.2, 0.34), slope * (1 if k == 0 else -0.6)
        for out in (0.05, 0.95):
            ends = (out, t + rise + draw.bell(0, 0.006), 0.5, t + draw.bell(0, 0.006))
            along = (draw.between(0.4, 1.1), draw.between(0.4, 1.1), draw.between(0.2, 1.0))
            line = step_of(draw, look, ends, draw.bell(0, 0.01), (deep, 0.4), along, (0.015, 0.08))
            lines.append(line)
    return lines
