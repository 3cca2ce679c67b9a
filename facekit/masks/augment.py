"""Masks at training time: the same renderer, drawn anew for every epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, Mesh, MeshEstimator, rounded
from facekit.images import as_picture, is_pillow, to_pillow
from facekit.masks.catalogue import AS_WORN, mask_type, type_names
from facekit.masks.custom import add_masks
from facekit.masks.params import MaskOptions
from facekit.masks.recipe import sample_params
from facekit.masks.render import render_worn

__all__ = ["MaskAugment", "MeshLookup"]


@runtime_checkable
class MeshLookup(Protocol):
    """Meshes or vertices by record key; `facekit.faces.cache.MeshCache`, `StoredMeshes` or a dictionary."""

    def get(self, key: int, /) -> Any:
        """What is known of record `key`: a `Mesh`, (468, 3) vertices, or None."""


class MaskAugment:
    """Puts masks on some of the pictures it is shown.

    Whether, which and how follows from seed, epoch and key alone: the same for any number of workers and any order, and
    different in every epoch. Picklable, for spawned workers.

    Parameters
    ----------
    probability : float
        Share of the pictures that are to be masked.
    types : str, sequence of str or mapping from str to float
        Mask types: ``"all"`` of them, ``"real"`` (as often as people wear each), names (or one string with commas
        between them), or names with weights.
    seed : int
    meshes : mapping, optional
        Face meshes by record key: a ``MeshCache``, ``StoredMeshes``, or a mapping to `facekit.faces.mesh.Mesh` or to
        (468, 3) vertices. Or a callable, picture -> Mesh. What it does not know, and everything where it is left out,
        is found by the shipped model, about a millisecond a picture.
    options : MaskOptions, optional
        Ranges of tilt, shadow and light.
    textures : path, optional
        Table of custom masks, see `facekit.masks.custom`.

    Raises
    ------
    ConfigError
        The probability is no probability, the seed negative, a type unknown or a weight negative.

    Examples
    --------
    >>> augment = MaskAugment(0.5, "kn95,n95-cup", seed=3, meshes={7: vertices})  # doctest: +SKIP
    >>> image, masked = augment(image, key=7, epoch=2)  # doctest: +SKIP
    """

    def __init__(
        self,
        probability: float = 0.5,
        types: str | Sequence[str] | Mapping[str, float] = "all",
        seed: int = 0,
        meshes: MeshLookup | MeshEstimator | None = None,
        options: MaskOptions | None = None,
        textures: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability is {probability}; it must be from 0 to 1")
        if seed < 0:
            raise ConfigError(f"seed is {seed}; it must not be negative")
        self.probability, self.seed, self.options = float(probability), int(seed), options or MaskOptions()
        self.textures = None if textures is None else os.fspath(textures)
        self._add_masks()
        self.types, self._edges = _weighted(types)
        self.meshes = meshes

    def _add_masks(self) -> None:
        if self.textures is not None:
            add_masks(self.textures)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._add_masks()

    def __call__(self, image: Any, key: int, epoch: int = 0) -> tuple[Any, bool]:
        """Perhaps put a mask on.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB, or a picture of Pillow
            Aligned; never changed.
        key : int
            Of the record.
        epoch : int

        Returns
        -------
        (H, W, 3) uint8, or a picture of Pillow where one was given
            The picture itself where no mask was put on.
        bool
            Whether it wears a mask now. A picture that was drawn but on which no mask can be worn stays bare.

        Raises
        ------
        PictureError
            It is a tensor, or no picture.
        """
        bare = as_picture(image)
        rng = np.random.default_rng([self.seed, epoch, key])
        chance, which = rng.random(2)
        if chance >= self.probability:
            return image, False
        mesh = self._mesh(bare, key)
        if gate(mesh, bare.shape) is not None:
            return image, False
        type = self.types[int(np.searchsorted(self._edges, which * self._edges[-1], side="right"))]
        worn = render_worn(bare, mesh.vertices, sample_params(rng, type, self.options)).image
        return to_pillow(worn) if is_pillow(image) else worn, True

    def _mesh(self, image: NDArray[np.uint8], key: int) -> Mesh:
        if self.meshes is None:
            return rounded(_model()(image))
        if not isinstance(self.meshes, MeshLookup):
            return rounded(self.meshes(image))
        known = self.meshes.get(key)
        if known is None:
            return rounded(_model()(image))
        return rounded(known if isinstance(known, Mesh) else Mesh(np.asarray(known, np.float32), math.inf))

    def __repr__(self) -> str:
        return f"MaskAugment({self.probability}, {', '.join(self.types)}, seed={self.seed})"


@cache
def _model() -> Callable[[NDArray[np.uint8]], Mesh]:
    """The shipped model, opened once in each process."""
    return LiteRTMesh()


def _weighted(types: str | Sequence[str] | Mapping[str, float]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names, and the running sums of their weights."""
    if isinstance(types, str) and types == "real":
        types = AS_WORN
    if isinstance(types, str):
        types = type_names() if types == "all" else [name.strip() for name in types.split(",")]
    names = tuple(types)
    weights = [float(types[name]) if isinstance(types, Mapping) else 1.0 for name in names]
    for name in names:
        mask_type(name)
    if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
        raise ConfigError(f"weights of mask types are {weights}; none may be negative and one must be above 0")
    return names, np.cumsum(weights)
