"""Decisions compared: two tables (``facekit diff``), both modes, and one decision in words (``facekit explain``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, Action, Decisions, Reason, label_homes
from facekit.errors import FacekitError
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.records.distinct import ascends, blocks, count_codes, count_pairs, distinct, distinct_of
from facekit.records.key_rows import rows_of

__all__ = ["EXPLAINED", "DecisionDiff", "Explanation", "ModeOutcome", "compare_modes", "diff", "explain"]

EXPLAINED = ("keys", "old_label", "new_label", "action_code", "reason_code", "similarity", "threshold", "nearest",
             "evidence_code")  # fmt: skip
"""Columns of a `DecisionTable` that `explain` looks at."""

_MEANING = {
    Reason.INLIER: "it is similar enough to the centre of its identity",
    Reason.UNION: "its identity has the same centre as another one, and both became one",
    Reason.INTER: "its identity is so similar to another one that both became one",
    Reason.SECOND_PERSON: "it belongs to a second person inside its identity",
    Reason.RELABEL: "it does not belong to its identity but clearly to another one",
    Reason.INTRA: "it is not similar enough to the centre of its identity",
    Reason.DUPLICATE_LABEL: "its identity has the same centre as a larger one, and its label was removed",
    Reason.HUB: "it is near something that attracts too many faces to be a person; a person should look at it",
    Reason.NO_EMBEDDING: "it has no embedding",
    Reason.EXCLUDED: "it, or its identity, is in a test set",
    Reason.NEAR_DUPLICATE: "the same picture is there already",
    Reason.LOW_QUALITY: "its quality is far below that of the others",
    Reason.COPY: "it follows the picture that it is a masked copy of",
    Reason.OVERRIDE: "a person decided so",
    Reason.UNMATCHED: "the decisions do not know this picture",
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
    keys : dict from str to (n,) int64
        The keys of each change.
    """

    common: int
    only_first: int
    only_second: int
    same: int
    changes: dict[str, int]
    keys: dict[str, npt.NDArray[np.int64]]


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
    """Compare decisions. New labels are only names: groups are the same where each is most of the other.

    Parameters
    ----------
    first, second : DecisionTable
        About images with the same keys, some of them at least.

    Raises
    ------
    FacekitError
        The two have no key in common.
    """
    a, b = _common_rows(first.keys, second.keys)
    if not len(first.keys[a]):
        raise FacekitError("the two sets of decisions have no key in common")
    keys, one, two = first.keys[a], first.action_code[a], second.action_code[b]
    same_group = _same_group(first.new_label[a], second.new_label[b])
    changed = (one != two) | ~same_group
    found = {
        _change(before, after, other): keys[changed & (one == before) & (two == after) & (same_group != other)]
        for before, after, other in _changes(one, two, same_group, changed)
    }
    return DecisionDiff(
        common=len(keys),
        only_first=len(first) - len(keys),
        only_second=len(second) - len(keys),
        same=int((~changed).sum()),
        changes={name: len(keys) for name, keys in sorted(found.items())},
        keys=dict(sorted(found.items())),
    )


Rows = npt.NDArray[np.int64] | slice


def _common_rows(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[Rows, Rows]:
    """The rows of two columns of keys that have the same keys, in the order of the keys."""
    if len(first) == len(second) and ascends(first) and np.array_equal(first, second):
        return slice(None), slice(None)
    place = rows_of(second, first)
    a = np.flatnonzero(place >= 0)
    a = a if ascends(first) else a[np.argsort(first[a], kind="stable")]
    return a, place[a]


def _changes(
    one: npt.NDArray[np.int8],
    two: npt.NDArray[np.int8],
    same_group: npt.NDArray[np.bool_],
    changed: npt.NDArray[np.bool_],
) -> list[tuple[int, int, int]]:
    """Each combination of before, after and whether the identity is another one, once."""
    count = len(ACTIONS)
    codes = distinct_of(
        ((one[part].astype(np.int64) * count + two[part]) * 2 + ~same_group[part])[changed[part]]
        for part in blocks(len(one))
    )
    return [(code // 2 // count, code // 2 % count, code % 2) for code in codes.tolist()]


def _change(before: int, after: int, other: int) -> str:
    return f"{ACTIONS[before]} -> {ACTIONS[after]}" + (", other identity" if other and before == after else "")


def _same_group(one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which faces are in groups that mostly are each other's, (N,); faces that are out in either have none to
    compare."""
    both = (one >= 0) & (two >= 0)
    first, second, count = count_pairs(one, two, both)
    mutual = _largest_partner(first, count) & _largest_partner(second, count)
    first, partner = first[mutual], np.append(second[mutual], -1)  # the last one is of groups without
    same = np.ones(len(one), bool)
    for part in blocks(len(one)):
        inside = both[part]
        same[part][inside] = partner[rows_of(first, one[part][inside], ascending=True)] == two[part][inside]
    return same


def _largest_partner(group: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which pairs are the largest of their group, (P,); of equal ones the last."""
    order = np.lexsort((np.arange(len(group)), count, group))
    last = np.append(group[order][1:] != group[order][:-1], True)[: len(group)]
    largest = np.zeros(len(group), bool)
    largest[order[last]] = True
    return largest


class ModeOutcome(NamedTuple):
    """What is compared of the decisions of one mode: a byte a face, where the decisions themselves take 23."""

    mode: str
    action_code: npt.NDArray[np.int8]  # (N,)
    identities: int

    @classmethod
    def of(cls, mode: str, decisions: Decisions) -> ModeOutcome:
        """Of the decisions of a mode."""
        return cls(mode, decisions.action_code, int((distinct(decisions.new_label) >= 0).sum()))


def compare_modes(one: ModeOutcome, two: ModeOutcome) -> list[dict[str, str | int]]:
    """Count what each of two modes makes of a pack, and on how many images they agree.

    Parameters
    ----------
    one, two : ModeOutcome

    Returns
    -------
    list of dict
        One for each mode.
    """
    agree = sum(int((one.action_code[part] == two.action_code[part]).sum()) for part in blocks(len(one.action_code)))
    rows: list[dict[str, str | int]] = []
    for found in (one, two):
        counts = count_codes(found.action_code, len(Action)).tolist()
        actions = dict(zip(ACTIONS, counts, strict=True))
        rows.append({"mode": found.mode, **actions, "identities": found.identities, "agree": agree})
    return rows


def explain(table: DecisionTable, key: int) -> Explanation:
    """Say why an image was kept, moved or dropped.

    Parameters
    ----------
    table : DecisionTable
    key : int
        Of the image in the source.

    Raises
    ------
    FacekitError
        The decisions say nothing about this key.
    """
    one = table.select_rows(np.array([table.row_of(key)]))
    similarity = None if np.isnan(one.similarity[0]) else float(one.similarity[0])
    old = int(one.old_label[0])
    same = table.old_label == old
    _, homes = label_homes(table.old_label[same], table.reason_code[same], table.new_label[same])
    identity: dict[str, Any] = {"faces": int(same.sum()), "new_label": int(homes[0])}
    identity |= {action.word: int((table.action_code[same] == action).sum()) for action in Action}
    return Explanation(
        key=key,
        action=str(one.action[0]),
        reason=str(one.reason[0]),
        old_label=old,
        new_label=int(one.new_label[0]),
        similarity=similarity,
        threshold=float(one.threshold[0]),
        nearest=int(one.nearest[0]),
        evidence=str(one.evidence[0] or ""),
        identity=identity,
        text=_sentence(one, similarity),
    )


def _sentence(one: DecisionTable, similarity: float | None) -> str:
    old, new = int(one.old_label[0]), int(one.new_label[0])
    verb = {
        Action.KEEP: f"keeps its identity {old}, now {new}",
        Action.MOVE: f"moves from identity {old} to {new}",
        Action.DROP: f"is dropped from identity {old}",
        Action.REVIEW: f"is left out of identity {old} until it is reviewed",
    }[Action(one.action_code[0])]
    evidence = str(one.evidence[0] or "")
    if similarity is not None:
        measured = f" Similarity {similarity:.3f}, threshold {float(one.threshold[0]):.3f} ({evidence})."
    else:
        measured = f" {evidence[:1].upper()}{evidence[1:]}." if evidence else ""
    return f"Key {one.keys[0]} {verb}: {_MEANING[Reason(one.reason_code[0])]}.{measured}"
