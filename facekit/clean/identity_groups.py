"""Rows grouped by the label that they came with, and the chunks of whole identities that one thread takes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from facekit.records.distinct import ascends

__all__ = ["Chunk", "IdentityGroups", "group_by_identity", "iterate_chunks"]

CHUNK_ROWS = 4096
"""At 512 columns 8 MiB: large enough that Python costs nothing, small enough to stay near the cache."""


class IdentityGroups(NamedTuple):
    """Rows grouped by label. Identity i holds the rows ``order[starts[i]:starts[i + 1]]``."""

    labels: np.ndarray  # (I,) int64, ascending
    starts: np.ndarray  # (I + 1,) int64
    order: np.ndarray | None  # (N,) int64, or None where the rows are sorted already

    @property
    def identity_count(self) -> int:
        """How many identities there are."""
        return len(self.labels)

    @property
    def sizes(self) -> np.ndarray:
        """(I,) int64 rows of each identity."""
        return np.diff(self.starts)

    @property
    def of_row(self) -> np.ndarray:
        """(N,) int32 identity of each row, in the order of the input."""
        grouped = np.repeat(np.arange(len(self.labels), dtype=np.int32), self.sizes)
        if self.order is None:
            return grouped
        identity = np.empty_like(grouped)
        identity[self.order] = grouped
        return identity

    def rows_of(self, identity: int) -> np.ndarray:
        """(n,) int64 rows of one identity, in the order of the input."""
        first, stop = int(self.starts[identity]), int(self.starts[identity + 1])
        return np.arange(first, stop) if self.order is None else self.order[first:stop]


class Chunk(NamedTuple):
    """A run of whole identities."""

    identities: slice
    rows: np.ndarray | slice  # where the rows are in the input
    starts: np.ndarray  # (i + 1,) int64, from 0


def group_by_identity(labels: np.ndarray) -> IdentityGroups:
    """Group rows by label; nothing is sorted where the labels ascend already.

    Parameters
    ----------
    labels : (N,) int64
    """
    if ascends(labels):
        order, ordered = None, labels
    else:
        order = np.argsort(labels, kind="stable")
        ordered = labels[order]
    changes = ordered[1:] != ordered[:-1]
    first = np.append(np.zeros(min(len(labels), 1), np.int64), np.flatnonzero(changes) + 1)
    starts = np.append(first, len(labels)).astype(np.int64)
    return IdentityGroups(ordered[first].astype(np.int64), starts, order)


def iterate_chunks(identities: IdentityGroups, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Yield runs of whole identities.

    Parameters
    ----------
    identities : IdentityGroups
    rows : int
        Each run has at least as many (the last may be shorter).
    """
    first, count = 0, len(identities.labels)
    while first < count:
        last = int(np.searchsorted(identities.starts, identities.starts[first] + rows))
        last = min(max(last, first + 1), count)
        a, b = int(identities.starts[first]), int(identities.starts[last])
        where: np.ndarray | slice = slice(a, b) if identities.order is None else identities.order[a:b]
        yield Chunk(slice(first, last), where, identities.starts[first : last + 1] - a)
        first = last
