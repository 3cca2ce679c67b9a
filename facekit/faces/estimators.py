"""Meshes that are known already as estimators, and estimators that ask such sources first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.cache import MeshCacheWriter
from facekit.faces.mesh import Mesh, MeshEstimator, rounded
from facekit.faces.topology import NUM_VERTICES

__all__ = ["KeyedMeshes", "MeshSource", "StoredMesh", "StoredMeshes"]


class MeshSource(Protocol):
    """Meshes by record key: a `facekit.faces.cache.MeshCache` or `StoredMeshes`."""

    def get(self, key: int) -> Mesh | None:
        """The mesh of record `key`, or None where it is not known."""
        ...


class StoredMesh:
    """An estimator that gives the same mesh for every picture.

    Parameters
    ----------
    vertices : (468, 3) floating
        See `facekit.faces.mesh.Mesh`.
    presence : float
        Infinity passes every gate.

    Raises
    ------
    ConfigError
        The vertices are not (468, 3).
    """

    def __init__(self, vertices: NDArray[np.floating], presence: float = math.inf) -> None:
        self.mesh = Mesh(_checked(vertices, (NUM_VERTICES, 3)), presence)

    def __call__(self, _image: NDArray[np.uint8], /) -> Mesh:
        return self.mesh


class StoredMeshes:
    """Vertices from elsewhere (3DDFA, PRNet, a file) by record key.

    Parameters
    ----------
    keys : (N,) of int
        Record keys, each once.
    vertices : (N, 468, 3) floating
        One face mesh a key; kept as given, so that a memory-mapped array stays on disk.
    presence : (N,) of float, optional
        Infinity where it is not given.

    Raises
    ------
    ConfigError
        The vertices are not (N, 468, 3), or there are not N presence logits.
    """

    def __init__(
        self, keys: Iterable[int], vertices: NDArray[np.floating], presence: Sequence[float] | None = None
    ) -> None:
        self._row = {int(key): row for row, key in enumerate(keys)}
        self._vertices = _checked(vertices, (len(self._row), NUM_VERTICES, 3))
        if presence is not None and len(presence) != len(self._row):
            raise ConfigError(f"there are {len(self._row)} keys but {len(presence)} presence logits")
        self._presence = presence

    def get(self, key: int) -> Mesh | None:
        """The mesh of a record.

        Parameters
        ----------
        key : int

        Returns
        -------
        Mesh or None
            None where there are no vertices of that key.
        """
        row = self._row.get(key)
        if row is None:
            return None
        presence = math.inf if self._presence is None else float(self._presence[row])
        return Mesh(np.asarray(self._vertices[row], np.float32), presence)


class KeyedMeshes:
    """The mesh of a record: from the first source that knows its key, otherwise from the estimator.

    Every mesh is rounded as a cache rounds it, so that a job writes the same bytes with a cache and without one.

    Parameters
    ----------
    estimator : MeshEstimator
    sources : sequence of MeshSource
    part : MeshCacheWriter, optional
        Takes what the estimator found.
    """

    def __init__(
        self, estimator: MeshEstimator, sources: Sequence[MeshSource] = (), part: MeshCacheWriter | None = None
    ) -> None:
        self.estimator, self.sources, self.part = estimator, tuple(sources), part

    def __call__(self, key: int, image: NDArray[np.uint8]) -> Mesh:
        """The mesh of the record `key` whose picture is `image`, (H, W, 3) uint8 RGB."""
        known = (source.get(key) for source in self.sources)
        mesh = next((mesh for mesh in known if mesh is not None), None)
        if mesh is None:
            mesh = self.estimator(image)
            if self.part is not None:
                self.part.add(key, mesh)
        return rounded(mesh)


def _checked(vertices: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if np.shape(vertices) != shape:
        raise ConfigError(
            f"vertices are {np.shape(vertices)}; {shape} is needed, one row for each of the 468 mesh vertices"
        )
    return vertices if len(shape) == 3 else np.asarray(vertices, np.float32)
