"""Meshes kept beside a pack, so that masking it again skips the model.

    header, 64 bytes: b"FKMESH1\\0" | rows u64 | keys u64 | SHA-256 of the fingerprint | zeros
    rows    x 2812 bytes: 468 x 3 int16 in 1/16 px | presence float32
    keys    x 16 bytes:   key int64 | row int64, ascending by key
    sparse index, 8 bytes an entry: the key of every 256th of them, int64

Little-endian; 2,828 bytes a record. A reader holds the sparse index and one block of keys (1.3 MB for 42 million
records) and reads the rest with positional reads, so nothing of the file adds to the memory of a worker, as mapped
pages would. A file appears by one rename and is never changed; many are merged by copying their rows and merging their
keys in ranges.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError, RecordError
from facekit.faces.mesh import STEP, Mesh
from facekit.faces.topology import NUM_VERTICES
from facekit.output.aside import aside_file
from facekit.records.read_at import read_at

__all__ = ["MeshCache", "MeshCacheWriter", "merge_mesh_caches"]

HEADER = struct.Struct("<8sQQ32s8x")
SIGNATURE = b"FKMESH1\0"
ROW = np.dtype([("vertices", "<i2", (NUM_VERTICES, 3)), ("presence", "<f4")])
ENTRY = np.dtype([("key", "<i8"), ("row", "<i8")])
BLOCK = 256
COPY = 1 << 22
MERGE = 1 << 19


class _Layout(NamedTuple):
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


class MeshCache:
    """A mesh cache file, read by key. It may be shared between threads and pickled (it is opened again in the worker).

    Parameters
    ----------
    path : path
    fingerprint : str, optional
        Of the pack the meshes belong to and of what found them; the one it was written with. Without it nothing checks
        that cache and pack belong together.

    Raises
    ------
    RecordError
        The file is missing, truncated, no mesh cache, or belongs to another pack.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str | None = None) -> None:
        self.path, self.fingerprint = Path(path), fingerprint
        self._open()

    def _open(self) -> None:
        self._file = _opened(self.path)
        weakref.finalize(self, self._file.close)
        try:
            bound = None if self.fingerprint is None else _bound(self.fingerprint)
            self._layout = _read_layout(self.path, self._file, bound)
            self._sparse_index = _read_sparse_index(self.path, self._file, self._layout)
        except BaseException:
            self._file.close()
            raise
        self._block: tuple[int, NDArray[Any]] = (-1, np.empty(0, ENTRY))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "fingerprint": self.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.fingerprint = state["path"], state["fingerprint"]
        self._open()

    def __len__(self) -> int:
        return self._layout.keys

    def __contains__(self, key: int) -> bool:
        return self._row_of(key) is not None

    def get(self, key: int) -> Mesh | None:
        """The mesh of a record.

        Parameters
        ----------
        key : int

        Returns
        -------
        Mesh or None
            Its vertices in steps of 1/16 px; None where the cache does not hold it.

        Raises
        ------
        RecordError
            The file ends too early.
        """
        row = self._row_of(key)
        if row is None:
            return None
        at = HEADER.size + row * ROW.itemsize
        kept = np.frombuffer(_read_exactly(self.path, self._file, ROW.itemsize, at), ROW)[0]
        return Mesh(kept["vertices"].astype(np.float32) * np.float32(STEP), float(kept["presence"]))

    def _row_of(self, key: int) -> int | None:
        block = int(np.searchsorted(self._sparse_index, key, side="right")) - 1
        if block < 0:
            return None
        known, entries = self._block
        if known != block:
            stop = min((block + 1) * BLOCK, self._layout.keys)
            entries = _read_entries(self.path, self._file, self._layout, block * BLOCK, stop)
            self._block = (block, entries)
        at = int(np.searchsorted(entries["key"], key))
        return int(entries["row"][at]) if at < len(entries) and entries["key"][at] == key else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> MeshCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MeshCacheWriter:
    """Writes one cache file, for instance a shard's; several are made one by `merge_mesh_caches`.

    As a context manager the file appears when the block ends without an exception, and not at all otherwise. Memory:
    about 100 bytes a mesh.

    Parameters
    ----------
    path : path
        An existing file is replaced.
    fingerprint : str
        See `MeshCache`.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str) -> None:
        self.path = Path(path)
        self._bound = _bound(fingerprint)
        self._rows: dict[int, int] = {}
        self._count = 0
        self._file, self._aside = aside_file(self.path)  # until close() or discard()
        self._file.write(_Layout(0, 0, self._bound).header())

    def add(self, key: int, mesh: Mesh) -> bool:
        """Keep the mesh of record `key`; the last one counts.

        Returns
        -------
        bool
            False where it was not kept: int16 ends 2,047 px from the origin, and what is not finite has no place in it.
        """
        steps = np.rint(mesh.vertices / np.float32(STEP))
        if not (np.abs(steps) <= np.iinfo(np.int16).max).all():
            return False
        row = np.empty(1, ROW)
        row["vertices"], row["presence"] = steps, mesh.presence
        self._file.write(row.tobytes())
        self._rows[int(key)] = self._count
        self._count += 1
        return True

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._file.closed:
            return
        entries = np.array(sorted(self._rows.items()), np.int64).reshape(-1, 2)
        self._file.write(entries.astype("<i8").tobytes())
        self._file.write(entries[::BLOCK, 0].astype("<i8").tobytes())
        _finish(self._file, _Layout(self._count, len(entries), self._bound), self._aside, self.path)

    def discard(self) -> None:
        """Drop what was added; no file appears."""
        self._file.close()
        self._aside.unlink(missing_ok=True)

    def __enter__(self) -> MeshCacheWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.discard()


def merge_mesh_caches(path: str | os.PathLike[str], parts: Sequence[str | os.PathLike[str]], fingerprint: str) -> None:
    """Make one cache of several, which may include `path` itself; where they share a key the later one counts.

    Memory is bounded whatever their size (about 50 MB); the disk needs room for the result beside the parts. The parts
    are left where they are. Killed at any moment, the former `path` stands.

    Raises
    ------
    RecordError
        A part is missing, truncated, no mesh cache, or belongs to another pack.
    """
    path, bound = Path(path), _bound(fingerprint)
    opened = _open_parts([Path(part) for part in parts], bound)
    file, aside = aside_file(path)
    try:
        with file as out:
            out.write(_Layout(0, 0, bound).header())
            for part in opened:
                _copy_rows(part, out)
            keys = _merge_entries(opened, out)
            _finish(out, _Layout(sum(part.layout.rows for part in opened), keys, bound), aside, path)
    finally:
        aside.unlink(missing_ok=True)


class _Part(NamedTuple):
    """A file to be merged; its rows will begin at `first`."""

    path: Path
    layout: _Layout
    sparse_index: NDArray[np.int64]
    first: int


def _open_parts(paths: list[Path], bound: bytes) -> list[_Part]:
    parts: list[_Part] = []
    first = 0
    for path in paths:
        with _opened(path) as file:
            layout = _read_layout(path, file, bound)
            parts.append(_Part(path, layout, _read_sparse_index(path, file, layout), first))
        first += layout.rows
    return parts


def _copy_rows(part: _Part, out: IO[bytes]) -> None:
    with _opened(part.path) as file:
        for start in range(HEADER.size, part.layout.entries_at, COPY):
            out.write(_read_exactly(part.path, file, min(COPY, part.layout.entries_at - start), start))


def _merge_entries(parts: list[_Part], out: IO[bytes]) -> int:
    """Write the entries of all parts in the order of their keys, half a million at a time, and their sparse index."""
    sparse_index = [np.empty(0, np.int64)]
    written = 0
    for low, high in _ranges([part.sparse_index for part in parts]):
        merged = _latest(np.concatenate([np.empty(0, ENTRY), *(_entries_between(part, low, high) for part in parts)]))
        out.write(merged.tobytes())
        sparse_index.append(merged["key"][-written % BLOCK :: BLOCK].copy())  # a view would keep them all
        written += len(merged)
    out.write(np.concatenate(sparse_index).astype("<i8").tobytes())
    return written


def _ranges(sparse_indexes: list[NDArray[np.int64]]) -> Iterator[tuple[int, int]]:
    """Ranges of keys, both ends included, that cover all and hold about `MERGE` entries each."""
    known = np.sort(np.concatenate([np.empty(0, np.int64), *sparse_indexes]))
    limits = np.iinfo(np.int64)
    low = limits.min
    for end in np.unique(known[MERGE // BLOCK :: MERGE // BLOCK]).tolist():
        yield low, end
        low = end + 1
    yield low, limits.max


def _entries_between(part: _Part, low: int, high: int) -> NDArray[Any]:
    """The part's entries with keys from `low` to `high`, their rows counted as in the merged file."""
    start = max(int(np.searchsorted(part.sparse_index, low, side="right")) - 1, 0) * BLOCK
    stop = min(int(np.searchsorted(part.sparse_index, high, side="right")) * BLOCK, part.layout.keys)
    if stop <= start:
        return np.empty(0, ENTRY)
    with _opened(part.path) as file:
        entries = _read_entries(part.path, file, part.layout, start, stop)
    entries = entries[(entries["key"] >= low) & (entries["key"] <= high)]
    entries["row"] += part.first
    return entries


def _latest(entries: NDArray[Any]) -> NDArray[Any]:
    """Sorted by key, one entry a key: the one that came last."""
    ordered = entries[np.argsort(entries["key"], kind="stable")]
    keep = np.append(ordered["key"][1:] != ordered["key"][:-1], True)[: len(ordered)]
    return ordered[keep]


def _bound(fingerprint: str) -> bytes:
    if not fingerprint:
        raise ConfigError("a mesh cache needs the fingerprint of its pack; an empty one was given")
    return hashlib.sha256(fingerprint.encode()).digest()


def _opened(path: Path) -> FileIO:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise RecordError(f"the mesh cache cannot be opened: {error.strerror}", path) from error


def _read_layout(path: Path, file: FileIO, bound: bytes | None) -> _Layout:
    head = read_at(file.fileno(), HEADER.size, 0)
    if len(head) < HEADER.size or not head.startswith(SIGNATURE):
        raise RecordError("this is not a mesh cache (or one of another version); delete it or name another file", path)
    layout = _Layout(*HEADER.unpack(head)[1:])
    size = os.fstat(file.fileno()).st_size
    if size != layout.size:
        raise RecordError(f"the mesh cache is {size} bytes long, its header says {layout.size}; delete it", path)
    if bound is not None and layout.bound != bound:
        raise RecordError("these meshes were found for another pack or by another model; name another mesh cache", path)
    return layout


def _read_sparse_index(path: Path, file: FileIO, layout: _Layout) -> NDArray[np.int64]:
    return np.frombuffer(_read_exactly(path, file, 8 * layout.sparse_entries, layout.sparse_index_at), "<i8")


def _read_entries(path: Path, file: FileIO, layout: _Layout, start: int, stop: int) -> NDArray[Any]:
    at = layout.entries_at + start * ENTRY.itemsize
    return np.frombuffer(_read_exactly(path, file, (stop - start) * ENTRY.itemsize, at), ENTRY)


def _read_exactly(path: Path, file: FileIO, length: int, offset: int) -> bytes:
    blocks = b""
    while len(blocks) < length:
        block = read_at(file.fileno(), length - len(blocks), offset + len(blocks))
        if not block:
            raise RecordError("the mesh cache ends too early; delete it", path, offset=offset)
        blocks += block
    return blocks


def _finish(file: IO[bytes], layout: _Layout, aside: Path, path: Path) -> None:
    file.seek(0)
    file.write(layout.header())
    file.flush()
    os.fsync(file.fileno())
    file.close()
    os.replace(aside, path)
