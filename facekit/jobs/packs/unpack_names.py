"""What each file of an unpacked pack is called: as before it was packed, where that is told, and no two alike.

It is settled before anything is written, so that shards that are done in any order, or again, give the same names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.original_names import mask_types, original_names
from facekit.records.distinct import blocks, distinct
from facekit.records.key_rows import rows_of

__all__ = ["KINDS", "FileNames", "Origin", "file_name", "name_hashes", "plan_names"]

KINDS = {".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".jfif": "jpg", ".png": "png", ".webp": "webp", ".bmp": "bmp"}
"""Kind of picture by suffix."""


class Origin(NamedTuple):
    """What is known of one record before its payload is read.

    Attributes
    ----------
    name : str or None
        Path of the file that it was made from; None where nothing tells it.
    behind : str or None
        What stands behind the stem, since an earlier record has that very file: the mask's type, or the key.
    alone : bool
        No other file has this path but for the suffix, so that the suffix may change.
    """

    name: str | None = None
    behind: str | None = None
    alone: bool = True


class FileNames:
    """What is known of all records.

    Parameters
    ----------
    names : pyarrow.Array of binary, or None
        Paths; null where nothing tells one.
    types : pyarrow.Array of string, or None
        Mask types of records that are not the first of their file, where that tells them apart.
    first, alone : (N,) bool
    keys : (N,) int64
    """

    def __init__(
        self,
        names: Any,
        types: Any,
        first: npt.NDArray[np.bool_],
        alone: npt.NDArray[np.bool_],
        keys: npt.NDArray[np.int64],
    ) -> None:
        self._names, self._types, self._first, self._alone, self._keys = names, types, first, alone, keys

    def of(self, first: int, stop: int) -> list[Origin]:
        """Those of the records from one position to another."""
        if self._names is None:
            return [Origin()] * (stop - first)
        names = self._names[first:stop].to_pylist()
        types = self._types[first:stop].to_pylist()
        rows = zip(names, types, self._first[first:stop], self._alone[first:stop], self._keys[first:stop], strict=True)
        return [
            Origin() if name is None else Origin(os.fsdecode(name), None if head else kind or f"{key:08d}", bool(alone))
            for name, kind, head, alone, key in rows
        ]


def file_name(origin: Origin, key: int, label: int, suffix: str) -> str:
    """What a file is called.

    Parameters
    ----------
    origin : Origin
    key, label : int
    suffix : str
        Kind of its payload.

    Returns
    -------
    str
        Relative to the folder of all.
    """
    if origin.name is None:
        return f"{label:07d}/{key:08d}.{suffix}"
    stem, extension = os.path.splitext(origin.name)
    behind = origin.behind
    if KINDS.get(extension.lower()) != suffix:
        extension = f".{suffix}"
        behind = behind if origin.alone else f"{key:08d}"
    return f"{stem}{extension}" if behind is None else f"{stem}-{behind}{extension}"


def plan_names(rec: Path, keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> FileNames:
    """Settle what the files of some records are called, but for the kinds of their payloads.

    Parameters
    ----------
    rec : Path
        Of the pack; its ledger and the ``source.lst`` beside it tell names.
    keys, labels : (N,) int64
    """
    import pyarrow as pa

    names, nothing = original_names(rec, keys), np.zeros(0, np.bool_)
    if names is None:
        return FileNames(None, None, nothing, nothing, keys)
    if not _folders_tell(names, labels):
        names = pa.concat_arrays(
            [pa.array(_in_folders_of_labels(names[part.start : part.stop], labels[part]), pa.binary())
             for part in blocks(len(labels))]
        )  # fmt: skip
    told = np.asarray(names.is_valid())
    whole = name_hashes(name.as_py() or b"" for name in names)
    first = _first_of_each(whole, told)
    stems = name_hashes(os.path.splitext(name.as_py() or b"")[0] for name in names)
    alone = _is_alone(stems, first)
    return FileNames(names, _telling_types(names, mask_types(rec, keys), first, stems), first, alone, keys)


def _folders_tell(names: Iterable[Any], labels: npt.NDArray[np.int64]) -> bool:
    """Whether every picture lies in a folder, and no folder holds those of two labels."""
    owners: dict[bytes, int] = {}
    each = chain.from_iterable(labels[part].tolist() for part in blocks(len(labels)))
    for name, label in zip(names, each, strict=True):
        folder = name.as_py().rpartition(b"/")[0] if name.is_valid else b"%07d" % label
        if not folder or owners.setdefault(folder, label) != label:
            return False
    return True


def _in_folders_of_labels(names: Iterable[Any], labels: npt.NDArray[np.int64]) -> Iterator[bytes | None]:
    for name, label in zip(names, labels.tolist(), strict=True):
        yield b"%07d/%s" % (label, name.as_py().rpartition(b"/")[2]) if name.is_valid else None


def name_hashes(names: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Eight bytes for each name instead of a Python object."""
    digests = (int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") for name in names)
    return np.fromiter(digests, np.uint64)


def _first_of_each(hashes: npt.NDArray[np.uint64], told: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which records are the first that have their name."""
    order = np.argsort(hashes, kind="stable")  # of those with one name the first record comes first
    first, last = np.zeros(len(hashes), np.bool_), None
    for part in blocks(len(order)):
        rows = order[part][told[order[part]]]
        found = hashes[rows]
        first[rows] = np.append(last is None or found[:1] != last, found[1:] != found[:-1])[: len(found)]
        last = found[-1] if len(found) else last
    return first


def _is_alone(stems: npt.NDArray[np.uint64], first: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which records' stem belongs to one file."""
    values = stems[first]
    values.sort()
    shared = distinct(values[1:][values[1:] == values[:-1]])
    return rows_of(shared, stems, ascending=True) < 0


def _telling_types(names: Any, types: Any, first: npt.NDArray[np.bool_], stems: npt.NDArray[np.uint64]) -> Any:
    """The types, null where a type would give a name that another record has, whatever suffixes they end up with."""
    import pyarrow as pa

    repeated = np.flatnonzero(~first & np.asarray(names.is_valid()) & np.asarray(types.is_valid()))
    asked = name_hashes(_with_type(names[row].as_py(), types[row].as_py()) for row in repeated.tolist())
    once = _first_of_each(asked, np.ones(len(asked), np.bool_))
    taken = rows_of(np.unique(stems), asked, ascending=True) >= 0
    keep = np.zeros(len(first), np.bool_)
    keep[repeated[once & ~taken]] = True
    return pa.compute.if_else(pa.array(keep), types, pa.scalar(None, pa.string()))


def _with_type(name: bytes, kind: str) -> bytes:
    return os.path.splitext(name)[0] + b"-" + kind.encode()
