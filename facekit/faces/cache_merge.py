"""Mesh caches -> one: rows are copied, keys merged in ranges, so that memory is bounded whatever their size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.faces.cache_file import (
    BLOCK,
    ENTRY,
    HEADER,
    Layout,
    bound_of,
    finish,
    opened,
    read_entries,
    read_exactly,
    read_layout,
    read_sparse_index,
)
from facekit.output.aside import aside_file

__all__ = ["merge_mesh_caches"]

COPY = 1 << 22
MERGE = 1 << 19
"""Bytes that are copied, and entries that are merged, at a time."""


def merge_mesh_caches(path: str | os.PathLike[str], parts: Sequence[str | os.PathLike[str]], fingerprint: str) -> None:
    """Make one cache of several, which may include `path` itself; where they share a key the later one counts.

    Memory is bounded whatever their size (about 50 MB); the disk needs room for the result beside the parts. The parts
    are left where they are. Killed at any moment, the former `path` stands.

    Raises
    ------
    RecordError
        A part is missing, truncated, no mesh cache, or belongs to another pack.
    """
    path, bound = Path(path), bound_of(fingerprint)
    known = _open_parts([Path(part) for part in parts], bound)
    file, aside = aside_file(path)
    try:
        with file as out:
            out.write(Layout(0, 0, bound).header())
            for part in known:
                _copy_rows(part, out)
            keys = _merge_entries(known, out)
            finish(out, Layout(sum(part.layout.rows for part in known), keys, bound), aside, path)
    finally:
        aside.unlink(missing_ok=True)


class _Part(NamedTuple):
    """A file to be merged; its rows will begin at `first`."""

    path: Path
    layout: Layout
    sparse_index: NDArray[np.int64]
    first: int


def _open_parts(paths: list[Path], bound: bytes) -> list[_Part]:
    parts: list[_Part] = []
    first = 0
    for path in paths:
        with opened(path) as file:
            layout = read_layout(path, file, bound)
            parts.append(_Part(path, layout, read_sparse_index(path, file, layout), first))
        first += layout.rows
    return parts


def _copy_rows(part: _Part, out: IO[bytes]) -> None:
    with opened(part.path) as file:
        for start in range(HEADER.size, part.layout.entries_at, COPY):
            out.write(read_exactly(part.path, file, min(COPY, part.layout.entries_at - start), start))


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
    with opened(part.path) as file:
        entries = read_entries(part.path, file, part.layout, start, stop)
    entries = entries[(entries["key"] >= low) & (entries["key"] <= high)]
    entries["row"] += part.first
    return entries


def _latest(entries: NDArray[Any]) -> NDArray[Any]:
    """Sorted by key, one entry a key: the one that came last."""
    ordered = entries[np.argsort(entries["key"], kind="stable")]
    keep = np.append(ordered["key"][1:] != ordered["key"][:-1], True)[: len(ordered)]
    return ordered[keep]
