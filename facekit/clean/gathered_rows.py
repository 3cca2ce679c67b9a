"""Centres and what is made of them, a block at a time: in memory while they are few, else in a mapped file.

With 512 numbers a centre takes as much as all that is kept of some twenty faces, and the steps of a merge hold several
of them for each identity. In a file without a name the system may drop the pages that nobody looks at.
"""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO

import numpy as np

from facekit.clean.vectors import UNIT_ROWS, Vectors, read_unit_rows, unit

__all__ = ["divided_rows", "gather_rows", "gathered_unit_rows", "rows_at", "sums_of_groups", "unit_rows"]

_LOG = logging.getLogger(__name__)

MAPPED_ABOVE = 32 << 20
"""Bytes that stay in memory."""


def gather_rows(parts: Iterable[np.ndarray], width: int) -> np.ndarray:
    """Put blocks of rows together as `numpy.concatenate` does; each is taken when the one before it is stored.

    Parameters
    ----------
    parts : iterable of (n, D) float32
    width : int
        D, which no block says where there is none.

    Returns
    -------
    (N, D) float32
        Writable. Above `MAPPED_ABOVE` bytes it maps a file in Python's temporary folder (``TMPDIR``), which goes with
        the array; where that has no room, it lies in memory all the same.
    """
    held, size, coming = [np.zeros((0, width), np.float32)], 0, iter(parts)
    for part in coming:
        held.append(part)
        size += part.nbytes
        if size > MAPPED_ABOVE:
            return _mapped(chain(held, coming), width)
    return np.concatenate(held)


def _mapped(parts: Iterator[np.ndarray], width: int) -> np.ndarray:
    stored = 0
    with tempfile.TemporaryFile(buffering=0) as file:
        for part in parts:
            try:
                _write(file, np.ascontiguousarray(part, np.float32))
            except OSError as error:
                _LOG.warning("centres stay in memory: %s has no room for them (%s)", tempfile.gettempdir(), error)
                file.seek(0)
                before = np.fromfile(file, np.float32, stored * width).reshape(stored, width)
                return np.concatenate([before, part, *parts])
            stored += len(part)
        # Written in full before it is mapped: a page that the disk had no room for would end the process.
        return np.frombuffer(mmap.mmap(file.fileno(), stored * width * 4), np.float32).reshape(stored, width)


def _write(file: IO[bytes], rows: np.ndarray) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        left = left[os.write(file.fileno(), left) :]


def rows_at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``rows[places]``, or `rows` themselves where those are all of them in order.

    Parameters
    ----------
    rows : (N, D) float32
    places : (n,) int64

    Returns
    -------
    (n, D) float32
    """
    if len(places) == len(rows) and bool((places[1:] > places[:-1]).all()):
        return rows
    return gather_rows((rows[some] for some in _blocks(places)), rows.shape[1])


def divided_rows(rows: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """(N, D) float32 `rows`, each divided by its own of (N,) float64 `divisors`, gathered."""
    parts = zip(_blocks(rows), _blocks(divisors), strict=True)
    return gather_rows(((some / by[:, None]).astype(np.float32) for some, by in parts), rows.shape[1])


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """`facekit.clean.vectors.unit` of (N, D) float32 rows, gathered."""
    return gather_rows((unit(some) for some in _blocks(rows)), rows.shape[1])


def gathered_unit_rows(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    """`facekit.clean.vectors.read_unit_rows` of (n,) int64 rows, gathered."""
    return gather_rows((read_unit_rows(vectors, some) for some in _blocks(rows)), vectors.shape[1])


def sums_of_groups(rows: np.ndarray, group: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Sum the rows of each group, in their order.

    Parameters
    ----------
    rows : (N, D) float32
    group : (N,) int64
        -1 belongs nowhere.
    count : int
        Number of groups.

    Yields
    ------
    (g, D) float32
        Of the next groups; all but the last of `UNIT_ROWS` of them.
    """
    from facekit.clean.kernels import sum_nodes

    order = np.argsort(group, kind="stable")
    for first in range(0, count, UNIT_ROWS):
        stop = min(first + UNIT_ROWS, count)
        low, high = np.searchsorted(group, (first, stop), sorter=order)
        total = np.zeros((stop - first, rows.shape[1]), np.float32)
        for some in _blocks(order[low:high]):
            sum_nodes(rows[some], group[some] - first, total)
        yield total


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), UNIT_ROWS):
        yield rows[first : first + UNIT_ROWS]
