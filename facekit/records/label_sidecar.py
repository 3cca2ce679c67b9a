"""All labels of a pack in a file beside it, so that nothing has to be read for them.

    b"FKlabel1" | size and mtime (ns) of the .rec i64 x 2 | the same of the .idx, -1 without one | labels i64 | bytes of
    a label i64 | labels, i4 or i8, in the order of `Pack.keys`

Little-endian. It is used only while both files are what they were.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_labels", "save_labels"]

_HEAD = struct.Struct("<8sqqqqqq")
_SIGNATURE = b"FKlabel1"


def _stamps(rec: Path, idx: Path) -> tuple[int, int, int, int]:
    record = os.stat(rec)
    try:
        index = os.stat(idx)
    except FileNotFoundError:
        return record.st_size, record.st_mtime_ns, -1, -1
    return record.st_size, record.st_mtime_ns, index.st_size, index.st_mtime_ns


def save_labels(rec: Path, idx: Path, labels: NDArray[np.int64]) -> Path:
    """Write the labels of a pack beside it, as ``train.labels.bin``."""
    small = not len(labels) or max(-int(labels.min()), int(labels.max())) < 1 << 31
    kept = np.ascontiguousarray(labels, "<i4" if small else "<i8")
    target = rec.with_suffix(".labels.bin")
    aside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    with open(aside, "wb") as file:
        file.write(_HEAD.pack(_SIGNATURE, *_stamps(rec, idx), len(kept), kept.itemsize))
        file.write(kept.data)
    os.replace(aside, target)
    return target


def load_labels(rec: Path, idx: Path) -> NDArray[np.int64] | None:
    """The labels that were saved; None where there are none, or the pack has changed since."""
    try:
        with open(rec.with_suffix(".labels.bin"), "rb") as file:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return None
            signature, *stamps, count, width = _HEAD.unpack(head)
            if signature != _SIGNATURE or tuple(stamps) != _stamps(rec, idx) or width not in (4, 8) or count < 0:
                return None
            if os.fstat(file.fileno()).st_size != _HEAD.size + count * width:
                return None
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return None
    return np.frombuffer(content, f"<i{width}", count, _HEAD.size).astype(np.int64)
