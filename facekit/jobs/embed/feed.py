"""Records of a shard -> batches of decoded pictures, some of them ahead of the network, by as many threads as are free.

The decoder works without Python's lock. A batch is a task of its own, so that handing over costs nothing a picture; see
benchmarks/feed.py.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.images import decode
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.source_records import open_bytes, read_records
from facekit.records.framing import MAGIC

__all__ = ["AHEAD", "Batch", "decoded_batches"]

AHEAD = 2
"""Batches that wait for each thread: one is being decoded, one is ready."""

_PLAIN = struct.Struct("<III")
_HEADER, _WINDOW, _LAST = 32, 4 << 20, 64 << 10

Check = Callable[[npt.NDArray[np.uint8]], None]


class Batch(NamedTuple):
    """Records that follow one another.

    Attributes
    ----------
    rows : slice
        Which of the shard.
    decoded : (n,) bool
        Which are pictures of the right size.
    images : (m, H, W, 3) uint8
        Those, RGB.
    errors : dict from int to str
        Why the others are none, by their place in the batch.
    """

    rows: slice
    decoded: npt.NDArray[np.bool_]
    images: npt.NDArray[np.uint8]
    errors: dict[int, str]


def decoded_batches(source: Source, size: int, check: Check, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Batch]:
    """Batches in order.

    Parameters
    ----------
    source : Source
        The records of a shard.
    size : int
        Records of a batch.
    check : callable
        Raises FacekitError for a picture that the network does not take.
    pool : ThreadPoolExecutor
        Decodes.
    ahead : int
        Batches that may be decoded before they are asked for.

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or a file has gone.
    """
    waiting: deque[Future[Batch]] = deque()
    try:
        for first in range(0, len(source), size):
            waiting.append(pool.submit(_decode, source, slice(first, min(first + size, len(source))), check))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _decode(source: Source, rows: slice, check: Check) -> Batch:
    images: list[npt.NDArray[np.uint8]] = []
    errors: dict[int, str] = {}
    for place, payload in enumerate(_payloads(source.slice(rows.start, rows.stop))):
        try:
            image = decode(payload)
            check(image)
            images.append(image)
        except FacekitError as error:
            errors[place] = str(error)
    decoded = np.ones(rows.stop - rows.start, np.bool_)
    decoded[list(errors)] = False
    return Batch(rows, decoded, np.stack(images) if images else np.empty((0, 0, 0, 3), np.uint8), errors)


def _payloads(source: Source) -> Iterator[bytes]:
    """The payload of each record: of those that lie together, as nearly all do, by one read for all."""
    count = len(source)
    span = int(source.offsets[-1] - source.offsets[0]) if source.kind == "pack" else -1
    window = b""
    if 0 <= span < _WINDOW and (count < 2 or (np.diff(source.offsets) > 0).all()):
        with open_bytes(source) as (pread, size):
            first = int(source.offsets[0])
            window = pread(min(span + _LAST, size - first), first)
    for place, at in enumerate((source.offsets - source.offsets[0]).tolist() if count else ()):
        payload = _plain_payload(window, at)
        if payload is None:  # a record of several parts, a damaged one, or a file
            payload = next(read_records(source.slice(place, place + 1))).record.payload
        yield payload


def _plain_payload(window: bytes, at: int) -> bytes | None:
    """The payload of a record in one part that stands whole in ``window``; else None."""
    if at + _HEADER > len(window):
        return None
    magic, length, flag = _PLAIN.unpack_from(window, at)
    stop = at + 8 + length
    # The three highest bits of the length say which part of a record this is: 0 is a whole one.
    if magic != MAGIC or length >> 29 or at + _HEADER + 4 * flag > stop or stop > len(window):
        return None
    return window[at + _HEADER + 4 * flag : stop]
