"""``facekit lists diff``: what two lists say differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, Action
from facekit.clean.list_matching import Found, find_pictures
from facekit.clean.list_votes import split_and_merged
from facekit.clean.lists import CleanList
from facekit.jobs.inputs.clean_list import read_list
from facekit.records.distinct import blocks

__all__ = ["ListDiff", "diff_lists"]


@dataclass(frozen=True)
class ListDiff:
    """How two lists differ.

    Attributes
    ----------
    both, only_one, only_other : int
        Pictures in both lists, in the first alone, in the second alone.
    found : dict from str to int
        Pictures of the second by the key that found them in the first.
    same : int
        Pictures in both with the same action.
    changed : dict from str to int
        Those with another one, by both actions: "keep, drop" is kept by the first and dropped by the second.
    split, merged : int
        Identities of the first that the second takes apart; that it puts together with others.
    """

    both: int
    only_one: int
    only_other: int
    found: dict[str, int]
    same: int
    changed: dict[str, int]
    split: int
    merged: int


def diff_lists(path: str, other_path: str) -> ListDiff:
    """Compare two lists; pictures of the second are found in the first by both hashes.

    Parameters
    ----------
    path, other_path : str

    Raises
    ------
    ConfigError, FacekitError
        One is missing, no list or damaged.
    """
    one, other = read_list(path).without_voters(), read_list(other_path).without_voters()
    found = find_pictures(one, other.pictures)
    counts = _actions(one, other, found)
    both = int(counts.sum())
    changed = {
        f"{ACTIONS[mine]}, {ACTIONS[theirs]}": int(counts[mine, theirs])
        for mine, theirs in zip(*np.nonzero(counts), strict=True)
        if mine != theirs
    }
    split, merged = split_and_merged(one, other, found)
    return ListDiff(
        both=both,
        only_one=len(one) - both,
        only_other=len(other) - both,
        found=found.counts(),
        same=int(np.trace(counts)),
        changed=changed,
        split=split,
        merged=merged,
    )


def _actions(one: CleanList, other: CleanList, found: Found) -> npt.NDArray[np.int64]:
    """How many pictures in both have which action in the first and which in the second, (A, A)."""
    counts = np.zeros(len(Action) ** 2, np.int64)
    for part in blocks(len(other)):
        there = found.rows[part] >= 0
        mine, theirs = one.action_code[found.rows[part][there]].astype(np.int64), other.action_code[part][there]
        counts += np.bincount(mine * len(Action) + theirs, minlength=len(counts))
    return counts.reshape(len(Action), -1)
