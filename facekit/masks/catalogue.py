"""The mask types: what one table (assets/masks/masks.toml) says of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from facekit.errors import ConfigError
from facekit.masks.shell import ShellShape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["TYPES", "MaskType", "add_type", "mask_type", "type_names"]

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

Colours = tuple[str, ...]


@dataclass(frozen=True)
class MaskType:
    """One kind of mask: its surface and the ranges its looks are drawn from.

    Colours are ``#rrggbb`` or a word, lengths centimetres.
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


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def _mask_type(name: str, row: dict[str, Any]) -> MaskType:
    row = {key: _freeze(value) for key, value in row.items()}
    shape = ShellShape(**{key: row.pop(key) for key in ShellShape.__dataclass_fields__ if key in row})
    return MaskType(name=name, shape=shape, **row)


@cache
def table() -> dict[str, Any]:
    """The whole table, as TOML gives it."""
    return tomllib.loads(files("facekit.assets.masks").joinpath("masks.toml").read_text("utf-8"))


_ADDED: dict[str, MaskType] = {}
"""Types that a user's table brought into this process."""


def type_names() -> tuple[str, ...]:
    """The shipped types, then those that were added."""
    return TYPES + tuple(_ADDED)


def add_type(kind: MaskType) -> None:
    """Make a type known in this process; ConfigError where another one has its name."""
    known = _ADDED.get(kind.name) or (_shipped(kind.name) if kind.name in TYPES else kind)
    if known != kind:
        raise ConfigError(f"there is another mask type {kind.name!r} already; give yours another name")
    _ADDED[kind.name] = kind


def mask_type(name: str) -> MaskType:
    """The type called `name`; ConfigError with the list of names where there is none."""
    return _ADDED.get(name) or _shipped(name)


@cache
def _shipped(name: str) -> MaskType:
    rows = table()["type"]
    if name not in rows:
        raise ConfigError(f"there is no mask type {name!r}; the types are {', '.join(type_names())}")
    return _mask_type(name, rows[name])
