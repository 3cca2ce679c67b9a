"""``.idx`` text <-> arrays: where each key's record starts."""

from __future__ import annotations

import logging
import mmap
import os
import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.index_text import parse_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RecordIndex", "format_index", "has_sidecar", "read_index", "save_sidecar", "sidecar_path", "write_index"]

logger = logging.getLogger(__name__)


class _Ends(NamedTuple):
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
        ends: _Ends | None = None,
        sidecar: Path | None = None,
    ) -> None:
        self.keys, self.offsets, self._order, self._sidecar = keys, offsets, order, sidecar
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
        if len(keys) < 2 or bool((keys[1:] > keys[:-1]).all()):
            return cls(keys, offsets)
        order = np.argsort(keys, kind="stable").astype(np.int32 if len(keys) < 1 << 31 else np.int64)
        ranked = keys[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        if last.all():
            return cls(keys, offsets, order)
        keep = np.sort(order[last])
        return cls.from_lines(keys[keep], offsets[keep])

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.keys, self.offsets, self._order, self._ends, self._sidecar)

    def same_as(self, other: RecordIndex) -> bool:
        """Whether another index says the same, down to the order in which keys are looked up.

        Parameters
        ----------
        other : RecordIndex

        Returns
        -------
        bool
        """
        one, two = (np.arange(len(index)) if index._order is None else index._order for index in (self, other))
        return (
            self._ends == other._ends
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(one, two)
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, (int, np.integer)) and self.position(int(key)) >= 0

    def _key_of_rank(self, rank: int) -> int:
        return int(self.keys[rank if self._order is None else self._order[rank]])

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
        if self._order is None:
            return rank
        position = int(self._order[rank])
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
        ranks = keys - self._first if self._dense else self._ranked.searchsorted(keys)
        known = (ranks >= 0) & (ranks < len(self.keys))
        ranks = np.where(known, ranks, 0)
        if not self._dense:
            known &= self._ranked[ranks] == keys
        if self._order is None:
            return np.where(known, ranks, -1)
        found = self._order[ranks[known]]
        if len(found) and (found.min() < 0 or found.max() >= len(self.keys) or (self.keys[found] != keys[known]).any()):
            raise self._damaged()
        positions = np.full(len(keys), -1, np.int64)
        positions[known] = found
        return positions

    @cached_property
    def _ranked(self) -> NDArray[np.int64]:
        """Keys in ascending order."""
        if self._order is None:
            return self.keys
        inside = self._order.min() >= 0 and self._order.max() < len(self.keys)
        ranked = self.keys[self._order] if inside else self.keys[:0]
        if len(ranked) != len(self.keys) or (ranked[1:] <= ranked[:-1]).any():
            raise self._damaged()
        return ranked

    @property
    def _ends(self) -> _Ends:
        return _Ends(self._first, self._last, self.furthest)

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
        if len(self.offsets) < 2 or bool((self.offsets[1:] >= self.offsets[:-1]).all()):
            return None
        return np.argsort(self.offsets, kind="stable").astype(np.int32 if len(self) < 1 << 31 else np.int64)

    @cached_property
    def physical_keys(self) -> NDArray[np.int64]:
        """(N,) int64, keys in the order in which their records stand in the file."""
        return self.keys if self.physical is None else self.keys[self.physical]


def read_index(path: str | os.PathLike[str]) -> RecordIndex:
    """Read an ``.idx``: one ``key <tab> offset`` a line, in any order, LF or CRLF, the last of duplicate keys wins.

    A valid sidecar (see :func:`save_sidecar`) is mapped instead.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    RecordIndex

    Raises
    ------
    RecordError
        The file is missing, or a line is not two whole numbers; names the line.
    """
    stored = load_sidecar(path)
    if stored is not None:
        return stored
    try:
        with open(path, "rb") as file:
            keys, offsets = parse_text(file.fileno(), path)
    except OSError as error:
        raise RecordError(f"the index cannot be read: {error.strerror}", path) from error
    return RecordIndex.from_lines(keys, offsets)


def format_index(keys: NDArray[np.int64] | list[int], offsets: NDArray[np.int64] | list[int]) -> str:
    """The lines of an ``.idx``.

    Parameters
    ----------
    keys, offsets : (n,) integer

    Returns
    -------
    str
        ``key <tab> offset <LF>`` for each.
    """
    keys, offsets = np.asarray(keys).tolist(), np.asarray(offsets).tolist()
    return "".join([f"{key}\t{offset}\n" for key, offset in zip(keys, offsets, strict=True)])


def write_index(path: str | os.PathLike[str], index: RecordIndex) -> None:
    """Write an index as ``.idx`` text, in physical order; replaces what is there.

    Parameters
    ----------
    path : path
        The ``.idx``.
    index : RecordIndex

    Raises
    ------
    RecordError
        The disk refuses.
    """
    offsets = index.offsets if index.physical is None else index.offsets[index.physical]
    aside = Path(f"{os.fspath(path)}.{os.getpid()}.partial")
    try:
        with open(aside, "w", encoding="ascii", newline="\n") as file:
            for start in range(0, len(offsets), 1 << 20):
                part = slice(start, start + (1 << 20))
                file.write(format_index(index.physical_keys[part], offsets[part]))
        os.replace(aside, path)
    except OSError as error:
        raise RecordError(f"the index cannot be written: {error.strerror}", path) from error
    finally:
        aside.unlink(missing_ok=True)


# --- sidecar ----------------------------------------------------------------------------------------------------------

_SIDECAR = struct.Struct("<8sqqqqqqq")
"""Signature, size and mtime (ns) of the .idx, entries, bytes of an element of order (0: none), `_Ends`."""

_SIGNATURE = b"FKindex2"


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the binary form of an ``.idx`` lies: ``train.idx.bin`` beside ``train.idx``.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    Path
    """
    return Path(os.fspath(path) + ".bin")


def has_sidecar(path: str | os.PathLike[str]) -> bool:
    """Whether an ``.idx`` has a sidecar that belongs to it as it is now.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    bool
    """
    return load_sidecar(path) is not None


def save_sidecar(path: str | os.PathLike[str], index: RecordIndex) -> Path:
    """Write the binary form of an ``.idx`` beside it, which opens in well under 5 ms whatever the size.

    It is used only while size and modification time of the ``.idx`` are what they were.

    Parameters
    ----------
    path : path
        The ``.idx``, which must exist.
    index : RecordIndex
        What it says.

    Returns
    -------
    Path
        The sidecar.

    Raises
    ------
    OSError
        The disk refuses.
    """
    stat = os.stat(path)
    order = index._order
    words = _SIDECAR.pack(
        _SIGNATURE,
        stat.st_size,
        stat.st_mtime_ns,
        len(index),
        0 if order is None else order.itemsize,
        *index._ends,
    )
    target = sidecar_path(path)
    aside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    with open(aside, "wb") as file:
        file.write(words)
        for array in (index.keys, index.offsets, *(() if order is None else (order,))):
            file.write(np.ascontiguousarray(array).data)
        file.flush()
        os.fsync(file.fileno())  # a head that outlives its offsets would pass zeros for them
    os.replace(aside, target)
    return target


def load_sidecar(path: str | os.PathLike[str]) -> RecordIndex | None:
    """Map the binary form of an ``.idx``; None where there is none that belongs to it as it is now.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    RecordIndex or None
        Little-endian int64 arrays, mapped for reading.
    """
    target = sidecar_path(path)
    try:
        with open(target, "rb") as file:
            head = file.read(_SIDECAR.size)
            size, text = os.fstat(file.fileno()).st_size, os.stat(path)
            if len(head) < _SIDECAR.size:
                return None
            signature, idx_size, idx_time, count, width, *numbers = _SIDECAR.unpack(head)
            if (signature, idx_size, idx_time) != (_SIGNATURE, text.st_size, text.st_mtime_ns):
                logger.info("%s does not belong to %s as it is now: reading the text", target, path)
                return None
            whole = width in (0, 4, 8) and count >= 0 and size == _SIDECAR.size + count * (16 + width)
            ends = _Ends(*numbers)
            if not whole or not -1 <= ends.furthest < count or (ends.furthest < 0 < count):
                return None
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return None
    at = _SIDECAR.size
    keys = np.frombuffer(data, "<i8", count, at)
    offsets = np.frombuffer(data, "<i8", count, at + 8 * count)
    order = np.frombuffer(data, f"<i{width}", count, at + 16 * count) if width else None
    return RecordIndex(keys, offsets, order, ends, target)
