"""Compiled loops over index text and part headers. Each has a plain equivalent that gives the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hop_records", "parse_index"]


_ZEROS = np.uint64(0x3030303030303030)
_SEVEN_BITS, _SIX, _HIGH = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x7676767676767676), np.uint64(0x8080808080808080)
_PAIRS, _FOURS, _EIGHTS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00000000FFFFFFFF)


@njit(cache=True, nogil=True)
def parse_index(
    text: NDArray[np.uint8], eights: NDArray[np.uint64], keys: NDArray[np.int64], offsets: NDArray[np.int64]
) -> int:
    """Fill keys and offsets from ``key<tab>offset`` lines; the number of lines, -1 at anything else, -2 without room.

    A line whose numbers have as many digits as those of the line before is read eight digits at a time, others digit by
    digit.

    Parameters
    ----------
    text : (n,) uint8
    eights : (n - 7,) uint64
        The eight characters that start at each place of ``text``.
    keys, offsets : (m,) int64
        Filled from the start.
    """
    count, at, end = 0, 0, len(text)
    key_digits, offset_digits = 0, 0
    while at < end:
        if count == len(keys):
            return -2
        tab = at + key_digits
        stop = tab + 1 + offset_digits
        if at >= 16 and stop < end and 0 < key_digits <= 16 and 0 < offset_digits <= 16:
            key, offset = _number(eights, tab, key_digits), _number(eights, stop, offset_digits)
            if key >= 0 and offset >= 0 and text[tab] == 9 and text[stop] == 10:
                keys[count], offsets[count] = key, offset
                count += 1
                at = stop + 1
                continue
        keys[count], tab = _number_slowly(text, at)
        if tab < 0 or tab >= end or text[tab] != 9:
            return -1
        offsets[count], stop = _number_slowly(text, tab + 1)
        if stop < 0:
            return -1
        key_digits, offset_digits = tab - at, stop - tab - 1
        at = stop
        if at + 1 < end and text[at] == 13:
            at += 1
        if at < end and text[at] != 10:
            return -1
        count += 1
        at += 1
    return count


@njit(inline="always")
def _number(eights: NDArray[np.uint64], end: int, digits: int) -> int:
    """The number of up to 16 digits that ends before ``end``; -1 where a character is no digit."""
    low = _digits(eights[end - 8], min(digits, 8))
    high = _digits(eights[end - 16], max(digits - 8, 0)) if digits > 8 else np.uint64(0)
    if _foreign(low) | _foreign(high):
        return np.int64(-1)
    return np.int64(_joined(high) * np.uint64(100_000_000) + _joined(low))


@njit(inline="always")
def _digits(word: np.uint64, digits: int) -> np.uint64:
    """The values of the last characters of a word, zeros before them."""
    others = np.uint64(8 * (8 - digits))
    return ((word ^ _ZEROS) >> others) << others


@njit(inline="always")
def _foreign(word: np.uint64) -> np.uint64:
    """Not zero where a byte is above nine."""
    return (((word & _SEVEN_BITS) + _SIX) | word) & _HIGH


@njit(inline="always")
def _joined(word: np.uint64) -> np.uint64:
    """Eight digits in eight bytes, joined to pairs, to fours, to one number."""
    word = (word & _PAIRS) * np.uint64(10) + ((word >> np.uint64(8)) & _PAIRS)
    word = (word & _FOURS) * np.uint64(100) + ((word >> np.uint64(16)) & _FOURS)
    return (word & _EIGHTS) * np.uint64(10_000) + (word >> np.uint64(32))


@njit(inline="always")
def _number_slowly(text: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """The number of up to 18 digits that starts at ``at`` and where it ends; -1 where there is none."""
    value, place = np.int64(0), at
    while place < len(text) and 48 <= text[place] <= 57:
        if place - at == 18:
            return np.int64(-1), -1
        value = value * 10 + np.int64(text[place] - 48)
        place += 1
    return value, (place if place > at else -1)


@njit(cache=True, nogil=True)
def hop_records(words: NDArray[np.uint32], at: int, starts: NDArray[np.int64]) -> tuple[int, int]:
    """Hop from whole record to whole record in a window of a file.

    Stops at the first thing that is not the header of a whole record (flag 0), at the end of the window, or when starts
    is full.

    Parameters
    ----------
    words : (n,) uint32
        The window; ``at`` and ``starts`` count its words.

    Returns
    -------
    (int, int)
        How many starts were filled, and the word at which it stopped.
    """
    count = 0
    end = len(words)
    while at + 1 < end and count < len(starts):
        coded = words[at + 1]
        if words[at] != np.uint32(0xCED7230A) or coded >= np.uint32(1 << 29):
            break
        starts[count] = at
        count += 1
        at += 2 + ((np.int64(coded) + 3) >> 2)
    return count, at
