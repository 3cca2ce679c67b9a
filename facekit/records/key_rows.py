"""Keys -> the rows that they stand in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.records.distinct import ascends, blocks

__all__ = ["row_lookup", "rows_of"]


def rows_of(known: NDArray[Any], wanted: NDArray[Any], ascending: bool = False) -> NDArray[np.int64]:
    """Look up keys among known ones.

    Parameters
    ----------
    known : (K,)
        Keys of any dtype that can be sorted, in any order.
    wanted : (n,)
        Keys of the same dtype.
    ascending : bool
        `known` ascends already: nothing is sorted, which counts where few keys are looked up many times.

    Returns
    -------
    (n,) int64
        The row of each wanted key in `known`, -1 where it is not there; of equal known keys the first.

    Examples
    --------
    >>> rows_of(np.array([30, 10, 20]), np.array([10, 40, 30])).tolist()
    [1, -1, 0]
    """
    return row_lookup(known, ascending)(wanted)


def row_lookup(known: NDArray[Any], ascending: bool = False) -> Callable[[NDArray[Any]], NDArray[np.int64]]:
    """Prepare known keys once, for wanted ones that come a block at a time.

    Parameters
    ----------
    known, ascending
        As for :func:`rows_of`.

    Returns
    -------
    callable
        (n,) wanted keys -> (n,) int64, their rows. Keys that follow one another, as those of most packs do, are not
        held.
    """
    if _is_run(known):
        return _lookup_in_run(int(known[0]), len(known))
    order = None if ascending or ascends(known) else np.argsort(known, kind="stable")

    def find(wanted: NDArray[Any]) -> NDArray[np.int64]:
        found = np.full(len(wanted), -1, np.int64)
        for part in blocks(len(wanted)) if len(known) else ():
            some = wanted[part]
            rows = np.minimum(np.searchsorted(known, some, sorter=order), len(known) - 1)
            if order is not None:
                rows = order[rows]
            found[part] = np.where(known[rows] == some, rows, -1)
        return found

    return find


def _is_run(known: NDArray[Any]) -> bool:
    """Whether keys are whole numbers of which each is one more than the one before it."""
    if not len(known) or known.dtype.kind not in "iu" or int(known[-1]) - int(known[0]) + 1 != len(known):
        return False
    return ascends(known, strictly=True)


def _lookup_in_run(first: int, count: int) -> Callable[[NDArray[Any]], NDArray[np.int64]]:
    def find(wanted: NDArray[Any]) -> NDArray[np.int64]:
        found = np.full(len(wanted), -1, np.int64)
        for part in blocks(len(wanted)):
            some = wanted[part]
            inside = (some >= first) & (some <= first + count - 1)
            found[part][inside] = some[inside] - first
        return found

    return find
