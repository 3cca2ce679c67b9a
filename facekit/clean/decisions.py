"""The outcome of cleaning: for every face what is done with it, where it goes, why, and the number that decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from facekit.clean.pairs import Pairs
from facekit.errors import FacekitError
from facekit.records.distinct import count_pairs, distinct

__all__ = ["ACTIONS", "REASONS", "Action", "Decisions", "Identities", "Reason", "label_homes"]


class _Code(IntEnum):
    """A code that stands in arrays; tables spell out its `word`. Codes are never given to another meaning."""

    @property
    def word(self) -> str:
        """As tables and messages spell it."""
        return self.name.lower()


class Action(_Code):
    """What is done with a face."""

    KEEP = 0  # under its own identity
    MOVE = 1  # under another one
    DROP = 2
    REVIEW = 3  # out until a person decides


class Reason(_Code):
    """Why it is done."""

    INLIER = 0  # keep: similar enough to the centre of its identity
    UNION = 1  # move: its identity has the same centre as another
    INTER = 2  # move: its identity is merged with another
    SECOND_PERSON = 3  # move: a coherent second person inside an identity
    RELABEL = 4  # move: outlier of its own identity, belongs to another
    INTRA = 5  # drop: not similar enough to the centre
    DUPLICATE_LABEL = 6  # drop: literal ID-Union, the identity's label is removed with its images
    HUB = 7  # review: would be relabelled to an identity that attracts too many faces
    NO_EMBEDDING = 8  # drop: its vector is zero
    EXCLUDED = 9  # drop: it, or its identity, is in a test set that must stay unseen
    NEAR_DUPLICATE = 10  # drop: the same picture again
    LOW_QUALITY = 11  # drop
    COPY = 12  # follows the decision about the record that it is a masked copy of
    OVERRIDE = 13  # what a person decided
    UNMATCHED = 14  # drop: a picture that the decisions do not know


ACTIONS = tuple(action.word for action in Action)
"""The words of `Action` at their codes."""

REASONS = tuple(reason.word for reason in Reason)
"""The words of `Reason` at their codes."""

WITH_IDENTITY = (Reason.INLIER, Reason.UNION, Reason.INTER)
"""Reasons of faces that are where their identity is."""


class Identities(NamedTuple):
    """One row for each old label, ascending."""

    label: np.ndarray  # (I,) int64
    size: np.ndarray  # (I,) int64 faces
    members: np.ndarray  # (I,) int64 faces in its largest cluster
    fallback: np.ndarray  # (I,) bool: it has no cluster, its centre is its most typical face
    merged_into: np.ndarray  # (I,) int64 the old label that leads its group (its own if none), -1: it has no embedding


@dataclass(frozen=True)
class Decisions:
    """One row for each face, in the order of the input.

    Attributes
    ----------
    action_code, reason_code : (N,) int8
        Codes of `Action` and `Reason`.
    old_label, new_label : (N,) int64
        New labels are contiguous from 0, in the order of each group's smallest old label, that of a second person's
        cluster included; -1 is out.
    similarity : (N,) float32
        Cosine with the centre that decided; nan where there was none.
    threshold : (N,) float32
        What the similarity was compared with.
    nearest : (N,) int32, or int64 where labels need it
        The old label whose centre decided (for relabelled faces and hubs another identity's); -1 where there is none.
    cluster : (N,) int8
        0: in the largest cluster of its identity, 1: in another one, -1: in none.
    identities : Identities
    pairs : Pairs
        Old labels whose centres are similar, merged or not: everything at or above ``inter - near_miss`` (in robust
        mode, everything at or above .45 in size-aware similarity, clusters of one identity included).
    settings : dict
        The thresholds and options in force, calibrated values included.

    Raises
    ------
    FacekitError
        A face has a new label and is dropped, or has none and is kept.
    """

    action_code: np.ndarray
    reason_code: np.ndarray
    old_label: np.ndarray
    new_label: np.ndarray
    similarity: np.ndarray
    threshold: np.ndarray
    nearest: np.ndarray
    cluster: np.ndarray
    identities: Identities
    pairs: Pairs
    settings: dict[str, object]

    def __post_init__(self) -> None:
        out = (self.action_code == Action.DROP) | (self.action_code == Action.REVIEW)
        if not np.array_equal(self.new_label < 0, out):
            raise FacekitError("decisions contradict themselves: a face has a new label exactly if it is kept or moved")

    def __len__(self) -> int:
        return len(self.action_code)

    @property
    def action(self) -> np.ndarray:
        """(N,) str: what is done."""
        return np.array(ACTIONS)[self.action_code]

    @property
    def reason(self) -> np.ndarray:
        """(N,) str: why."""
        return np.array(REASONS)[self.reason_code]

    @property
    def label_table(self) -> dict[int, int]:
        """Old label to the new label that its identity has now, -1 where nothing of it is left."""
        labels, homes = label_homes(self.old_label, self.reason_code, self.new_label)
        return dict(zip(labels.tolist(), homes.tolist(), strict=True))

    def counts(self) -> dict[str, int]:
        """Return how many faces there are for each reason; they add up to ``len(self)``."""
        found = np.bincount(self.reason_code, minlength=len(REASONS))
        return {reason: int(n) for reason, n in zip(REASONS, found) if n}


def label_homes(old_label: np.ndarray, reason_code: np.ndarray, new_label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the new label that each identity has: the one of most of its faces that stayed with it.

    Parameters
    ----------
    old_label, new_label : (N,) int64
    reason_code : (N,) int8

    Returns
    -------
    labels : (I,) int64
        Old labels, ascending.
    homes : (I,) int64
        New labels, -1 where nothing of the identity is left; of equally many faces the larger new label.
    """
    labels = distinct(old_label)
    homes = np.full(len(labels), -1, np.int64)
    stays = (new_label >= 0) & np.isin(reason_code, (*WITH_IDENTITY, Reason.OVERRIDE))
    old, new, count = count_pairs(old_label, new_label, stays)
    order = np.lexsort((new, count, old))
    old, new = old[order], new[order]
    last = np.append(old[1:] != old[:-1], True)[: len(old)]
    homes[np.searchsorted(labels, old[last])] = new[last]
    return labels, homes
