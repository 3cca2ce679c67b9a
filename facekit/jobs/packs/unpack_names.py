"""What each file of an unpacked pack is called: as before it was packed, where that is told, and no two alike.

It is settled before anything is written, so that shards that are done in any order, or again, give the same names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.original_names import AT_ONCE, ListedNames, listed_names, mask_types
from facekit.records.distinct import blocks, distinct
from facekit.records.key_rows import rows_of
from facekit.records.name_hashes import name_hashes
from facekit.run.memory import release_freed

__all__ = ["KINDS", "FileNames", "Origin", "file_name", "plan_names"]

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


class Types(NamedTuple):
    """Mask types that tell records of one file apart.

    Attributes
    ----------
    rows : (n,) int64
        Records that have one, ascending.
    codes : (n,) int32
    names : list of str
        What each code says.
    """

    rows: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    names: list[str]

    def of(self, first: int, stop: int) -> list[str | None]:
        """Those of the records from one position to another."""
        found: list[str | None] = [None] * (stop - first)
        part = slice(*self.rows.searchsorted([first, stop]).tolist())
        for row, code in zip(self.rows[part].tolist(), self.codes[part].tolist(), strict=True):
            found[row - first] = self.names[code]
        return found


@dataclass(frozen=True)
class FileNames:
    """What is known of all records.

    Attributes
    ----------
    paths : Paths or None
        None where nothing tells one.
    first, alone : (N,) bool
    types : Types
        Of records that are not the first of their file, where that tells them apart.
    """

    paths: Paths | None
    first: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]
    types: Types

    def of(self, first: int, stop: int) -> list[Origin]:
        """Those of the records from one position to another."""
        if self.paths is None:
            return [Origin()] * (stop - first)
        part = slice(first, stop)
        names, types = self.paths.of(part), self.types.of(first, stop)
        rows = zip(names, types, self.first[part], self.alone[part], self.paths.keys[part], strict=True)
        return [
            Origin() if name is None else Origin(os.fsdecode(name), None if head else kind or f"{key:08d}", bool(alone))
            for name, kind, head, alone, key in rows
        ]


@dataclass(frozen=True)
class Paths:
    """Paths of the files that records were made from, which are looked up when they are asked for.

    Attributes
    ----------
    listed : ListedNames
    keys, labels : (N,) int64
    moved : bool
        They are in folders of labels, since their own ones hold several labels, or are none.
    """

    listed: ListedNames
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    moved: bool = False

    def of(self, part: slice) -> list[bytes | None]:
        """Those of some records; None where nothing tells one."""
        names = self.listed.of(self.keys[part])
        if not self.moved:
            return names
        each = zip(names, self.labels[part].tolist(), strict=True)
        return [None if name is None else b"%07d/%s" % (label, name.rpartition(b"/")[2]) for name, label in each]

    def hashes(self, of_name: Callable[[bytes], bytes] = bytes) -> npt.NDArray[np.uint64]:
        """Eight bytes for each; of a path that nothing tells, those of an empty one."""
        found = np.empty(len(self.keys), np.uint64)
        for part in blocks(len(found), AT_ONCE):
            found[part] = name_hashes(of_name(name or b"") for name in self.of(part))
        return found

    def told(self, rows: npt.NDArray[np.int64]) -> list[bytes]:
        """Those of some records of which all have one."""
        names = (self.of(slice(row, row + 1))[0] for row in rows.tolist())
        return [name for name in names if name is not None]


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
    listed, nothing = listed_names(rec), np.zeros(0, np.bool_)
    if listed is None:
        return FileNames(None, nothing, nothing, Types(np.zeros(0, np.int64), np.zeros(0, np.int32), []))
    release_freed()  # of what the list was read by, which is as much as is held of it
    paths = Paths(listed, keys, labels)
    paths = replace(paths, moved=not _folders_tell(paths))
    first = _first_of_each(paths.hashes())
    stems = paths.hashes(_stem)
    alone = _is_alone(stems, first)
    return FileNames(paths, first, alone, _telling_types(rec, paths, first, stems))


def _folders_tell(paths: Paths) -> bool:
    """Whether every picture lies in a folder, and no folder holds those of two labels."""
    owners: dict[bytes, int] = {}
    for part in blocks(len(paths.keys), AT_ONCE):
        for name, label in zip(paths.of(part), paths.labels[part].tolist(), strict=True):
            folder = b"%07d" % label if name is None else name.rpartition(b"/")[0]
            if not folder or owners.setdefault(folder, label) != label:
                return False
    return True


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0]


UNTOLD = name_hashes([b""])[0]
"""Of a path that nothing tells: no path is empty."""


def _first_of_each(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which records are the first that have their name."""
    order = np.argsort(hashes, kind="stable")  # of those with one name the first record comes first
    first, last = np.zeros(len(hashes), np.bool_), UNTOLD
    for part in blocks(len(order)):
        rows = order[part]
        found = hashes[rows]
        first[rows] = (found != np.append(last, found[:-1])) & (found != UNTOLD)
        last = found[-1]
    return first


def _is_alone(stems: npt.NDArray[np.uint64], first: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which records' stem belongs to one file."""
    values = stems[first]
    values.sort()
    shared, alone = distinct(values[1:][values[1:] == values[:-1]]), np.empty(len(stems), np.bool_)
    for part in blocks(len(stems)):
        alone[part] = rows_of(shared, stems[part], ascending=True) < 0
    return alone


def _telling_types(rec: Path, paths: Paths, first: npt.NDArray[np.bool_], stems: npt.NDArray[np.uint64]) -> Types:
    """The types, but where one would give a name that another record has, whatever suffixes they end up with."""
    repeated = np.flatnonzero(~first & (stems != UNTOLD))
    codes, names = mask_types(rec, paths.keys[repeated])
    repeated, codes = repeated[codes >= 0], codes[codes >= 0]
    asked = np.empty(len(repeated), np.uint64)
    for part in blocks(len(repeated), AT_ONCE):
        kinds = [names[code].encode() for code in codes[part].tolist()]
        asked[part] = name_hashes(
            _stem(name) + b"-" + kind for name, kind in zip(paths.told(repeated[part]), kinds, strict=True)
        )
    keep = _first_of_each(asked) & ~_taken(asked, stems)
    return Types(repeated[keep], codes[keep], names)


def _taken(asked: npt.NDArray[np.uint64], stems: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which of the stems that are asked for some file has."""
    known = distinct(asked)
    seen = np.zeros(len(known), np.bool_)
    for part in blocks(len(stems) if len(known) else 0):
        rows = rows_of(known, stems[part], ascending=True)
        seen[rows[rows >= 0]] = True
    return seen[rows_of(known, asked, ascending=True)]
