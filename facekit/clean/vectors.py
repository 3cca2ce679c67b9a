"""Embeddings as cleaning reads them: rows of an array, a map or a store, a part at a time, from several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import numpy as np

__all__ = ["Vectors", "map_in_order", "read_rows", "read_unit_rows", "unit"]

UNIT_ROWS = 4096

T = TypeVar("T")
R = TypeVar("R")


class Vectors(Protocol):
    """What cleaning asks of embeddings: an array, a memory map, or a store that is indexed the same way."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any) -> Any: ...


def read_rows(vectors: Vectors, rows: np.ndarray | slice) -> np.ndarray:
    """Read some of the embeddings.

    Parameters
    ----------
    vectors : (N, D) floating point
    rows : (n,) int64 or slice

    Returns
    -------
    (n, D) float32
        C-contiguous, and not a copy where there is none to make.
    """
    return np.ascontiguousarray(vectors[rows], np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    """Return (n, D) `rows`, of any floating dtype, at unit length, float32; a zero row stays zero.

    Some rows at a time: the quotients are float64, and of all centres that would be twice what they take.
    """
    out = np.empty(rows.shape, np.float32)
    for first in range(0, len(rows), UNIT_ROWS):
        some = rows[first : first + UNIT_ROWS]
        lengths = np.sqrt(np.einsum("ij,ij->i", some, some, dtype=np.float64))
        out[first : first + UNIT_ROWS] = some / np.where(lengths > 0, lengths, 1)[:, None]
    return out


def read_unit_rows(vectors: Vectors, rows: np.ndarray | slice) -> np.ndarray:
    """Return some of the embeddings as `read_rows` does, at unit length."""
    return unit(read_rows(vectors, rows))


def _single_blas_thread() -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def map_in_order(function: Callable[[T], R], items: Iterator[T], threads: int, blas: bool = False) -> Iterator[R]:
    """Yield ``function(item)`` in the order of the items, computed a few items ahead.

    Parameters
    ----------
    function : callable
    items : iterator
    threads : int
        1 or less computes in this thread.
    blas : bool
        `function` multiplies matrices: one BLAS thread in each thread, or they would all compete for the processors.
    """
    with _single_blas_thread() if blas else nullcontext():
        if threads <= 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(threads) as pool:
            waiting = []
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
