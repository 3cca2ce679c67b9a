"""What is evaluated: embeddings with labels, and which of them were made from the same photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings import VectorRows
from facekit.errors import ConfigError

__all__ = ["FaceSet", "check_norms", "comparable_sources"]

AT_ONCE = 1 << 13
"""Vectors that are read at once to look at their norms."""


@dataclass(frozen=True)
class FaceSet:
    """Embeddings to be compared with one another or with another set.

    Parameters
    ----------
    vectors : (N, D) float32, or VectorRows
        Unit norm, to 1e-3; similarity is the dot product. `VectorRows` are read where they lie, a block at a time.
    labels : (N,) int64
        Who it is.
    sources : (N,) int64, optional
        Which photograph it was made from, not negative. Two pictures of one source are never compared: a masked copy
        with its original would be a pair that says nothing. None: every picture has its own, in every set.

    Raises
    ------
    ConfigError
        Shapes that do not belong together, vectors that are not finite or not of unit norm.
    """

    vectors: NDArray[np.float32] | VectorRows
    labels: NDArray[np.int64]
    sources: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        vectors = self.vectors if isinstance(self.vectors, VectorRows) else np.asarray(self.vectors)
        labels = np.asarray(self.labels)
        if vectors.ndim != 2 or not vectors.shape[1] or vectors.dtype.kind != "f":
            raise ConfigError(f"vectors must be (N, D) floating, not {vectors.shape} {vectors.dtype}")
        if labels.shape != (len(vectors),) or labels.dtype.kind not in "iu":
            raise ConfigError(f"labels must be {len(vectors)} integers, not {labels.shape} {labels.dtype}")
        if self.sources is not None:
            object.__setattr__(self, "sources", _checked_sources(np.asarray(self.sources), len(vectors)))
        check_norms(vectors)
        if not isinstance(vectors, VectorRows):
            object.__setattr__(self, "vectors", np.ascontiguousarray(vectors, np.float32))
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> FaceSet:
        """The faces where ``keep`` is true, or at those positions."""
        sources = None if self.sources is None else self.sources[keep]
        held = self.vectors
        return FaceSet(held.take(keep) if isinstance(held, VectorRows) else held[keep], self.labels[keep], sources)


def comparable_sources(probe: FaceSet, gallery: FaceSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers that are equal where two pictures must not be compared.

    Parameters
    ----------
    probe, gallery : FaceSet

    Returns
    -------
    (P,) int64, (G,) int64
        Never equal where one of the sets says no sources.
    """
    if probe.sources is not None and gallery.sources is not None:
        return probe.sources, gallery.sources
    return np.full(len(probe), -1), np.full(len(gallery), -2)


def _checked_sources(sources: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if sources.shape != (count,) or sources.dtype.kind not in "iu" or sources.min(initial=0) < 0:
        raise ConfigError(f"sources must be {count} integers from 0 on, not {sources.shape} {sources.dtype}")
    return sources.astype(np.int64, copy=False)


def check_norms(vectors: NDArray[np.floating] | VectorRows, first: int = 0) -> None:
    """Refuse vectors that are not of unit norm.

    Parameters
    ----------
    vectors : (N, D) floating, or VectorRows
    first : int
        Row of the first of them, to name the wrong one.

    Raises
    ------
    ConfigError
    """
    for start in range(0, len(vectors), AT_ONCE):
        squares = np.einsum("ij,ij->i", *[vectors[start : start + AT_ONCE].astype(np.float32, copy=False)] * 2)
        wrong = ~(np.abs(squares - 1) < 2e-3)
        if wrong.any():
            row = start + int(wrong.argmax())
            raise ConfigError(
                f"vector {first + row} has norm {squares[row - start] ** 0.5:.4g}; vectors must have unit norm"
            )
