"""The outcome of cleaning: for every face what is done with it, where it goes, why, and the number that decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from facekit.clean.pairs import Pairs
from facekit.errors import FacekitError

__all__ = ["ACTIONS", "REASONS", "Decisions", "Identities"]

ACTIONS = ("keep", "move", "drop", "review")
"""keep: under its own identity. move: under another. drop: out. review: out until a person decides."""

REASONS = (
    "inlier",  # keep: similar enough to the centre of its identity
    "union",  # move: its identity has the same centre as another
    "inter",  # move: its identity is merged with another
    "second_person",  # move: a coherent second person inside an identity
    "relabel",  # move: outlier of its own identity, belongs to another
    "intra",  # drop: not similar enough to the centre
    "duplicate_label",  # drop: literal ID-Union, the identity's label is removed with its images
    "hub",  # review: would be relabelled to an identity that attracts too many faces
    "no_embedding",  # drop: its vector is zero
    "excluded",  # drop: it, or its identity, is in a test set that must stay unseen
    "near_duplicate",  # drop: the same picture again
    "low_quality",  # drop
    "copy",  # follows the decision about the record that it is a masked copy of
    "override",  # what a person decided
    "unmatched",  # drop: a picture that the decisions do not know
)


class Identities(NamedTuple):
    """One row for each old label, ascending."""

    label: np.ndarray  # (F,) int64
    size: np.ndarray  # (F,) int64 faces
    members: np.ndarray  # (F,) int64 faces in its largest cluster
    fallback: np.ndarray  # (F,) bool: it has no cluster, its centre is its most typical face
    merged_into: np.ndarray  # (F,) int64 the old label that leads its group (its own if none), -1: it has no embedding


@dataclass(frozen=True)
class Decisions:
    """One row for each face, in the order of the input.

    Attributes
    ----------
    action_code, reason_code : (N,) int8
        Positions in `ACTIONS` and `REASONS`.
    old_label, new_label : (N,) int64
        New labels are contiguous from 0, in the order of each group's smallest old label; -1 is out.
    similarity : (N,) float32
        Cosine with the centre that decided; nan where there was none.
    threshold : (N,) float32
        What the similarity was compared with.
    nearest : (N,) int64
        The old label whose centre decided (for relabelled faces and hubs another identity's); -1 where there is none.
    cluster : (N,) int8
        0: in the largest cluster of its identity, 1: in another one, -1: in none.
    identities : Identities
    pairs : Pairs
        Old labels whose centres are similar, merged or not: everything at or above ``inter - near_miss`` (in robust
        mode, everything at or above .45 in size-aware similarity, clusters of one identity included).
    settings : dict
        The thresholds and options in force, calibrated values included.
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
        out = self.new_label < 0
        gone = np.isin(self.action_code, [ACTIONS.index("drop"), ACTIONS.index("review")])
        if not np.array_equal(out, gone):
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
        """Old label to the new label that its identity has now, -1 where nothing of it is left.

        An identity's new label is the one most of its faces have that were not relabelled away (of equals the smaller).
        """
        return _label_table(self)

    def counts(self) -> dict[str, int]:
        """Return how many faces there are for each reason; they add up to ``len(self)``."""
        found = np.bincount(self.reason_code, minlength=len(REASONS))
        return {reason: int(n) for reason, n in zip(REASONS, found) if n}


def _label_table(decisions: Decisions) -> dict[int, int]:
    names, old = np.unique(decisions.old_label, return_inverse=True)
    own = (decisions.new_label >= 0) & (decisions.reason_code != REASONS.index("relabel"))
    own &= decisions.reason_code != REASONS.index("second_person")
    pair, count = np.unique(np.stack([old[own], decisions.new_label[own]]), axis=1, return_counts=True)
    table = dict.fromkeys(names.tolist(), -1)
    for p in np.lexsort((pair[1], -count))[::-1]:
        table[int(names[pair[0, p]])] = int(pair[1, p])
    return table
