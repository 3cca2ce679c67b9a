"""Several lists -> one: which pictures are out, and who shows the same person, by vote; and how two lists differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.list_joining import OUT, UNKNOWN, JoinedLists, join_lists, taken
from facekit.clean.list_matching import Found
from facekit.clean.list_people import PEOPLE
from facekit.clean.lists import MOST_VOTERS, CleanList, make_list
from facekit.errors import FacekitError
from facekit.records.distinct import blocks, count_pairs_of
from facekit.records.mapped_array import mapped_array

__all__ = ["merged_list", "split_and_merged"]


class _Decided(NamedTuple):
    """What was decided of pictures, and by whom; columns of `CleanList`."""

    action_code: npt.NDArray[np.int8]
    reason_code: npt.NDArray[np.int8]
    identity: npt.NDArray[np.int64]
    known_by: npt.NDArray[np.uint64]
    said_by: npt.NDArray[np.uint64]


def merged_list(lists: list[CleanList], vote: str) -> CleanList:
    """Merge lists.

    Parameters
    ----------
    lists : list of CleanList
        Of two pictures that are found to be one, that of the earlier list stays.
    vote : {"majority", "any", "all"}
        A picture is out if more than half, one, or all of the lists that know it say so. Two people are one if more
        than half of the pictures that both lists know link them, one picture does, or all lists put them together.

    Returns
    -------
    CleanList
        Action and reason of a picture are those of the first list that says what was decided.

    Raises
    ------
    FacekitError
        They have more than 63 voters.
    """
    voters = [voter for listed in lists for voter in listed.about["voters"]]
    if len(voters) > MOST_VOTERS:
        raise FacekitError(f"the lists have {len(voters)} voters, a list holds {MOST_VOTERS}: choose fewer of them")
    joined = join_lists(lists)
    people = PEOPLE[vote](joined)
    kinds = np.int8, np.int8, np.int64, np.uint64, np.uint64
    columns = [mapped_array(len(joined), kind) for kind in kinds]
    for part in joined.parts():
        for column, found in zip(columns, _decided(joined, part, people[part], vote), strict=True):
            column[part] = found
    about: dict[str, Any] = {"voters": voters, "vote": vote}
    action, reason, identity, known, same = columns
    return make_list(joined.pictures, action, reason, identity, about, known, same)


def _decided(joined: JoinedLists, part: slice, people: npt.NDArray[np.int64], vote: str) -> _Decided:
    """What the lists decide about a block of pictures, of which is known who shows whom."""
    rows = np.stack([joined.rows(number, part) for number in range(len(joined.lists))])
    said = _of_each(joined, "identity", rows, UNKNOWN)
    out = _is_out(said, vote)
    agrees = np.where(out, said == OUT, said >= 0)
    first = agrees.argmax(axis=0)[None]
    action, reason = (
        np.take_along_axis(_of_each(joined, name, rows, 0), first, 0)[0].astype(np.int8)
        for name in ("action_code", "reason_code")
    )
    return _Decided(action, reason, np.where(out, OUT, people), *_voters(joined, rows, agrees))


def _of_each(joined: JoinedLists, name: str, rows: npt.NDArray[np.int64], missing: int) -> npt.NDArray[np.int64]:
    """A column of all lists, (L, B); where one has no row, a number of its own."""
    pairs = zip(joined.lists, rows, strict=True)
    return np.stack([taken(getattr(listed, name), of_list, missing) for listed, of_list in pairs])


def _is_out(said: npt.NDArray[np.int64], vote: str) -> npt.NDArray[np.bool_]:
    out, known = (said == OUT).sum(axis=0), (said > UNKNOWN).sum(axis=0)
    needed = {"any": np.ones_like(known), "all": known, "majority": known // 2 + 1}[vote]
    return np.asarray(out >= needed)


def _voters(
    joined: JoinedLists, every: npt.NDArray[np.int64], agrees: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Who knows each picture, and who says what was decided, of the voters of all lists in their order."""
    (known, same), first = np.zeros((2, every.shape[1]), np.uint64), 0
    for listed, rows, right in zip(joined.lists, every, agrees, strict=True):
        there, at, shift = rows >= 0, np.maximum(rows, 0), np.uint64(first)
        if len(listed):
            knows, says = listed.known_by[at], listed.said_by[at]
            known |= np.where(there, knows << shift, 0).astype(np.uint64)
            # Voters of a merged list that were outvoted there say the opposite of it.
            says = np.where(right, says, knows & ~says)
            same |= np.where(there, says << shift, 0).astype(np.uint64)
        first += len(listed.about["voters"])
    return known, same


def split_and_merged(one: CleanList, other: CleanList, found: Found) -> tuple[int, int]:
    """How many people of a list another one splits, and how many of its people the other puts together with others.

    Parameters
    ----------
    one, other : CleanList
    found : Found
        Of the pictures of ``other`` in ``one``.
    """

    def both() -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        for part in blocks(len(other)):
            mine, theirs = taken(one.identity, found.rows[part], UNKNOWN), other.identity[part]
            inside = (mine >= 0) & (theirs >= 0)
            yield mine[inside], theirs[inside]

    first, second, _ = count_pairs_of(both)
    apart = np.bincount(first) if len(first) else first
    together = np.bincount(second) if len(second) else second
    return int((apart > 1).sum()), int(together[together > 1].sum())
