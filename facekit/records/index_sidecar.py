"""The binary form of an ``.idx`` beside it, which is mapped instead of parsed.

    b"FKindex2" | size and mtime (ns) of the .idx i64 x 2 | entries i64 | bytes of an element of order i64, 0 for none |
    `IndexEnds` i64 x 3 | keys i64 | offsets i64 | order i4 or i8

Little-endian.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from pathlib import Path

import numpy as np

from facekit.output.aside import replacing
from facekit.records.record_index import IndexEnds, RecordIndex

__all__ = ["has_sidecar", "load_sidecar", "save_sidecar", "sidecar_path"]

logger = logging.getLogger(__name__)

_SIDECAR = struct.Struct("<8sqqqqqqq")
"""Signature, size and mtime (ns) of the .idx, entries, bytes of an element of order (0: none), `IndexEnds`."""

_SIGNATURE = b"FKindex2"


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the binary form of an ``.idx`` lies: ``train.idx.bin`` beside ``train.idx``.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    Path
    """
    return Path(os.fspath(path) + ".bin")


def has_sidecar(path: str | os.PathLike[str]) -> bool:
    """Whether an ``.idx`` has a sidecar that belongs to it as it is now.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    bool
    """
    return load_sidecar(path) is not None


def save_sidecar(path: str | os.PathLike[str], index: RecordIndex) -> Path:
    """Write the binary form of an ``.idx`` beside it, which opens in well under 5 ms whatever the size.

    It is used only while size and modification time of the ``.idx`` are what they were.

    Parameters
    ----------
    path : path
        The ``.idx``, which must exist.
    index : RecordIndex
        What it says.

    Returns
    -------
    Path
        The sidecar.

    Raises
    ------
    OSError
        The disk refuses.
    """
    stat = os.stat(path)
    order = index.order
    words = _SIDECAR.pack(
        _SIGNATURE,
        stat.st_size,
        stat.st_mtime_ns,
        len(index),
        0 if order is None else order.itemsize,
        *index.ends,
    )
    target = sidecar_path(path)
    with replacing(target) as file:  # flushed: a head that outlives its offsets would pass zeros for them
        file.write(words)
        for array in (index.keys, index.offsets, *(() if order is None else (order,))):
            file.write(np.ascontiguousarray(array).data)
    return target


def load_sidecar(path: str | os.PathLike[str]) -> RecordIndex | None:
    """Map the binary form of an ``.idx``; None where there is none that belongs to it as it is now.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    RecordIndex or None
        Little-endian int64 arrays, mapped for reading.
    """
    target = sidecar_path(path)
    try:
        with open(target, "rb") as file:
            head = file.read(_SIDECAR.size)
            size, text = os.fstat(file.fileno()).st_size, os.stat(path)
            if len(head) < _SIDECAR.size:
                return None
            signature, idx_size, idx_time, count, width, *numbers = _SIDECAR.unpack(head)
            if (signature, idx_size, idx_time) != (_SIGNATURE, text.st_size, text.st_mtime_ns):
                logger.info("%s does not belong to %s as it is now: reading the text", target, path)
                return None
            whole = width in (0, 4, 8) and count >= 0 and size == _SIDECAR.size + count * (16 + width)
            ends = IndexEnds(*numbers)
            if not whole or not -1 <= ends.furthest < count or (ends.furthest < 0 < count):
                return None
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return None
    at = _SIDECAR.size
    keys = np.frombuffer(data, "<i8", count, at)
    offsets = np.frombuffer(data, "<i8", count, at + 8 * count)
    order = np.frombuffer(data, f"<i{width}", count, at + 16 * count) if width else None
    return RecordIndex(keys, offsets, order, ends, target)
