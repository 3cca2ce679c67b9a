"""A picture in, the picture with a mask on out."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, NoFace
from facekit.faces.align import ARCFACE_SIDE, ARCFACE_TEMPLATE
from facekit.faces.finder import FaceFinder
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.images import as_picture
from facekit.masks.params import MaskOptions
from facekit.masks.recipe import sample_params
from facekit.masks.render import Worn, render_worn

__all__ = ["checked_seed", "face_finder", "options_of", "unaligned", "wear_mask"]

ALIGNED = 0.087
"""Of the picture's side: mean distance of a face's points from the template's, up to which it is an aligned crop."""

SHARES = ("nose_out", "under_chin", "prints")


@cache
def _estimator() -> MeshEstimator:
    return LiteRTMesh()


@cache
def face_finder(upright: bool = False) -> FaceFinder:
    """The one finder of this process; another one for faces that are upright."""
    return FaceFinder(quarters=(0,)) if upright else FaceFinder()


def options_of(options: dict[str, Any]) -> MaskOptions:
    """``tilt=5`` or ``tilt=(-5, 5)`` -> MaskOptions."""
    ranges: dict[str, Any] = {}
    for name, value in options.items():
        if name in SHARES:
            ranges[name] = _share(name, value)
            continue
        if name == "rims":
            ranges[name] = value
            continue
        field = name if name.endswith("_range") else f"{name}_range"
        if field not in MaskOptions.__dataclass_fields__:
            known = ", ".join(f.removesuffix("_range") for f in MaskOptions.__dataclass_fields__)
            raise ConfigError(f"wear_mask has no option {name!r}; there are {known}")
        ranges[field] = _range(name, value)
    return MaskOptions(**ranges)


def _share(name: str, value: Any) -> float:
    if not isinstance(value, Real):
        raise ConfigError(f"{name} is {value!r}; it must be a number from 0 to 1")
    return float(value)


def _range(name: str, value: Any) -> tuple[float, float]:
    """A number, of numpy's too, or two of them."""
    given = value.tolist() if isinstance(value, np.ndarray) else value
    ends = (given, given) if isinstance(given, Real) else given
    if isinstance(ends, (tuple, list)) and len(ends) == 2 and all(isinstance(end, Real) for end in ends):
        with suppress(OverflowError):  # whole numbers have no largest one
            return float(ends[0]), float(ends[1])
    raise ConfigError(f"{name} is {value!r}; it must be a number or a range (low, high)")


def checked_seed(seed: Any) -> int:
    if not isinstance(seed, Integral) or seed < 0:
        raise ConfigError(f"seed is {seed!r}; it must be a whole number from 0")
    return int(seed)


def wear_mask(
    image: Any,
    type: str = "surgical-blue",
    seed: int = 0,
    vertices: NDArray[np.float32] | None = None,
    **options: Any,
) -> Worn:
    """Put a mask on a face.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB, or a picture of Pillow
        An ArcFace-aligned crop (112 x 112 or any multiple), unless `vertices` are given: then any picture. For
        photographs there is `facekit.wear_masks`.
    type : str
        One of `facekit.masks.TYPES`.
    seed : int
        The same seed gives the same picture.
    vertices : (468, 3) float32, optional
        The mesh in pixels (x right, y down, z toward the viewer); found by the shipped model when left out.
    **options
        ``tilt`` (degrees), ``shadow`` (0..1), ``light`` (0..3): a number or a range (low, high) to draw from;
        ``nose_out``, ``under_chin`` (0..1): share of masks worn wrongly; ``prints``: of those with lettering or a mark;
        ``rims=True``: rims of glasses stay in front where they can be told.

    Returns
    -------
    Worn

    Raises
    ------
    NoFace
        No mesh was given and none can be trusted: ``error.reason`` says why, and ``error.detail`` what to do where
        the picture is no aligned crop.
    ConfigError
        Unknown type or option, a seed or an option of a wrong value, or arrays of the wrong shape or dtype.
    PictureError
        `image` is a tensor or no picture at all; or no mesh was given, and it is no (H, W, 3) uint8 RGB picture.

    Examples
    --------
    >>> import skimage.data, facekit
    >>> face = skimage.data.astronaut()[25:185, 145:305]
    >>> worn = facekit.wear_mask(face, type="n95-cup", seed=3)
    >>> worn.image.shape, float(worn.coverage.max()) > 0.99
    ((160, 160, 3), True)
    """
    params = sample_params(np.random.default_rng(checked_seed(seed)), type, options_of(options))
    image = as_picture(image)
    if vertices is None:
        mesh = _estimator()(image)
        reason = gate(mesh, image.shape)
        if reason is not None:
            raise NoFace(reason, unaligned(image))
        vertices = mesh.vertices
    return render_worn(image, vertices, params)


def unaligned(image: NDArray[np.uint8]) -> str:
    """What a picture is that is no aligned crop, and which call helps; empty where it is one, or shows no face.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB
    """
    face = next(iter(face_finder()(image)), None)
    (height, width), size = image.shape[:2], f"{image.shape[1]} x {image.shape[0]}"
    if face is None:
        return "" if height == width else f"{size} pixels are no aligned crop, and no face was found in them"
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    expected = (ARCFACE_TEMPLATE + 0.5) * (height / ARCFACE_SIDE) - 0.5
    if height == width and np.linalg.norm(face.points - expected, axis=1).mean() < ALIGNED * height:
        return ""
    x, y = face.points.mean(0)
    return (
        f"this is no aligned crop: the largest face in its {size} pixels lies at ({x:.0f}, {y:.0f}), {eyes:.0f} px "
        "between the eyes; facekit.wear_masks finds the faces of photographs and masks them"
    )
