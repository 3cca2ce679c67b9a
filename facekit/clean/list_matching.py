"""Pictures -> the rows of a list that speak of them: by their bytes, then by what they show."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.hash_index import LIMIT, near_pairs
from facekit.clean.lists import CleanList, Pictures, as_bytes
from facekit.images.perceptual import are_swapped
from facekit.records.distinct import blocks
from facekit.records.key_rows import rows_of

__all__ = ["Found", "Key", "find_pictures"]

MARGIN = 3
"""Bits by which a picture must be nearer to one row than to any that says something else."""


class Key(IntEnum):
    """By what a picture was found."""

    NONE = 0
    PAYLOAD = 1
    PERCEPTUAL = 2
    SWAPPED = 3  # by what it shows, with red and blue changed over
    AMBIGUOUS = 4  # near rows that say different things, or wanted more often than it is known


class Found(NamedTuple):
    """What a list says of pictures.

    Attributes
    ----------
    rows : (n,) int64
        Of the list, each at most once; -1 where nothing is found.
    keys : (n,) int8
        Codes of `Key`.
    """

    rows: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int8]

    def counts(self) -> dict[str, int]:
        """How many pictures were found by which key, or not; they add up."""
        names = ("not found", "by payload hash", "by perceptual hash", "with channels swapped", "ambiguous")
        return dict(zip(names, np.bincount(self.keys, minlength=len(Key)).tolist(), strict=True))


def find_pictures(listed: CleanList, pictures: Pictures) -> Found:
    """Find pictures in a list; of equal ones the first finds the first, and so on.

    Parameters
    ----------
    listed : CleanList
    pictures : Pictures
        (n,) of another pack, in any order.

    Returns
    -------
    Found
        A picture that is found neither by its bytes nor within `LIMIT` bits of brightness is in no row; one that is as
        near to rows that say different things is ambiguous.
    """
    starts = listed.starts()
    known = listed.pictures if len(starts) == len(listed) else listed.pictures.select_rows(starts)
    group = rows_of(as_bytes(known.payload_hash), as_bytes(pictures.payload_hash), ascending=True)
    keys = np.where(group >= 0, Key.PAYLOAD, Key.NONE).astype(np.int8)
    distance = np.zeros(len(pictures), np.int64)
    lost = np.flatnonzero(group < 0)
    if len(lost):
        _find_near(listed, starts, known, pictures, lost, group, keys, distance)
    return _dealt_out(starts, len(listed), group, keys, distance)


def _find_near(
    listed: CleanList,
    starts: npt.NDArray[np.int64],
    known: Pictures,
    pictures: Pictures,
    lost: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int8],
    distance: npt.NDArray[np.int64],
) -> None:
    """Fill in what is found by what pictures show."""
    near = near_pairs(known.perceptual, pictures.perceptual[lost], LIMIT)
    keys[lost[near.crowded]] = Key.AMBIGUOUS
    first = np.flatnonzero(np.append(True, near.wanted[1:] != near.wanted[:-1])[: len(near.wanted)])
    if not len(first):
        return
    best = np.repeat(first, np.diff(np.append(first, len(near.wanted))))
    said = _sayings(listed, starts)
    against = (near.distance < near.distance[best] + MARGIN) & (
        (said[near.known] != said[near.known[best]]) | (said[near.known] < 0)
    )
    against[first] = False
    doubtful = np.logical_or.reduceat(against, first) | near.crowded[near.wanted[first]]
    rows, places = lost[near.wanted[first]], near.known[first]
    swapped = are_swapped(known.perceptual[places], pictures.perceptual[rows])
    keys[rows] = np.where(doubtful, Key.AMBIGUOUS, np.where(swapped, Key.SWAPPED, Key.PERCEPTUAL))
    group[rows] = np.where(doubtful, -1, places)
    distance[rows] = 1 + near.distance[first]


def _sayings(listed: CleanList, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What is said of each payload, as a number, (m,); -1 where its rows say different things."""
    said = (listed.identity + 1) * 1024 + listed.action_code.astype(np.int64) * 32 + listed.reason_code
    stops = np.append(starts[1:], len(said))
    low, high = (reduce.reduceat(said, starts) if len(said) else said for reduce in (np.minimum, np.maximum))
    return np.where((low == high) | (stops - starts == 1), low, -1)


def _dealt_out(
    starts: npt.NDArray[np.int64],
    rows: int,
    group: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int8],
    distance: npt.NDArray[np.int64],
) -> Found:
    """Give each row of a payload to one picture, the nearest first; who comes too late is ambiguous."""
    found = np.full(len(group), -1, np.int64)
    inside = np.flatnonzero(group >= 0)
    if _ascends(group, inside):  # nobody shares one: nothing has to be sorted
        for part in blocks(len(inside)):
            found[inside[part]] = starts[group[inside[part]]]
        return Found(found, keys)
    order = inside[np.lexsort((distance[inside], group[inside]))]
    groups = group[order]
    fresh = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    places = np.arange(len(groups))
    nth = places - np.maximum.accumulate(np.where(fresh, places, 0))
    sizes = np.diff(np.append(starts, rows))
    enough = nth < sizes[groups]
    found[order[enough]] = starts[groups[enough]] + nth[enough]
    keys[order[~enough]] = Key.AMBIGUOUS
    return Found(found, keys)


def _ascends(group: npt.NDArray[np.int64], inside: npt.NDArray[np.int64]) -> bool:
    """Whether each of some numbers is larger than the one before it."""
    parts = ((inside[part], inside[part.start + 1 : part.stop + 1]) for part in blocks(len(inside)))
    return all((group[later] > group[one[: len(later)]]).all() for one, later in parts)
