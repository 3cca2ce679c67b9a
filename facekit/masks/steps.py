"""Steps of cloth: the one kind of line that pleats, folds, hems and seams are drawn with."""

from __future__ import annotations

from typing import NamedTuple

from facekit.masks.draws import Draws, Line, four_decimals

__all__ = ["MOST_DARK", "Along", "Ends", "Look", "Pair", "line_of", "step_of"]

MOST_DARK, MOST_BRIGHT, MOST_SHADE = 0.7, 1.2, 0.65
BEYOND = 0.05  # the edges of the texture
Pair = tuple[float, float]
Ends = tuple[float, float, float, float]
Along = tuple[float, float, float]


class Look(NamedTuple):
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


def line_of(
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


def step_of(draw: Draws, look: Look, ends: Ends, bow: float, deep: Pair, along: Along, reach: Pair) -> Line:
    """Cloth over cloth, as deep and gaping as much as `deep` says: bright above, in shade below, rarely a line."""
    depth = look.deep * deep[0]
    dark, lip, shade = deep[1] * draw.between(-0.2, 0.7), draw.between(0.15, 0.8), draw.between(0.3, 1.0)
    drawn = (depth * max(dark, 0), depth * lip * look.gleam, depth * shade * look.lit)
    size = (look.soft * draw.between(0.004, 0.014), draw.between(*reach))
    return line_of(ends, (bow, draw.bell(0, 0.008)), size, drawn, along)
