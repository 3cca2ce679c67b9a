"""Draw one worn mask: from chance and the ranges of its type into `facekit.masks.params.MaskParams`."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np

from facekit.masks.catalogue import MaskType, mask_type
from facekit.masks.draws import Draws, Line, four_decimals
from facekit.masks.params import Colour, MaskOptions, MaskParams
from facekit.masks.prints import draw_print
from facekit.masks.structure import draw_lines

__all__ = ["sample_params"]

HIGHER_IS_LONGER = 0.05  # of the height, a centimetre: what is pulled up on the nose must still hold the chin
STRAPS_SEEN = 0.85  # the others lie under hair
MOST_HALVES = 0.8  # logarithm; more is never seen but in hard sunlight
HIGHEST = 1.1  # centimetres above or below the usual place; 1.6 lower, and the nose is out
MOST_CREASED = 0.12  # depth of the creases times contrast of the folds


@cache
def _linear(text: str) -> Colour:
    levels = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels)
    return r, g, b


def _jitter(draw: Draws, colour: Colour, spread: float) -> Colour:
    """Shift lightness, and hue a little.

    More often toward blue, as masks in photographs are (their median b* is -2.6).
    """
    light, cool, tint = draw.bell(0, spread * 2), draw.uniform(-0.2, 1.6) * spread * 0.85, spread
    shifts = (
        light - cool + draw.bell(0.3 * spread, tint),
        light + draw.bell(-0.008, tint),
        light + cool + draw.bell(0, tint),
    )
    r, g, b = (round(min(max(c * 2.718281828**shift, 0.004), 0.92), 5) for c, shift in zip(colour, shifts, strict=True))
    return r, g, b


def _colour(draw: Draws, names: tuple[str, ...], spread: float, base: Colour | None = None) -> Colour:
    name = draw.choice(names)
    if name == "base" and base is not None:
        return base
    return _jitter(draw, _linear(name), spread)


def _inks(draw: Draws, kind: MaskType) -> tuple[Colour, Colour, Colour]:
    """The base colour, and two inks drawn some way toward it: printed cloth is rarely of full contrast."""
    base = _colour(draw, kind.colours, kind.colour_spread)
    inks = [_colour(draw, names, kind.colour_spread, base) for names in (kind.first, kind.second)]
    share = draw.uniform(*kind.contrast)
    first, second = (tuple(round(b + share * (c - b), 5) for b, c in zip(base, ink, strict=True)) for ink in inks)
    return base, (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _folds(draw: Draws, kind: MaskType) -> tuple[tuple[float, ...], ...]:
    count = int(draw.uniform(kind.folds[0], kind.folds[1] + 0.999))
    return tuple(
        (
            draw.uniform(0.1, 0.9),
            draw.uniform(0.15, 0.95),
            draw.bell(0, 0.6),
            draw.uniform(0.12, 0.45),
            draw.uniform(0.035, 0.07),
            four_decimals(kind.fold_height * draw.bell(0.2, 0.7)),
        )
        for _ in range(count)
    )


def _halves(draw: Draws, kind: MaskType) -> float:
    """Logarithm by which the right half is the brighter one."""
    drawn = draw.bell(0, kind.halves if draw.chance(0.5) else 0.2 * kind.halves)
    return min(max(drawn, -MOST_HALVES), MOST_HALVES)


def _relief(draw: Draws, kind: MaskType) -> tuple[float, float, float]:
    """Folds are lit from above more often than not, and from either side."""
    angle = draw.bell(0.0, 1.0)
    return (
        four_decimals(kind.relief * min(2.718281828 ** draw.bell(0.05, 0.55), 2.0)),
        four_decimals(math.sin(angle)),
        four_decimals(-math.cos(angle)),
    )


def _creases(draw: Draws, kind: MaskType, relief: float) -> tuple[float, float, float, float, float]:
    """Deep creases in a mask of strong contrast look like marble: the two together are bounded."""
    deep = kind.crumple * 2.718281828 ** draw.bell(0.0, 0.45)
    most = MOST_CREASED / max(relief, 1e-3)
    where = (draw.uniform(0.6, 1.5), draw.uniform(0.0, 6.2832), draw.uniform(0, 1), draw.uniform(0, 1))
    return four_decimals(min(deep, most)), *where


def _worn_down(draw: Draws, options: MaskOptions) -> float:
    """Centimetres by which the mask lies too low: 0, or those of one that is worn wrongly."""
    which, low, lowest = draw.uniform(0.0, 1.0), draw.uniform(1.7, 2.7), draw.uniform(5.4, 6.4)
    if which < options.nose_out:
        return low
    return lowest if which < options.nose_out + options.under_chin else 0.0


def _print(rng: np.random.Generator, share: float, base: Colour) -> tuple[Line, ...]:
    """Numbers of its own, drawn last, so that a share of prints leaves everything else as it was."""
    draw = Draws(rng)
    return draw_print(draw, 0.2126 * base[0] + 0.7152 * base[1] + 0.0722 * base[2]) if draw.chance(share) else ()


def sample_params(rng: np.random.Generator, type: str, options: MaskOptions | None = None) -> MaskParams:
    """Draw one worn mask.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance; for a record use ``default_rng([seed, key])``.
    type : str
        One of `facekit.masks.TYPES`.
    options : MaskOptions, optional
        Ranges set by the caller.

    Returns
    -------
    MaskParams

    Raises
    ------
    ConfigError
        The type is unknown.
    """
    kind, options, draw = mask_type(type), options or MaskOptions(), Draws(rng)
    inks, higher = _inks(draw, kind), min(max(draw.bell(0.0, 0.48), -HIGHEST), HIGHEST)
    down = _worn_down(draw, options)
    soft, relief = kind.shape.cup == 0, _relief(draw, kind)
    params = MaskParams(
        type=type,
        texture=draw.choice(kind.textures),
        inks=inks,
        strap=_colour(draw, kind.strap, 0.05, inks[0]),
        strap_radius=draw.uniform(0.16, 0.3) if draw.chance(STRAPS_SEEN) else 0.0,
        stretch=(draw.bell(1.0, 0.025), four_decimals(draw.bell(1.03, 0.045) + HIGHER_IS_LONGER * higher)),
        slide=(draw.bell(0.0, 0.15), four_decimals(higher - 0.2 - down)),
        tilt=draw.uniform(*options.tilt_range),
        gape=draw.uniform(0.0, 0.25 if soft else 0.1),
        corner=four_decimals(kind.corner * draw.uniform(0.2, 1.3)),
        lines=draw_lines(draw, kind, -relief[2]),
        tint=draw.bell(0, 0.1),
        halves=_halves(draw, kind),
        folds=_folds(draw, kind),
        gather=(four_decimals(kind.gather * draw.uniform(0.2, 1.2)), draw.uniform(2.5, 6.0), draw.uniform(0, 1)),
        edge=tuple(draw.bell(0, d) for d in (0.010, 0.014, 0.05, 0.016, 0.014, 0.03)),
        falloff=(draw.bell(0.34, 0.3), draw.uniform(-0.3, 0.9), draw.bell(0, 0.2)),
        relief=relief,
        form=(draw.bell(kind.form[0], 0.2), draw.bell(kind.form[1], 0.25), draw.bell(kind.rim, 0.1)),
        creases=_creases(draw, kind, relief[0]),
        ambient=draw.uniform(0.0, 0.15),
        light=draw.uniform(*options.light_range),
        uneven_light_share=draw.uniform(0.4, 1.0),
        exposure=four_decimals(2.718281828 ** draw.bell(0.27, 0.24)),
        cast=(draw.bell(0, 0.2), draw.bell(0.02, 0.18)),
        shadow=draw.uniform(*options.shadow_range),
        crispness=min(draw.bell(-0.1, 0.9), 0.6),
        softness=draw.uniform(0.0, 0.35),
        interreflection=four_decimals(0.45 * 2.718281828 ** draw.bell(0, 0.6)),
        grain_seed=int(rng.integers(2**31)),
        rims=options.rims,
    )
    printed = _print(rng, max(options.prints, kind.printed), inks[0])
    return replace(params, lines=(*params.lines, *printed)) if printed else params
