"""The three standard streams as a command finds them: closed, full, or a pipe that nobody reads any more.

What has been published must not fail for want of somebody to tell. And a file that a command opens must not get the
number of a closed stream: libraries written in C print their warnings to descriptor 2, whatever it is.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["prepare_streams"]


def prepare_streams() -> None:
    """Open the null device for streams that are closed, and let the others outlive their readers."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if _open_if_closed(descriptor):
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", closefd=False))  # noqa: SIM115 -- to the end
    # Streams that somebody else put there (a test, a notebook) stay as they are.
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _lasting(sys.stdout)
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = _lasting(sys.stderr)


def _open_if_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest number that is free, and those below are taken.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        return True
    return False


def _lasting(stream: TextIO) -> TextIO:
    try:
        raw = _Lasting(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return stream
    stream.flush()
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer, stream.encoding, stream.errors, line_buffering=getattr(stream, "line_buffering", False)
    )


class _Lasting(io.FileIO):
    """A descriptor that takes everything once its reader has gone; other errors are raised once."""

    _failed = False

    def write(self, block: ReadableBuffer, /) -> int:
        size = memoryview(block).nbytes
        if self._failed:
            return size
        try:
            return super().write(block) or 0
        except BrokenPipeError:
            return size
        except OSError:
            self._failed = True
            raise
