"""Names of files as one text with a number for each: a Python string takes 50 bytes more than it says."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from facekit.records.distinct import blocks

__all__ = ["NameList"]

AT_ONCE = 4096
"""Names that are Python objects at the same time."""


class NameList(Sequence[str]):
    """Names in an order: as many bytes as they have in UTF-8, and eight for each.

    Bytes of a name that are no text, which Python has as lone surrogates, are kept.

    Parameters
    ----------
    names : iterable of str

    Examples
    --------
    >>> names = NameList(["b/2.jpg", "a/1.jpg", "c.jpg"])
    >>> names[-1], list(names[:2]), list(names.ascending())
    ('c.jpg', ['b/2.jpg', 'a/1.jpg'], ['a/1.jpg', 'b/2.jpg', 'c.jpg'])
    """

    __slots__ = ("_ends", "_text")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text, self._ends = bytearray(), array("q")
        self.extend(names)

    def append(self, name: str) -> None:
        """Put a name behind the last one."""
        self._text += name.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))

    def extend(self, names: Iterable[str]) -> None:
        """Put names behind the last one."""
        for name in names:
            self.append(name)

    def __len__(self) -> int:
        return len(self._ends)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NameList):
            return NotImplemented
        return self._ends == other._ends and self._text == other._text

    def __repr__(self) -> str:
        return f"NameList({list(self)!r})" if len(self) < 10 else f"<NameList of {len(self):,} names>"

    def __iter__(self) -> Iterator[str]:
        start = 0
        for part in blocks(len(self), AT_ONCE):
            for stop in self._ends[part]:
                yield self._text[start:stop].decode("utf-8", "surrogatepass")
                start = stop

    @overload
    def __getitem__(self, place: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> NameList: ...

    def __getitem__(self, place: SupportsIndex | slice) -> str | NameList:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        row = operator.index(place)
        if not -len(self) <= row < len(self):
            raise IndexError(f"there are {len(self)} names, none at {row}")
        return self._encoded(row % len(self)).decode("utf-8", "surrogatepass")

    def take(self, places: npt.NDArray[np.int64]) -> NameList:
        """Those at some places, in that order.

        Parameters
        ----------
        places : (n,) int64
            From 0 to below their number.
        """
        chosen = NameList()
        for part in blocks(len(places), AT_ONCE):
            for place in places[part].tolist():
                chosen._text += self._encoded(place)
                chosen._ends.append(len(chosen._text))
        return chosen

    def ascending(self) -> NameList:
        """All of them, sorted as Python sorts strings: by code points, whose order that of their bytes is."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if len(self) < 2:
            return self
        starts = np.zeros(len(self) + 1, np.int64)
        starts[1:] = self._ends
        buffers = [None, pa.py_buffer(starts), pa.py_buffer(self._text)]
        whole = pa.Array.from_buffers(pa.large_binary(), len(self), buffers)
        return self.take(pc.array_sort_indices(whole).to_numpy().view(np.int64))

    def _encoded(self, row: int) -> bytearray:
        return self._text[self._ends[row - 1] if row else 0 : self._ends[row]]
