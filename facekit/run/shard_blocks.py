"""The framed records of a finished shard, a block at a time.

A shard of photographs is tens of megabytes. Whole shards, each of another size, come and go in the C library's heap and
leave holes there that nothing fits into: a third of what the parent of a job took (benchmarks/README.md). So a job that
puts shards together reads blocks that are all of one size, into memory that it uses again.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.run.shard_file import open_shard

__all__ = ["RecordBlock", "read_span", "record_blocks"]

BLOCK = 2 << 20
"""Bytes: larger ones leave the processor's cache between reading and writing."""


class RecordBlock(NamedTuple):
    """Some records of a shard that follow one another.

    Attributes
    ----------
    rows : slice
        Which of the records.
    framed : memoryview
        Their bytes, until the next block; they may be changed.
    starts : (n,) int64
        Where each starts in the block.
    """

    rows: slice
    framed: memoryview
    starts: npt.NDArray[np.int64]


def record_blocks(path: Path, offsets: npt.NDArray[np.int64], block_bytes: int | None = None) -> Iterator[RecordBlock]:
    """Read all records of a finished shard, as many at a time as fill a block.

    Parameters
    ----------
    path : Path
    offsets : (n,) int64
        Where its records start, ascending, the first at 0.
    block_bytes : int, optional
        Of a block, by default `BLOCK`; one record larger than that is a block of its own.

    Yields
    ------
    RecordBlock

    Raises
    ------
    FacekitError
        The file is not a whole shard, or became shorter meanwhile.
    """
    most = BLOCK if block_bytes is None else block_bytes
    ends = np.append(offsets[1:], open_shard(path).records)
    whole, first = memoryview(bytearray(most)), 0
    with open(path, "rb", buffering=0) as file:
        while first < len(offsets):
            start = int(offsets[first])
            stop = max(int(np.searchsorted(ends, start + most, side="right")), first + 1)
            size = int(ends[stop - 1]) - start
            framed = whole[:size] if size <= most else memoryview(bytearray(size))
            _fill(framed, file, start, path)
            yield RecordBlock(slice(first, stop), framed, offsets[first:stop] - start)
            first = stop


def read_span(path: Path, start: int, stop: int) -> bytes:
    """The bytes of a finished shard from one place to another.

    Raises
    ------
    FacekitError
        The file became shorter.
    """
    framed = bytearray(stop - start)
    with open(path, "rb", buffering=0) as file:
        _fill(memoryview(framed), file, start, path)
    return bytes(framed)


def _fill(buffer: memoryview, file: FileIO, start: int, path: Path) -> None:
    file.seek(start)
    filled = 0
    while filled < len(buffer):
        read = file.readinto(buffer[filled:])
        if not read:
            raise FacekitError(f"{path} became shorter while it was read; delete it and run the command again")
        filled += read
