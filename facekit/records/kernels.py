"""A compiled loop over part headers. `facekit.records.scan` has a plain equivalent that gives the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.compiled import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hop_records"]


@kernel()
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
