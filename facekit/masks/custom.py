"""Custom masks: pictures in shell coordinates, and a table that says what they are like.

[type.my-mask]
like = "cloth-pattern"           # everything that is not said here is as there
textures = ["my-mask.png"]       # RGBA pictures beside this file, or names of shipped textures; one is drawn
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from facekit.errors import ConfigError, did_you_mean, none_of
from facekit.masks.catalogue import TYPES, MaskType, add_type, mask_type, table
from facekit.masks.shell import ShellShape
from facekit.masks.textures import MaskTexture, add_texture, read_texture
from facekit.records.named_inputs import require_text
from facekit.run.user_files import read_toml

__all__ = ["CustomMask", "add_masks", "read_masks"]

CustomMask = tuple[MaskType, tuple[MaskTexture, ...]]

STRAPS = ("ears", "head", "none")
KINDS = ("colour", "ink")
MOST_TEXTURES = 256
"""Of a table: each takes 0.8 MB in every worker."""


def add_masks(path: str | Path) -> tuple[str, ...]:
    """Read a table of custom masks and make them known in this process.

    Parameters
    ----------
    path : path
        A TOML file; its pictures lie beside it.

    Returns
    -------
    tuple of str
        Names of the types.

    Raises
    ------
    ConfigError
        The table is wrong; the message names file, table and key, what stands there and what is allowed.
    PictureError
        A picture is missing, or no RGBA picture.
    """
    masks = read_masks(path)
    for kind, textures in masks:
        for texture in textures:
            add_texture(texture)
        add_type(kind)
    return tuple(kind.name for kind, _ in masks)


def read_masks(path: str | Path) -> list[CustomMask]:
    """Read a table of custom masks without making them known.

    Parameters
    ----------
    path : path
        A TOML file; its pictures lie beside it.

    Returns
    -------
    list of (MaskType, tuple of MaskTexture)
        Each type with its pictures; shipped textures that it names are not among them.

    Raises
    ------
    ConfigError, PictureError
        As `add_masks`.
    """
    path = Path(path)
    require_text(path, "a table of masks", "name a TOML file")
    content = read_toml(path)
    rows = content.get("type")
    if set(content) != {"type"} or not isinstance(rows, dict) or not rows:
        raise ConfigError(
            f"{path} holds {', '.join(content) or 'nothing'}; it must hold tables [type.NAME] and nothing else"
            + did_you_mean(next((key for key in content if key != "type"), ""), ["type"])
        )
    _check_count(path, rows)
    return [_custom_mask(path, name, row) for name, row in rows.items()]


def _check_count(path: Path, rows: dict[str, Any]) -> None:
    """Refuse more pictures than memory is good for, before the first is read."""
    lists = [row.get("textures") for row in rows.values() if isinstance(row, dict)]
    count = sum(len(names) for names in lists if isinstance(names, list))
    if count > MOST_TEXTURES:
        raise ConfigError(f"{path} names {count:,} textures; it may name {MOST_TEXTURES}: split the table")


def _custom_mask(path: Path, name: str, row: Any) -> CustomMask:
    where = f"{path}, [type.{name}]"
    if name in TYPES:
        raise ConfigError(f"{where}: facekit has a type of this name; choose another")
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: this must be a table")
    given = dict(row)
    for key in given:
        if key not in KEYS:
            words = ", ".join(KEYS)
            raise ConfigError(f"{where}: there is no key {key!r}; there are {words}{did_you_mean(key, KEYS)}")
    base = given.pop("like", None)
    if base not in TYPES:
        raise none_of(f"{where}: like", base, TYPES)
    kind = given.pop("kind", "colour")
    _require(where, "kind", kind, kind in KINDS, f"one of {', '.join(KINDS)}")
    names = given.pop("textures", None)
    _require(
        where, "textures", names, _is_list(names, lambda item: isinstance(item, str)), 'a list like ["my-mask.png"]'
    )
    values = {key: _checked(where, key, value) for key, value in given.items()}
    textures = tuple(read_texture(path.parent / item, kind) for item in names if item not in table()["texture"])
    if kind == "colour" and textures:
        # A picture brings its colours; the base colour is multiplied by it.
        values = {"colours": ("#ffffff",), "first": ("base",), "second": ("base",), **values}
    return _assembled(name, base, tuple(names), values), textures


def _assembled(name: str, base: str, names: tuple[str, ...], values: dict[str, Any]) -> MaskType:
    like = mask_type(base)
    shape = {key: values.pop(key) for key in ShellShape.__dataclass_fields__ if key in values}
    textures = tuple(Path(item).name for item in names)
    return replace(like, name=name, textures=textures, shape=replace(like.shape, **shape), **values)


# --- what each key may be ---------------------------------------------------------------------------------------------


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _is_list(value: Any, allowed: Callable[[Any], bool], count: int | None = None) -> bool:
    return isinstance(value, list) and bool(value) and (count in (None, len(value))) and all(map(allowed, value))


def _is_colour(value: Any) -> bool:
    if not isinstance(value, str) or len(value) != 7 or value[0] != "#":
        return False
    return all(digit in "0123456789abcdefABCDEF" for digit in value[1:])


def _colours(*words: str) -> tuple[str, Callable[[Any], bool]]:
    text = "".join(f' or "{word}"' for word in words)
    return f'a list of colours like "#a9cfe2"{text}', lambda value: _is_list(
        value, lambda c: _is_colour(c) or c in words
    )


def _number(low: float, high: float) -> tuple[str, Callable[[Any], bool]]:
    return f"a number from {low:g} to {high:g}", _is_number(low, high)


def _range(low: float, high: float) -> tuple[str, Callable[[Any], bool]]:
    inside = _is_number(low, high)
    return (
        f"two ascending numbers from {low:g} to {high:g}",
        lambda value: _is_list(value, inside, 2) and value[0] <= value[1],
    )


def _counts(most: int) -> tuple[str, Callable[[Any], bool]]:
    def holds(value: Any) -> bool:
        return _is_list(value, lambda n: type(n) is int and 0 <= n <= most, 2) and value[0] <= value[1]

    return f"two ascending whole numbers from 0 to {most}", holds


def _is_outline(value: Any) -> bool:
    """(azimuth, elevation) points, the azimuths ascending from 0."""
    angle = _is_number(-90, 130)
    if not _is_list(value, lambda point: _is_list(point, angle, 2)) or len(value) < 2:
        return False
    azimuths = [point[0] for point in value]
    return azimuths[0] == 0 and all(a < b for a, b in pairwise(azimuths))


_OUTLINE = ("points [azimuth, elevation] in degrees, the azimuths ascending from 0", _is_outline)

ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "half_width": _number(30, 120),
    "top": _OUTLINE,
    "bottom": _OUTLINE,
    "tautness": _number(0, 1),
    "clearance": _number(0, 2),
    "cup": _number(0, 3),
    "ridge": _number(0, 3),
    "straps": (f"one of {', '.join(STRAPS)}", lambda value: value in STRAPS),
    "colours": _colours(),
    "first": _colours("base"),
    "second": _colours("base"),
    "strap": _colours("base"),
    "colour_spread": _number(0, 0.5),
    "contrast": _range(0, 1),
    "folds": _range(0, 12),
    "fold_height": _number(0, 2),
    "gather": _number(0, 2),
    "relief": _number(0, 20),
    "crumple": _number(0, 2),
    "form": ("two numbers from -2 to 2", lambda value: _is_list(value, _is_number(-2, 2), 2)),
    "crease": _number(0, 1),
    "pleats": _counts(8),
    "pleat_depth": _number(0, 1),
    "tension": _counts(4),
    "wrinkles": _counts(12),
    "seam": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "halves": _number(0, 1),
    "corner": _number(0, 3),
    "gleam": _number(0, 4),
    "hem": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "crest": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "tent": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "band": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "panels": ("two numbers from 0 to 1", lambda value: _is_list(value, _is_number(0, 1), 2)),
    "sheen": (
        "a number from 0 to 1 and one from 0 to 3",
        lambda value: _is_list(value, _is_number(0, 3), 2) and value[0] <= 1,
    ),
    "wire": (
        "a number from 0 to 1 and one from -1 to 1",
        lambda value: _is_list(value, _is_number(-1, 1), 2) and value[0] >= 0,
    ),
    "printed": _number(0, 1),
    "rim": _number(-1, 1),
}
"""Every key besides ``like``, ``kind`` and ``textures``: what it may be, in words and as a check."""

KEYS = ("like", "kind", "textures", *ALLOWED)


def _checked(where: str, key: str, value: Any) -> Any:
    words, check = ALLOWED[key]
    _require(where, key, value, check(value), words)
    return _frozen(value)


def _require(where: str, key: str, value: Any, holds: bool, words: str) -> None:
    if not holds:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {words}")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
