"""Mask textures: RGBA pictures in shell coordinates, made ready for sampling."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, PictureError
from facekit.masks.catalogue import table
from facekit.records.named_inputs import require_there
from facekit.run.user_files import read_regular_file

__all__ = [
    "MaskTexture",
    "Pyramid",
    "add_texture",
    "crease_slopes",
    "load_texture",
    "pyramid",
    "read_texture",
    "texture_level",
    "to_linear",
]

MOST_BYTES = 64 << 20
"""Of a picture file: 4,096 pixels a side without any compression."""

TEXTURE_SIZE = (384, 512)
"""Rows and columns of every texture: halved three times it still has 48 rows."""


class MaskTexture(NamedTuple):
    """The picture of a mask's cloth.

    Attributes
    ----------
    name : str
        Its name in the table.
    kind : str
        ``"ink"``: red is tone, green and blue are amounts of two inks, all linear; ``"colour"``: an ordinary sRGB
        picture.
    rgba : (S, T, 4) uint8
        Row 0 is the edge at the nose, column 0 the left edge in the picture; alpha is coverage, never a colour key.
    """

    name: str
    kind: str
    rgba: NDArray[np.uint8]


class Pyramid(NamedTuple):
    """A texture at halving sizes.

    Attributes
    ----------
    levels : tuple of (S, T, 4) float32
        Linear and straight (averaged premultiplied, then divided by coverage), in [0, 1]; the largest first.
    two_tone : bool
        Whether the texels are ink amounts rather than a picture.
    """

    levels: tuple[NDArray[np.float32], ...]
    two_tone: bool


@cache
def to_linear() -> NDArray[np.float32]:
    """The sRGB curve (IEC 61966-2-1).

    Returns
    -------
    (256,) float32
        Linear intensity from 0 to 1 of each level.
    """
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


_ADDED: dict[str, MaskTexture] = {}
"""Textures that a user's table brought into this process."""


def add_texture(texture: MaskTexture) -> None:
    """Make a texture known in this process.

    Parameters
    ----------
    texture : MaskTexture

    Raises
    ------
    ConfigError
        Another texture has its name.
    """
    known = _ADDED.get(texture.name)
    if texture.name in table()["texture"] or (known is not None and not np.array_equal(known.rgba, texture.rgba)):
        raise ConfigError(f"there is another mask texture {texture.name!r} already; give yours another name")
    _ADDED.setdefault(texture.name, texture)


def read_texture(path: Path, kind: str = "colour") -> MaskTexture:
    """An RGBA picture file as a texture named after the file, resized to that of the shipped ones.

    Raises
    ------
    MissingInput
        There is no such file.
    PictureError
        It is no picture, smaller than 64 pixels a side, without transparency, or all transparent.
    """
    import cv2

    require_there(path, "picture")
    try:
        content = np.frombuffer(read_regular_file(path, MOST_BYTES), np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except (ConfigError, cv2.error) as error:
        raise PictureError(f"a mask texture cannot be used: {error}; {path.name!r} must be a PNG file") from error
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        raise PictureError(f"{path} is no RGBA picture of 8 bits; save it as a PNG with an alpha channel")
    if min(picture.shape[:2]) < 64:
        raise PictureError(
            f"{path} is {picture.shape[1]} x {picture.shape[0]} pixels; a texture needs 64 a side, better 512 x 384"
        )
    if not picture[..., 3].any():
        raise PictureError(f"{path} is transparent everywhere: alpha is coverage, 255 where there is cloth")
    return MaskTexture(path.name, kind, _resized(np.ascontiguousarray(picture[..., [2, 1, 0, 3]])))


def _resized(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """To 512 x 384, averaging colours by coverage: what is transparent has no say in them."""
    import cv2

    if rgba.shape[:2] == TEXTURE_SIZE:
        return rgba
    method = (
        cv2.INTER_AREA if rgba.shape[0] >= TEXTURE_SIZE[0] and rgba.shape[1] >= TEXTURE_SIZE[1] else cv2.INTER_LINEAR
    )
    alpha = rgba[..., 3:].astype(np.float32)
    both = np.concatenate([rgba[..., :3] * alpha, alpha], -1)
    small = cv2.resize(both, TEXTURE_SIZE[::-1], interpolation=method)
    colour = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.rint(np.concatenate([colour, small[..., 3:]], -1).clip(0, 255)).astype(np.uint8)


def load_texture(name: str) -> MaskTexture:
    """A texture by name.

    Parameters
    ----------
    name : str
        Of an added texture, or of one that ships with facekit.

    Returns
    -------
    MaskTexture

    Raises
    ------
    ConfigError
        There is none of this name; the message lists those there are.
    PictureError
        The shipped file is damaged.
    """
    return _ADDED.get(name) or _shipped(name)


def _shipped(name: str) -> MaskTexture:
    import cv2

    rows = table()["texture"]
    if name not in rows:
        raise ConfigError(f"there is no mask texture {name!r}; the textures are {', '.join(rows)}")
    blob = files("facekit.assets.masks").joinpath(f"{name}.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise PictureError(
            f"the texture {name}.png is not an RGBA picture; reinstall facekit or run tools/draw_textures.py"
        )
    return MaskTexture(name, rows[name]["kind"], np.ascontiguousarray(picture[..., [2, 1, 0, 3]]))


@cache
def crease_slopes() -> NDArray[np.float32]:
    """Slopes of crumpled cloth.

    Returns
    -------
    (128, 128, 2) float32
        Along s and t, in deviations; periodic. The same array at every call.

    Raises
    ------
    PictureError
        The shipped file is damaged.
    """
    import cv2

    blob = files("facekit.assets.masks").joinpath("creases.png").read_bytes()
    decoded = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise PictureError("creases.png is not a picture; reinstall facekit or run tools/draw_textures.py")
    picture = decoded[..., [2, 1]].astype(np.float32)
    halved = (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / np.float32(4)
    return np.ascontiguousarray((halved - np.float32(128)) / np.float32(40))


def _straight(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide premultiplied texels by their coverage."""
    return np.concatenate([level[..., :3] / np.maximum(level[..., 3:], np.float32(1e-6)), level[..., 3:]], -1)


def pyramid(texture: MaskTexture) -> Pyramid:
    """Halve a texture until it is small, averaging premultiplied linear values so that edges keep their coverage.

    Parameters
    ----------
    texture : MaskTexture

    Returns
    -------
    Pyramid
    """
    coverage = texture.rgba[..., 3:].astype(np.float32) / 255
    colour = (
        texture.rgba[..., :3].astype(np.float32) / 255 if texture.kind == "ink" else to_linear()[texture.rgba[..., :3]]
    )
    level = np.concatenate([colour * coverage, coverage], -1)
    levels = [_straight(level)]
    while min(level.shape[:2]) >= 48 and level.shape[0] % 2 == 0 and level.shape[1] % 2 == 0:
        level = (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2]) / np.float32(4)
        levels.append(_straight(level))
    return Pyramid(tuple(levels), texture.kind == "ink")


@cache
def texture_level(name: str, halvings: int) -> tuple[NDArray[np.float32], bool]:
    """One level of a texture; only levels that were asked for are kept.

    Parameters
    ----------
    name : str
    halvings : int
        0 is the whole size.

    Returns
    -------
    (S, T, 4) float32
        See `Pyramid`.
    bool
        Whether the texels are ink amounts rather than a picture.

    Raises
    ------
    ConfigError, PictureError
        See `load_texture`.
    """
    textures = pyramid(load_texture(name))
    return textures.levels[halvings], textures.two_tone
