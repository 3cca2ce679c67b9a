"""Pictures of several lists, each once, and what every list says of them, a block at a time.

Lists that many people sent hold a few rows for each picture between them. Columns of all of them lie in mapped files,
and which rows speak of a picture is kept for the rows that there are, not for each list and each picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.list_matching import find_pictures
from facekit.clean.lists import CleanList, Pictures, as_bytes
from facekit.records.distinct import blocks
from facekit.records.mapped_array import mapped_array

__all__ = ["OUT", "UNKNOWN", "JoinedLists", "join_lists", "taken"]

OUT, UNKNOWN = -1, -2

ROWS = 1 << 14
"""Pictures that are looked at in one go."""


class _Placed(NamedTuple):
    """The rows of one list by the picture that they speak of, both (n,) int64; pictures ascend, each at most once."""

    pictures: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class JoinedLists(NamedTuple):
    """Pictures of several lists, each once: U of them.

    Attributes
    ----------
    lists : list of CleanList
    pictures : Pictures
        Ascending by payload hash.
    placed : list
        Of each list, which of its rows speaks of which of them.
    """

    lists: list[CleanList]
    pictures: Pictures
    placed: list[_Placed]

    def __len__(self) -> int:
        return len(self.pictures)

    def parts(self) -> Iterator[slice]:
        """Blocks of pictures."""
        return blocks(len(self), ROWS)

    def rows(self, number: int, part: slice) -> npt.NDArray[np.int64]:
        """The row of a list that speaks of each picture of a block, (B,); -1: it does not know it."""
        placed, found = self.placed[number], np.full(part.stop - part.start, -1, np.int64)
        low, high = placed.pictures.searchsorted([part.start, part.stop])
        found[placed.pictures[low:high] - part.start] = placed.rows[low:high]
        return found

    def said(self, number: int, part: slice) -> npt.NDArray[np.int64]:
        """Whom a list takes the pictures of a block for, (B,); `OUT`, or `UNKNOWN` where it does not know one."""
        return taken(self.lists[number].identity, self.rows(number, part), UNKNOWN)


def taken(column: npt.NDArray[Any], rows: npt.NDArray[np.int64], missing: int) -> npt.NDArray[np.int64]:
    """Some rows of a column, (B,); where the row is -1, a number of its own."""
    if not len(column):
        return np.full(len(rows), missing, np.int64)
    return np.where(rows >= 0, column[np.maximum(rows, 0)].astype(np.int64), missing)


def join_lists(lists: list[CleanList]) -> JoinedLists:
    """Find every list's pictures among those of the lists before it.

    Parameters
    ----------
    lists : list of CleanList
        One or more. Of two pictures that are found to be one, that of the earlier list stays.

    Returns
    -------
    JoinedLists
    """
    whole = lists[0].without_voters()
    places: list[npt.NDArray[np.int64]] = [np.arange(len(whole))]
    for listed in lists[1:]:
        found = find_pictures(whole, listed.pictures).rows
        fresh = np.flatnonzero(found < 0)
        moved, added = _merged_places(whole, listed, fresh)
        places = [_placed(column, moved) for column in places]
        places.append(_placed(found, moved))
        for part in blocks(len(fresh)):
            places[-1][fresh[part]] = added[part]
        del found
        whole = _extended(whole, listed, fresh, moved, added)
    return JoinedLists(lists, whole.pictures, [_by_picture(places.pop(0)) for _ in lists])


def _merged_places(
    whole: CleanList, listed: CleanList, fresh: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the rows of a list stand when some of another one are merged in behind equal ones, and where those stand.

    Both ascend by payload hash, so that nothing is sorted: (n,) int64 for the list, and for the rows that are added.
    """
    known, theirs = as_bytes(whole.pictures.payload_hash), as_bytes(listed.pictures.payload_hash)
    ahead = np.empty(len(fresh), np.int64)
    for part in blocks(len(fresh)):
        ahead[part] = np.searchsorted(known, theirs[fresh[part]], side="right")
    moved = np.zeros(len(whole) + 1, np.int64)
    for part in blocks(len(fresh)):
        np.add.at(moved, ahead[part], 1)
    np.cumsum(moved, out=moved)
    for array in (moved, ahead):
        for part in blocks(len(array)):
            array[part] += np.arange(part.start, part.stop)
    return moved[:-1], ahead


def _placed(places: npt.NDArray[np.int64], moved: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places after a move, (n,); what has none keeps none."""
    found = mapped_array(len(places), np.int64)
    for part in blocks(len(places)):
        found[part] = taken(moved, places[part], -1)
    return found


def _extended(
    whole: CleanList,
    listed: CleanList,
    fresh: npt.NDArray[np.int64],
    moved: npt.NDArray[np.int64],
    added: npt.NDArray[np.int64],
) -> CleanList:
    """A list with some rows of another one added, whose people are none of its own."""
    if not len(fresh):
        return whole

    def both(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found = mapped_array((len(one) + len(fresh), *one.shape[1:]), one.dtype)
        for part in blocks(len(one)):
            found[moved[part]] = one[part]
        for part in blocks(len(fresh)):
            found[added[part]] = other[fresh[part]]
        return found

    identity, shift = both(whole.identity, listed.identity), int(whole.identity.max(initial=-1)) + 1
    for part in blocks(len(fresh)):
        theirs = identity[added[part]]
        identity[added[part]] = np.where(theirs >= 0, theirs + shift, OUT)
    pictures = Pictures(*(both(one, other) for one, other in zip(whole.pictures, listed.pictures, strict=True)))
    action, reason = both(whole.action_code, listed.action_code), both(whole.reason_code, listed.reason_code)
    nobody = np.broadcast_to(np.uint64(0), len(identity))
    return CleanList(pictures, action, reason, identity, nobody, nobody, whole.about)


def _by_picture(places: npt.NDArray[np.int64]) -> _Placed:
    """Rows in the order of the pictures that they speak of."""
    order = np.argsort(places, kind="stable")
    found = _Placed(mapped_array(len(order), np.int64), mapped_array(len(order), np.int64))
    for part in blocks(len(order)):
        found.pictures[part], found.rows[part] = places[order[part]], order[part]
    return found
