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
from typing import IO

import numpy as np

from facekit.clean.vectors import UNIT_ROWS, Vectors, read_unit_rows, unit

__all__ = [
    "GatheredRows",
    "divided_rows",
    "gather_rows",
    "gathered_unit_rows",
    "rows_at",
    "sums_of_groups",
    "unit_rows",
]

_LOG = logging.getLogger(__name__)

MAPPED_ABOVE = 32 << 20
"""Bytes that stay in memory."""


class GatheredRows:
    """Blocks of rows that are put together as they come, as `numpy.concatenate` does.

    Above `MAPPED_ABOVE` bytes they go to a file without a name in Python's temporary folder (``TMPDIR``), which goes
    with the array; where that has no room, they stay in memory.

    Parameters
    ----------
    width : int
        Numbers of a row where there are no blocks, which would say it.
    """

    def __init__(self, width: int = 0) -> None:
        self._held: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._full, self._size, self._stored, self._width = False, 0, 0, width

    def add(self, rows: np.ndarray) -> None:
        """Add (n, D) float32 rows."""
        self._held.append(rows)
        self._size, self._width = self._size + rows.nbytes, rows.shape[1]
        if self._size > MAPPED_ABOVE and not self._full:
            self._spool()

    def array(self) -> np.ndarray:
        """All of them, (N, D) float32, writable."""
        if self._file is None:
            return np.concatenate([np.zeros((0, self._width), np.float32), *self._held])
        with self._file as file:
            # Written in full before it is mapped: a page that the disk had no room for would end the process.
            mapped = mmap.mmap(file.fileno(), self._stored)
        self._file = None
        return np.frombuffer(mapped, np.float32).reshape(-1, self._width)

    def _spool(self) -> None:
        """Write what is held, as a whole; what cannot be written stays where it is."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed when it is mapped
            for rows in self._held:
                _write(self._file, np.ascontiguousarray(rows, np.float32))
        except OSError as error:
            _LOG.warning("vectors stay in memory: %s has no room for them (%s)", tempfile.gettempdir(), error)
            self._full = True
            self._recover()
            return
        self._stored += sum(rows.nbytes for rows in self._held)
        self._held.clear()

    def _recover(self) -> None:
        """Take back what the file had before it was full."""
        if self._file is None:
            return
        with self._file as file:
            file.seek(0)
            before = np.fromfile(file, np.float32, self._stored // 4)
        self._held.insert(0, before.reshape(-1, self._width))
        self._file = None


def gather_rows(parts: Iterable[np.ndarray], width: int) -> np.ndarray:
    """Put blocks of rows together; each is taken when the one before it is stored.

    Parameters
    ----------
    parts : iterable of (n, D) float32
    width : int
        D, which no block says where there is none.

    Returns
    -------
    (N, D) float32
        Writable; in memory or mapped, see `GatheredRows`.
    """
    gathered = GatheredRows(width)
    for part in parts:
        gathered.add(part)
    return gathered.array()


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
