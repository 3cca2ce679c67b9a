"""Faces of a folder of vectors that stay in their files: a list of pairs reads the rows that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Embeddings, Features
from facekit.evaluate import FaceSet
from facekit.evaluate.faces import check_norms
from facekit.output.dry_run import is_dry
from facekit.records.distinct import blocks
from facekit.records.key_rows import rows_of

__all__ = ["LookedAt", "MappedFaces", "Pictured", "pair_similarity"]

BLOCK = 1 << 23
"""Bytes of vectors that are gathered at once for each side of some pairs."""

Rows = npt.NDArray[np.int64]
Gather = Callable[[Rows], npt.NDArray[np.float32]]


class LookedAt(Protocol):
    """What a summary says of faces; `Faces` describes each."""

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""

    @property
    def masked(self) -> npt.NDArray[np.bool_]:
        """(N,) bool."""

    @property
    def uncertainty(self) -> npt.NDArray[np.float32] | None:
        """(N,) float32, where the network says it."""

    @property
    def errors(self) -> Counter[str]:
        """Pictures without a vector, by the reason."""

    @property
    def branches(self) -> Counter[str]:
        """Pictures by the branch they took."""

    @property
    def seconds(self) -> float:
        """That the network took."""


class Pictured(LookedAt, Protocol):
    """Faces that a list of pairs is about."""

    def rows_of(self, keys: npt.NDArray[np.int64]) -> Rows:
        """The row of each key; -1: there is no vector."""

    def vectors_at(self, rows: Rows) -> npt.NDArray[np.float32]:
        """(n, D) float32."""

    def labels_at(self, rows: Rows) -> npt.NDArray[np.int64]:
        """(n,) int64."""


@dataclass(frozen=True)
class MappedFaces:
    """A folder of vectors, whose vectors and labels are read when they are asked for.

    Attributes
    ----------
    features : Features
    errors, branches : Counter
        As in `facekit.jobs.evaluate.faces.Faces`.
    seconds : float

    Raises
    ------
    ConfigError
        Labels or sources are no integers, or a vector is not of unit norm.
    FacekitError
        A shard cannot be read.
    """

    features: Features
    errors: Counter[str]
    branches: Counter[str]
    seconds: float = 0.0

    def __post_init__(self) -> None:
        features = self.features
        labels, sources = features.column("label"), features.column("source_key")
        stand_ins = np.ones((len(features.keys), min(features.dimensions, 1)), np.float32)
        if not is_dry():
            Embeddings(stand_ins, labels, features.keys)
        FaceSet(stand_ins, labels, sources)
        for rows, vectors in features.blocks() if not is_dry() else ():
            check_norms(vectors, rows.start)

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return self.features.keys

    @property
    def masked(self) -> npt.NDArray[np.bool_]:
        """(N,) bool."""
        return self.features.masked

    @property
    def uncertainty(self) -> npt.NDArray[np.float32] | None:
        """(N,) float32, where the network says it."""
        return self.features.uncertainty

    def rows_of(self, keys: npt.NDArray[np.int64]) -> Rows:
        """The row of each key; -1: there is no vector."""
        return rows_of(self.keys, keys)

    def vectors_at(self, rows: Rows) -> npt.NDArray[np.float32]:
        """(n, D) float32; of an evaluation that is only planned, what stands for them."""
        return np.ones((len(rows), 1), np.float32) if is_dry() else self.features.take(rows)

    def labels_at(self, rows: Rows) -> npt.NDArray[np.int64]:
        """(n,) int64."""
        found: npt.NDArray[np.int64] = self.features.column("label")[rows]
        return found


def pair_similarity(left: Gather, right: Gather, rows: Rows) -> npt.NDArray[np.float32]:
    """Similarities of pairs, with the vectors of so many of them in memory as fit into a block.

    Parameters
    ----------
    left, right : callable
        (n,) rows -> (n, D) float32, of unit norm.
    rows : (P, 2) int64

    Returns
    -------
    (P,) float32
    """
    width = left(rows[:1, 0]).nbytes if len(rows) else 1
    found = np.empty(len(rows), np.float32)
    for part in blocks(len(rows), max(BLOCK // width, 1)):
        # No name for either side: it would be held while the next is gathered.
        np.einsum("ij,ij->i", left(rows[part, 0]), right(rows[part, 1]), out=found[part])
    return found
