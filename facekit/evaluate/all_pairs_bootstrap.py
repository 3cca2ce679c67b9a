"""95% intervals of verification over all pairs, without a copy of all pairs.

A replicate needs the genuine pairs, the most similar impostor pairs down to below its threshold, and the weight of all
impostor pairs, which follows from how many pictures each person has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from facekit.evaluate.all_pairs import AllPairs, blocks_of, verify_all
from facekit.evaluate.bootstrap import Interval, WeightedPairs, affordable, draw_weights, interval_of, weighted_tars
from facekit.evaluate.faces import FaceSet
from facekit.evaluate.operating_points import allowed_accepts
from facekit.records.distinct import blocks, count_codes, distinct, distinct_of, places_in
from facekit.records.key_rows import rows_of

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
    sides = [probe] if gallery is None else [probe, gallery]
    names = distinct_of(side.labels[part] for side in sides for part in blocks(len(side)))
    numbered = [FaceSet(side.vectors, places_in(names, side.labels).astype(np.int64), side.sources) for side in sides]
    return len(names), (numbered[0], None if gallery is None else numbered[1])


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
        self._counts = [count_codes(side.labels, people) for side in (probe, other)]
        self._shared = _SharedSources(probe, other, people) if _have_sources(probe, other) else None

    def of(self, weights: NDArray[np.int64]) -> int:
        """With people drawn so often, (N,) int64."""
        left, right = (weights * counts for counts in self._counts)
        total = int(left.sum()) * int(right.sum()) - int((left * right).sum())
        if self._shared is not None:
            total -= self._shared.of(weights)
        return total // 2 if self._half else total


def _have_sources(probe: FaceSet, other: FaceSet) -> bool:
    return probe.sources is not None and other.sources is not None


class _SharedSources:
    """The weight of pairs of two people that have one source; only sources of several people have such pairs."""

    def __init__(self, probe: FaceSet, other: FaceSet, people: int) -> None:
        sides = [probe] if probe is other else [probe, other]
        sources = distinct_of(part for side in sides for part in _source_parts(side))
        codes = [_both(side, sources, people) for side in sides]
        found = distinct_of(part for side in codes for part in (side[rows] for rows in blocks(len(side))))
        several = _once_more(found // people)
        found = found[np.isin(found // people, several)]
        self._person, self._source = found % people, np.searchsorted(several, found // people)
        each = [_counted(side, found) for side in codes]
        self._each, self._sources = (each[0], each[-1]), len(several)

    def of(self, weights: NDArray[np.int64]) -> int:
        """With people drawn so often, (N,) int64."""
        left, right = (each * weights[self._person] for each in self._each)
        one, two = (np.bincount(self._source, side, self._sources) for side in (left, right))
        return round(float((one * two).sum()) - float((left * right).sum()))


def _source_parts(side: FaceSet) -> Iterator[NDArray[np.int64]]:
    assert side.sources is not None
    for part in blocks(len(side)):
        yield side.sources[part]


def _both(side: FaceSet, sources: NDArray[np.int64], people: int) -> NDArray[np.int64]:
    """Source and person of each face as one number."""
    assert side.sources is not None
    codes = places_in(sources, side.sources).astype(np.int64)
    codes *= people
    codes += side.labels
    return codes


def _once_more(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of values that ascend those that occur several times."""
    return distinct(values[1:][values[1:] == values[:-1]])


def _counted(codes: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each of some codes occurs, which ascend."""
    counts = np.zeros(len(found), np.int64)
    for part in blocks(len(codes) if len(found) else 0):
        rows = rows_of(found, codes[part], ascending=True)
        np.add.at(counts, rows[rows >= 0], 1)
    return counts
