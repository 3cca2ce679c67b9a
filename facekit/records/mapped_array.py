"""Arrays with a row for each picture that lie in files without a name, whose pages the system may drop."""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["mapped_array"]

_LOG = logging.getLogger(__name__)

MAPPED_ABOVE = 1 << 20
"""Bytes that stay in memory."""

_ZEROS = 1 << 22


def mapped_array(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros to write to, as `numpy.zeros` makes them.

    Above `MAPPED_ABOVE` bytes they lie in a file without a name in Python's temporary folder (``TMPDIR``), which goes
    with the array; where that has no room, they are in memory.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype
        Of numbers.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size <= MAPPED_ABOVE:
        return np.zeros(shape, kind)
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            # Room for all of it before it is mapped: a page that the disk had none for would end the process.
            _take_room(file, size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        _LOG.warning("%d bytes stay in memory: %s has no room for them (%s)", size, tempfile.gettempdir(), error)
        return np.zeros(shape, kind)
    return np.frombuffer(mapped, kind).reshape(shape)


def _take_room(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = memoryview(bytes(min(size, _ZEROS)))
    while size:
        size -= os.write(file.fileno(), zeros[:size])
