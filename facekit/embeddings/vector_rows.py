"""Some of the vectors of a folder, or of a mapped file, that stay where they are until they are looked at."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayVectors", "StoredVectors", "VectorRows"]


class StoredVectors(Protocol):
    """Where vectors lie: `facekit.embeddings.Features`, or what can be asked in the same way."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def dimensions(self) -> int:
        """Numbers of each."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, D) float32 of some of them."""


class ArrayVectors:
    """An array, in memory or mapped, as `StoredVectors`.

    Parameters
    ----------
    vectors : (N, D) float32
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors
        self.count, self.dimensions = vectors.shape

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, D) float32 of some of them."""
        return self._vectors[rows]


class VectorRows:
    """Rows of stored vectors, four bytes each; all of them take none.

    Indexed by a slice, positions or booleans it reads what is asked for, as an array; :meth:`take` reads nothing.

    Parameters
    ----------
    stored : StoredVectors
    rows : (n,) integer, optional
        Which of them, in any order; by default all.
    """

    __slots__ = ("_rows", "_stored")

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, stored: StoredVectors, rows: NDArray[np.integer] | None = None) -> None:
        narrow = np.int32 if stored.count < 1 << 31 else np.int64
        self._stored, self._rows = stored, None if rows is None else rows.astype(narrow, copy=False)

    def __len__(self) -> int:
        return self._stored.count if self._rows is None else len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """How many, and numbers of each."""
        return len(self), self._stored.dimensions

    def __getitem__(self, places: slice | NDArray[Any]) -> NDArray[np.float32]:
        return self._stored.take(self._chosen(places).astype(np.int64))

    def take(self, places: slice | NDArray[Any]) -> VectorRows:
        """Some of these, where they are.

        Parameters
        ----------
        places : slice, (n,) integer or (N,) bool
        """
        return VectorRows(self._stored, self._chosen(places))

    def _chosen(self, places: slice | NDArray[Any]) -> NDArray[np.integer]:
        if self._rows is not None:
            return self._rows[places]
        if isinstance(places, slice):
            return np.arange(*places.indices(len(self)))
        return np.flatnonzero(places) if places.dtype == np.bool_ else places
