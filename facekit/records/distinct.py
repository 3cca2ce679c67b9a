"""Sorting and counting of columns with a row for each record, in memory for the distinct values alone.

``np.unique`` sorts a copy of all rows, and with inverse or counts takes 40 bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AT_ONCE",
    "Counted",
    "ascends",
    "blocks",
    "count_codes",
    "count_distinct",
    "count_pairs",
    "count_pairs_of",
    "distinct",
    "distinct_of",
    "places_in",
]

AT_ONCE = 1 << 16
"""Rows that are looked at in one go."""

Number = TypeVar("Number", bound=np.generic)


class Counted(NamedTuple):
    """Distinct values, ascending, and how often each occurs."""

    values: NDArray[Any]  # (m,)
    counts: NDArray[np.int64]  # (m,)


def blocks(count: int, rows: int = AT_ONCE) -> Iterator[slice]:
    """Slices of at most ``rows`` that follow one another up to a count.

    Parameters
    ----------
    count, rows : int

    Yields
    ------
    slice
    """
    for first in range(0, count, rows):
        yield slice(first, min(first + rows, count))


def ascends(values: NDArray[Any], strictly: bool = False) -> bool:
    """Whether values ascend; without an array of all comparisons.

    Parameters
    ----------
    values : (n,)
    strictly : bool
        Equal neighbours do not count as ascending.

    Returns
    -------
    bool
    """
    for part in blocks(len(values) - 1):
        one, next_one = values[part], values[part.start + 1 : part.stop + 1]
        if not bool((one < next_one).all() if strictly else (one <= next_one).all()):
            return False
    return True


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """The distinct values, ascending, as ``np.unique`` gives them: its hash table takes forty times as long.

    Parameters
    ----------
    values : (n,) number

    Returns
    -------
    (m,) of the same dtype
    """
    return distinct_of((values[part] for part in blocks(len(values))), values.dtype)


def distinct_of(parts: Iterable[NDArray[Any]], dtype: Any = np.int64) -> NDArray[Any]:
    """The distinct values of arrays that come one after another.

    Parameters
    ----------
    parts : iterable of (n,) number
    dtype : dtype
        Theirs; what is given back where there are none.

    Returns
    -------
    (m,) number
        Ascending.
    """
    return _merged((part, None) for part in parts)[0].astype(dtype, copy=False)


def count_distinct(parts: Iterable[NDArray[Any]], dtype: Any = np.int64) -> Counted:
    """The distinct values of arrays that come one after another, and how often each occurs.

    Parameters
    ----------
    parts : iterable of (n,) number
    dtype : dtype
        Theirs; what is given back where there are none.

    Returns
    -------
    Counted
    """
    values, counts = _merged((part, np.ones(len(part), np.int64)) for part in parts)
    return Counted(values.astype(dtype, copy=False), np.zeros(0, np.int64) if counts is None else counts)


def count_codes(codes: NDArray[np.integer], kinds: int) -> NDArray[np.int64]:
    """How often each of few codes occurs: ``np.bincount`` makes a copy of all, of eight bytes each.

    Parameters
    ----------
    codes : (n,) integer
        From 0 to below ``kinds``.
    kinds : int

    Returns
    -------
    (kinds,) int64
    """
    counts = np.zeros(kinds, np.int64)
    for part in blocks(len(codes)):
        counts += np.bincount(codes[part], minlength=kinds)
    return counts


def count_pairs(
    one: NDArray[np.int64], two: NDArray[np.int64], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count how often two labels stand in one row.

    Parameters
    ----------
    one, two : (N,) int64
    inside : (N,) bool
        Rows that count.

    Returns
    -------
    one, two : (P,) int64
        The distinct pairs, in their order.
    count : (P,) int64
    """
    rows = [part for part in blocks(len(one)) if inside[part].any()]
    return count_pairs_of(lambda: ((one[part][inside[part]], two[part][inside[part]]) for part in rows))


def count_pairs_of(
    parts: Callable[[], Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count how often two labels stand in one row of columns that come one block after another.

    Parameters
    ----------
    parts : callable
        Gives both columns of each block, (n,) int64; three times.

    Returns
    -------
    As `count_pairs`.
    """
    first, second = distinct_of(one for one, _ in parts()), distinct_of(two for _, two in parts())
    width = max(len(second), 1)
    codes = (np.searchsorted(first, one) * width + np.searchsorted(second, two) for one, two in parts())
    pairs, count = count_distinct(codes)
    return first[pairs // width], second[pairs % width], count


Pair = tuple["NDArray[Any]", "NDArray[np.int64] | None"]


def _merged(parts: Iterable[Pair]) -> Pair:
    """One array of all parts, without a value twice. Those waiting are merged when they outgrow what is there."""
    found: list[Pair] = []
    waiting = 0
    for part in parts:
        if not len(part[0]):
            continue
        found.append(_once(*part))
        waiting += len(found[-1][0])
        if len(found) > 1 and waiting > max(len(found[0][0]), AT_ONCE):
            found, waiting = [_joined(found)], 0
    return _joined(found) if found else (np.zeros(0, np.int64), None)


def _joined(found: list[Pair]) -> Pair:
    if len(found) == 1:
        return found[0]
    values = np.concatenate([values for values, _ in found])
    counts = [counts for _, counts in found if counts is not None]
    found.clear()
    return _once(values, np.concatenate(counts) if counts else None)


def _once(values: NDArray[Any], counts: NDArray[np.int64] | None) -> Pair:
    if counts is None:
        values = values if ascends(values) else np.sort(values)
    elif not ascends(values):
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
    first = np.append(True, values[1:] != values[:-1])[: len(values)]
    sums = None if counts is None else np.add.reduceat(counts, np.flatnonzero(first))
    return values[first], sums


def places_in(known: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int32]:
    """Where values stand among the distinct ones, four bytes each.

    Parameters
    ----------
    known : (m,)
        Ascending, fewer than 2**31; has every value.
    values : (n,)

    Returns
    -------
    (n,) int32
    """
    places = np.empty(len(values), np.int32)
    for part in blocks(len(values)):
        places[part] = np.searchsorted(known, values[part])
    return places
