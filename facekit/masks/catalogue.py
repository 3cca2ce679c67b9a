"""The mask types: what one table (assets/masks/masks.toml) says of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from facekit.errors import ConfigError, none_of
from facekit.masks.shell import ShellShape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["AS_WORN", "TYPES", "MaskType", "add_type", "mask_type", "type_names"]

TYPES = (
    "surgical-blue",
    "surgical-white",
    "surgical-black",
    "n95-cup",
    "n95-valve",
    "kn95",
    "cloth-pattern",
    "sponge-black",
)

AS_WORN = {
    "surgical-blue": 15.0,
    "surgical-white": 29.0,
    "surgical-black": 12.0,
    "n95-cup": 1.0,
    "n95-valve": 1.0,
    "kn95": 3.0,
    "cloth-pattern": 6.0,
    "sponge-black": 33.0,
}
"""Percent of 339 really masked faces in photographs of the public that wear each type: what ``real`` stands for."""

Colours = tuple[str, ...]


@dataclass(frozen=True)
class MaskType:
    """One kind of mask: its surface and the ranges its appearance is drawn from.

    Colours are ``#rrggbb`` (sRGB) or ``"base"``, the colour drawn for the cloth.

    Attributes
    ----------
    name : str
    textures : tuple of str
        One is drawn.
    shape : ShellShape
    colours : tuple of str
        Base colours of the cloth, one of which is drawn.
    colour_spread : float
        How far the drawn colour strays from it (logarithm of the intensity).
    first, second, strap : tuple of str
        Colours of the two inks and of the straps, one of each is drawn.
    folds : (int, int)
        Fewest and most coarse folds.
    fold_height, gather : float
        Height of the coarse folds and of the gathering at the sides, centimetres.
    relief : float
        Contrast with which folds show.
    crumple : float
        Depth of the fine creases.
    form : (float, float)
        Darkening toward the sides, and toward top and bottom.
    crease : float
        1 keeps a sharp crest on the middle line, 0 smooths it.
    contrast : (float, float)
        Range of the inks' contrast with the base colour, from 0 to 1.
    pleats : (int, int)
        Fewest and most pleats from side to side.
    pleat_depth : float
        Darkness of a pleat's line, 0 to 1.
    tension : (int, int)
        Fewest and most folds that run from each corner.
    wrinkles : (int, int)
        Fewest and most short folds.
    seam : (float, float)
        Share of the masks with a seam down the middle, and its darkness.
    hem : (float, float)
        Share of the masks with a seam along each side, and its darkness.
    crest : (float, float)
        Share of the masks on which the ridge below the bridge of the nose is seen, and how dark its shaded side may be.
    tent : (float, float)
        Share with folds from the bridge of the nose outward, and their darkness.
    band : (float, float)
        Share with a hem along the upper edge, and its darkness.
    wire : (float, float)
        Share on which the wire over the nose is seen, and its darkness; below 0 it is brighter than the cloth.
    panels : (float, float)
        Share with welds or folds from the middle line to the sides, and their darkness.
    sheen : (float, float)
        Share of the halves with a broad soft light on them, and its brightness.
    printed : float
        Share of the masks that bear lettering, a mark or a label.
    rim : float
        Logarithm by which the side edges are brighter: cloth is double there, and its fibres stand out.
    halves : float
        Deviation of the logarithm by which one half is brighter than the other, in half of the masks.
    corner : float
        How far the lower part hangs out beyond the jaw, centimetres; loops pull the lower corners half as far again.
    gleam : float
        How much stronger light and shade are on this cloth than on skin: dark cloth shows little but its sheen.
    """

    name: str
    textures: tuple[str, ...]
    shape: ShellShape
    colours: Colours
    colour_spread: float
    first: Colours
    second: Colours
    strap: Colours
    folds: tuple[int, int]
    fold_height: float
    gather: float
    relief: float
    crumple: float
    form: tuple[float, float]
    crease: float = 0.0
    contrast: tuple[float, float] = (0.3, 0.75)
    pleats: tuple[int, int] = (0, 0)
    pleat_depth: float = 0.0
    tension: tuple[int, int] = (0, 0)
    wrinkles: tuple[int, int] = (0, 0)
    seam: tuple[float, float] = (0.0, 0.0)
    hem: tuple[float, float] = (0.0, 0.0)
    crest: tuple[float, float] = (0.0, 0.0)
    tent: tuple[float, float] = (0.0, 0.0)
    band: tuple[float, float] = (0.0, 0.0)
    wire: tuple[float, float] = (0.0, 0.0)
    panels: tuple[float, float] = (0.0, 0.0)
    sheen: tuple[float, float] = (0.0, 0.0)
    printed: float = 0.0
    rim: float = 0.0
    halves: float = 0.0
    corner: float = 0.0
    gleam: float = 1.0


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def _mask_type(name: str, row: dict[str, Any]) -> MaskType:
    row = {key: _freeze(value) for key, value in row.items()}
    shape = ShellShape(**{key: row.pop(key) for key in ShellShape.__dataclass_fields__ if key in row})
    return MaskType(name=name, shape=shape, **row)


@cache
def table() -> dict[str, Any]:
    """The shipped table of types and textures.

    Returns
    -------
    dict
        assets/masks/masks.toml as TOML gives it: ``type`` and ``texture``, each a dictionary by name.
    """
    return tomllib.loads(files("facekit.assets.masks").joinpath("masks.toml").read_text("utf-8"))


_ADDED: dict[str, MaskType] = {}
"""Types that a user's table brought into this process."""


def type_names() -> tuple[str, ...]:
    """Names of all types known in this process.

    Returns
    -------
    tuple of str
        The shipped types, then those that were added.
    """
    return TYPES + tuple(_ADDED)


def add_type(kind: MaskType) -> None:
    """Make a type known in this process.

    Parameters
    ----------
    kind : MaskType

    Raises
    ------
    ConfigError
        Another type has its name.
    """
    known = _ADDED.get(kind.name) or (_shipped(kind.name) if kind.name in TYPES else kind)
    if known != kind:
        raise ConfigError(f"there is another mask type {kind.name!r} already; give yours another name")
    _ADDED[kind.name] = kind


def mask_type(name: str) -> MaskType:
    """A type by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    MaskType

    Raises
    ------
    ConfigError
        There is none of this name; the message lists those there are.
    """
    return _ADDED.get(name) or _shipped(name)


@cache
def _shipped(name: str) -> MaskType:
    rows = table()["type"]
    if name not in rows:
        raise none_of("mask type", name, type_names())
    return _mask_type(name, rows[name])
