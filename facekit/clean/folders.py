"""Rows grouped by label, and the chunks of them that one thread takes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

__all__ = ["Chunk", "Folders", "Vectors", "group_folders", "iterate_chunks", "map_in_order", "read_rows"]

CHUNK_ROWS = 4096
"""At 512 columns 8 MiB: large enough that Python costs nothing, small enough to stay near the cache."""

T = TypeVar("T")
R = TypeVar("R")


class Vectors(Protocol):
    """What cleaning asks of embeddings: an array, a memory map, or a store that is indexed the same way."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any) -> Any: ...


class Folders(NamedTuple):
    """Rows grouped by label. Folder f holds the rows ``order[starts[f]:starts[f + 1]]``."""

    labels: np.ndarray  # (F,) int64, ascending
    starts: np.ndarray  # (F + 1,) int64
    order: np.ndarray | None  # (N,) int64, or None where the rows are sorted already

    @property
    def sizes(self) -> np.ndarray:
        """(F,) int64 rows of each folder."""
        return np.diff(self.starts)

    @property
    def of_row(self) -> np.ndarray:
        """(N,) int64 folder of each row, in the order of the input."""
        grouped = np.repeat(np.arange(len(self.labels)), self.sizes)
        if self.order is None:
            return grouped
        folder = np.empty_like(grouped)
        folder[self.order] = grouped
        return folder


class Chunk(NamedTuple):
    """A run of whole folders."""

    folders: slice
    rows: np.ndarray | slice  # where the rows are in the input
    starts: np.ndarray  # (f + 1,) int64, from 0


def group_folders(labels: np.ndarray) -> Folders:
    """Group rows by `labels` (N,) int64."""
    if len(labels) == 0 or np.all(labels[1:] >= labels[:-1]):
        order, ordered = None, labels
    else:
        order = np.argsort(labels, kind="stable")
        ordered = labels[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(len(labels), 1), bool), ordered[1:] != ordered[:-1]]))
    starts = np.append(first, len(labels)).astype(np.int64)
    return Folders(ordered[first].astype(np.int64), starts, order)


def iterate_chunks(folders: Folders, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Yield runs of whole folders of at least `rows` rows (the last may be shorter)."""
    first, count = 0, len(folders.labels)
    while first < count:
        last = int(np.searchsorted(folders.starts, folders.starts[first] + rows))
        last = min(max(last, first + 1), count)
        a, b = int(folders.starts[first]), int(folders.starts[last])
        where: np.ndarray | slice = slice(a, b) if folders.order is None else folders.order[a:b]
        yield Chunk(slice(first, last), where, folders.starts[first : last + 1] - a)
        first = last


def read_rows(vectors: Vectors, rows: np.ndarray | slice) -> np.ndarray:
    """Return `rows` of `vectors` as a C-contiguous (n, D) float32 array, without a copy where there is none to make."""
    return np.ascontiguousarray(vectors[rows], np.float32)


def _single_blas_thread() -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def map_in_order(function: Callable[[T], R], items: Iterator[T], threads: int, blas: bool = False) -> Iterator[R]:
    """Yield ``function(item)`` in order from `threads` threads, a few items ahead; with `blas`, one BLAS thread in
    each."""
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
