"""What the JPEG decoder says of a picture that it decodes all the same: it says so on file descriptor 2, nowhere else.

The descriptor belongs to the whole process. So pictures are decoded by many threads under one capture, and only where
that caught a warning one after another, to learn whose it is.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from facekit.records.read_at import read_at

__all__ = ["CapturedStderr", "capture_stderr", "warnings_of_each"]

_DAMAGE = re.compile(rb"(?:Corrupt JPEG data: |Premature end of JPEG file)[^\r\n]*")
_LOCK = threading.Lock()


class CapturedStderr:
    """The bytes that went to file descriptor 2 so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = 0

    def damage(self) -> str:
        """The decoder's warnings of damaged data since the last call; empty where there is none."""
        size = os.fstat(self._file.fileno()).st_size
        text = read_at(self._file.fileno(), size - self._read, self._read)
        self._read = size
        return "; ".join(line.decode("ascii", "replace") for line in _DAMAGE.findall(text))


@contextmanager
def capture_stderr() -> Iterator[CapturedStderr]:
    """Catch file descriptor 2; what is no warning of damaged JPEG data is written to it afterwards."""
    with _LOCK, tempfile.TemporaryFile(buffering=0) as file:
        before = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            try:
                yield CapturedStderr(file)
            finally:
                os.dup2(before, 2)
                _pass_on(file)
        finally:
            os.close(before)


def _pass_on(file: IO[bytes]) -> None:
    text = re.sub(_DAMAGE.pattern + rb"\r?\n?", b"", read_at(file.fileno(), os.fstat(file.fileno()).st_size, 0))
    while text:
        text = text[os.write(2, text) :]


def warnings_of_each(look: Callable[[int], object], rows: Sequence[int]) -> list[str]:
    """What the decoder warns of at each row; nothing else may decode meanwhile."""
    found: list[str] = []
    with capture_stderr() as stderr:
        for row in rows:
            look(row)
            found.append(stderr.damage())
    return found
