"""All labels of a pack in a file beside it, so that nothing has to be read for them.

    b"FKlabel1" | size and mtime (ns) of the .rec i64 x 2 | the same of the .idx, -1 without one | labels i64 | bytes of
    a label i64 | labels, i4 or i8, in the order of `Pack.keys`

Little-endian. It is used only while both files are what they were. Whoever writes a long pack knows its labels and
leaves them there; for the packs of others `Pack.save_labels` does, which `facekit reindex --sidecar` calls.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from facekit.output.aside import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_KEPT", "LabelWriter", "labels_path", "load_labels", "save_labels", "stored_labels"]

logger = logging.getLogger(__name__)

MIN_KEPT = 50_000
"""Packs with fewer labels get no label file: their headers are read in ten milliseconds."""

_HEAD = struct.Struct("<8sqqqqqq")
_LABEL = struct.Struct("<i")
_SIGNATURE = b"FKlabel1"
_SMALL = 1 << 31


def labels_path(rec: Path) -> Path:
    """Where the labels of a pack are kept: ``train.labels.bin`` beside ``train.rec``.

    Parameters
    ----------
    rec : Path

    Returns
    -------
    Path
    """
    return rec.with_suffix(".labels.bin")


def _stamps(rec: Path, idx: Path) -> tuple[int, int, int, int]:
    record = os.stat(rec)
    try:
        index = os.stat(idx)
    except FileNotFoundError:
        return record.st_size, record.st_mtime_ns, -1, -1
    return record.st_size, record.st_mtime_ns, index.st_size, index.st_mtime_ns


def save_labels(rec: Path, idx: Path, labels: NDArray[np.int64]) -> Path:
    """Write the labels of a pack beside it, as ``train.labels.bin``.

    Parameters
    ----------
    rec, idx : Path
        The files of the pack; there may be no index.
    labels : (n,) int64
        In the order of `Pack.keys`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        The disk refuses.
    """
    small = not len(labels) or max(-int(labels.min()), int(labels.max())) < _SMALL
    kept = np.ascontiguousarray(labels, "<i4" if small else "<i8")
    target = labels_path(rec)
    with replacing(target) as file:
        file.write(_HEAD.pack(_SIGNATURE, *_stamps(rec, idx), len(kept), kept.itemsize))
        file.write(kept.data)
    return target


def load_labels(rec: Path, idx: Path) -> NDArray[np.int64] | None:
    """The labels that were saved; None where there are none, or the pack has changed since.

    Parameters
    ----------
    rec, idx : Path
        The files of the pack; there may be no index.

    Returns
    -------
    (n,) int64 or None
        In the order of `Pack.keys`.
    """
    try:
        with open(labels_path(rec), "rb") as file:
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


def stored_labels(path: Path, rec_bytes: int, idx_bytes: int) -> NDArray[np.int64] | None:
    """The labels in a copy of a label file, whose pack lies elsewhere: times say nothing there, sizes must fit.

    Parameters
    ----------
    path : Path
        The copy.
    rec_bytes, idx_bytes : int
        Sizes of the two files of the pack.

    Returns
    -------
    (n,) int64 or None
        None where there is none, or it is of another pack.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) < _HEAD.size:
        return None
    signature, size, _, idx_size, _, count, width = _HEAD.unpack_from(content)
    fits = signature == _SIGNATURE and (size, idx_size) == (rec_bytes, idx_bytes) and width in (4, 8)
    if not fits or len(content) != _HEAD.size + count * width:
        return None
    return np.frombuffer(content, f"<i{width}", count, _HEAD.size).astype(np.int64)


class LabelWriter:
    """Takes the labels of records while they are written, in four bytes each on disk and none in memory.

    They can be read from the records again, so whatever goes wrong here is logged, and nothing is kept.

    Parameters
    ----------
    rec : Path
        The ``.rec`` that is being written; :func:`labels_path` of it must not be taken.
    """

    def __init__(self, rec: Path) -> None:
        self._rec, self._path = rec, labels_path(rec)
        self._file: IO[bytes] | None = None
        self._count, self._last_key = 0, -1
        try:
            self._file = open(self._path, "wb", buffering=1 << 16)  # noqa: SIM115 -- until close() or abort()
            self._file.write(bytes(_HEAD.size))
        except OSError as error:
            self._give_up(error)

    def add(self, keys: NDArray[np.integer], labels: NDArray[np.number]) -> None:
        """Note images that were just written.

        Parameters
        ----------
        keys : (n,) integer
            Keys that do not ascend may come twice, and then the order of `Pack.keys` is another: nothing is kept.
        labels : (n,) number
            Whole numbers; kept as float32 has them, which is what the header of a record holds.
        """
        stored = labels.astype(np.float32)
        if not (keys[1:] > keys[:-1]).all() or (np.abs(stored) >= _SMALL).any():
            self.abort()
            return
        self._append(int(keys[0]), int(keys[-1]), stored.astype("<i4").data, len(labels))

    def add_one(self, key: int, label: float) -> None:
        """Note one image, whose label is as float32 has it.

        Parameters
        ----------
        key : int
        label : float
            A whole number.
        """
        if abs(label) < _SMALL:
            self._append(key, key, _LABEL.pack(int(label)), 1)
        else:
            self.abort()

    def _append(self, first: int, last: int, labels: bytes | memoryview, count: int) -> None:
        if self._file is None:
            return
        if first <= self._last_key:
            self.abort()
            return
        self._last_key, self._count = last, self._count + count
        try:
            self._file.write(labels)
        except OSError as error:
            self._give_up(error)

    def close(self, idx: Path) -> None:
        """Finish, once ``.rec`` and ``.idx`` are closed; fewer than `MIN_KEPT` leave nothing.

        Parameters
        ----------
        idx : Path
            The ``.idx`` of the pack.
        """
        if self._count < MIN_KEPT:
            self.abort()
        if self._file is None:
            return
        try:
            self._file.seek(0)
            self._file.write(_HEAD.pack(_SIGNATURE, *_stamps(self._rec, idx), self._count, 4))
            self._file.flush()
            os.fsync(self._file.fileno())  # a head that outlives its labels would pass zeros for them
            self._file.close()
        except OSError as error:
            self._give_up(error)

    def abort(self) -> None:
        """Keep nothing; harmless when closed already."""
        if self._file is not None:
            self._shut()
            self._path.unlink(missing_ok=True)

    def _give_up(self, error: OSError) -> None:
        logger.info("the labels of %s are not kept beside it: %s", self._rec, error.strerror)
        self.abort()

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    def __del__(self) -> None:
        self._shut()
