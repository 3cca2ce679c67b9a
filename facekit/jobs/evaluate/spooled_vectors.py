"""Vectors as they come out of a network: in memory while they are few, else in a file without a name that is mapped."""

from __future__ import annotations

import logging
import mmap
import tempfile
from typing import IO

import numpy as np
import numpy.typing as npt

__all__ = ["SpooledVectors"]

MAPPED_ABOVE = 32 << 20
"""Bytes that stay in memory."""

log = logging.getLogger(__name__)


class SpooledVectors:
    """Vectors that are added batch by batch.

    The file lies in Python's temporary folder (``TMPDIR``) and goes with the array; where that has no room, they stay
    in memory.
    """

    def __init__(self) -> None:
        self._held: list[npt.NDArray[np.float32]] = []
        self._file: IO[bytes] | None = None
        self._full, self._size, self._stored, self._width = False, 0, 0, 0

    def add(self, vectors: npt.NDArray[np.float32]) -> None:
        """Add (n, D) float32 vectors."""
        self._held.append(vectors)
        self._size, self._width = self._size + vectors.nbytes, vectors.shape[1]
        if self._size > MAPPED_ABOVE and not self._full:
            self._spool()

    def array(self) -> npt.NDArray[np.float32]:
        """All of them, (N, D) float32."""
        parts = [np.zeros((0, self._width), np.float32), *self._held]
        if self._file is None:
            return np.concatenate(parts)
        with self._file as file:
            # Written in full before it is mapped: a page that the disk had no room for would end the process.
            stored = np.frombuffer(mmap.mmap(file.fileno(), self._stored), np.float32).reshape(-1, self._width)
        self._file = None
        return np.concatenate([stored, *parts]) if self._held else stored

    def _spool(self) -> None:
        """Write what is held, as a whole; what cannot be written stays where it is."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed when it is mapped
            for vectors in self._held:
                _write(self._file, np.ascontiguousarray(vectors, np.float32))
        except OSError as error:
            log.warning("vectors stay in memory: %s has no room for them (%s)", tempfile.gettempdir(), error)
            self._full = True
            self._recover()
            return
        self._stored += sum(vectors.nbytes for vectors in self._held)
        self._held.clear()

    def _recover(self) -> None:
        """Take back what the file had before it was full."""
        if self._file is None:
            return
        with self._file as file:
            file.seek(0)
            if self._stored:
                self._held.insert(0, np.fromfile(file, np.float32, self._stored // 4).reshape(-1, self._width))
        self._file = None


def _write(file: IO[bytes], rows: npt.NDArray[np.float32]) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]
