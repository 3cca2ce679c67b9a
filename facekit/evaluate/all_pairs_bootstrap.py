"""95% intervals of verification over all pairs, without a copy of all pairs.

A replicate needs the genuine pairs, the most similar impostor pairs down to below its threshold, and the weight of all
impostor pairs, which follows from how many pictures each person has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.all_pairs import AllPairs, blocks_of, verify_all
from facekit.evaluate.bootstrap import Interval, WeightedPairs, affordable, draw_weights, interval_of, weighted_tars
from facekit.evaluate.faces import FaceSet, comparable_sources
from facekit.evaluate.operating_points import allowed_accepts

__all__ = ["all_pairs_intervals"]

MOST_GENUINE, MOST_IMPOSTOR = 1 << 22, 1 << 20
SPARE, LEAST = 8, 500
"""Impostor pairs that are listed: so many times those that a FAR accepts, and some more. A replicate in which somebody
was not drawn looks further down than the whole set does."""


def all_pairs_intervals(
    probe: FaceSet, gallery: FaceSet | None, scores: AllPairs, replicates: int = 1000, seed: int = 0
) -> tuple[Interval | None, ...]:
    """The interval of each TAR of `verify_all`.

    Where a FAR accepts more than some hundred thousand impostor pairs its threshold is known well, and stays as it is.

    Parameters
    ----------
    probe, gallery : FaceSet, and FaceSet or None
        What was scored.
    scores : AllPairs
        What came out.
    replicates, seed : int

    Returns
    -------
    tuple of Interval or None
        None for all where there are more than four million genuine pairs, which are not listed.
    """
    if scores.genuine > MOST_GENUINE or not scores.points:
        return (None,) * len(scores.points)
    wanted = [SPARE * allowed_accepts(point.far, scores.impostor) + LEAST for point in scores.points]
    listed = [want <= MOST_IMPOSTOR for want in wanted]
    people, numbered = _numbered(probe, gallery)
    genuine, impostor = _listed(*numbered, scores, max([w for w, short in zip(wanted, listed, strict=True) if short],
                                                       default=0))  # fmt: skip
    weight = _ImpostorWeight(*numbered, people)
    count = affordable(replicates, max(len(genuine.similarity), len(impostor.similarity)))
    fars = [point.far for point, short in zip(scores.points, listed, strict=True) if short]
    fixed = [point.threshold for point, short in zip(scores.points, listed, strict=True) if not short]
    moving, still = [], []
    for weights in draw_weights(people, count, seed):
        moving.append(weighted_tars(genuine, impostor, weights, fars, weight.of(weights)))
        still.append(_at(genuine, weights, fixed))
    columns = [iter(np.array(rows).reshape(count, -1).T) for rows in (still, moving)]
    return tuple(interval_of(next(columns[short])) for short in listed)


def _at(genuine: WeightedPairs, weights: NDArray[np.int64], thresholds: Sequence[float]) -> list[float]:
    """TAR at thresholds that stay."""
    sums = genuine.sums(weights)
    counts = [genuine.above(threshold) for threshold in thresholds]
    return [(int(sums[count - 1]) if count else 0) / int(sums[-1]) if sums[-1] else np.nan for count in counts]


def _numbered(probe: FaceSet, gallery: FaceSet | None) -> tuple[int, tuple[FaceSet, FaceSet | None]]:
    """The sets with people numbered from 0 on, and how many there are."""
    labels = probe.labels if gallery is None else np.concatenate([probe.labels, gallery.labels])
    names, number = np.unique(labels, return_inverse=True)
    number = number.reshape(-1).astype(np.int64)
    left = FaceSet(probe.vectors, number[: len(probe)], probe.sources)
    right = None if gallery is None else FaceSet(gallery.vectors, number[len(probe) :], gallery.sources)
    return len(names), (left, right)


def _listed(
    probe: FaceSet, gallery: FaceSet | None, scores: AllPairs, wanted: int
) -> tuple[WeightedPairs, WeightedPairs]:
    """All genuine pairs, and the ``wanted`` most similar impostor pairs."""
    from facekit.evaluate.kernels import list_pairs

    floor, room = np.inf, 0
    if wanted >= scores.impostor:
        floor, room = -np.inf, scores.impostor
    elif wanted:
        (point,) = verify_all(probe, gallery, (wanted / scores.impostor,)).points
        floor, room = point.threshold, point.false_accepts
    genuine, own = np.empty(scores.genuine, np.float32), np.empty(scores.genuine, np.int64)
    impostor, others = np.empty(room, np.float32), np.empty((room, 2), np.int64)
    counts = np.zeros(2, np.int64)
    for block in blocks_of(probe, gallery, None):
        list_pairs(block.bits.view(np.float32), *block[1:], floor, genuine, own, impostor, others, counts)
    return WeightedPairs(genuine, np.stack([own, own], 1)), WeightedPairs(impostor, others)


class _ImpostorWeight:
    """The weight of all impostor pairs: of all pairs, less those of one person and those of one source."""

    def __init__(self, probe: FaceSet, gallery: FaceSet | None, people: int) -> None:
        other = probe if gallery is None else gallery
        self._half = gallery is None
        self._counts = [np.bincount(side.labels, minlength=people) for side in (probe, other)]
        sources = np.concatenate(comparable_sources(probe, other))
        _, number = np.unique(sources, return_inverse=True)
        number = number.reshape(-1)
        self._sources = int(number.max(initial=-1)) + 1
        self._of_picture = number[: len(probe)], number[len(probe) :]
        self._labels = probe.labels, other.labels
        self._apart = probe.sources is None or other.sources is None

    def of(self, weights: NDArray[np.int64]) -> int:
        """With people drawn so often, (N,) int64."""
        left, right = (weights * counts for counts in self._counts)
        total = int(left.sum()) * int(right.sum()) - int((left * right).sum())
        if not self._apart:
            total -= self._shared(weights)
        return total // 2 if self._half else total

    def _shared(self, weights: NDArray[np.int64]) -> int:
        """Of pairs of two people that have one source."""
        sums = []
        for number, labels in zip(self._of_picture, self._labels, strict=True):
            sums.append(np.bincount(number, weights[labels], self._sources))
        both = float((sums[0] * sums[1]).sum())
        keys = [number * len(weights) + labels for number, labels in zip(self._of_picture, self._labels, strict=True)]
        names, place = np.unique(np.concatenate(keys), return_inverse=True)
        place = place.reshape(-1)
        each = [np.bincount(part, minlength=len(names)) for part in (place[: len(keys[0])], place[len(keys[0]) :])]
        own = float((each[0] * each[1] * weights[names % len(weights)] ** 2).sum())
        return round(both - own)
