"""Compiled loops over index text and part headers. Each has a plain equivalent that gives the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hop_records", "parse_index"]


@njit(cache=True, nogil=True)
def parse_index(text: NDArray[np.uint8], keys: NDArray[np.int64], offsets: NDArray[np.int64]) -> int:
    """Fill keys and offsets from ``key<tab>offset`` lines; the number of lines, or -1 at anything else."""
    count, value, digits, field = 0, np.int64(0), 0, 0
    end = len(text)
    for i in range(end + 1):
        character = text[i] if i < end else np.uint8(10)
        if 48 <= character <= 57:
            value = value * 10 + np.int64(character - 48)
            digits += 1
            if digits > 18:
                return -1
        elif character == 9:
            if field != 0 or digits == 0:
                return -1
            keys[count] = value
            value, digits, field = np.int64(0), 0, 1
        elif character == 10:
            if i == end and field == 0 and digits == 0:
                return count
            if field != 1 or digits == 0:
                return -1
            offsets[count] = value
            count += 1
            value, digits, field = np.int64(0), 0, 0
        elif character != 13 or i + 1 >= end or text[i + 1] != 10:
            return -1
    return count


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
