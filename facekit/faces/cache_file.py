"""The file of a mesh cache: its layout, and reads that say what is wrong with it.

    header, 64 bytes: b"FKMESH1\\0" | rows u64 | keys u64 | SHA-256 of the fingerprint | zeros
    rows    x 2812 bytes: 468 x 3 int16 in 1/16 px | presence float32
    keys    x 16 bytes:   key int64 | row int64, ascending by key
    sparse index, 8 bytes an entry: the key of every 256th of them, int64

Little-endian; 2,828 bytes a record.
"""

from __future__ import annotations

import hashlib
import os
import struct
from io import FileIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, RecordError
from facekit.faces.topology import NUM_VERTICES
from facekit.records.read_at import read_at

__all__ = [
    "BLOCK",
    "ENTRY",
    "HEADER",
    "ROW",
    "Layout",
    "bound_of",
    "finish",
    "opened",
    "read_entries",
    "read_exactly",
    "read_layout",
    "read_sparse_index",
]

HEADER = struct.Struct("<8sQQ32s8x")
SIGNATURE = b"FKMESH1\0"
ROW = np.dtype([("vertices", "<i2", (NUM_VERTICES, 3)), ("presence", "<f4")])
ENTRY = np.dtype([("key", "<i8"), ("row", "<i8")])
BLOCK = 256
"""Entries for each of the sparse index."""


class Layout(NamedTuple):
    """Sizes and offsets of a cache file's parts."""

    rows: int
    keys: int
    bound: bytes

    @property
    def entries_at(self) -> int:
        return HEADER.size + self.rows * ROW.itemsize

    @property
    def sparse_index_at(self) -> int:
        return self.entries_at + self.keys * ENTRY.itemsize

    @property
    def sparse_entries(self) -> int:
        return -(-self.keys // BLOCK)

    @property
    def size(self) -> int:
        return self.sparse_index_at + 8 * self.sparse_entries

    def header(self) -> bytes:
        return HEADER.pack(SIGNATURE, self.rows, self.keys, self.bound)


def bound_of(fingerprint: str) -> bytes:
    if not fingerprint:
        raise ConfigError("a mesh cache needs the fingerprint of its pack; an empty one was given")
    return hashlib.sha256(fingerprint.encode()).digest()


def opened(path: Path) -> FileIO:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise RecordError(f"the mesh cache cannot be opened: {error.strerror}", path) from error


def read_layout(path: Path, file: FileIO, bound: bytes | None) -> Layout:
    head = read_at(file.fileno(), HEADER.size, 0)
    if len(head) < HEADER.size or not head.startswith(SIGNATURE):
        raise RecordError("this is not a mesh cache (or one of another version); delete it or name another file", path)
    layout = Layout(*HEADER.unpack(head)[1:])
    size = os.fstat(file.fileno()).st_size
    if size != layout.size:
        raise RecordError(f"the mesh cache is {size} bytes long, its header says {layout.size}; delete it", path)
    if bound is not None and layout.bound != bound:
        raise RecordError("these meshes were found for another pack or by another model; name another mesh cache", path)
    return layout


def read_sparse_index(path: Path, file: FileIO, layout: Layout) -> NDArray[np.int64]:
    return np.frombuffer(read_exactly(path, file, 8 * layout.sparse_entries, layout.sparse_index_at), "<i8")


def read_entries(path: Path, file: FileIO, layout: Layout, start: int, stop: int) -> NDArray[Any]:
    at = layout.entries_at + start * ENTRY.itemsize
    return np.frombuffer(read_exactly(path, file, (stop - start) * ENTRY.itemsize, at), ENTRY)


def read_exactly(path: Path, file: FileIO, length: int, offset: int) -> bytes:
    blocks = b""
    while len(blocks) < length:
        block = read_at(file.fileno(), length - len(blocks), offset + len(blocks))
        if not block:
            raise RecordError("the mesh cache ends too early; delete it", path, offset=offset)
        blocks += block
    return blocks


def finish(file: IO[bytes], layout: Layout, aside: Path, path: Path) -> None:
    file.seek(0)
    file.write(layout.header())
    file.flush()
    os.fsync(file.fileno())
    file.close()
    os.replace(aside, path)
