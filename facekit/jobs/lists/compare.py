"""``facekit lists diff``: what two lists say differently."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from facekit.clean.decisions import ACTIONS, Action
from facekit.clean.list_matching import find_pictures
from facekit.clean.list_votes import split_and_merged
from facekit.clean.lists import CleanList
from facekit.jobs.inputs.clean_list import read_list

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
    one, other = _without_voters(read_list(path)), _without_voters(read_list(other_path))
    found = find_pictures(one, other.pictures)
    there = np.flatnonzero(found.rows >= 0)
    pairs = one.action_code[found.rows[there]].astype(np.int64) * len(Action) + other.action_code[there]
    counts = np.bincount(pairs, minlength=len(Action) ** 2).reshape(len(Action), -1)
    changed = {
        f"{ACTIONS[mine]}, {ACTIONS[theirs]}": int(counts[mine, theirs])
        for mine, theirs in zip(*np.nonzero(counts), strict=True)
        if mine != theirs
    }
    split, merged = split_and_merged(one, other, found)
    return ListDiff(
        both=len(there),
        only_one=len(one) - len(there),
        only_other=len(other) - len(there),
        found=found.counts(),
        same=int(np.trace(counts)),
        changed=changed,
        split=split,
        merged=merged,
    )


def _without_voters(listed: CleanList) -> CleanList:
    """A list that keeps no column of who knows and says what: sixteen bytes a picture that nobody compares."""
    nobody = np.broadcast_to(np.uint64(0), len(listed))
    return dataclasses.replace(listed, known_by=nobody, said_by=nobody)
