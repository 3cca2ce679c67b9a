"""What a masking job is asked to do."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.masks.catalogue import AS_WORN, TYPES
from facekit.masks.custom import read_masks
from facekit.masks.params import MaskOptions
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = [
    "PRESETS",
    "MaskConfig",
    "check_types",
    "known_types",
    "parse_range",
    "parse_types",
    "textures_content",
]

MODES = ("add", "replace")
LAYOUTS = ("same", "insightface", "flat")

PRESETS: dict[str, dict[str, Any]] = {
    "bcl": {"types": "all", "mode": "add", "ratio": 0.15},
    "maskdul": {"types": "surgical-blue,surgical-white,n95-cup,kn95,cloth-pattern", "mode": "replace", "ratio": 0.5},
}
"""The masked shares and types of two published recipes: BCL (eight types, 15%) and MaskDUL (five types, half)."""

Range = tuple[float, float]


@dataclass(frozen=True)
class MaskConfig:
    """Settings of ``facekit mask``.

    Attributes
    ----------
    source : str
        A pack (its folder, its ``.rec`` or their prefix) or a folder of pictures.
    destination : str
        Folder that will appear when everything is done.
    ratio : float
        Masked pictures / all pictures of the output.
    mode : str
        ``add`` keeps every original and puts masked copies behind them; ``replace`` masks the chosen ones in place.
    types : tuple of (str, float)
        Mask types and the weights they are drawn with.
    seed : int
        Decides which pictures are chosen and every choice about their masks.
    limit : int, optional
        Look at this many pictures only, the first in physical order: a preview.
    layout : str
        ``same`` as the source, ``insightface`` (record 0 and identity records) or ``flat`` (pictures only).
    textures : str, optional
        Table of custom masks (see `facekit.masks.custom`); their names may stand in ``types``.
    options : MaskOptions
        Ranges that the angle of the mask, its shadow and the light on it are drawn from.
    mesh_cache : str, optional
        File that keeps the meshes, so that masking the same pack again skips the model.
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool
        Replace an existing destination, and discard an unfinished run with other settings.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    ratio: float = 0.15
    mode: str = "add"
    types: tuple[tuple[str, float], ...] = field(default_factory=lambda: parse_types("all"))
    seed: int = 0
    limit: int | None = None
    layout: str = "same"
    textures: str | None = None
    options: MaskOptions = field(default_factory=MaskOptions)
    mesh_cache: str | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("layout", self.layout, LAYOUTS)
        most = "below 1" if self.mode == "add" else "at most 1"
        if not (0 <= self.ratio < 1 or (self.ratio == 1 and self.mode == "replace")):
            raise ConfigError(f"ratio is {self.ratio}; with mode {self.mode} it must be at least 0 and {most}")
        check_seed(self.seed)
        check_at_least("limit", self.limit, 1)
        check_at_least("workers", self.workers, 1)
        check_types(self.types, known_types(self.textures))

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the output; where it is read from and written to, and by whom, does not."""
        given = asdict(self)
        for name in ("source", "destination", "mesh_cache", "workers", "executor", "overwrite", "partial_index"):
            del given[name]
        given["types"] = dict(self.types)
        given["textures"] = textures_content(self.textures)
        return given


def known_types(textures: str | None) -> tuple[str, ...]:
    """Names of the shipped mask types, and of those in a table of custom masks."""
    return TYPES if textures is None else TYPES + tuple(kind.name for kind, _ in read_masks(textures))


def textures_content(textures: str | None) -> str | None:
    """A hash of a table of masks and their pictures."""
    if textures is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for kind, pictures in read_masks(textures):
        digest.update(repr(kind).encode())
        for name, role, rgba in pictures:
            digest.update(repr((name, role, rgba.shape)).encode() + rgba.tobytes())
    return digest.hexdigest()


def parse_types(text: str, known: tuple[str, ...] = TYPES) -> tuple[tuple[str, float], ...]:
    """``all`` that are known, ``real`` (as often as people wear each), or names with commas, some with ``:weight``.

    >>> parse_types("kn95,n95-cup:2.5")
    (('kn95', 1.0), ('n95-cup', 2.5))
    """
    if text == "all":
        return tuple((name, 1.0) for name in known)
    if text == "real":
        return tuple(AS_WORN.items())
    pairs = [item.strip().partition(":") for item in text.split(",")]
    return tuple((name, _number(f"weight of type {name}", weight or "1")) for name, _, weight in pairs)


def parse_range(name: str, text: str) -> Range:
    """A number, or the lowest and the highest with a colon between them.

    >>> parse_range("tilt", "-5:5")
    (-5.0, 5.0)
    """
    low, colon, high = text.partition(":")
    lowest = _number(name, low)
    highest = _number(name, high) if colon else lowest
    if highest < lowest:
        raise ConfigError(f"{name} is {text}; write the lower end first: {high}:{low}")
    return lowest, highest


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name} is {text!r}; it must be a number")
    return value


def check_types(types: tuple[tuple[str, float], ...], known: tuple[str, ...]) -> None:
    """Refuse types that there are not, or that are named twice, and weights that are none.

    Raises
    ------
    ConfigError
        Says which.
    """
    for name, weight in types:
        check_choice("type", name, known)
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"weight of type {name} is {weight}; it must be a number that is not negative")
    names = [name for name, _ in types]
    if len(set(names)) < len(names):
        raise ConfigError(f"types are {', '.join(names)}; each may be named once")
    if sum(weight for _, weight in types) <= 0:
        raise ConfigError("the weights of all types are 0; at least one must be larger")
