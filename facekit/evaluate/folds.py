"""The folds of a list of pairs: runs as on LFW, or by person, so that no one stands on both sides of a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["Fold", "folds_by_person", "folds_by_run", "people_of_pairs"]


@dataclass(frozen=True)
class Fold:
    """Positions of pairs.

    Attributes
    ----------
    test : (T,) int64
    pairs : int
        Of the whole list.
    apart : (R,) int64 or None
        Those that the threshold of ``test`` is chosen on, where they are not all others: ten folds of a list would
        hold nine positions a pair.
    """

    test: NDArray[np.int64]
    pairs: int
    apart: NDArray[np.int64] | None = None

    @property
    def train(self) -> NDArray[np.int64]:
        """Those that the threshold of ``test`` is chosen on, (R,) int64."""
        if self.apart is not None:
            return self.apart
        others = np.ones(self.pairs, np.bool_)
        others[self.test] = False
        return np.flatnonzero(others)


def folds_by_run(same: NDArray[np.bool_], count: int) -> list[Fold]:
    """Contiguous runs of the pairs of each kind; a fold is a run of each, and is decided by all others.

    Parameters
    ----------
    same : (P,) bool
    count : int
        At least 2, at most the pairs of the more frequent kind.

    Raises
    ------
    ConfigError
        Another count.
    """
    kinds = np.flatnonzero(same), np.flatnonzero(~same)
    if not 2 <= count <= max(map(len, kinds)):
        found = " and ".join(f"{len(kind)} {name}" for kind, name in zip(kinds, ("genuine", "impostor"), strict=True))
        raise ConfigError(f"{count} folds for {found} pairs: there must be 2 folds or more, and a pair in each")
    runs = zip(*(np.array_split(kind, count) for kind in kinds), strict=True)
    return [Fold(np.concatenate(run), len(same)) for run in runs]


def folds_by_person(same: NDArray[np.bool_], people: NDArray[np.int64], count: int) -> list[Fold]:
    """People are dealt to folds in the order in which they appear; a pair goes with its first person.

    A fold is decided by the pairs that share no person with any of its own.

    Parameters
    ----------
    same : (P,) bool
    people : (P, 2) int64
        Who is in each pair.
    count : int
        At least 2.

    Raises
    ------
    ConfigError
        Fewer people than folds, or a fold that is left no pair of one kind to be decided by.
    """
    _, first, number = np.unique(people.ravel(), return_index=True, return_inverse=True)
    if not 2 <= count <= len(first):
        raise ConfigError(f"{count} folds for {len(first)} people: there must be 2 folds or more, and a person in each")
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    order = rank[number.reshape(-1)].reshape(-1, 2)
    fold_of_pair = (order[:, 0] * count) // len(first)
    found = []
    for fold in range(count):
        test = fold_of_pair == fold
        seen = np.zeros(len(first), np.bool_)
        seen[order[test]] = True
        train = np.flatnonzero(~seen[order].any(axis=1))
        if not test.any() or same[train].all() or not same[train].any():
            raise ConfigError(
                f"{count} folds by identity: fold {fold} is left {len(train)} pairs without its people, and needs some "
                "of both kinds: choose fewer folds, or a list whose people stand in fewer pairs"
            )
        found.append(Fold(np.flatnonzero(test), len(same), train))
    return found


def people_of_pairs(pictures: NDArray[np.int64], same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Who is in each pair, as far as a list says it: pictures that genuine pairs connect show one person.

    Parameters
    ----------
    pictures : (P, 2) int64
        The same number for the same picture, not negative.
    same : (P,) bool

    Returns
    -------
    people : (P, 2) int64
        The smallest number of the pictures of each person. Somebody whose pictures no genuine pair connects counts as
        several.
    """
    person = np.arange(int(pictures.max(initial=-1)) + 1)
    left, right = pictures[same, 0], pictures[same, 1]
    while True:
        before = person.copy()
        least = np.minimum(person[left], person[right])
        np.minimum.at(person, left, least)
        np.minimum.at(person, right, least)
        person = person[person]
        if np.array_equal(before, person):
            return person[pictures]
