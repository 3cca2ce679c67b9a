"""``facekit diff`` and ``facekit explain``: decisions compared, and one decision in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from facekit.clean.decisions import ACTIONS
from facekit.errors import FacekitError
from facekit.jobs.clean.tables import DecisionTable, label_table

__all__ = ["DecisionDiff", "Explanation", "diff", "explain"]

_MEANING = {
    "inlier": "it is similar enough to the centre of its identity",
    "union": "its identity has the same centre as another one, and both became one",
    "inter": "its identity is so similar to another one that both became one",
    "second_person": "it belongs to a second person inside its identity",
    "relabel": "it does not belong to its identity but clearly to another one",
    "intra": "it is not similar enough to the centre of its identity",
    "duplicate_label": "its identity has the same centre as a larger one, and its label was removed",
    "hub": "it is near something that attracts too many faces to be a person; a person should look at it",
    "no_embedding": "it has no embedding",
    "excluded": "it, or its identity, is in a test set",
    "near_duplicate": "the same picture is there already",
    "low_quality": "its quality is far below that of the others",
    "copy": "it follows the picture that it is a masked copy of",
    "override": "a person decided so",
    "unmatched": "the decisions do not know this picture",
}


@dataclass(frozen=True)
class DecisionDiff:
    """What differs between two sets of decisions about the same images, matched by key.

    Attributes
    ----------
    common, only_first, only_second : int
        Images in both, and in one of them.
    same : int
        Of the common ones, those with the same action and with the same faces beside them.
    changes : dict from str to int
        ``"keep -> drop"`` and so on; ``"keep -> keep, other identity"`` where only the company differs.
    keys : dict from str to list of int
        The keys of each change.
    """

    common: int
    only_first: int
    only_second: int
    same: int
    changes: dict[str, int]
    keys: dict[str, list[int]]


@dataclass(frozen=True)
class Explanation:
    """One decision with what it rests on; `text` is the sentence for a person."""

    key: int
    action: str
    reason: str
    old_label: int
    new_label: int
    similarity: float | None
    threshold: float
    nearest: int
    evidence: str
    identity: dict[str, Any]
    text: str


def diff(first: DecisionTable, second: DecisionTable) -> DecisionDiff:
    """Compare decisions. New labels are only names: groups are the same where each is most of the other."""
    _, a, b = np.intersect1d(first.keys, second.keys, return_indices=True)
    if not len(a):
        raise FacekitError("the two sets of decisions have no key in common")
    same_company = _same_company(first.new_label[a], second.new_label[b])
    one, two = first.action[a], second.action[b]
    names = np.char.add(np.char.add(one, " -> "), two).astype(object)
    names[(one == two) & ~same_company] += ", other identity"
    changed = (one != two) | ~same_company
    found: dict[str, list[int]] = {}
    for name, key in sorted(zip(names[changed].tolist(), first.keys[a][changed].tolist())):
        found.setdefault(name, []).append(key)
    return DecisionDiff(
        common=len(a),
        only_first=len(first) - len(a),
        only_second=len(second) - len(b),
        same=int((~changed).sum()),
        changes={name: len(keys) for name, keys in found.items()},
        keys=found,
    )


def _same_company(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return which faces are in groups that mostly are each other's; faces that are out in either have none to
    compare."""
    both = (one >= 0) & (two >= 0)
    pairs, which, count = np.unique(np.stack([one[both], two[both]]), axis=1, return_inverse=True, return_counts=True)
    order = np.argsort(count, kind="stable")
    partner, back = dict(pairs.T[order].tolist()), dict(pairs.T[order][:, ::-1].tolist())
    mutual = np.array([partner[a] == b and back[b] == a for a, b in pairs.T.tolist()], bool)
    same = np.ones(len(one), bool)
    same[both] = mutual[which.reshape(-1)]
    return same


def explain(table: DecisionTable, key: int) -> Explanation:
    """Say why an image was kept, moved or dropped.

    Raises
    ------
    FacekitError
        The decisions say nothing about this key.
    """
    row = table.row_of(key)
    action, reason = str(table.action[row]), str(table.reason[row])
    old, new = int(table.old_label[row]), int(table.new_label[row])
    similarity = None if np.isnan(table.similarity[row]) else float(table.similarity[row])
    mine = table.old_label == old
    identity: dict[str, Any] = {"faces": int(mine.sum()), "new_label": label_table(table)[old]}
    identity |= {a: int((table.action_code[mine] == c).sum()) for c, a in enumerate(ACTIONS)}
    threshold = float(table.threshold[row])
    evidence = str(table.evidence[row] or "")
    text = _sentence(key, action, reason, old, new, similarity, threshold, evidence)
    return Explanation(
        key, action, reason, old, new, similarity, threshold, int(table.nearest[row]), evidence, identity, text
    )


def _sentence(
    key: int, action: str, reason: str, old: int, new: int, similarity: float | None, threshold: float, evidence: str
) -> str:
    verb = {
        "keep": f"keeps its identity {old}, now {new}",
        "move": f"moves from identity {old} to {new}",
        "drop": f"is dropped from identity {old}",
        "review": f"is left out of identity {old} until it is reviewed",
    }
    measured = "" if similarity is None else f" Similarity {similarity:.3f}, threshold {threshold:.3f} ({evidence})."
    evidence = f" {evidence[:1].upper()}{evidence[1:]}." if similarity is None and evidence else ""
    return f"Key {key} {verb[action]}: {_MEANING[reason]}.{measured}{evidence}"
