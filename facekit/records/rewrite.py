"""Some of the records of a pack, in any order and under new labels -> another pack: blocks of bytes, not records.

Payloads are never looked at. A block is gathered by one positional read for each run of records that follow one another
in the file, its headers are changed where they stand, and it is written at once: two copies of every byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.errors import RecordError
from facekit.records.columns import header_columns
from facekit.records.distinct import AT_ONCE, blocks
from facekit.records.read_at import read_into_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facekit.records.pack import Pack
    from facekit.records.pack_writer import PackWriter

__all__ = ["Copied", "Extents", "Read", "copy_records", "extents", "extents_of", "read_blocks", "read_extents"]

BLOCK = 2 << 20
"""Bytes of a block: larger ones leave the processor's cache between reading and writing."""


class Extents(NamedTuple):
    """Where image records lie, and whether their header ids are their keys; 13 bytes a record.

    Attributes
    ----------
    offsets : (N,) int64
    sizes : (N,) uint32
        Bytes of the framed record.
    id_is_key : (N,) bool
        ``header.id`` is the key.
    """

    offsets: NDArray[np.int64]
    sizes: NDArray[np.uint32]
    id_is_key: NDArray[np.bool_]


class Copied(NamedTuple):
    """Records that were just written.

    Attributes
    ----------
    rows : slice
        Which of the rows that were asked for.
    keys : (n,) int64
        The keys they got.
    block : memoryview
        Their framed bytes, until the next block; labels and ids may have changed in it, payloads have not.
    starts : (n,) int64
        Where each starts in the block as it was read.
    """

    rows: slice
    keys: NDArray[np.int64]
    block: memoryview
    starts: NDArray[np.int64]


def extents(pack: Pack, keys: NDArray[np.int64]) -> Extents:
    """Find where the records of some keys lie; fastest in physical order.

    Parameters
    ----------
    pack : Pack
    keys : (k,) int64

    Returns
    -------
    Extents
        In the order of the keys.

    Raises
    ------
    RecordError
        There is no such key, or its record is truncated or corrupt.
    """
    sizes, id_is_key = np.empty(len(keys), np.uint32), np.empty(len(keys), np.bool_)
    offsets = np.empty(len(keys), np.int64)
    for chosen, columns in pack.header_columns(keys):
        sizes[chosen] = columns.framed_bytes
        id_is_key[chosen] = columns.id == keys[chosen].astype(np.uint64)
    index = pack.reader.index
    for part in blocks(len(keys)):
        offsets[part] = index.offsets[index.positions(keys[part])]
    return Extents(offsets, sizes, id_is_key)


class Read(NamedTuple):
    """Records that were just read.

    Attributes
    ----------
    rows : slice
        Which of those that were asked for.
    block : memoryview
        Their framed bytes, until the next block.
    starts : (n,) int64
        Where each starts in the block.
    """

    rows: slice
    block: memoryview
    starts: NDArray[np.int64]


def read_blocks(
    rec: Path, offsets: NDArray[np.int64], keys: NDArray[np.int64], block_bytes: int = BLOCK
) -> Iterator[Read]:
    """Read records at some offsets, as many at a time as fill a block; fastest in physical order.

    Parameters
    ----------
    rec : Path
    offsets, keys : (n,) int64
        The keys are for the message of an error.
    block_bytes : int
        One record larger than that is a block of its own.

    Yields
    ------
    Read

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the file cannot be read.
    """
    whole = memoryview(bytearray(block_bytes))
    with open(rec, "rb", buffering=0) as file:
        for chosen, columns in header_columns(rec, offsets, keys):
            sizes, first = columns.framed_bytes, chosen.start
            for part in _blocks(sizes.astype(np.uint32), np.arange(len(sizes)), block_bytes):
                stops = np.cumsum(sizes[part])
                size = int(stops[-1])
                buffer = whole[:size] if size <= block_bytes else memoryview(bytearray(size))
                _gather(file.fileno(), offsets[chosen][part], sizes[part], stops, buffer, rec)
                yield Read(slice(first + part.start, first + part.stop), buffer, stops - sizes[part])


def extents_of(rec: Path, offsets: NDArray[np.int64], keys: NDArray[np.int64]) -> Extents:
    """The same as `extents` for records whose offsets are known.

    Parameters
    ----------
    rec : Path
    offsets, keys : (n,) int64

    Raises
    ------
    RecordError
        A record is truncated or corrupt, or the file cannot be read.
    """
    sizes, id_is_key = np.empty(len(keys), np.uint32), np.empty(len(keys), np.bool_)
    for chosen, columns in header_columns(rec, offsets, keys):
        sizes[chosen] = columns.framed_bytes
        id_is_key[chosen] = columns.id == keys[chosen].astype(np.uint64)
    return Extents(offsets, sizes, id_is_key)


def copy_records(
    rec: Path,
    where: Extents,
    rows: NDArray[np.int64],
    labels: NDArray[np.integer],
    writer: PackWriter,
    block_bytes: int = BLOCK,
    read: Callable[[int, int, memoryview], None] | None = None,
) -> Iterator[Copied]:
    """Copy records under new labels; ``header.id`` follows the key where it did in the source.

    Parameters
    ----------
    rec : Path
        The source.
    where : Extents
        Of its records.
    rows : (n,) int64
        Which of them, in the order in which they are to stand.
    labels : (n,) integer
        New label of each.
    writer : PackWriter
        Where they go.
    block_bytes : int
        Memory for a block; one record larger than that is a block of its own.
    read : callable, optional
        Fills a buffer with the framed records from one of the rows to another; by default they are read from ``rec``.

    Yields
    ------
    Copied

    Raises
    ------
    RecordError
        The file cannot be read or written.
    """
    whole = memoryview(bytearray(block_bytes))
    with open(rec, "rb", buffering=0) as file:
        for part in _blocks(where.sizes, rows, block_bytes):
            chosen = rows[part]
            sizes = where.sizes[chosen].astype(np.int64)
            stops = np.cumsum(sizes)
            size = int(stops[-1])
            buffer = whole[:size] if size <= block_bytes else memoryview(bytearray(size))
            if read is None:
                _gather(file.fileno(), where.offsets[chosen], sizes, stops, buffer, rec)
            else:
                read(part.start, part.stop, buffer)
            new = np.arange(writer.next_key, writer.next_key + len(chosen))
            ids = new if where.id_is_key[chosen].all() else _ids(buffer, stops - sizes, where.id_is_key[chosen], new)
            keys = writer.append_block(buffer, stops - sizes, labels[part], new_ids=ids, relabel=True, in_place=True)
            yield Copied(part, keys, buffer, stops - sizes)


def read_extents(rec: Path, where: Extents) -> Iterator[tuple[slice, memoryview, NDArray[np.int64]]]:
    """Read records in the order given, a block at a time.

    Parameters
    ----------
    rec : Path
    where : Extents

    Yields
    ------
    slice
        Which of the records.
    memoryview
        Their framed bytes, until the next block.
    (n,) int64
        Where each starts in the block.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    whole = memoryview(bytearray(BLOCK))
    with open(rec, "rb", buffering=0) as file:
        for part in _blocks(where.sizes, np.arange(len(where.sizes)), BLOCK):
            sizes = where.sizes[part].astype(np.int64)
            stops = np.cumsum(sizes)
            size = int(stops[-1])
            buffer = whole[:size] if size <= BLOCK else memoryview(bytearray(size))
            _gather(file.fileno(), where.offsets[part], sizes, stops, buffer, rec)
            yield part, buffer, stops - sizes


def _blocks(sizes: NDArray[np.uint32], rows: NDArray[np.int64], block_bytes: int) -> Iterator[slice]:
    """Runs of rows whose records fill at most a block."""
    window = AT_ONCE
    first = 0
    while first < len(rows):
        ends = np.cumsum(sizes[rows[first : first + window]], dtype=np.int64)
        count = max(int(np.searchsorted(ends, block_bytes, side="right")), 1)
        yield slice(first, min(first + count, len(rows)))
        first += count


def _gather(
    descriptor: int,
    offsets: NDArray[np.int64],
    sizes: NDArray[np.int64],
    stops: NDArray[np.int64],
    buffer: memoryview,
    path: os.PathLike[str],
) -> None:
    """Read records into a buffer, those that follow one another in the file by one read."""
    breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + sizes[:-1])
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(offsets) - 1)
    starts = stops[firsts] - sizes[firsts]
    for offset, start, stop in zip(offsets[firsts].tolist(), starts.tolist(), stops[lasts].tolist()):
        while start < stop:
            try:
                read = read_into_at(descriptor, buffer[start:stop], offset)
            except OSError as error:
                raise RecordError(f"reading failed: {error.strerror}", path, None, offset) from error
            if not read:
                raise RecordError("the file became shorter while it was read", path, None, offset)
            start, offset = start + read, offset + read


def _ids(
    buffer: memoryview, starts: NDArray[np.int64], own: NDArray[np.bool_], new: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """New ids: the new key where the old id was the old key, else the old id."""
    from facekit.records.framing import unframe
    from facekit.records.header import unpack_record

    ids = new.astype(np.uint64)
    words = np.frombuffer(buffer, "<u4")
    at = starts[~own] >> 2
    ids[~own] = words[at + 4].astype(np.uint64) | words[at + 5].astype(np.uint64) << np.uint64(32)
    for row in np.flatnonzero(~own)[words[at + 1] >= 1 << 29].tolist():
        ids[row] = unpack_record(unframe(buffer, int(starts[row]))[0])[0].id
    return ids
