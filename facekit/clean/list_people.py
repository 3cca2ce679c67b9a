"""Who shows the same person, by the vote of several lists; numbers for people grow with them, not with pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from facekit.clean.list_joining import JoinedLists
from facekit.clean.lists import numbered
from facekit.records.distinct import count_pairs_of
from facekit.records.mapped_array import mapped_array

__all__ = ["PEOPLE"]

Both = Callable[[], Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]]

_FAR = int(np.iinfo(np.int64).max)


def _homes(both: Both, people: int, over_half: bool) -> npt.NDArray[np.int64]:
    """The number of the second column that most pictures of each number of the first have, (people,).

    -1: none, or not over half of those that have one.
    """

    def inside() -> Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        for one, two in both():
            known = (one >= 0) & (two >= 0)
            yield one[known], two[known]

    homes, total = np.full(people, -1, np.int64), np.zeros(people, np.int64)
    first, second, count = count_pairs_of(inside)
    order = np.lexsort((-second, count, first))
    first, second, count = first[order], second[order], count[order]
    last = np.append(first[1:] != first[:-1], True)[: len(first)]
    np.add.at(total, first, count)
    enough = last & ((2 * count > total[first]) | (not over_half))
    homes[first[enough]] = second[enough]
    return homes


def _people_of(joined: JoinedLists, number: int) -> int:
    """One more than the highest number of a person in a list."""
    return int(joined.lists[number].identity.max(initial=-1)) + 1


def _named(homes: npt.NDArray[np.int64], said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers that people have got; who is out, or not known, stays it."""
    return np.where(said >= 0, homes[np.maximum(said, 0)], said) if len(homes) else said


def _by_majority(joined: JoinedLists) -> npt.NDArray[np.int64]:
    """Each list's people get the numbers of those before them with whom they share more than half; pictures vote."""
    so_far = _said_by(joined, 0)
    homes = [np.arange(_people_of(joined, 0))]
    highest = len(homes[0])
    for number in range(1, len(joined.lists)):

        def both(number: int = number) -> Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
            return ((joined.said(number, part), so_far[part]) for part in joined.parts())

        found = _homes(both, _people_of(joined, number), over_half=True)
        homes.append(np.where(found >= 0, found, highest + np.arange(len(found))))
        highest += len(found)
        for part in joined.parts():
            votes = _named(homes[-1], joined.said(number, part))
            so_far[part] = np.where(so_far[part] >= 0, so_far[part], votes)
    for part in joined.parts():
        votes = np.stack([_named(names, joined.said(number, part)) for number, names in enumerate(homes)])
        alike = np.stack([((votes == vote) & (vote >= 0)).sum(axis=0) for vote in votes])
        so_far[part] = np.take_along_axis(votes, alike.argmax(axis=0)[None], 0)[0]
    return so_far


def _said_by(joined: JoinedLists, number: int) -> npt.NDArray[np.int64]:
    """All that one list says, (U,)."""
    said = mapped_array(len(joined), np.int64)
    for part in joined.parts():
        said[part] = joined.said(number, part)
    return said


def _by_any(joined: JoinedLists) -> npt.NDArray[np.int64]:
    """People whom a picture links are one: connected components, their smallest number spreading."""
    sizes = np.array([_people_of(joined, number) for number in range(len(joined.lists))], np.int64)
    leader, starts = np.arange(int(sizes.sum())), np.cumsum(sizes) - sizes
    while _spread(joined, starts, leader):
        pass
    people = mapped_array(len(joined), np.int64)
    for part in joined.parts():
        first = _nodes(joined, starts, part).min(axis=0)
        people[part] = np.where(first < _FAR, leader[np.where(first < _FAR, first, 0)], -1) if len(leader) else -1
    return people


def _nodes(joined: JoinedLists, starts: npt.NDArray[np.int64], part: slice) -> npt.NDArray[np.int64]:
    """Which of the people of all lists each list takes the pictures of a block for, (L, B); very high: nobody."""
    said = np.stack([joined.said(number, part) for number in range(len(joined.lists))])
    return np.where(said >= 0, said + starts[:, None], _FAR)


def _spread(joined: JoinedLists, starts: npt.NDArray[np.int64], leader: npt.NDArray[np.int64]) -> bool:
    """Give people the smallest number of those with whom pictures link them; whether one of them got another one."""
    changed = False
    for part in joined.parts():
        nodes = _nodes(joined, starts, part)
        linked = nodes[:, ((nodes < _FAR).sum(axis=0) > 1)]  # a picture of one person links nobody
        smallest = np.where(linked < _FAR, leader[np.where(linked < _FAR, linked, 0)], _FAR).min(axis=0, initial=_FAR)
        for row in linked:
            there = row < _FAR
            changed |= bool((leader[leader[row[there]]] > smallest[there]).any())
            np.minimum.at(leader, leader[row[there]], smallest[there])
    while not np.array_equal(leader, leader[leader]):
        leader[:] = leader[leader]
    return changed


def _by_all(joined: JoinedLists) -> npt.NDArray[np.int64]:
    """Pictures of one person in every list that has them in; where one does not, they go with most of the others."""
    people = _said_by(joined, 0)
    for number in range(1, len(joined.lists)):
        mine, theirs = _homes_of_each_other(joined, people, number)
        fresh, width = int(people.max(initial=-1)) + 1, max(len(theirs), int(mine.max(initial=-1)) + 1) + 1
        for part in joined.parts():
            one, other = people[part], joined.said(number, part)
            other = np.where((one >= 0) & (other < 0), _named(mine, one), other)
            lacking = (one < 0) & (other >= 0)
            home = _named(theirs, other)
            one = np.where(lacking, np.where(home >= 0, home, fresh + other), one)
            people[part] = np.where(one >= 0, one * width + np.maximum(other, -1) + 1, -1)
        people = numbered(people)
    return people


def _homes_of_each_other(
    joined: JoinedLists, people: npt.NDArray[np.int64], number: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """With whom of a list most pictures of the people so far are, and the other way round."""

    def both() -> Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        return ((people[part], joined.said(number, part)) for part in joined.parts())

    def turned() -> Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        return ((two, one) for one, two in both())

    mine = _homes(both, int(people.max(initial=-1)) + 1, over_half=False)
    return mine, _homes(turned, _people_of(joined, number), over_half=False)


PEOPLE = {"majority": _by_majority, "any": _by_any, "all": _by_all}
"""Of each vote: lists -> who is shown, (U,), as numbers; -1 or below: nobody says."""
