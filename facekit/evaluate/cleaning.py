"""How well a cleaner found what was planted, from what it says of each image: any cleaner's, not only facekit's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["CleaningScore", "CleaningTruth", "score_cleaning"]

Flags = NDArray[np.bool_]


class CleaningTruth(NamedTuple):
    """What is true of the images of a task.

    Attributes
    ----------
    label : (N,) int64
        As given to the cleaner.
    person : (N,) int64
        Who is in it; -1: somebody who is in no other image.
    wrong : (N,) bool
        It does not show the person whom its label is meant to hold.
    hard : (N,) bool
        Rightly labelled, and far from its person.
    scored : (N,) bool
        Whether the image counts in what is dropped; bad pictures of the right person do not.
    """

    label: NDArray[np.int64]
    person: NDArray[np.int64]
    wrong: Flags
    hard: Flags
    scored: Flags


class CleaningScore(NamedTuple):
    """Scores of a cleaner; 1 is best, but for ``hard_lost``.

    Attributes
    ----------
    images, kept : int
        All of the task, and those that the cleaner keeps.
    wrong, removed : int
        Of those that are scored: wrong ones, and those that the cleaner removes from their label.
    drop_precision, drop_recall, drop_f1 : float
        Images removed from their label against wrong ones.
    pairwise_f1 : float
        Pairs of images under one label in the result against pairs of one person: merges count here.
    hard_lost : float
        Share of the hard, rightly labelled images that were removed; 0 where there are none.
    """

    images: int
    kept: int
    wrong: int
    removed: int
    drop_precision: float
    drop_recall: float
    drop_f1: float
    pairwise_f1: float
    hard_lost: float


def score_cleaning(truth: CleaningTruth, keep: Flags, label: NDArray[np.int64]) -> CleaningScore:
    """Score what a cleaner says.

    An image is removed from its label where it is not kept, or where its new label is not the one that most kept images
    of its old label have (the smaller number of equals): so a cleaner may renumber and merge labels as it likes.

    Parameters
    ----------
    truth : CleaningTruth
    keep : (N,) bool
    label : (N,) int64
        New labels; of images that are not kept they do not count.

    Returns
    -------
    CleaningScore

    Raises
    ------
    ConfigError
        Shapes that do not belong together.
    """
    if not keep.shape == label.shape == truth.label.shape or keep.dtype != np.bool_:
        raise ConfigError(f"keep {keep.shape} {keep.dtype} and label {label.shape} must be ({len(truth.label)},)")
    removed = ~keep | (label != _main_labels(truth.label, keep, label))
    found, wrong = removed & truth.scored, truth.wrong & truth.scored
    hit = int((found & wrong).sum())
    return CleaningScore(
        images=len(keep),
        kept=int(keep.sum()),
        wrong=int(wrong.sum()),
        removed=int(found.sum()),
        drop_precision=hit / max(1, int(found.sum())),
        drop_recall=hit / max(1, int(wrong.sum())),
        drop_f1=2 * hit / max(1, int(found.sum() + wrong.sum())),
        pairwise_f1=_pairwise_f1(truth.person, keep, label),
        hard_lost=float(removed[truth.hard].mean()) if truth.hard.any() else 0.0,
    )


def _main_labels(old: NDArray[np.int64], keep: Flags, new: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image, the new label that most kept images of its old label have; its own where none is kept."""
    pairs, counts = np.unique(np.stack([old[keep], new[keep]], 1), axis=0, return_counts=True)
    if not len(pairs):
        return new
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    pairs = pairs[order]
    first = np.append(True, pairs[1:, 0] != pairs[:-1, 0])
    olds, mains = pairs[first].T
    places = np.searchsorted(olds, old).clip(max=len(olds) - 1)
    return np.where(olds[places] == old, mains[places], new)


def _pairwise_f1(person: NDArray[np.int64], keep: Flags, label: NDArray[np.int64]) -> float:
    known = person >= 0
    both = known & keep
    truth, result = _pairs(person[known]), _pairs(label[keep])
    return 2 * _pairs(person[both], label[both]) / max(1, truth + result)


def _pairs(*columns: NDArray[np.int64]) -> int:
    """Pairs of rows that agree in every column."""
    _, counts = np.unique(np.stack(columns, 1), axis=0, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())
