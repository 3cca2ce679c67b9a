"""What is wrong with a pack: one typed finding a fault."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Finding", "Findings"]

KINDS = {
    "empty": "There is no record at all.",
    "truncated": "The file ends inside a record.",
    "padding_missing": "The file ends inside the zeros behind its last record, whose own bytes are whole.",
    "damaged": "Bytes that are no record stand where one should start.",
    "record_lost": "The index has a record where the file is damaged.",
    "header": "A record is too short for its header or label.",
    "empty_payload": "A record of an image has no payload.",
    "index_missing": "There is no index.",
    "index_line": "A line of the index is blank or not two whole numbers.",
    "index_foreign": "Index and file do not belong together.",
    "index_offset": "No record starts where the index says.",
    "index_incomplete": "The index does not have a record of the file.",
    "index_stale": "The binary form of the index differs from its text.",
    "duplicate_key": "The index has a key twice: only the last can be read.",
    "duplicate_offset": "The index has two keys for one record.",
    "header_record": "Record 0 declares other numbers of images and identities than the file has.",
    "header_missing": "There are identity records, but no record 0 that says so.",
    "key_range": "The key of a record lies outside those that record 0 gives its kind.",
    "identity_range": "An identity record does not name the images of one label.",
    "identity_missing": "An image lies in no identity's range, or in two.",
    "label_not_whole": "A label is not a whole number from 0 on.",
    "label_stale": "The labels that are kept beside the pack are not those of its records.",
    "label_rounded": "A label is above 2**24, where float32 rounds.",
    "label_gap": "Labels are missing between 0 and the largest: a classifier trains classes without images.",
    "label_range": "A label is not below the number of classes in property.",
    "property": "property is not NUM_CLASSES,H,W, or declares another number of classes.",
    "undecodable": "A payload is no picture that decodes.",
    "picture_cut": "A JPEG ends before its end marker: the lower part is missing.",
    "picture_damaged": "The decoder warns of damaged data in a JPEG: its pixels are not those that were encoded.",
    "odd_size": "A picture has another size than the pack's.",
    "ledger": "The ledger beside the pack cannot be read.",
    "ledger_foreign": "The ledger does not have an image of the pack, or has one that the pack does not.",
    "payload_changed": "A payload is not the one whose hash the ledger has.",
}
"""What each kind of finding means."""


class Finding(NamedTuple):
    """One fault.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    problem : str
        What is wrong, without the place.
    key : int or None
    offset : int or None
        Byte offset in the ``.rec``; of an ``index_line`` the number of the line.
    """

    kind: str
    problem: str
    key: int | None = None
    offset: int | None = None


class Findings:
    """Counts findings and keeps the first of each kind, so that memory is bounded whatever the pack."""

    def __init__(self, max_kept: int = 1000) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: list[Finding] = []
        self.most = max_kept
        """Findings of one kind that are kept."""

    def add(self, kind: str, problem: str, key: int | None = None, offset: int | None = None) -> None:
        """Note a fault; negative keys and offsets are unknown ones.

        Parameters
        ----------
        kind : str
            One of `KINDS`.
        problem : str
            What is wrong, without the place.
        key, offset : int, optional
            See `Finding`.
        """
        assert kind in KINDS, kind
        self.counts[kind] += 1
        if self.counts[kind] <= self.most:
            place = [None if value is None or value < 0 else int(value) for value in (key, offset)]
            self.kept.append(Finding(kind, problem, *place))

    def add_rows(
        self, kind: str, problem: str, wrong: NDArray[np.bool_], keys: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> None:
        """Note the same fault of several records.

        Parameters
        ----------
        kind, problem : str
            See `add`.
        wrong : (n,) bool
            Which records have it.
        keys, offsets : (n,) int64
            Of all n records.
        """
        rows = np.flatnonzero(wrong)
        room = max(self.most - self.counts[kind], 0)
        for row in rows[:room].tolist():
            self.add(kind, problem, keys[row], offsets[row])
        self.counts[kind] += len(rows[room:])
        if not self.counts[kind]:
            del self.counts[kind]
