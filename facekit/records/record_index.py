"""Keys and offsets of a ``.rec`` file in memory, and where a key stands among them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.distinct import ascends, blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IndexEnds", "RecordIndex"]


class IndexEnds(NamedTuple):
    """Smallest and largest key, and the position of the record that starts furthest back in the file."""

    first: int
    last: int
    furthest: int


class RecordIndex:
    """Keys and offsets of a ``.rec`` file.

    Attributes
    ----------
    keys : (N,) int64
        In the order of the ``.idx`` lines, each once: of lines with the same key the last one counts.
    offsets : (N,) int64
        Byte offset of each key's record.
    order : (N,) int32 or int64, or None
        Positions in the order of the keys; None where ``keys`` ascend.

    Raises
    ------
    RecordError
        From a lookup: the order in which a sidecar has the keys is damaged; names the sidecar.

    Notes
    -----
    Holds 16 bytes a record, and 4 (8 beyond 2**31 records) more where keys are not ascending; mapped, not loaded, when
    it comes from a sidecar.
    """

    def __init__(
        self,
        keys: NDArray[np.int64],
        offsets: NDArray[np.int64],
        order: NDArray[np.integer] | None = None,
        ends: IndexEnds | None = None,
        sidecar: Path | None = None,
    ) -> None:
        self.keys, self.offsets, self.order, self._sidecar = keys, offsets, order, sidecar
        if ends is not None:
            self.furthest = ends.furthest
        if ends is not None and order is not None:
            self._first, self._last = ends[:2]  # a damaged order would hide keys
        else:
            self._first, self._last = (self._key_of_rank(0), self._key_of_rank(-1)) if len(keys) else (0, -1)
        self._dense = self._last - self._first + 1 == len(keys)

    @classmethod
    def from_lines(cls, keys: NDArray[np.int64], offsets: NDArray[np.int64]) -> RecordIndex:
        """From every line in order, duplicate keys included.

        Parameters
        ----------
        keys, offsets : (n,) int64
            Of the lines.

        Returns
        -------
        RecordIndex
        """
        if ascends(keys, strictly=True):
            return cls(keys, offsets)
        order = np.argsort(keys, kind="stable").astype(np.int32 if len(keys) < 1 << 31 else np.int64)
        ranked = keys[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        if last.all():
            return cls(keys, offsets, order)
        keep = np.sort(order[last])
        return cls.from_lines(keys[keep], offsets[keep])

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.keys, self.offsets, self.order, self.ends, self._sidecar)

    def same_as(self, other: RecordIndex) -> bool:
        """Whether another index says the same, down to the order in which keys are looked up.

        Parameters
        ----------
        other : RecordIndex

        Returns
        -------
        bool
        """
        if self.ends != other.ends or len(self) != len(other):
            return False
        for part in blocks(len(self)):
            ours, theirs = ((*_order_in(index, part), index.keys[part], index.offsets[part]) for index in (self, other))
            if not all(np.array_equal(one, two) for one, two in zip(ours, theirs, strict=True)):
                return False
        return True

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, (int, np.integer)) and self.position(int(key)) >= 0

    def _key_of_rank(self, rank: int) -> int:
        return int(self.keys[rank if self.order is None else self.order[rank]])

    def position(self, key: int) -> int:
        """Where a key stands in ``keys``; -1 where it does not.

        Parameters
        ----------
        key : int

        Returns
        -------
        int
        """
        if not self._first <= key <= self._last:
            return -1
        rank = key - self._first if self._dense else int(self._ranked.searchsorted(key))
        if not self._dense and self._ranked[rank] != key:
            return -1
        if self.order is None:
            return rank
        position = int(self.order[rank])
        if not 0 <= position < len(self.keys) or self.keys[position] != key:
            raise self._damaged()
        return position

    def offset(self, key: int) -> int:
        """Byte offset of a key's record; -1 where there is no such key.

        Parameters
        ----------
        key : int

        Returns
        -------
        int
            Bytes.
        """
        position = self.position(key)
        return -1 if position < 0 else int(self.offsets[position])

    def positions(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each key stands in ``keys``; -1 where it does not.

        Parameters
        ----------
        keys : (k,) int64

        Returns
        -------
        (k,) int64
        """
        keys = np.asarray(keys, np.int64)
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        found = np.empty(len(keys), np.int64)
        for part in blocks(len(keys)):  # or its temporary arrays would take 40 bytes a key
            found[part] = self._positions(keys[part])
        return found

    def _positions(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        ranks = keys - self._first if self._dense else self._ranked.searchsorted(keys)
        known = (ranks >= 0) & (ranks < len(self.keys))
        ranks = np.where(known, ranks, 0)
        if not self._dense:
            known &= self._ranked[ranks] == keys
        if self.order is None:
            return np.where(known, ranks, -1)
        found = self.order[ranks[known]]
        if len(found) and (found.min() < 0 or found.max() >= len(self.keys) or (self.keys[found] != keys[known]).any()):
            raise self._damaged()
        positions = np.full(len(keys), -1, np.int64)
        positions[known] = found
        return positions

    @cached_property
    def _ranked(self) -> NDArray[np.int64]:
        """Keys in ascending order."""
        if self.order is None:
            return self.keys
        inside = self.order.min() >= 0 and self.order.max() < len(self.keys)
        ranked = self.keys[self.order] if inside else self.keys[:0]
        if len(ranked) != len(self.keys) or (ranked[1:] <= ranked[:-1]).any():
            raise self._damaged()
        return ranked

    @property
    def ends(self) -> IndexEnds:
        return IndexEnds(self._first, self._last, self.furthest)

    def _damaged(self) -> RecordError:
        path = "<index>" if self._sidecar is None else self._sidecar
        return RecordError(
            "the binary form of the index is damaged: delete it, the text of the index has the same", path
        )

    @cached_property
    def furthest(self) -> int:
        """Position of the record that starts furthest back in the file; -1 where there is none."""
        return int(self.offsets.argmax()) if len(self.offsets) else -1

    @cached_property
    def physical(self) -> NDArray[np.integer] | None:
        """Positions in the order of the offsets; None where ``keys`` are in that order already."""
        if ascends(self.offsets):
            return None
        return np.argsort(self.offsets, kind="stable").astype(np.int32 if len(self) < 1 << 31 else np.int64)

    @cached_property
    def physical_keys(self) -> NDArray[np.int64]:
        """(N,) int64, keys in the order in which their records stand in the file."""
        return self.keys if self.physical is None else self.keys[self.physical]


def _order_in(index: RecordIndex, part: slice) -> tuple[NDArray[np.integer]]:
    """The order of some rows, also where it is not kept because keys ascend."""
    return (np.arange(part.start, part.stop) if index.order is None else index.order[part],)
