"""Perceptual hashes that differ in few bits, found without comparing all with all.

Multi-index hashing after Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (CVPR
2012): of two hashes that differ in 15 of 256 bits at the most, one of 8 parts of 32 bits differs in one at the most. So
each part is looked up in a sorted column 33 times, and what is found is compared as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.images.perceptual import LUMA_BYTES, bit_distances
from facekit.records.distinct import blocks

__all__ = ["LIMIT", "NearPairs", "near_blocks", "near_pairs"]

_PART_BYTES = 4
_PARTS = LUMA_BYTES // _PART_BYTES
LIMIT = 2 * _PARTS - 1
"""Bits of brightness by which hashes of one picture differ at the most: see ``benchmarks/list_hashes.py``."""

_PROBES = np.concatenate([[0], 1 << np.arange(8 * _PART_BYTES, dtype=np.int64)]).astype(np.uint32)
_HALF, _LOW = np.uint64(32), np.uint64(2**32 - 1)
_CROWD = 1024  # hashes with one part alike; more of them are looked at by nobody, and said to be too many
_ROWS = 4096


class NearPairs(NamedTuple):
    """Wanted hashes and known ones that are near.

    Attributes
    ----------
    wanted, known : (P,) int64
        Rows, by wanted, of these by distance, then by known.
    distance : (P,) int64
        Bits, 0 to the limit.
    crowded : (n,) bool
        Of a wanted row: a part of it is that of more than 1,024 known hashes, which were not looked at.
    """

    wanted: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]
    crowded: npt.NDArray[np.bool_]


def near_pairs(known: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], limit: int = LIMIT) -> NearPairs:
    """Find all pairs of hashes whose brightness differs in so many bits at the most.

    Parameters
    ----------
    known : (K, B) uint8
        Hashes of `facekit.images.perceptual`, of which the first 32 bytes count. One that is zero is near none.
    wanted : (n, B) uint8
    limit : int
        From 0 to `LIMIT`.

    Returns
    -------
    NearPairs

    Raises
    ------
    ValueError
        The limit is another: pairs would be missed.
    """
    if not 0 <= limit <= LIMIT:
        raise ValueError(f"limit is {limit}: pairs are found up to {LIMIT} bits")
    crowded, found = np.zeros(len(wanted), np.bool_), [np.zeros((0, 3), np.int64)]
    found += near_blocks(known, np.arange(len(known)), wanted, np.arange(len(wanted)), limit, crowded)
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))]
    asking, near, distance = np.ascontiguousarray(pairs.T)
    return NearPairs(asking, near, distance, crowded)


def near_blocks(
    known: npt.NDArray[np.uint8],
    there: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.uint8],
    asked: npt.NDArray[np.int64],
    limit: int,
    crowded: npt.NDArray[np.bool_],
) -> Iterator[npt.NDArray[np.int64]]:
    """`near_pairs` of some rows, as they are found: in memory for eight bytes of each known one.

    Parameters
    ----------
    known, wanted : (K, B) and (n, B) uint8
    there : (k,) int64
        Rows of ``known`` that count; fewer than 2**32.
    asked : (a,) int64
        Rows of ``wanted`` that count.
    limit : int
    crowded : (a,) bool
        Becomes true where a part of a hash is that of more than 1,024 known ones.

    Yields
    ------
    (P, 3) int64
        Place in ``asked``, place in ``there`` and distance, in no order; each pair once.
    """
    for part in range(_PARTS):
        codes = _coded(known, there, part)
        for some in blocks(len(asked) if len(codes) else 0, _ROWS):
            yield from _looked_up(codes, part, known, there, wanted, asked, some, limit, crowded)
        del codes


def _coded(hashes: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], part: int) -> npt.NDArray[np.uint64]:
    """A part of the hashes of some rows that are not zero, each above its place among them, ascending."""
    codes, count = np.empty(len(rows), np.uint64), 0
    for some in blocks(len(rows)):
        places = some.start + np.flatnonzero(hashes[rows[some], :LUMA_BYTES].any(axis=1))
        keys = _part_of(hashes, rows[places], part).astype(np.uint64)
        codes[count : count + len(places)] = (keys << _HALF) | places.astype(np.uint64)
        count += len(places)
    codes[:count].sort()
    return codes[:count]


def _part_of(hashes: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], part: int) -> npt.NDArray[np.uint32]:
    """A part of the hashes of some rows as numbers, (n,)."""
    columns = slice(part * _PART_BYTES, (part + 1) * _PART_BYTES)
    return np.ascontiguousarray(hashes[:, columns][rows]).view(np.uint32).reshape(-1)


def _looked_up(
    codes: npt.NDArray[np.uint64],
    part: int,
    known: npt.NDArray[np.uint8],
    there: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.uint8],
    asked: npt.NDArray[np.int64],
    some: slice,
    limit: int,
    crowded: npt.NDArray[np.bool_],
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of some wanted rows, (P, 3); each only in the first part that finds it."""
    places = some.start + np.flatnonzero(wanted[asked[some], :LUMA_BYTES].any(axis=1))
    probes = (_part_of(wanted, asked[places], part)[:, None] ^ _PROBES).ravel().astype(np.uint64) << _HALF
    first = np.searchsorted(codes, probes)
    hits = np.flatnonzero(codes[np.minimum(first, len(codes) - 1)] >> _HALF == probes >> _HALF)
    hits = hits[first[hits] < len(codes)]
    first, counts = first[hits], np.searchsorted(codes, probes[hits] | _LOW, side="right") - first[hits]
    asking = places[hits // len(_PROBES)]
    many = counts > _CROWD
    crowded[asking[many]] = True
    asking, first, counts = asking[~many], first[~many], counts[~many]
    ends = np.cumsum(counts)
    for start in range(0, len(counts), _ROWS):  # no more than 4096 x 1024 pairs at once
        span = slice(start, start + _ROWS)
        one = np.repeat(asking[span], counts[span])
        at = np.arange(len(one)) + np.repeat(first[span] - ends[span] + counts[span], counts[span])
        at += 0 if start == 0 else int(ends[start - 1])
        other = (codes[at] & _LOW).astype(np.int64)
        distance, near = _verified(wanted[asked[one], :LUMA_BYTES], known[there[other], :LUMA_BYTES], part, limit)
        yield np.stack([one[near], other[near], distance], axis=1)


def _verified(
    mine: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8], part: int, limit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distances of the pairs that are near and that no earlier part finds, and which of all pairs those are."""
    distance = bit_distances(mine, theirs)
    near = np.flatnonzero(distance <= limit)
    by_part = bit_distances(*(side[near].reshape(-1, _PARTS, _PART_BYTES) for side in (mine, theirs)))
    near = near[(by_part <= 1).argmax(axis=1) == part]
    return distance[near], near
