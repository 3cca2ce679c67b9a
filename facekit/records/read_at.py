"""Reads by place, on whatever system this is: Windows has no `os.pread`."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock

__all__ = ["READ_ONLY", "read_at", "read_into_at"]

READ_ONLY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of `os.open`: bytes as they are, for this process."""

_lock = Lock()


def _seek_and_read(descriptor: int, count: int, offset: int) -> bytes:
    """A file has one place where it is read: nobody else may move it meanwhile, and afterwards it is what it was."""
    with _lock:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, count)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)


def _read_and_copy(descriptor: int, buffer: memoryview, offset: int) -> int:
    found = read_at(descriptor, len(buffer), offset)
    buffer[: len(found)] = found
    return len(found)


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    return os.preadv(descriptor, [buffer], offset)


read_at: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)
"""``read_at(descriptor, count, offset)``: at most so many bytes from an offset of an open file on.

Raises `OSError`. Threads may share a descriptor. This is `os.pread` itself where there is one, for a call of a function
would cost a tenth of the reading of a record.
"""

read_into_at: Callable[[int, memoryview, int], int] = _read_into if hasattr(os, "preadv") else _read_and_copy
"""``read_into_at(descriptor, buffer, offset)``: fill a buffer of bytes so; how many bytes there were."""
