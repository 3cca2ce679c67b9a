"""Identities that a face may belong to, for the person who reviews it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Reason
from facekit.clean.pairs import Pairs
from facekit.errors import FacekitError
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.records.distinct import blocks, distinct_of
from facekit.records.key_rows import rows_of
from facekit.records.mapped_array import mapped_array

__all__ = ["Candidates"]

MOST, PICTURES = 8, 4
VECTORS = 8192
"""That are read at once."""
_OWN = (Reason.INLIER, Reason.UNION, Reason.INTER)
"""Reasons of the faces that stay with their identity."""


class Candidates:
    """What a review offers where a face is to be moved.

    Parameters
    ----------
    table : DecisionTable
    pairs : Pairs
        Similar identities, by their old labels.
    vectors : (N, D) floating, optional
        Of the table's faces; anything that gives rows for an array of integers.
    """

    def __init__(self, table: DecisionTable, pairs: Pairs, vectors: Any = None) -> None:
        self._table, self._pairs, self._vectors = table, pairs, vectors
        self._typical: npt.NDArray[np.float16] | None = None
        self._lock = threading.Lock()
        self.labels: npt.NDArray[np.int64] = distinct_of(table.old_label[part] for part in blocks(len(table)))

    def near(self, key: int) -> list[dict[str, Any]]:
        """The identities nearest to a face: by the cosine of its vector with the vector of their most typical face;
        without vectors the one whose centre decided, and those whose centres are similar to its own's or to that one's.

        Parameters
        ----------
        key : int

        Returns
        -------
        list of dict
            As `identity` has them, at most eight, without the face's own; with vectors also ``similarity``.

        Raises
        ------
        FacekitError
            No decision is about the key.
        """
        row = self._table.row_of(key)
        if self._vectors is not None:
            return self._nearest(row)
        own, nearest = int(self._table.old_label[row]), int(self._table.nearest[row])
        found = dict.fromkeys([nearest, *self._similar(own), *self._similar(nearest)])
        there = [label for label in found if label != own and self._is_known(label)]
        return [self.identity(label) for label in there[:MOST]]

    def identity(self, label: int) -> dict[str, Any]:
        """An identity of the pack that was cleaned.

        Parameters
        ----------
        label : int
            Its old label.

        Returns
        -------
        dict
            ``label``, ``faces`` (their number) and ``pictures``, keys of its most typical faces.

        Raises
        ------
        FacekitError
            No identity has this label.
        """
        if not self._is_known(label):
            raise FacekitError(
                f"no identity has the label {label}: the labels of this pack lie between {self.labels[0]} and "
                f"{self.labels[-1]}"
            )
        rows = np.flatnonzero(self._table.old_label == label)
        order = np.argsort(-self._own_similarity(rows), kind="stable")
        return {"label": label, "faces": len(rows), "pictures": self._table.keys[rows[order[:PICTURES]]].tolist()}

    def _own_similarity(self, rows: npt.NDArray[np.int64] | slice) -> npt.NDArray[np.float32]:
        """How like their identity some faces are; of one that leaves it the similarity is that with another, so that
        it comes after all that stay.
        """
        found: npt.NDArray[np.float32] = np.nan_to_num(self._table.similarity[rows], nan=-1)
        found[~np.isin(self._table.reason_code[rows], _OWN)] -= 4
        return found

    def _nearest(self, row: int) -> list[dict[str, Any]]:
        own = int(self._table.old_label[row])
        found = _unit(self._vectors[np.array([row])])[0]
        similarity = _products(self._typical_vectors(), found)
        similarity[rows_of(self.labels, np.array([own], np.int64), ascending=True)] = -2
        order = np.argsort(-similarity, kind="stable")[: min(MOST, len(self.labels) - 1)]
        return [{**self.identity(int(self.labels[at])), "similarity": round(float(similarity[at]), 3)} for at in order]

    def _typical_vectors(self) -> npt.NDArray[np.float16]:
        """Unit vectors of the most typical face of each identity, read when they are first wanted."""
        with self._lock:
            if self._typical is None:
                rows = self._typical_rows()
                typical = mapped_array((len(rows), self._vectors.shape[1]), np.float16)
                for part in blocks(len(rows), VECTORS):
                    typical[part] = _unit(self._vectors[rows[part]])
                self._typical = typical
            return self._typical

    def _typical_rows(self) -> npt.NDArray[np.int64]:
        """The most typical face of each identity, of equal ones the first, (m,); found without sorting all faces."""
        best = np.full(len(self.labels), -np.inf, np.float32)
        rows = np.zeros(len(self.labels), np.int64)
        for part in blocks(len(self._table)):
            similarity = self._own_similarity(part)
            label = np.searchsorted(self.labels, self._table.old_label[part])
            order = np.lexsort((-similarity, label))
            first = order[np.append(True, label[order][1:] != label[order][:-1])]
            better = first[similarity[first] > best[label[first]]]
            best[label[better]], rows[label[better]] = similarity[better], part.start + better
        return rows

    def _is_known(self, label: int) -> bool:
        if not 0 <= label < 1 << 63:
            return False
        return bool(rows_of(self.labels, np.array([label], np.int64), ascending=True)[0] >= 0)

    def _similar(self, label: int) -> list[int]:
        """Old labels of the identities with the most similar centres, the most similar first."""
        left, right = self._pairs.left == label, self._pairs.right == label
        others = np.concatenate([self._pairs.right[left], self._pairs.left[right]])
        similarity = np.concatenate([self._pairs.similarity[left], self._pairs.similarity[right]])
        return [int(other) for other in others[np.argsort(-similarity, kind="stable")][:MOST]]


def _unit(vectors: Any) -> npt.NDArray[np.float32]:
    given = np.asarray(vectors, np.float32)
    length = np.linalg.norm(given, axis=1, keepdims=True)
    return given / np.where(length > 0, length, np.float32(1))


def _products(vectors: npt.NDArray[np.float16], one: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    found = np.empty(len(vectors), np.float32)
    for part in blocks(len(vectors)):
        found[part] = vectors[part].astype(np.float32) @ one
    return found
