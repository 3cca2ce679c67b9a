"""95% intervals of scores: people are drawn again with replacement, and the score is taken of whom was drawn.

Pairs that share a person are not independent, so that resampling pairs makes intervals far too narrow. A person drawn
w times counts w times: a genuine pair w_a, an impostor pair w_a w_b (Efron 1979; for verification by identities
Bolle, Ratha and Pankanti 2004).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.folds import Fold
from facekit.evaluate.operating_points import ROUNDING
from facekit.records.distinct import distinct
from facekit.records.key_rows import rows_of

__all__ = [
    "LEVEL",
    "Interval",
    "ListIntervals",
    "WeightedPairs",
    "affordable",
    "draw_weights",
    "interval_of",
    "list_intervals",
    "weighted_tars",
]

LEVEL = 0.95
MOST_WORK = 1 << 30  # pairs over all replicates: some ten seconds


class Interval(NamedTuple):
    """From the 2.5th to the 97.5th percentile of the resampled scores."""

    low: float
    high: float


class ListIntervals(NamedTuple):
    """Intervals of the scores of a list of pairs.

    Attributes
    ----------
    accuracy : Interval
    tars : tuple of Interval
        In the order of the FARs.
    """

    accuracy: Interval
    tars: tuple[Interval, ...]


class WeightedPairs:
    """Pairs of one kind by falling similarity, ready to be weighted again and again.

    Parameters
    ----------
    similarity : (P,) floating
    people : (P, 2) integer
        From 0 on.
    """

    def __init__(self, similarity: NDArray[np.floating], people: NDArray[np.integer]) -> None:
        order = np.argsort(-similarity, kind="stable")
        self.similarity, self._people = similarity[order], people[order]
        self._one = self._people[:, 0] == self._people[:, 1]
        self._falling = -self.similarity

    def sums(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """Weight of the first 1, 2, ... pairs, (P,) int64; ``weights`` are of people, (N,)."""
        each = _pair_weights(self._people, self._one, weights)
        return np.cumsum(each, out=each)

    def above(self, threshold: float) -> int:
        """How many pairs are more similar than a threshold."""
        return int(np.searchsorted(self._falling, -threshold, side="left"))


def affordable(replicates: int, pairs: int) -> int:
    """Replicates that take seconds rather than minutes: fewer for long lists, 100 at least where more were asked for.

    Parameters
    ----------
    replicates, pairs : int
    """
    return min(replicates, max(100, MOST_WORK // max(pairs, 1)))


def draw_weights(people: int, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each person was drawn, (N,) int64, once a replicate; they add up to N.

    Parameters
    ----------
    people, replicates, seed : int
    """
    rng = np.random.default_rng([seed, people])
    for _ in range(replicates):
        yield np.bincount(rng.integers(0, people, people), minlength=people)


def weighted_tars(
    genuine: WeightedPairs,
    impostor: WeightedPairs,
    weights: NDArray[np.int64],
    fars: Sequence[float],
    impostor_weight: int | None = None,
) -> list[float]:
    """TAR at each FAR where people count as often as they were drawn; nan where no genuine pair was.

    The threshold is the similarity of the first impostor pair with which more weight is accepted than the FAR allows,
    and what exceeds it is accepted: with all weights 1 that is `facekit.evaluate.operating_points`.

    Parameters
    ----------
    genuine, impostor : WeightedPairs
    weights : (N,) int64
    fars : sequence of float
    impostor_weight : int, optional
        Of all impostor pairs, where ``impostor`` has the most similar only.
    """
    own, other = genuine.sums(weights), impostor.sums(weights)
    total_own = int(own[-1]) if len(own) else 0
    total = impostor_weight if impostor_weight is not None else int(other[-1]) if len(other) else 0
    found = []
    for far in fars:
        place = int(np.searchsorted(other, far * total * ROUNDING, side="right"))
        least = impostor_weight is not None and len(other) > 0
        threshold = impostor.similarity[place] if place < len(other) else impostor.similarity[-1] if least else -np.inf
        count = genuine.above(float(threshold))
        accepted = int(own[count - 1]) if count else 0
        found.append(accepted / total_own if total_own else np.nan)
    return found


def list_intervals(
    similarity: NDArray[np.floating],
    same: NDArray[np.bool_],
    people: NDArray[np.int64],
    fars: Sequence[float],
    folds: Sequence[Fold],
    limits: NDArray[np.float64],
    replicates: int,
    seed: int = 0,
) -> ListIntervals:
    """Intervals of a list's TARs and of its accuracy over folds, which stay as they are.

    Parameters
    ----------
    similarity : (P,) floating
    same : (P,) bool
    people : (P, 2) int64
        Who is in each pair; any numbers.
    fars : sequence of float
    folds : sequence of Fold
    limits : (L,) float64, falling
        Thresholds that are tried.
    replicates, seed : int
    """
    replicates = affordable(replicates, len(similarity))
    count, number = _numbered(people)
    genuine, impostor = (WeightedPairs(similarity[keep], number[keep]) for keep in (same, ~same))
    accuracy = _Accuracy(similarity, same, number, folds, limits)
    tars, accuracies = [], []
    for weights in draw_weights(count, replicates, seed):
        tars.append(weighted_tars(genuine, impostor, weights, fars))
        accuracies.append(accuracy.of(weights))
    columns = np.array(tars).reshape(replicates, len(fars)).T
    return ListIntervals(interval_of(np.array(accuracies)), tuple(map(interval_of, columns)))


def interval_of(values: NDArray[np.float64]) -> Interval:
    """The middle 95% of resampled scores; those that are nan are left out.

    Parameters
    ----------
    values : (R,) float64
    """
    kept = values[np.isfinite(values)]
    if not len(kept):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def _numbered(people: NDArray[np.int64]) -> tuple[int, NDArray[np.integer]]:
    """How many people there are, and who is in each pair by numbers from 0 on, (P, 2)."""
    names = distinct(people.reshape(-1))
    number = rows_of(names, people.reshape(-1), ascending=True).reshape(-1, 2)
    return len(names), number.astype(np.int32) if len(names) < 1 << 31 else number


def _pair_weights(number: NDArray[np.integer], one: NDArray[np.bool_], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """How much each pair counts, (P,): the product of its people's weights, or that of the only one."""
    each = weights[number[:, 0]]
    np.multiply(each, weights[number[:, 1]], out=each, where=~one)
    return each


class _Accuracy:
    """Accuracy over folds with weighted pairs: each fold at the limit that is best on what decides it."""

    def __init__(
        self,
        similarity: NDArray[np.floating],
        same: NDArray[np.bool_],
        number: NDArray[np.integer],
        folds: Sequence[Fold],
        limits: NDArray[np.float64],
    ) -> None:
        # The first limit below a similarity: from there on the pair is accepted.
        first = len(limits) - np.searchsorted(limits[::-1], similarity, side="left")
        self._first = first.astype(np.int32)
        self._same, self._number, self._folds, self._size = same, number, folds, len(limits)
        self._one = number[:, 0] == number[:, 1]

    def of(self, weights: NDArray[np.int64]) -> float:
        """The mean over the folds in which somebody was drawn."""
        weight = _pair_weights(self._number, self._one, weights)
        # Sums of whole numbers are exact: what decides a fold is all of the list without the fold.
        whole = self._right(slice(None), weight)
        found = []
        for fold in self._folds:
            total = int(weight[fold.test].sum())
            if total:
                own = self._right(fold.test, weight)
                deciding = whole - own if fold.apart is None else self._right(fold.apart, weight)
                found.append(own[int(deciding.argmax())] / total)
        return float(np.mean(found)) if found else np.nan

    def _right(self, part: NDArray[np.int64] | slice, weight: NDArray[np.int64]) -> NDArray[np.float64]:
        """Weight that each limit decides rightly, (L,)."""
        same, weights = self._same[part], weight[part]
        change = np.bincount(self._first[part], np.where(same, weights, -weights), self._size + 1)[: self._size]
        right: NDArray[np.float64] = weights[~same].sum() + np.cumsum(change)
        return right
