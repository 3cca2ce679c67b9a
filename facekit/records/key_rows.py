"""Where keys stand among others: the one look-up that ledgers, indices and tables are joined with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["rows_of"]


def rows_of(known: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each wanted key stands among the known ones.

    Parameters
    ----------
    known : (K,) int64
        In any order; of equal ones the first counts.
    wanted : (N,) int64

    Returns
    -------
    (N,) int64
        Position in ``known``; -1 where it is not there.

    >>> rows_of(np.array([7, 3, 5]), np.array([3, 4, 7]))
    array([ 1, -1,  0])
    """
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    ascending = bool((known[1:] >= known[:-1]).all())
    order = None if ascending else np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    rows = place if order is None else order[place]
    found: npt.NDArray[np.int64] = np.where(known[rows] == wanted, rows, -1)
    return found
