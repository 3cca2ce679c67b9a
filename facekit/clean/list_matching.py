"""Pictures -> the rows of a list that speak of them: by their bytes, then by what they show."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.list_sayings import FAR, Sayings, nearest
from facekit.clean.lists import CleanList, Pictures, as_bytes
from facekit.images.perceptual import are_swapped
from facekit.records.distinct import blocks
from facekit.records.key_rows import row_lookup

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
        A picture that is found neither by its bytes nor within 15 bits of brightness is in no row; one that is as
        near to rows that say different things is ambiguous.
    """
    starts, group = listed.starts(), np.empty(len(pictures), np.int64)
    find = row_lookup(as_bytes(listed.pictures.payload_hash), ascending=True)
    for part in blocks(len(pictures)):
        rows = find(as_bytes(pictures.payload_hash[part]))
        group[part] = np.where(rows >= 0, np.searchsorted(starts, rows), -1)
    keys, distance = np.where(group >= 0, Key.PAYLOAD, Key.NONE).astype(np.int8), np.zeros(len(group), np.uint8)
    lost = np.flatnonzero(group < 0)
    if len(lost):
        _find_near(Sayings(listed, starts), pictures, lost, group, keys, distance)
    return _dealt_out(starts, len(listed), group, keys, distance)


def _find_near(
    sayings: Sayings,
    pictures: Pictures,
    lost: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int8],
    distance: npt.NDArray[np.uint8],
) -> None:
    """Fill in what is found by what pictures show."""
    near = nearest(sayings, pictures.perceptual, lost)
    known = sayings.listed.pictures.perceptual
    for part in blocks(len(lost)):
        rows, places = lost[part], near.known[part]
        found = near.distance[part] < FAR
        doubtful = near.crowded[part] | (near.against[part] < near.distance[part].astype(np.int64) + MARGIN)
        keys[rows[near.crowded[part] | (found & doubtful)]] = Key.AMBIGUOUS
        told = found & ~doubtful
        rows, places = rows[told], places[told]
        swapped = are_swapped(known[sayings.starts[places]], pictures.perceptual[rows])
        keys[rows] = np.where(swapped, Key.SWAPPED, Key.PERCEPTUAL)
        group[rows], distance[rows] = places, 1 + near.distance[part][told]


def _dealt_out(
    starts: npt.NDArray[np.int64],
    rows: int,
    group: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int8],
    distance: npt.NDArray[np.uint8],
) -> Found:
    """Give each row of a payload to one picture, the nearest first; who comes too late is ambiguous."""
    found, inside = np.full(len(group), -1, np.int64), np.flatnonzero(group >= 0)
    if not _ascends(group, inside):  # else nobody shares one, and nothing has to be sorted
        inside = inside[np.lexsort((distance[inside], group[inside]))]
    last, begun = -1, 0  # the group before this block, and where it began
    for part in blocks(len(inside)):
        order, places = inside[part], np.arange(part.start, part.stop)
        groups = group[order]
        fresh = np.append(groups[0] != last, groups[1:] != groups[:-1])
        begins = np.maximum.accumulate(np.where(fresh, places, begun))
        last, begun = int(groups[-1]), int(begins[-1])
        row = starts[groups] + places - begins
        enough = row < np.where(groups + 1 < len(starts), starts[np.minimum(groups + 1, len(starts) - 1)], rows)
        found[order[enough]] = row[enough]
        keys[order[~enough]] = Key.AMBIGUOUS
    return Found(found, keys)


def _ascends(group: npt.NDArray[np.int64], inside: npt.NDArray[np.int64]) -> bool:
    """Whether each of some numbers is larger than the one before it."""
    parts = ((inside[part], inside[part.start + 1 : part.stop + 1]) for part in blocks(len(inside)))
    return all((group[later] > group[one[: len(later)]]).all() for one, later in parts)
