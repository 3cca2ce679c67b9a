"""Decisions as arrays: a row for each image of the source."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS
from facekit.errors import FacekitError
from facekit.records.distinct import blocks

__all__ = ["COLUMNS", "DecisionTable"]

COLUMNS: dict[str, tuple[str, type[np.generic], tuple[int, ...]]] = {
    "keys": ("key", np.int64, ()),
    "payload_hash": ("payload_hash", np.uint8, (16,)),
    "old_label": ("old_label", np.int64, ()),
    "new_label": ("new_label", np.int64, ()),
    "action_code": ("action", np.int8, ()),
    "reason_code": ("reason", np.int8, ()),
    "similarity": ("similarity", np.float32, ()),
    "threshold": ("threshold", np.float32, ()),
    "nearest": ("nearest", np.int64, ()),
    "cluster": ("cluster", np.int8, ()),
    "round": ("round", np.int32, ()),
    "evidence_code": ("evidence", np.int32, ()),
}
"""Fields of `DecisionTable`: the column in the file, the dtype, and the shape of one row."""


@dataclass(frozen=True)
class DecisionTable:
    """The rows of ``decisions.parquet`` as arrays, in the physical order of the source's images: 59 bytes a row, less
    where one value stands for a whole column.

    Attributes
    ----------
    keys, old_label, new_label : (N,) int64
    nearest : (N,) int32 or int64
    payload_hash : (N, 16) uint8
        BLAKE2b of the payload.
    action_code, reason_code, cluster : (N,) int8
        Codes of `Action` and `Reason`.
    similarity, threshold : (N,) float32
    round : (N,) int32
    evidence_code : (N,) int32
        Position in `sentences`.
    sentences : tuple of str
        What there is to say of the evidence, each sentence once.
    about : dict
        Settings, model and source.
    """

    keys: npt.NDArray[np.int64]
    payload_hash: npt.NDArray[np.uint8]
    old_label: npt.NDArray[np.int64]
    new_label: npt.NDArray[np.int64]
    action_code: npt.NDArray[np.int8]
    reason_code: npt.NDArray[np.int8]
    similarity: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int32] | npt.NDArray[np.int64]
    cluster: npt.NDArray[np.int8]
    round: npt.NDArray[np.int32]
    evidence_code: npt.NDArray[np.int32]
    sentences: tuple[str, ...]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def action(self) -> npt.NDArray[np.str_]:
        """(N,) str."""
        return np.array(ACTIONS)[self.action_code]

    @property
    def reason(self) -> npt.NDArray[np.str_]:
        """(N,) str."""
        return np.array(REASONS)[self.reason_code]

    @property
    def evidence(self) -> npt.NDArray[np.object_]:
        """(N,) object: text; one Python object for each sentence, not for each row."""
        return np.array([*self.sentences, None], object)[self.evidence_code]

    def row_of(self, key: int) -> int:
        """Return the row of a key.

        Raises
        ------
        FacekitError
            There is none.
        """
        found = np.flatnonzero(self.keys == key)
        if not len(found):
            raise FacekitError(
                f"the decisions say nothing about key {key}; they cover keys {self.keys.min()} to {self.keys.max()}"
            )
        return int(found[0])

    def select_rows(self, rows: npt.NDArray[np.int64]) -> DecisionTable:
        """Some of the rows, (n,) in any order."""
        if len(rows) == len(self) and all(np.array_equal(rows[part], np.arange(part.start, part.stop))
                                          for part in blocks(len(rows))):  # fmt: skip
            return self
        columns: dict[str, Any] = {name: _taken(getattr(self, name), rows) for name in COLUMNS}
        return dataclasses.replace(self, **columns)

    def explained(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_], texts: list[str]) -> DecisionTable:
        """Give some rows other evidence.

        Parameters
        ----------
        rows : (n,) integers, or (N,) bool
        texts : list of str
            One for each of the rows, or one for all.
        """
        if not (rows.any() if rows.dtype == np.bool_ else len(rows)):
            return self
        names, which = np.unique(np.array(texts, object), return_inverse=True)
        codes = self.evidence_code.copy()
        codes[rows] = len(self.sentences) + which.reshape(-1)
        return dataclasses.replace(self, evidence_code=codes, sentences=(*self.sentences, *names.tolist()))


def _taken(column: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Some rows of a column; of one that is the same throughout, as cheap as it was."""
    if column.strides[0] == 0 and len(column):
        return np.broadcast_to(column[0], (len(rows), *column.shape[1:]))
    return column[rows]
