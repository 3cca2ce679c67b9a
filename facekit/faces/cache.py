"""Meshes kept beside a pack, so that masking it again skips the model.

A reader holds the sparse index and one block of keys (1.3 MB for 42 million records) and reads the rest with positional
reads, so nothing of the file adds to the memory of a worker, as mapped pages would. A file appears by one rename and is
never changed; see `facekit.faces.cache_file` for what is in it, and `facekit.faces.cache_merge` for making one of many.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.faces.cache_file import (
    BLOCK,
    ENTRY,
    HEADER,
    ROW,
    Layout,
    bound_of,
    finish,
    opened,
    read_entries,
    read_exactly,
    read_layout,
    read_sparse_index,
)
from facekit.faces.mesh import STEP, Mesh
from facekit.output.aside import aside_file

__all__ = ["MeshCache", "MeshCacheWriter"]


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
        self._file = opened(self.path)
        weakref.finalize(self, self._file.close)
        try:
            bound = None if self.fingerprint is None else bound_of(self.fingerprint)
            self._layout = read_layout(self.path, self._file, bound)
            self._sparse_index = read_sparse_index(self.path, self._file, self._layout)
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
        kept = np.frombuffer(read_exactly(self.path, self._file, ROW.itemsize, at), ROW)[0]
        return Mesh(kept["vertices"].astype(np.float32) * np.float32(STEP), float(kept["presence"]))

    def _row_of(self, key: int) -> int | None:
        block = int(np.searchsorted(self._sparse_index, key, side="right")) - 1
        if block < 0:
            return None
        known, entries = self._block
        if known != block:
            stop = min((block + 1) * BLOCK, self._layout.keys)
            entries = read_entries(self.path, self._file, self._layout, block * BLOCK, stop)
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
    """Writes one cache file, for instance a shard's; several are made one by
    `facekit.faces.cache_merge.merge_mesh_caches`.

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
        self._bound = bound_of(fingerprint)
        self._rows: dict[int, int] = {}
        self._count = 0
        self._file, self._aside = aside_file(self.path)  # until close() or discard()
        self._file.write(Layout(0, 0, self._bound).header())

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
        finish(self._file, Layout(self._count, len(entries), self._bound), self._aside, self.path)

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
