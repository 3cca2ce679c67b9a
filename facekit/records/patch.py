"""New ids and labels in records that are framed already, without touching their payloads."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import ConfigError
from facekit.records.framing import MAGIC, FramingError, frame, unframe
from facekit.records.header import HEADER_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["patch_headers"]

# Where the fields stand, in words from the start of a whole framed record.
_CODED, _FLAG, _LABEL, _ID_LOW, _ID_HIGH, _VECTOR = 1, 2, 3, 4, 5, 8


def patch_headers(
    block: bytes | bytearray | memoryview,
    offsets: NDArray[np.integer],
    ids: NDArray[np.integer] | None = None,
    labels: NDArray[np.number] | None = None,
    in_place: bool = False,
) -> tuple[bytes | bytearray | memoryview, NDArray[np.int64]]:
    """Give framed records new header ids, new labels, or both.

    Whole records are patched all at once, in a copy unless ``in_place``. A record of several parts, or one whose new
    number looks like the magic word, is framed again; what follows it moves.

    Parameters
    ----------
    block : bytes-like
        Framed records.
    offsets : (n,) int64
        Where they start in the block, ascending.
    ids : (n,) integer, optional
        New ``header.id``.
    labels : (n,) number, optional
        New label, as float32; of a vector label the first element.
    in_place : bool
        Change the block itself, which must be writable, where no record grows.

    Returns
    -------
    bytes-like
        The block itself where there was nothing to do or it was changed in place.
    (n,) int64
        Where the records start in it.

    Raises
    ------
    ConfigError
        No record starts at one of the offsets, or lengths do not match.
    """
    starts = _checked_offsets(block, offsets)
    if (ids is None and labels is None) or not len(starts):
        return block, starts
    for name, values in (("ids", ids), ("labels", labels)):
        if values is not None and np.shape(values) != starts.shape:
            raise ConfigError(f"{len(starts)} records want as many {name}, an array of {np.shape(values)} was given")
    new_ids = None if ids is None else _unsigned(np.asarray(ids))
    new_labels = None if labels is None else np.asarray(labels, np.float32)
    patched = block if in_place else bytearray(block)
    slow = _patch_whole(np.frombuffer(patched, "<u4"), starts >> 2, new_ids, new_labels)
    return (patched, starts) if not len(slow) else _patch_others(patched, starts, slow, new_ids, new_labels)


def _unsigned(ids: NDArray[np.integer]) -> NDArray[np.uint64]:
    if not np.issubdtype(ids.dtype, np.integer) or int(ids.min()) < 0:
        raise ConfigError(f"ids are whole numbers from 0 on, {ids.dtype} from {ids.min()} on was given")
    return ids.astype(np.uint64)


def _checked_offsets(block: bytes | bytearray | memoryview, offsets: NDArray[np.integer]) -> NDArray[np.int64]:
    starts, size = np.asarray(offsets, np.int64), len(block)
    if size % 4:
        raise ConfigError(f"framed records are a multiple of four bytes, this block has {size}")
    if len(starts):
        words = np.frombuffer(block, "<u4")
        proper = (starts % 4 == 0) & (starts >= 0) & (starts <= size - 8)
        proper[proper] = words[starts[proper] >> 2] == MAGIC
        proper[1:] &= starts[1:] > starts[:-1]
        if not proper.all():
            raise ConfigError(f"no framed record starts at offset {starts[int((~proper).argmax())]} of the block")
    return starts


def _patch_whole(
    words: NDArray[np.uint32], at: NDArray[np.int64], ids: NDArray[np.uint64] | None, labels: NDArray[np.float32] | None
) -> NDArray[np.int64]:
    """Patch whole records; which rows are left to do."""
    coded = words[at + _CODED]
    vector = words[np.minimum(at + _FLAG, len(words) - 1)] > 0
    easy = (coded < 1 << 29) & (coded >= np.where(vector, HEADER_BYTES + 4, HEADER_BYTES))
    bits = None if labels is None else labels.view(np.uint32)
    if ids is not None:
        low, high = ids.astype(np.uint32), (ids >> np.uint64(32)).astype(np.uint32)
        easy &= (low != MAGIC) & (high != MAGIC)
    if bits is not None:
        easy &= bits != MAGIC
    if ids is not None:
        words[at[easy] + _ID_LOW], words[at[easy] + _ID_HIGH] = low[easy], high[easy]
    if bits is not None:
        words[(at + np.where(vector, _VECTOR, _LABEL))[easy]] = bits[easy]
    return np.flatnonzero(~easy)


def _patch_others(
    block: bytes | bytearray | memoryview,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    ids: NDArray[np.uint64] | None,
    labels: NDArray[np.float32] | None,
) -> tuple[bytes, NDArray[np.int64]]:
    view = memoryview(block)
    pieces: list[bytes | memoryview] = []
    growth = np.zeros(len(offsets), np.int64)
    copied = 0
    for row in rows.tolist():
        start = int(offsets[row])
        try:
            buffer, stop = unframe(view, start)
        except FramingError as error:
            raise ConfigError(f"the record at offset {start} of the block cannot be changed: {error}") from error
        again = frame(
            _patched_buffer(buffer, None if ids is None else int(ids[row]), None if labels is None else labels[row])
        )
        pieces += (view[copied:start], again)
        growth[row + 1 :] += len(again) - (stop - start)
        copied = stop
    pieces.append(view[copied:])
    return b"".join(pieces), offsets + growth


def _patched_buffer(buffer: bytes, id_: int | None, label: np.float32 | None) -> bytearray:
    patched = bytearray(buffer)
    vector = len(patched) >= 4 and any(patched[:4])
    if len(patched) < HEADER_BYTES + 4 * vector:
        raise ConfigError(f"a record of {len(patched)} bytes is too short for its header")
    if id_ is not None:
        struct.pack_into("<Q", patched, 8, id_)
    if label is not None:
        struct.pack_into("<f", patched, HEADER_BYTES if vector else 4, label)
    return patched
