"""Memory that was freed, handed back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["release_freed"]


def release_freed() -> None:
    """Hand freed memory back to the system: Arrow's, and the C library's where that is glibc.

    glibc keeps freed arrays of up to 32 MB for later ones. Between two steps of a job that share no sizes, that is a
    third of what the process seems to need (benchmarks/README.md).
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no library of all names
        return
    trim(ctypes.c_size_t(0))
