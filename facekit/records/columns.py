"""Headers of many records at once, as arrays: a pass over the file that does not touch payloads."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.framing import MAGIC, FramingError, join_parts, padded, record_parts
from facekit.records.header import HEADER_BYTES, unpack_record
from facekit.records.mapping import WINDOW, window
from facekit.records.read_at import READ_ONLY, read_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HeaderColumns", "header_columns"]

_WORDS = 10  # magic, length, flag, label, id (2), id2 (2), the first two elements of a vector label
_ROWS = 1 << 16


class HeaderColumns(NamedTuple):
    """Headers of n records.

    Attributes
    ----------
    flag : (n,) uint32
    label, second : (n,) float32
        The scalar label, or the first element of a vector; the second element, NaN where there is none.
    id, id2 : (n,) uint64
    payload_bytes, framed_bytes : (n,) int64
        Length of the payload, and of the whole record with framing and padding.
    """

    flag: NDArray[np.uint32]
    label: NDArray[np.float32]
    second: NDArray[np.float32]
    id: NDArray[np.uint64]
    id2: NDArray[np.uint64]
    payload_bytes: NDArray[np.int64]
    framed_bytes: NDArray[np.int64]

    @property
    def empty(self) -> NDArray[np.bool_]:
        """(n,) bool, where the payload is empty."""
        return self.payload_bytes == 0


def header_columns(
    path: str | os.PathLike[str],
    offsets: NDArray[np.int64],
    keys: NDArray[np.int64] | None = None,
    rows: int = _ROWS,
    faults: list[RecordError] | None = None,
    most: int | None = None,
) -> Iterator[tuple[slice, HeaderColumns]]:
    """Read the headers of records, some at a time, in bounded memory.

    Parameters
    ----------
    path : path
        The ``.rec`` file.
    offsets : (n,) int64
        Where the records start; fastest in ascending order.
    keys : (n,) int64, optional
        For the message of an error.
    faults : list of RecordError, optional
        Takes what is wrong with records, which then have the label NaN and ``payload_bytes`` -1; by default the first
        raises.
    most : int, optional
        So many records that are too short for their header are put into ``faults``, the others only have
        ``payload_bytes`` -1; by default all are, at 1.5 KB each.

    Yields
    ------
    (slice, HeaderColumns)
        Which of the n, and their headers.

    Raises
    ------
    RecordError
        The file cannot be read, a record is truncated or corrupt, or too short for its header.
    """
    try:
        descriptor = os.open(path, READ_ONLY)
    except OSError as error:
        raise RecordError(f"the record file cannot be read: {error.strerror}", path) from error
    try:
        size = os.fstat(descriptor).st_size
        for chosen, near in _batches(offsets, rows, size):
            words = _gather(descriptor, near, size)
            columns, doubtful, short = _columns(words, near, size)
            if most is not None and faults is not None:
                rest = np.flatnonzero(short)[most:]
                _blank_rows(columns, rest)
                doubtful[rest] = False
                most -= np.count_nonzero(short) - len(rest)
            for row in np.flatnonzero(doubtful):
                key = None if keys is None else int(keys[chosen][row])
                try:
                    _fill_row(columns, int(row), descriptor, int(offsets[chosen][row]), size, path, key)
                except RecordError as error:
                    if faults is None:
                        raise
                    faults.append(error)
                    _blank_rows(columns, np.array([row]))
            yield chosen, columns
    finally:
        os.close(descriptor)


def _batches(offsets: NDArray[np.int64], rows: int, size: int) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Runs of at most ``rows`` records whose offsets lie within one window, and their offsets; those outside of the
    file lie at its ends: an index may say 2**63 - 1, and no arithmetic overflows then."""
    start = 0
    while start < len(offsets):
        part = np.clip(offsets[start : start + rows], -1, size)
        if bool((part[1:] >= part[:-1]).all()):
            count = int(part.searchsorted(part[0] + WINDOW))
        else:
            outside = (part < part[0]) | (part >= part[0] + WINDOW)
            count = int(outside.argmax()) if outside.any() else len(part)
        yield slice(start, start + count), part[:count]
        start += count


def _gather(descriptor: int, offsets: NDArray[np.int64], size: int) -> NDArray[np.uint32]:
    """(10, n) uint32: the first words of each record; zeros where the file does not have them."""
    found = np.zeros((_WORDS, len(offsets)), np.uint32)
    first, last = int(offsets.min()), int(offsets.max())
    start, stop = max(first, 0), min(last + 4 * _WORDS, size)
    if stop - start < 4:
        return found
    with window(descriptor, start, stop) as mapped:
        skew = start % mmap.ALLOCATIONGRANULARITY
        base = start - skew
        words = np.frombuffer(mapped, "<u4", len(mapped) // 4)
        at = (offsets - base) >> 2
        inside = (offsets % 4 == 0) & (at >= 0) & (at + _WORDS <= len(words))
        if inside.all():
            for column in range(_WORDS):
                np.take(words, at + column, out=found[column], mode="clip")
        else:
            for column in range(_WORDS):
                near = (offsets % 4 == 0) & (at >= 0) & (at + column < len(words))
                found[column, near] = words[at[near] + column]
        del words
    return found


def _columns(
    words: NDArray[np.uint32], offsets: NDArray[np.int64], size: int
) -> tuple[HeaderColumns, NDArray[np.bool_], NDArray[np.bool_]]:
    """Headers of whole records; which rows need the careful way: several parts, or damage; and which of those are whole
    but too short for their header."""
    coded, flag = words[1].astype(np.int64), words[2]
    start = HEADER_BYTES + 4 * flag.astype(np.int64)
    framed = 8 + ((coded + 3) & ~np.int64(3))
    other = (words[0] != MAGIC) | (coded >> 29 != 0) | (offsets + framed > size)
    short = ~other & (coded < start)
    label, first = words[3].view(np.float32), words[8].view(np.float32)
    columns = HeaderColumns(
        flag=flag.copy(),
        label=np.where(flag == 0, label, first),
        second=np.where(flag >= 2, words[9].view(np.float32), np.float32(np.nan)),
        id=_wide(words[4], words[5]),
        id2=_wide(words[6], words[7]),
        payload_bytes=coded - start,
        framed_bytes=framed,
    )
    return columns, other | short, short


def _wide(low: NDArray[np.uint32], high: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)


def _blank_rows(columns: HeaderColumns, rows: NDArray[np.integer]) -> None:
    arrays: tuple[NDArray[np.generic], ...] = tuple(columns)
    for array, value in zip(arrays, (0, np.nan, np.nan, 0, 0, -1, 0), strict=True):
        array[rows] = value


def _fill_row(
    columns: HeaderColumns,
    row: int,
    descriptor: int,
    offset: int,
    size: int,
    path: str | os.PathLike[str],
    key: int | None,
) -> None:
    try:
        parts = list(record_parts(lambda at: read_at(descriptor, 8, at), offset, size))
    except FramingError as error:
        raise error.at(path, key, offset) from None
    stop = parts[-1].start + padded(parts[-1].length)
    buffer = join_parts(read_at(descriptor, stop - offset, offset), parts, offset)
    header, payload = unpack_record(buffer, path=path, key=key, offset=offset)
    vector = np.atleast_1d(np.asarray(header.label, np.float32))
    values = (header.flag, vector[0], vector[1] if len(vector) > 1 else np.nan, header.id, header.id2)
    arrays: tuple[NDArray[np.generic], ...] = tuple(columns)
    for array, value in zip(arrays, (*values, len(payload), stop - offset), strict=True):
        array[row] = value
