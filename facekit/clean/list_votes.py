"""Several lists -> one: which pictures are out, and who shows the same person, by vote; and how two lists differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.list_matching import Found, find_pictures
from facekit.clean.lists import MOST_VOTERS, CleanList, Pictures, make_list, numbered
from facekit.errors import FacekitError
from facekit.records.distinct import count_pairs

__all__ = ["merged_list", "split_and_merged"]

OUT, UNKNOWN = -1, -2


class _Joined(NamedTuple):
    """Pictures of several lists, each once: U of them.

    Attributes
    ----------
    pictures : Pictures
    rows : (L, U) int64
        The row of each list that speaks of each; -1: it does not know it.
    """

    pictures: Pictures
    rows: npt.NDArray[np.int64]


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
    joined = _joined(lists)
    said = np.stack([_taken(each.identity, rows, UNKNOWN) for each, rows in zip(lists, joined.rows, strict=True)])
    out = _is_out(said, vote)
    people = _PEOPLE[vote](said)
    agrees = np.where(out, said == OUT, said >= 0)
    first = agrees.argmax(axis=0)
    codes = [
        np.stack([_taken(getattr(each, name), rows, 0) for each, rows in zip(lists, joined.rows, strict=True)])
        for name in ("action_code", "reason_code")
    ]
    action, reason = (np.take_along_axis(code, first[None], 0)[0].astype(np.int8) for code in codes)
    known, same = _voters(lists, joined, agrees)
    about: dict[str, Any] = {"voters": voters, "vote": vote}
    return make_list(joined.pictures, action, reason, np.where(out, OUT, people), about, known, same)


def _joined(lists: list[CleanList]) -> _Joined:
    """Find every list's pictures among those of the lists before it."""
    whole = lists[0]
    rows = np.arange(len(whole))[None]
    for listed in lists[1:]:
        found = find_pictures(whole, listed.pictures).rows
        mine = np.full(len(whole), -1, np.int64)
        mine[found[found >= 0]] = np.flatnonzero(found >= 0)
        fresh = np.flatnonzero(found < 0)
        added = np.concatenate([np.full((len(rows), len(fresh)), -1), fresh[None]])
        rows = np.concatenate([np.concatenate([rows, mine[None]]), added], axis=1)
        whole, order = _extended(whole, listed, fresh)
        rows = rows[:, order]
    return _Joined(whole.pictures, rows)


def _extended(
    whole: CleanList, listed: CleanList, fresh: npt.NDArray[np.int64]
) -> tuple[CleanList, npt.NDArray[np.int64]]:
    """A list with some rows of another one added, and the order in which they stand now."""
    pictures = Pictures(*(np.concatenate([a, b[fresh]]) for a, b in zip(whole.pictures, listed.pictures, strict=True)))
    shift = int(whole.identity.max(initial=-1)) + 1
    theirs = listed.identity[fresh]
    identity = np.concatenate([whole.identity, np.where(theirs >= 0, theirs + shift, OUT)])
    codes = [np.concatenate([getattr(whole, name), getattr(listed, name)[fresh]])
             for name in ("action_code", "reason_code", "known_by", "said_by")]  # fmt: skip
    order = np.argsort(pictures.payload_hash.view("S16").reshape(-1), kind="stable")
    action, reason, known, said = (code[order] for code in codes)
    return CleanList(pictures.select_rows(order), action, reason, identity[order], known, said, whole.about), order


def _taken(column: npt.NDArray[Any], rows: npt.NDArray[np.int64], missing: int) -> npt.NDArray[np.int64]:
    """Some rows of a column, (U,); where the row is -1, a number of its own."""
    if not len(column):
        return np.full(len(rows), missing, np.int64)
    return np.where(rows >= 0, column[np.maximum(rows, 0)].astype(np.int64), missing)


def _is_out(said: npt.NDArray[np.int64], vote: str) -> npt.NDArray[np.bool_]:
    out, known = (said == OUT).sum(axis=0), (said > UNKNOWN).sum(axis=0)
    needed = {"any": np.ones_like(known), "all": known, "majority": known // 2 + 1}[vote]
    return np.asarray(out >= needed)


def _voters(
    lists: list[CleanList], joined: _Joined, agrees: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Who knows each picture, and who says what was decided, of the voters of all lists in their order."""
    (known, same), first = np.zeros((2, len(joined.pictures)), np.uint64), 0
    for listed, rows, right in zip(lists, joined.rows, agrees, strict=True):
        there, at, shift = rows >= 0, np.maximum(rows, 0), np.uint64(first)
        if len(listed):
            knows, says = listed.known_by[at], listed.said_by[at]
            known |= np.where(there, knows << shift, 0).astype(np.uint64)
            # Voters of a merged list that were outvoted there say the opposite of it.
            says = np.where(right, says, knows & ~says)
            same |= np.where(there, says << shift, 0).astype(np.uint64)
        first += len(listed.about["voters"])
    return known, same


# --- who shows whom ---------------------------------------------------------------------------------------------------


def _homes(one: npt.NDArray[np.int64], two: npt.NDArray[np.int64], over_half: bool) -> npt.NDArray[np.int64]:
    """The number of ``two`` that most pictures of each number of ``one`` have; -1: none, or not over half of them."""
    homes = np.full(int(one.max(initial=-1)) + 1, -1, np.int64)
    first, second, count = count_pairs(one, two, (one >= 0) & (two >= 0))
    order = np.lexsort((-second, count, first))
    first, second, count = first[order], second[order], count[order]
    last = np.append(first[1:] != first[:-1], True)[: len(first)]
    total = np.zeros(len(homes), np.int64)
    np.add.at(total, first, count)
    enough = last & ((2 * count > total[first]) | (not over_half))
    homes[first[enough]] = second[enough]
    return homes


def _by_majority(said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each list's people get the numbers of those before them with whom they share more than half; pictures vote."""
    votes, so_far = said.copy(), said[0].copy()
    for row in range(1, len(said)):
        inside = said[row] >= 0
        homes = _homes(said[row], so_far, over_half=True)
        fresh = int(max(so_far.max(initial=-1), votes[:row].max(initial=-1))) + 1
        homes = np.where(homes >= 0, homes, fresh + np.arange(len(homes)))
        votes[row, inside] = homes[said[row, inside]]
        so_far = np.where(so_far >= 0, so_far, votes[row])
    alike = np.stack([((votes == vote) & (vote >= 0)).sum(axis=0) for vote in votes])
    return np.asarray(np.take_along_axis(votes, alike.argmax(axis=0)[None], 0)[0])


def _by_any(said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """People whom a picture links are one: connected components, their smallest number spreading."""
    sizes = said.max(axis=1, initial=-1) + 1
    starts = np.cumsum(sizes) - sizes
    nodes = np.where(said >= 0, said + starts[:, None], -1)
    if not sizes.any():
        return np.full(said.shape[1], -1, np.int64)
    leader = np.arange(int(sizes.sum()))
    first = np.where(nodes >= 0, nodes, np.iinfo(np.int64).max).min(axis=0)
    known = (nodes >= 0).any(axis=0)
    while True:
        before = leader.copy()
        smallest = np.where(nodes >= 0, leader[np.maximum(nodes, 0)], np.iinfo(np.int64).max).min(axis=0)
        for row in nodes:
            there = row >= 0
            np.minimum.at(leader, leader[row[there]], smallest[there])
        while not np.array_equal(leader, leader[leader]):
            leader = leader[leader]
        if np.array_equal(before, leader):
            break
    return np.where(known, leader[np.where(known, first, 0)], -1)


def _by_all(said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pictures of one person in every list that has them in; where one does not, they go with most of the others."""
    people = said[0]
    for other in said[1:]:
        mine, theirs = _homes(people, other, over_half=False), _homes(other, people, over_half=False)
        inside = (people >= 0) & (other < 0)
        other = np.where(inside, mine[np.where(inside, people, 0)] if len(mine) else -1, other)
        lacking = (people < 0) & (other >= 0)
        home = theirs[np.where(lacking, other, 0)] if len(theirs) else np.full(len(people), -1)
        fresh = int(people.max(initial=-1)) + 1
        people = np.where(lacking, np.where(home >= 0, home, fresh + other), people)
        width = int(other.max(initial=-1)) + 2
        people = numbered(np.where(people >= 0, people * width + np.maximum(other, -1) + 1, -1))
    return people


_PEOPLE = {"majority": _by_majority, "any": _by_any, "all": _by_all}


def split_and_merged(one: CleanList, other: CleanList, found: Found) -> tuple[int, int]:
    """How many people of a list another one splits, and how many of its people the other puts together with others.

    Parameters
    ----------
    one, other : CleanList
    found : Found
        Of the pictures of ``other`` in ``one``.
    """
    there = np.flatnonzero(found.rows >= 0)
    mine, theirs = one.identity[found.rows[there]], other.identity[there]
    first, second, _ = count_pairs(mine, theirs, (mine >= 0) & (theirs >= 0))
    apart = np.bincount(first) if len(first) else first
    together = np.bincount(second) if len(second) else second
    return int((apart > 1).sum()), int(together[together > 1].sum())
