"""``.rec`` -> where its records start: for packs whose index is lost, and for looking past damage."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.framing import MAGIC, MAGIC_BYTES, FramingError, padded, record_parts
from facekit.records.index import RecordIndex
from facekit.records.mapping import WINDOW, window
from facekit.records.read_at import read_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hop = Callable[[NDArray[np.uint32], int, NDArray[np.int64]], tuple[int, int]]

__all__ = ["Gap", "Reached", "Scan", "rebuild_index", "scan"]

Reached = Callable[[int], None]
"""Is told the offset up to which a file has been walked."""

_MAX_STARTS = 1 << 20

_COMPILE_ABOVE = 4 << 30
"""Bytes of .rec above which importing numba pays."""


def _ignore(offset: int) -> None:
    """Follow nothing."""


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
        Where each record ends, padding included as far as the file has it.
    gaps : tuple of Gap
        Empty unless damage was skipped.
    """

    offsets: NDArray[np.int64]
    stops: NDArray[np.int64]
    gaps: tuple[Gap, ...]

    @property
    def padding_missing(self) -> int:
        """Zeros that the file lacks behind its last record, whose own bytes are whole."""
        return int(self.offsets[-1] - self.stops[-1]) & 3 if len(self.offsets) else 0


def scan(path: str | os.PathLike[str], resynchronise: bool = False, reached: Reached = _ignore) -> Scan:
    """Walk the part headers of a file, without reading what lies between them.

    Parameters
    ----------
    path : path
        The ``.rec`` file.
    resynchronise : bool
        Skip damage and take up again at the next record that is whole, noting the gap; by default damage raises. A
        record whose length field is wrong, so that it swallows the start of others, is part of the gap. A last record
        that lacks nothing but padding is whole.
    reached : callable, optional
        Called with the offset up to which the file is walked, now and then.

    Returns
    -------
    Scan

    Raises
    ------
    RecordError
        The file cannot be read, or (unless resynchronising) is truncated or corrupt; names the offset.
    """
    try:
        with open(path, "rb") as file:
            return _scan(file.fileno(), path, resynchronise, reached)
    except OSError as error:
        raise RecordError(f"the record file cannot be read: {error.strerror}", path) from error


def _scan(descriptor: int, path: str | os.PathLike[str], resynchronise: bool, reached: Reached) -> Scan:
    size = os.fstat(descriptor).st_size
    hop = _choose_hop(size)
    starts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    ends: list[int] = [0]  # where the last record of each of them ends
    gaps: list[Gap] = []
    at = 0
    while at < size:
        reached(at)
        found, end = _hop_window(descriptor, at, size, hop)
        if not len(found):
            # What the fast walk does not take: records of several parts, and damage.
            try:
                found, end = np.array([at], np.int64), _end_of_record(descriptor, at, size, not resynchronise)
            except FramingError as error:
                if not resynchronise:
                    raise error.at(path, None, at) from None
                at = _skip_damage(descriptor, at, size, error.problem, starts, ends, gaps, reached)
                continue
        starts.append(found)
        ends.append(end)
        at = end
    return Scan(*_joined(starts, ends), tuple(gaps))


def _joined(starts: list[NDArray[np.int64]], ends: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All starts, and where each record ends: where the next one starts, but for the last before a gap."""
    lasts = np.cumsum([len(part) for part in starts])
    there = np.diff(lasts, prepend=0) > 0
    offsets = np.concatenate(starts)
    starts.clear()
    stops = np.empty_like(offsets)
    stops[:-1] = offsets[1:]
    stops[lasts[there] - 1] = np.array(ends, np.int64)[there]
    return offsets, stops


def _end_of_record(descriptor: int, at: int, size: int, padding: bool = False) -> int:
    *_, last = record_parts(lambda place: read_at(descriptor, 8, place), at, size, padding)
    return min(last.start + padded(last.length), size)


def _skip_damage(
    descriptor: int,
    at: int,
    size: int,
    problem: str,
    starts: list[NDArray[np.int64]],
    ends: list[int],
    gaps: list[Gap],
    reached: Reached,
) -> int:
    """Note the gap at an offset, and give back where the next record starts.

    No whole record has a magic word at a multiple of four inside. If the record before the damage has one that starts a
    record, its length is wrong: it is taken back, and the gap starts with it.
    """
    begin = at
    if len(starts[-1]) and ends[-1] == at:
        before = int(starts[-1][-1])
        found = _next_record(descriptor, before + 4, at, size, _ignore)
        if found < at:
            starts[-1], ends[-1] = starts[-1][:-1], before
            gaps.append(Gap(before, found, f"the length field is corrupt: another record starts inside, at {found}"))
            return found
    found = _next_record(descriptor, begin + 1, size, size, reached)
    gaps.append(Gap(begin, found, problem))
    return found


def _hop_window(descriptor: int, at: int, size: int, hop: Hop) -> tuple[NDArray[np.int64], int]:
    """Whole records from an offset on, within one window: their offsets, and where the last one ends."""
    if at % 4 or size - at < 8:
        return np.empty(0, np.int64), at
    with window(descriptor, at, min(at + WINDOW, size)) as mapped:
        skew = at % mmap.ALLOCATIONGRANULARITY
        words = np.frombuffer(mapped, "<u4", (len(mapped) - skew) // 4, skew)
        starts = np.empty(min(len(words) // 2, _MAX_STARTS), np.int64)
        count, end = hop(words, 0, starts)
        del words
    stop = at + 4 * end
    if count and stop > size:
        # The last one claims more than the file has: leave it to the careful walk.
        count, stop = count - 1, at + 4 * int(starts[count - 1])
    return at + 4 * starts[:count], stop


def _choose_hop(size: int) -> Hop:
    if size > _COMPILE_ABOVE or ("numba" in sys.modules and size > WINDOW):
        try:
            from facekit.records.kernels import hop_records
        except ImportError:
            return _hop_plain
        return hop_records
    return _hop_plain


def _hop_plain(words: NDArray[np.uint32], at: int, starts: NDArray[np.int64]) -> tuple[int, int]:
    """The same as ``kernels.hop_records``; 2 million records a second."""
    end, room = len(words) - 1, len(starts)
    found: list[int] = []
    add = found.append
    with memoryview(words.data).cast("B").cast("I") as view:
        while at < end and len(found) < room:
            coded = view[at + 1]
            if view[at] != MAGIC or coded >= 1 << 29:
                break
            add(at)
            at += 2 + ((coded + 3) >> 2)
    starts[: len(found)] = found
    return len(found), at


def _next_record(descriptor: int, start: int, stop: int, size: int, reached: Reached) -> int:
    """The offset, from start up to stop, of the next whole record; stop where there is none.

    At a multiple of four a magic word always starts a part, so a whole record there is one. Elsewhere (bytes were lost
    or came in between) it must also be followed by another record or the end of the file.
    """
    for place in _magic_words(descriptor, start, stop, reached):
        try:
            end = _end_of_record(descriptor, place, size)
            if place % 4 and end < size:
                _end_of_record(descriptor, end, size)
        except FramingError:
            continue
        return place
    return stop


def _magic_words(descriptor: int, start: int, stop: int, reached: Reached) -> Iterator[int]:
    """Offsets from start up to stop at which the magic word stands."""
    at = _next_data(descriptor, start, stop)
    while at < stop:
        reached(at)
        block = read_at(descriptor, min(1 << 20, stop - at + 3), at)
        found = block.find(MAGIC_BYTES)
        while found >= 0 and at + found < stop:
            yield at + found
            found = block.find(MAGIC_BYTES, found + 1)
        at = _next_data(descriptor, at + max(len(block) - 3, 1), stop)


def _next_data(descriptor: int, at: int, stop: int) -> int:
    """Past the hole of a sparse file that an offset lies in: zeros are no magic word, and a hole can be terabytes."""
    if not hasattr(os, "SEEK_DATA"):
        return at
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:  # ENXIO: nothing but a hole is left; else the file system does not tell
        return stop if error.errno == errno.ENXIO else at


def rebuild_index(path: str | os.PathLike[str]) -> RecordIndex:
    """The index of a ``.rec`` whose ``.idx`` is lost.

    Keys cannot be read off a RecordIO file with certainty. The first of these that holds:

    1. With a dataset header whose two numbers agree with what the file holds: 0 for it, 1..N for images and N+1..N+M
       for identities in the order of the file (images by ``header.id`` where their ids are a permutation of 1..N).
    2. ``header.id``, where no two records have the same: packs of im2rec, and all that were written with id = key.
    3. 0, 1, 2, ... in the order of the file.

    Parameters
    ----------
    path : path
        The ``.rec``.

    Returns
    -------
    RecordIndex

    Raises
    ------
    RecordError
        The file cannot be read, is truncated or corrupt.
    """
    from facekit.records.layout import rebuilt_keys

    offsets = scan(path).offsets
    return RecordIndex.from_lines(rebuilt_keys(path, offsets), offsets)
