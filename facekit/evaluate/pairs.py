"""Scores of a list of pairs: the 10-fold accuracy of LFW, TAR@FAR, and the curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.evaluate.bootstrap import ListIntervals, list_intervals
from facekit.evaluate.folds import Fold, folds_by_person, folds_by_run
from facekit.evaluate.operating_points import OperatingPoint, Roc, measurable_fars, operating_points, roc_from_counts

__all__ = ["FoldAccuracy", "FoldChoice", "PairScores", "Resampling", "fold_accuracy", "verify_pairs"]


class FoldAccuracy(NamedTuple):
    """Accuracy over folds: each fold at the threshold that is best on the others.

    Attributes
    ----------
    mean : float
    deviation : float
        Standard deviation over folds (n in the denominator).
    thresholds : (F,) float64
        Similarity above which a pair counts as the same person, one a fold.
    accuracies : (F,) float64
    """

    mean: float
    deviation: float
    thresholds: NDArray[np.float64]
    accuracies: NDArray[np.float64]


class FoldChoice(NamedTuple):
    """How a list is cut into folds.

    Attributes
    ----------
    folds : int
    people : (P, 2) int64 or None
        Who is in each pair: the folds are then disjoint in people, see `folds_by_person`; None: runs of pairs.
    """

    folds: int = 10
    people: NDArray[np.int64] | None = None


class PairScores(NamedTuple):
    """What is known from a list of pairs.

    Attributes
    ----------
    accuracy : FoldAccuracy
    points : tuple of OperatingPoint
    roc : Roc
    genuine, impostor : int
        Pairs.
    intervals : ListIntervals or None
        Of the accuracy and of each TAR, where they were asked for.
    """

    accuracy: FoldAccuracy
    points: tuple[OperatingPoint, ...]
    roc: Roc
    genuine: int
    impostor: int
    intervals: ListIntervals | None = None


class Resampling(NamedTuple):
    """How intervals are found.

    Attributes
    ----------
    people : (P, 2) int64
        Who is in each pair.
    replicates : int
        0: no intervals.
    seed : int
    """

    people: NDArray[np.int64]
    replicates: int = 1000
    seed: int = 0


def verify_pairs(
    similarity: NDArray[np.floating],
    same: NDArray[np.bool_],
    fars: Sequence[float] | None = None,
    folds: int | FoldChoice = 10,
    resampling: Resampling | None = None,
) -> PairScores:
    """Score pairs.

    Parameters
    ----------
    similarity : (P,) floating
    same : (P,) bool
        Whether both pictures show one person.
    fars : sequence of float, optional
        None: the powers of ten that can be measured.
    folds : int or FoldChoice
        See `fold_accuracy`.
    resampling : Resampling, optional
        For 95% intervals.

    Returns
    -------
    PairScores

    Raises
    ------
    ConfigError
        No pair of one of the two kinds, fewer pairs than folds, a similarity that is not finite, a FAR below 1 / n.
    """
    similarity, same = _checked(similarity, same)
    fars = measurable_fars(int((~same).sum())) if fars is None else fars
    points = operating_points(similarity[same], similarity[~same], fars)
    roc = _curve(similarity, same)
    accuracy = fold_accuracy(similarity, same, folds)
    intervals = None
    if resampling is not None and resampling.replicates:
        limits, cut = _grid(), _cut(same, folds)
        intervals = list_intervals(
            similarity, same, resampling.people, fars, cut, limits, resampling.replicates, resampling.seed
        )
    return PairScores(accuracy, points, roc, int(same.sum()), int((~same).sum()), intervals)


def _curve(similarity: NDArray[np.floating], same: NDArray[np.bool_]) -> Roc:
    _, places = np.unique(similarity, return_inverse=True)
    kinds = [np.bincount(places[keep], minlength=int(places.max()) + 1) for keep in (same, ~same)]
    del places
    return roc_from_counts(*kinds)


def fold_accuracy(
    similarity: NDArray[np.floating], same: NDArray[np.bool_], folds: int | FoldChoice = 10, exact: bool = False
) -> FoldAccuracy:
    """Accuracy by cross-validation, as on LFW.

    The pairs of each kind are cut into contiguous runs, and a fold is a run of each: LFW's folds, for lists in LFW's
    order, and folds of both kinds for any other. With `FoldChoice.people` nobody who is in a fold is in what decides
    it. Thresholds, as in the field's code, are on the squared distance of unit vectors, 2 - 2 similarity, at 0, .01,
    ... 3.99; of several that are best the smallest.

    Parameters
    ----------
    similarity : (P,) floating
    same : (P,) bool
    folds : int or FoldChoice
        At least 2, at most the pairs of the more frequent kind.
    exact : bool
        Try every threshold that tells the pairs apart instead: midway between neighbouring similarities. Up to .005
        more lenient than the field's grid; of several that are best the largest similarity.

    Returns
    -------
    FoldAccuracy

    Raises
    ------
    ConfigError
        Fewer than 2 folds or more than pairs of the more frequent kind, or pairs of one kind only.
    """
    similarity, same = _checked(similarity, same)
    limits = _exact_limits(similarity) if exact else _grid()
    cut = _cut(same, folds)
    right = np.stack([_right(similarity[fold.test], same[fold.test], limits) for fold in cut])
    whole = _right(similarity, same, limits)
    deciding = np.stack([
        whole - own if fold.apart is None else _right(similarity[fold.apart], same[fold.apart], limits)
        for fold, own in zip(cut, right, strict=True)
    ])  # fmt: skip
    chosen = deciding.argmax(1)
    accuracies = right[np.arange(len(cut)), chosen] / [len(fold.test) for fold in cut]
    return FoldAccuracy(float(accuracies.mean()), float(accuracies.std()), limits[chosen], accuracies)


def _grid() -> NDArray[np.float64]:
    limits: NDArray[np.float64] = 1 - np.arange(0, 4, 0.01) / 2
    return limits


def _cut(same: NDArray[np.bool_], folds: int | FoldChoice) -> list[Fold]:
    choice = folds if isinstance(folds, FoldChoice) else FoldChoice(folds)
    if choice.people is None:
        return folds_by_run(same, choice.folds)
    return folds_by_person(same, choice.people, choice.folds)


def _exact_limits(similarity: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.unique(similarity.astype(np.float64))[::-1]
    return np.concatenate([values[:1] + 1, (values[1:] + values[:-1]) / 2, values[-1:] - 1])


def _right(similarity: NDArray[np.floating], same: NDArray[np.bool_], limits: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many pairs each limit decides rightly: (T,)."""
    own, other = np.sort(similarity[same]), np.sort(similarity[~same])
    accepted = len(own) - np.searchsorted(own, limits, side="right")
    rejected = np.searchsorted(other, limits, side="right")
    total: NDArray[np.int64] = accepted + rejected
    return total


def _checked(
    similarity: NDArray[np.floating], same: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    similarity, same = np.asarray(similarity), np.asarray(same)
    if similarity.ndim != 1 or similarity.shape != same.shape or same.dtype != np.bool_:
        raise ConfigError(
            f"similarity {similarity.shape} and same {same.shape} {same.dtype} must be (P,) and (P,) bool"
        )
    if not np.isfinite(similarity).all():
        raise ConfigError("similarities must be finite")
    if same.all() or not same.any():
        kind = "impostor" if same.any() else "genuine"
        raise ConfigError(f"no {kind} pair among {len(same)}: verification needs both kinds")
    return similarity, same
