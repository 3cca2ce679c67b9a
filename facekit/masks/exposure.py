"""What the light of a picture makes of white cloth: how bright it is in it, and of what colour."""

from __future__ import annotations

import math

from facekit.masks.params import Colour
from facekit.masks.scene import SceneEstimate

__all__ = ["exposure_of_white", "grey", "luminance_of", "single_hue"]

TYPICAL_SKIN = 0.30  # linear reflectance, light skin: the prior where the picture's white point says nothing
TYPICAL_COLOUR = (1.52, 0.90, 0.66)  # of skin, relative to its luminance
# Share of the skin's departure from typical skin that is put down to the colour of the light: red skin is more often
# red than lit so, and cameras take most of the yellow of lamps away. b* of 80 really worn white masks follows that of
# the skin with a slope of .42, here with .35: what follows more is taken for skin by a network that finds masks.
FOLLOWS = 0.40
DARK_FOLLOWS = 0.7  # by how much more black cloth does: much of what comes from it is the light of the scene
DARK = 0.25  # linear reflectance below which cloth is dark
MOST_OF_SKIN = 0.8  # logarithm of red over blue: no skin departs farther, so that what is beyond it is light
SEEN_SHARE = 0.7  # of the white point's guess; on really worn masks, L* of white cloth follows the skin's with .2
LEAST_WHITE = 0.28  # linear level of white in the darkest pictures: cameras expose for what is bright in them
MOST_TINT_SPREAD = 6.0  # levels; of 400 aligned faces 1% have less, half have three times as much
TINT = 0.7  # of the skin's tint in a monochrome picture: what is brighter is tinted less
CLOTH_WHITE = 0.80  # reflectance that the white point stands for


def luminance_of(colour: Colour) -> float:
    """Of a linear RGB colour (Rec. 709)."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def grey(colour: Colour, share: float) -> Colour:
    """A linear colour drawn toward grey of its luminance."""
    level = luminance_of(colour)
    r, g, b = (c + share * (level - c) for c in colour)
    return r, g, b


def single_hue(scene: SceneEstimate) -> float:
    """0 for a picture of many hues, 1 for one of a single hue (or none): there cloth has no colour of its own."""
    return min(max((MOST_TINT_SPREAD - scene.tint_spread) / 3.0, 0.0), 1.0)


def share_of_light(warmth: float, cloth: float) -> float:
    """The share of a skin's departure from the typical one that cloth shows: that of the light, and what strays.

    Parameters
    ----------
    warmth : float
        The skin's red over blue, of that of typical skin.
    cloth : float
        Linear luminance of the cloth.
    """
    share = FOLLOWS * (1 + DARK_FOLLOWS * max(1 - cloth / DARK, 0))
    beyond = max(1 - MOST_OF_SKIN / max(abs(math.log(max(warmth, 1e-4))), 1e-4), 0)
    return share + (1 - share) * beyond


def exposure_of_white(scene: SceneEstimate, desaturate: float, cloth: float) -> Colour:
    """White under this light.

    Skin divided by its reflectance, which is guessed from a prior and, more, from the white point: cloth must be what
    its name says on dark skin too.

    Parameters
    ----------
    scene : SceneEstimate
    desaturate : float
        1 for a grey picture.
    cloth : float
        Linear luminance of the cloth.
    """
    skin = scene.skin.tolist()
    luminance = luminance_of(skin)
    seen = min(max(CLOTH_WHITE * luminance / max(scene.white, 1e-4), 0.06), 0.62)
    white = math.hypot(luminance / (seen**SEEN_SHARE * TYPICAL_SKIN ** (1 - SEEN_SHARE)), LEAST_WHITE)
    if desaturate >= 1:
        return white, white, white
    cast = [min(max(c / luminance / usual, 0.5), 2.0) for c, usual in zip(skin, TYPICAL_COLOUR, strict=True)]
    share, mono = share_of_light(cast[0] / cast[2], cloth), single_hue(scene)
    r, g, b = (
        c ** (share * (1 - mono)) * min(max(s / luminance, 0.4), 2.5) ** (TINT * mono)
        for c, s in zip(cast, skin, strict=True)
    )
    white /= luminance_of((r, g, b))
    return white * r, white * g, white * b
