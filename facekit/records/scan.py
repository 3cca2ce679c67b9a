"""``.rec`` -> where its records start: for packs whose index is lost, and for looking past damage."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.framing import MAGIC, MAGIC_BYTES, FramingError, padded, record_parts
from facekit.records.index import RecordIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hop = Callable[[NDArray[np.uint32], int, NDArray[np.int64]], tuple[int, int]]

__all__ = ["Gap", "Scan", "rebuild_index", "scan", "window"]

WINDOW = 64 << 20
"""Bytes of a file that are mapped at once; memory stays below this whatever the size of the file."""

_COMPILE_ABOVE = 4 << 30
"""Bytes of .rec above which importing numba pays."""


class Gap(NamedTuple):
    """Bytes that are no record: from where, to where, and what was wrong at the start."""

    start: int
    stop: int
    problem: str


class Scan(NamedTuple):
    """Where the records of a file start.

    Attributes
    ----------
    offsets : (N,) int64
    stops : (N,) int64
        Where each record ends, padding included.
    gaps : tuple of Gap
        Empty unless damage was skipped.
    """

    offsets: NDArray[np.int64]
    stops: NDArray[np.int64]
    gaps: tuple[Gap, ...]


def scan(path: str | os.PathLike[str], resynchronise: bool = False) -> Scan:
    """Walk the part headers of a file, without reading what lies between them.

    Parameters
    ----------
    path : path
        The ``.rec`` file.
    resynchronise : bool
        Skip damage and take up again at the next record that is whole, noting the gap; by default damage raises.

    Raises
    ------
    RecordError
        The file cannot be read, or (unless resynchronising) is truncated or corrupt; names the offset.
    """
    try:
        with open(path, "rb") as file:
            return _scan(file.fileno(), path, resynchronise)
    except OSError as error:
        raise RecordError(f"the record file cannot be read: {error.strerror}", path) from error


def _scan(descriptor: int, path: str | os.PathLike[str], resynchronise: bool) -> Scan:
    size = os.fstat(descriptor).st_size
    hop = _hop_for(size)
    blocks: list[NDArray[np.int64]] = []
    stops: list[NDArray[np.int64]] = []
    gaps: list[Gap] = []
    at = 0
    while at < size:
        starts, end = _hop_window(descriptor, at, size, hop)
        if len(starts):
            blocks.append(starts)
            stops.append(np.append(starts[1:], end))
            at = end
            continue
        try:
            # What the fast walk does not take: records of several parts, and damage.
            parts = list(record_parts(lambda place: os.pread(descriptor, 8, place), at, size))
        except FramingError as error:
            if not resynchronise:
                raise error.at(path, None, at) from None
            found = _next_record(descriptor, at + 1, size)
            gaps.append(Gap(at, found, error.problem))
            at = found
            continue
        end = parts[-1].start + padded(parts[-1].length)
        blocks.append(np.array([at], np.int64))
        stops.append(np.array([end], np.int64))
        at = end
    none = np.empty(0, np.int64)
    return Scan(np.concatenate(blocks or [none]), np.concatenate(stops or [none]), tuple(gaps))


def _hop_window(descriptor: int, at: int, size: int, hop: Hop) -> tuple[NDArray[np.int64], int]:
    """Whole records from an offset on, within one window: their offsets, and where the last one ends."""
    if at % 4 or size - at < 8:
        return np.empty(0, np.int64), at
    with window(descriptor, at, min(at + WINDOW, size)) as mapped:
        skew = at % mmap.ALLOCATIONGRANULARITY
        words = np.frombuffer(mapped, "<u4", (len(mapped) - skew) // 4, skew)
        starts = np.empty(len(words) // 2, np.int64)
        count, end = hop(words, 0, starts)
        del words
    stop = at + 4 * end
    if count and stop > size:
        # The last one claims more than the file has: leave it to the careful walk.
        count, stop = count - 1, at + 4 * int(starts[count - 1])
    return at + 4 * starts[:count], stop


def window(descriptor: int, start: int, stop: int) -> mmap.mmap:
    """Map the bytes of a file from ``start``, rounded down to the mapping granularity, to ``stop``."""
    base = start - start % mmap.ALLOCATIONGRANULARITY
    return mmap.mmap(descriptor, stop - base, access=mmap.ACCESS_READ, offset=base)


def _hop_for(size: int) -> Hop:
    if size > _COMPILE_ABOVE or "numba" in sys.modules and size > WINDOW:
        try:
            from facekit.records.kernels import hop_records
        except ImportError:
            return _hop_plain
        return hop_records  # type: ignore[no-any-return]
    return _hop_plain


def _hop_plain(words: NDArray[np.uint32], at: int, starts: NDArray[np.int64]) -> tuple[int, int]:
    """The same as ``kernels.hop_records``; 2 million records a second."""
    view = memoryview(words.view(np.uint32)).cast("B").cast("I")
    end, found = len(view) - 1, []
    add = found.append
    while at < end:
        coded = view[at + 1]
        if view[at] != MAGIC or coded >= 1 << 29:
            break
        add(at)
        at += 2 + ((coded + 3) >> 2)
    view.release()
    starts[: len(found)] = found
    return len(found), at


def _next_record(descriptor: int, start: int, size: int) -> int:
    """The offset of the next whole record at a multiple of four; the size of the file where there is none."""
    for place in _magic_words(descriptor, start, size):
        try:
            for _ in record_parts(lambda at: os.pread(descriptor, 8, at), place, size):
                pass
        except FramingError:
            continue
        return place
    return size


def _magic_words(descriptor: int, start: int, size: int) -> Iterator[int]:
    """Offsets, multiples of four, at which the magic word stands."""
    at = padded(start)
    while at < size:
        block = os.pread(descriptor, 1 << 20, at)
        found = block.find(MAGIC_BYTES)
        while found >= 0:
            if (at + found) % 4 == 0:
                yield at + found
            found = block.find(MAGIC_BYTES, found + 1)
        at += max((len(block) - 3) & ~3, 4)


def rebuild_index(path: str | os.PathLike[str]) -> RecordIndex:
    """The index of a ``.rec`` whose ``.idx`` is lost.

    Keys cannot be read off a RecordIO file with certainty. The first of these that holds:

    1. With a dataset header whose two numbers agree with what the file holds: images 1..N and identities N+1..N+M in the order
       of the file (by ``header.id`` where the ids of the images are a permutation of 1..N), the dataset header 0.
    2. ``header.id``, where no two records have the same: packs of im2rec, and what facekit and mxnet write with id = key.
    3. 0, 1, 2, ... in the order of the file.

    Raises
    ------
    RecordError
        The file cannot be read, is truncated or corrupt.
    """
    from facekit.records.layout import rebuilt_keys

    offsets = scan(path).offsets
    return RecordIndex.from_lines(rebuilt_keys(path, offsets), offsets)
