"""Mask parameters: all that is random about one mask, in a frozen record and as the ledger's JSON, to make it again."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from facekit.errors import ConfigError
from facekit.masks.draws import Line

__all__ = ["Colour", "MaskOptions", "MaskParams"]

Range = tuple[float, float]
Colour = tuple[float, float, float]
VERSION = 7
"""Of what a `MaskParams` means in pixels; tests/test_mask_digests.py says when it is raised."""
LARGEST = sys.float_info.max


@dataclass(frozen=True)
class MaskOptions:
    """What a caller may set about the way masks are worn.

    Attributes
    ----------
    tilt_range : (float, float)
        Turn of the mask in the plane of the face, degrees.
    shadow_range : (float, float)
        Darkness of the contact shadow beside the mask, 0 none to 1 black.
    light_range : (float, float)
        Strength of the light fitted to the face, 0 flat, 1 as on the skin, 2 twice as strong.
    nose_out, under_chin : float
        Shares of masks that are worn wrongly: below the nose, and pulled down under the chin.
    prints : float
        Share of masks with lettering, a mark or a label on them, beyond those that have it by their type.
    rims : bool
        Whether rims of glasses, where they can be told, stay in front of the mask.

    Raises
    ------
    ConfigError
        A range descends or reaches beyond what is allowed: 30 degrees, 0 to 1, 0 to 3; or shares that are none.
    """

    tilt_range: Range = (-5.0, 5.0)
    shadow_range: Range = (0.05, 0.35)
    light_range: Range = (0.9, 1.5)
    nose_out: float = 0.0
    under_chin: float = 0.0
    prints: float = 0.0
    rims: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (("tilt_range", -30, 30), ("shadow_range", 0, 1), ("light_range", 0, 3)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ConfigError(f"{name} is {low} to {high}; it must ascend and lie between {least} and {most}")
        if not (0 <= self.nose_out <= 1 and 0 <= self.under_chin <= 1 and self.nose_out + self.under_chin <= 1):
            shares = f"nose_out is {self.nose_out} and under_chin {self.under_chin}"
            raise ConfigError(f"{shares}; they are shares of all masks, from 0 to 1, together at most 1")
        if not 0 <= self.prints <= 1:
            raise ConfigError(f"prints is {self.prints}; it is a share of all masks, from 0 to 1")
        if type(self.rims) is not bool:
            raise ConfigError(f"rims is {self.rims!r}; it is True or False")


@dataclass(frozen=True)
class MaskParams:
    """Every random choice about one worn mask. Colours are linear RGB in [0, 1]; s, t are shell coordinates.

    Attributes
    ----------
    type, texture : str
        Mask type and the texture drawn for it.
    inks : three colours
        Base colour of the cloth and the two inks on it.
    strap : colour
        Colour of the straps.
    strap_radius : float
        Half their width, centimetres; 0 where hair hides them.
    stretch, slide : (float, float)
        Size factors and displacement (centimetres) along the face's right and up.
    tilt : float
        Degrees, anticlockwise on the face.
    gape : float
        Gap between the side edges and the cheek, centimetres.
    corner : float
        How far the lower part hangs out beyond the jaw, centimetres.
    lines : rows of (s0, t0, s1, t1, bow, sway, width, reach, dark, lip, shade, start, middle, end)
        Pleats, crests, folds and seams: two ends; how far the line bows off the straight one, and sways to both sides
        of it; width, and how far light and shade reach, in texture coordinates (below 0, the lip lies below or to the
        right); darkness of the line, brightness of the lip above it or to its left and darkness of the shade on the
        other side; and the line's strength along the way.
    tint : float
        By how much what lines brighten is warmer than what they darken.
    interreflection : float
        By how much more of its own colour cloth has in shade, where it is lit by the cloth around it.
    halves : float
        Logarithm by which the right half is brighter than the left one.
    folds : rows of (s, t, angle, half length, half width, height)
        Coarse folds; angle in radians, height in centimetres.
    gather : (height, waves, phase)
        Gathering at the sides.
    edge : six floats
        Waviness of the top and of the bottom edge: constant, slope and bow of each, in units of t.
    falloff : (float, float, float)
        Darkening from top to bottom, how late it sets in, and darkening from left to right.
    relief : (float, float, float)
        Contrast of the folds and the direction (s, t) from which they are lit.
    form : (float, float, float)
        Darkening from the middle toward the sides, and toward top and bottom, since cloth bulges more than its outline
        tells; and brightening of the side edges.
    creases : (strength, size, turn, offset s, offset t)
        Where in the map of crumpled cloth this mask lies, and how deep its creases are.
    ambient, light, uneven_light_share, exposure : float
        Share of even light, strength of the fitted light, share of the skin's uneven light that the cloth takes on, and
        exposure factor.
    cast : (float, float)
        How much warmer the light is at the right than at the left, and below than above.
    shadow : float
        Darkness of the contact shadow.
    crispness : float
        Logarithm of the mask's sharpness over the skin's.
    softness : float
        Blur of the mask's edge beyond the picture's own, pixels.
    grain_seed : int
        Seed of the film grain.
    rims : bool
        Whether rims of glasses stay in front.
    """

    type: str
    texture: str
    inks: tuple[Colour, Colour, Colour]
    strap: Colour
    strap_radius: float
    stretch: tuple[float, float]
    slide: tuple[float, float]
    tilt: float
    gape: float
    corner: float
    lines: tuple[Line, ...]
    tint: float
    interreflection: float
    halves: float
    folds: tuple[tuple[float, ...], ...]
    gather: tuple[float, float, float]
    edge: tuple[float, ...]
    falloff: tuple[float, float, float]
    relief: tuple[float, float, float]
    form: tuple[float, float, float]
    creases: tuple[float, float, float, float, float]
    ambient: float
    light: float
    uneven_light_share: float
    exposure: float
    cast: tuple[float, float]
    shadow: float
    crispness: float
    softness: float
    grain_seed: int
    rims: bool = False
    version: int = VERSION

    def to_json(self) -> str:
        """The parameters as text.

        Returns
        -------
        str
            One line of JSON; `from_json` gives an equal object back.
        """
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MaskParams:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            From the ledger's params column.

        Returns
        -------
        MaskParams

        Raises
        ------
        ConfigError
            The text is not mask parameters, a value is not what its field holds, or they were drawn by another version,
            whose masks have other pixels.
        """
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError("not a record")
            _check_version(row.get("version"))
            if set(row) != {field.name for field in fields(cls)}:
                raise ValueError(f"not a version {VERSION} record with the fields of MaskParams")
            for name, kind in _kinds().items():
                if not _is_a(row[name], kind) or (name == "grain_seed" and row[name] < 0):
                    raise ValueError(f"{name} is {row[name]!r}")
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"these are not mask parameters: {error}; take them from the ledger's params column"
            ) from None
        return cls(**{key: _tuples(value) for key, value in row.items()})


def _check_version(version: Any) -> None:
    """Refuse what another version drew: it would make another picture."""
    if type(version) is int and version > 0 and version != VERSION:
        raise ConfigError(
            f"these mask parameters are of version {version} and this facekit draws version {VERSION}, with other "
            "pixels; make the picture with the facekit that wrote the ledger, or mask the source anew"
        )


@cache
def _kinds() -> dict[str, Any]:
    """What each field of MaskParams holds, with the lengths that its annotation leaves open."""
    six: Any = tuple[float, float, float, float, float, float]
    fourteen: Any = tuple.__class_getitem__((float,) * 14)
    return get_type_hints(MaskParams) | {"folds": tuple[six, ...], "lines": tuple[fourteen, ...], "edge": six}


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is what a field holds: finite numbers, texts, and rows of them."""
    if kind is float:
        return type(value) in (int, float) and abs(value) <= LARGEST
    if get_origin(kind) is not tuple:
        return type(value) is kind
    kinds = get_args(kind)
    if not isinstance(value, list):
        return False
    if kinds[-1] is Ellipsis:
        return all(_is_a(one, kinds[0]) for one in value)
    return len(value) == len(kinds) and all(_is_a(one, wanted) for one, wanted in zip(value, kinds, strict=True))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
