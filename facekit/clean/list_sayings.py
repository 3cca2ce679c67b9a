"""What a list says of pictures, and which of its pictures another one shows: the nearest, and how near doubt is.

Of the pairs of hashes that are near only that is kept, a few bytes a picture: a pack that was stored anew has as many
pairs as pictures, each of three numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.hash_index import LIMIT, near_blocks
from facekit.clean.lists import CleanList
from facekit.records.distinct import blocks

__all__ = ["FAR", "Nearest", "Sayings", "nearest"]

FAR = 255
"""Instead of a distance: there is nothing near."""


class Nearest(NamedTuple):
    """What is nearest to each of n pictures.

    Attributes
    ----------
    known : (n,) int64
        Which payload of the list; of equally near ones the first. -1: none is near.
    distance, against : (n,) uint8
        Bits to it, and to the nearest one of which something else is said; `FAR` where there is none.
    crowded : (n,) bool
        Very many are nearly alike, which were not looked at.
    """

    known: npt.NDArray[np.int64]
    distance: npt.NDArray[np.uint8]
    against: npt.NDArray[np.uint8]
    crowded: npt.NDArray[np.bool_]


class Sayings:
    """What a list says of each payload, looked up some at a time.

    Parameters
    ----------
    listed : CleanList
    starts : (m,) int64
        The first row of each payload.
    """

    def __init__(self, listed: CleanList, starts: npt.NDArray[np.int64]) -> None:
        self.listed, self.starts = listed, starts
        self._torn = np.zeros(len(starts), np.bool_)  # whether rows of one payload say different things
        for part in blocks(len(listed) if len(starts) < len(listed) else 0):
            rows = np.arange(part.start, part.stop)
            payload = np.searchsorted(starts, rows, side="right") - 1
            self._torn[payload[self._said(rows) != self._said(starts[payload])]] = True

    def of(self, payloads: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What is said of some, as numbers, (n,); one whose rows contradict each other is like no other."""
        return np.where(self._torn[payloads], -1 - payloads, self._said(self.starts[payloads]))

    def _said(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        identity, action = self.listed.identity[rows], self.listed.action_code[rows].astype(np.int64)
        return (identity + 1) * 1024 + action * 32 + self.listed.reason_code[rows]


def nearest(sayings: Sayings, shown: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> Nearest:
    """Find what is nearest to pictures among those of a list, and the nearest of which it says something else.

    Parameters
    ----------
    sayings : Sayings
    shown : (N, 40) uint8
        Perceptual hashes.
    rows : (n,) int64
        Of the pictures that are looked for.
    """
    count, known = len(rows), sayings.listed.pictures.perceptual
    distance, against = np.full(count, FAR, np.uint8), np.full(count, FAR, np.uint8)
    found = Nearest(np.full(count, -1, np.int64), distance, against, np.zeros(count, np.bool_))
    for pairs in near_blocks(known, sayings.starts, shown, rows, LIMIT, found.crowded):
        if len(pairs):
            _note(sayings, found, pairs)
    return found


def _note(sayings: Sayings, found: Nearest, pairs: npt.NDArray[np.int64]) -> None:
    """Put pairs with what was found before them."""
    wanted, known, distance = pairs[np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))].T
    first = np.flatnonzero(np.append(True, wanted[1:] != wanted[:-1]))
    best = np.repeat(first, np.diff(np.append(first, len(wanted))))
    said = sayings.of(known)
    against = np.minimum.reduceat(np.where(said != said[best], distance, FAR), first)
    _note_best(sayings, found, wanted[first], known[first], distance[first], against)


def _note_best(
    sayings: Sayings,
    found: Nearest,
    rows: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    distance: npt.NDArray[np.int64],
    against: npt.NDArray[np.int64],
) -> None:
    """Put the best pairs of some pictures with those from before: who loses and says something else is against it."""
    before, far, doubt = found.known[rows], found.distance[rows].astype(np.int64), found.against[rows]
    alike = (before >= 0) & (sayings.of(np.maximum(before, 0)) == sayings.of(known))
    won = (distance < far) | ((distance == far) & (known < before))
    other = np.where(alike, np.minimum(against, doubt), np.where(won, far, distance))
    found.known[rows] = np.where(won, known, before)
    found.distance[rows] = np.where(won, distance, far)
    found.against[rows] = np.minimum(other, np.where(won, against, doubt))
