"""``.idx`` text -> keys and offsets: compiled, eight digits at a time by numpy, or line by line with messages."""

from __future__ import annotations

import mmap
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_text"]

_CHUNK = 1 << 20

_COMPILE_ABOVE = 256 << 20
"""Bytes above which importing numba pays, about 13 million lines; already imported, it is used from 1 MB on."""

_TAB, _LINE_END = 9, 10


def parse_text(descriptor: int, path: str | os.PathLike[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read ``key <tab> offset`` lines, LF or CRLF; blank lines are skipped and columns after the second ignored.

    Parameters
    ----------
    descriptor : int
        The open file.
    path : path
        Its name, for the message of an error.

    Returns
    -------
    keys, offsets : (n,) int64
        Of every line, in order.

    Raises
    ------
    RecordError
        A line is not two whole numbers; names the line.
    """
    size = os.fstat(descriptor).st_size
    if size > _COMPILE_ABOVE or ("numba" in sys.modules and size > _CHUNK):
        parsed = _parse_compiled(descriptor)
        if parsed is not None:
            return parsed
    blocks = [np.empty((2, 0), np.int64)]
    line, at = 1, 0
    while at < size:
        text = os.pread(descriptor, _CHUNK, at)
        if not text:
            raise RecordError("the index became shorter while it was read", path, None, at)
        if at + len(text) < size and b"\n" in text:
            text = text[: text.rindex(b"\n") + 1]
        blocks.append(_parse_chunk(text, path, line, at))
        at, line = at + len(text), line + text.count(b"\n")
    keys, offsets = np.concatenate(blocks, axis=1)
    return keys, offsets


def _parse_compiled(descriptor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """None where anything is not digits, one tab and a line end, or without numba."""
    try:
        from facekit.records.kernels import parse_index
    except ImportError:
        return None
    # Its pages are mapped at once where the system can: one fault after another takes longer than parsing.
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    with mmap.mmap(descriptor, 0, flags, mmap.PROT_READ) as text:
        characters = np.frombuffer(text, np.uint8)
        eights = np.ndarray((len(characters) - 7,), "<u8", text, 0, (1,))
        # Lines grow longer toward the end, so the first ones tell how many there are at most; where they do not, all
        # are counted.
        for lines in (_likely_lines(characters), None):
            room = _line_count(characters) if lines is None else lines
            keys, offsets = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
            count = parse_index(characters, eights, keys, offsets)
            if count != -2:
                break
        del characters, eights
    if count < 0:
        return None
    keys.resize(count, refcheck=False)  # gives back what was not filled, without a copy
    offsets.resize(count, refcheck=False)
    return keys, offsets


def _likely_lines(characters: NDArray[np.uint8]) -> int:
    head = characters[:_CHUNK]
    return int(np.count_nonzero(head == _LINE_END)) * -(-len(characters) // len(head))


def _line_count(characters: NDArray[np.uint8]) -> int:
    blocks = range(0, len(characters), _CHUNK)
    return sum(int(np.count_nonzero(characters[at : at + _CHUNK] == _LINE_END)) for at in blocks)


def _parse_chunk(text: bytes, path: str | os.PathLike[str], line: int, at: int) -> NDArray[np.int64]:
    """(2, n) int64."""
    plain = text.replace(b"\r\n", b"\n") if b"\r" in text else text
    plain = plain if plain.endswith(b"\n") else plain + b"\n"
    for parse in (_parse_runs, _parse_any_width):
        pairs = parse(plain)
        if pairs is not None:
            return pairs
    return _parse_lines(text, path, line, at)


# --- runs of lines of one width ---------------------------------------------------------------------------------------

_MAX_RUNS = 32
_ROWS = 8192
_ZEROS, _SIX, _HIGH = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x76, 0x80))


def _parse_runs(text: bytes) -> NDArray[np.int64] | None:
    """Lines whose numbers have as many digits as those of the line before: all but a few of a file in order.

    None where widths change more often, or anything is not digits, one tab and a line end.
    """
    # Eight characters are read up to the end of a number: the first line needs something before it.
    padded = b"\0" * 16 + text
    characters = np.frombuffer(padded, np.uint8)
    pairs = np.empty((2, text.count(b"\n")), np.int64)
    at, row, runs = 16, 0, 0
    while at < len(padded):
        tab, end = padded.find(b"\t", at), padded.find(b"\n", at)
        if not at < tab < end - 1 or tab - at > 16 or end - tab > 17 or runs > _MAX_RUNS:
            return None
        width = end + 1 - at
        rows = min((len(padded) - at) // width, _ROWS)
        lines = characters[at : at + rows * width].reshape(rows, width)
        same = (lines[:, tab - at] == _TAB) & (lines[:, -1] == _LINE_END)
        if not same.all():
            rows, runs = int(same.argmin()), runs + 1
        for column, first, last in ((0, at, tab), (1, tab + 1, end)):
            numbers = _numbers(padded, last, rows, width, last - first)
            if numbers is None:
                return None
            pairs[column, row : row + rows] = numbers
        at, row = at + rows * width, row + rows
    return pairs


def _numbers(text: bytes, end: int, rows: int, stride: int, digits: int) -> NDArray[np.int64] | None:
    """Numbers of up to 16 digits that end before ``end``, one every ``stride`` characters."""
    low = _eight_digits(text, end, rows, stride, min(digits, 8))
    if low is None or digits <= 8:
        return low
    high = _eight_digits(text, end - 8, rows, stride, digits - 8)
    return None if high is None else low + high * 100_000_000


def _eight_digits(text: bytes, end: int, rows: int, stride: int, digits: int) -> NDArray[np.int64] | None:
    """Numbers of up to eight digits, each read as one word: digits joined to pairs, pairs to fours, fours to eights."""
    word = np.ndarray((rows,), "<u8", text, end - 8, (stride,)) ^ _ZEROS
    if digits < 8:
        others = np.uint64(8 * (8 - digits))
        word >>= others
        word <<= others
    above_nine = word + _SIX
    above_nine |= word
    above_nine &= _HIGH
    if above_nine.any():
        return None
    word *= np.uint64(10 << 8 | 1)
    word >>= np.uint64(8)
    word &= np.uint64(0x00FF00FF00FF00FF)
    word *= np.uint64(100 << 16 | 1)
    word >>= np.uint64(16)
    word &= np.uint64(0x0000FFFF0000FFFF)
    word *= np.uint64(10_000 << 32 | 1)
    word >>= np.uint64(32)
    return word.view(np.int64)


# --- lines of any width -----------------------------------------------------------------------------------------------


def _parse_any_width(text: bytes) -> NDArray[np.int64] | None:
    """None where anything is not digits, one tab and a line end, or a number has more than 18 digits."""
    characters = np.frombuffer(text, np.uint8)
    between = characters[characters < 48]
    if len(between) % 2 or (between[0::2] != _TAB).any() or (between[1::2] != _LINE_END).any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
    if len(values) != len(between) or (len(values) and int(values.max()) >= 10**18):
        return None
    return np.ascontiguousarray(values.reshape(-1, 2).T)


_LINE = re.compile(rb"[ ]*(-?\d{1,19})\t[ ]*(-?\d{1,19})(?:[\t ].*)?\Z", re.DOTALL)


def _parse_lines(text: bytes, path: str | os.PathLike[str], line: int, at: int) -> NDArray[np.int64]:
    """Line by line, for what the fast ways refuse."""
    pairs: list[tuple[int, int]] = []
    for number, content in enumerate(text.split(b"\n"), line):
        stripped = content.rstrip()
        found = _LINE.match(stripped)
        if found and max(abs(int(found[1])), abs(int(found[2]))) < 1 << 63:
            pairs.append((int(found[1]), int(found[2])))
        elif stripped:
            shown = stripped[:60].decode("utf-8", "backslashreplace")
            raise RecordError(f"line {number} of the index is not 'key<tab>offset': {shown!r}", path, None, at)
        at += len(content) + 1
    return np.array(pairs, np.int64).reshape(-1, 2).T
