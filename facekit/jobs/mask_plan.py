"""Which pictures get a mask, decided before the first is opened.

The plan holds about 20 bytes a record (keys, labels, copies); while it is made, 20 more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Choice", "copies_of", "hash_keys", "smallest"]


class Choice(NamedTuple):
    """How many masked pictures each record is to give.

    Attributes
    ----------
    copies : (N,) uint16
        In the order of the keys; with mode ``replace`` 0 or 1.
    wanted : int
        Their sum.
    """

    copies: npt.NDArray[np.uint16]
    wanted: int


def copies_of(keys: npt.NDArray[np.int64], seed: int, ratio: float, mode: str) -> Choice:
    """Choose exactly as many as the ratio asks for: those with the smallest hash of seed and key.

    Parameters
    ----------
    keys : (N,) int64
        Keys of the pictures, in any order; the choice does not depend on it.
    seed : int
    ratio : float
        ``replace``: of N pictures ``round(ratio N)`` are masked. ``add``: ``round(ratio N / (1 - ratio))`` masked
        copies are added to N pictures, which makes them ``ratio`` of all; above N each gives one or more.
    mode : str
        ``add`` or ``replace``.
    """
    count = len(keys)
    wanted = round(ratio * count) if mode == "replace" else round(ratio * count / (1 - ratio))
    each, rest = divmod(wanted, count) if count else (0, 0)
    copies = np.full(count, each, np.uint16)
    copies[smallest(keys, seed, rest)] += 1
    return Choice(copies, wanted)


def smallest(keys: npt.NDArray[np.int64], seed: int, count: int) -> npt.NDArray[np.intp]:
    """Positions of the ``count`` keys with the smallest hashes (equal hashes: the smaller key), ascending."""
    if count == 0:
        return np.empty(0, np.intp)
    hashes = hash_keys(keys, seed)
    limit = np.partition(hashes, count - 1)[count - 1]
    below = np.flatnonzero(hashes < limit)
    ties = np.flatnonzero(hashes == limit)
    ties = ties[np.argsort(keys[ties], kind="stable")][: count - below.size]
    return np.sort(np.concatenate([below, ties]))


def hash_keys(keys: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood 2014) of the keys, started from that of the seed."""
    start = _mix(np.array([seed], np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return _mix(keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
