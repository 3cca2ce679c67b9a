"""The names that the pictures of a pack had as files, where its ledger and the ``source.lst`` beside it tell them."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.tables import SOURCE_LIST
from facekit.records.distinct import blocks
from facekit.records.key_rows import row_lookup
from facekit.run.ledger import ledger_path
from facekit.run.ledger_reader import ledger_batches, ledger_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AT_ONCE", "ListedNames", "listed_names", "mask_types", "write_original_names"]


AT_ONCE = 4096
"""Names that are Python objects at the same time."""

CHUNK = 1 << 20
MOST_NARROW = (1 << 32) - 1
"""Bytes of a list below which four bytes say where a name starts."""

LINE = re.compile(rb"([0-9]{1,18})\t[0-9]{1,18}\t([^\0-\x1f]+)\n?")
LEAVES = re.compile(rb"^/|(^|/)\.{0,2}(/|$)")
"""A path from the root, or with a part that is empty, itself, or the folder above."""


class ListedNames:
    """The files that the records of a pack were made from, looked up some at a time.

    Four bytes a record (eight where the list has 4 GB), and eight more where the keys do not follow one another.

    Parameters
    ----------
    listed, ledger : Path
        The ledger says from which source key each record was made, the list which file that is.

    Raises
    ------
    FacekitError
        The ledger cannot be read.
    """

    def __init__(self, listed: Path, ledger: Path) -> None:
        with open(listed, "rb") as file:
            empty = not os.fstat(file.fileno()).st_size
            self._list = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            made, self._starts = _starts_of_names(ledger, _index_list(file))
        self._find = row_lookup(made)

    def of(self, keys: npt.NDArray[np.int64]) -> list[bytes | None]:
        """The path of each, relative to the folder that it lay in; None where it is not told, or leads out of it."""
        if not len(self._starts):
            return [None] * len(keys)
        rows = self._find(keys)
        starts, none = self._starts[rows], _nowhere(self._starts.dtype)
        told = (rows >= 0) & (starts != none)
        return [self._name(at) if known else None for at, known in zip(starts.tolist(), told.tolist(), strict=True)]

    def _name(self, start: int) -> bytes:
        stop = self._list.find(b"\n", start)
        return self._list[start : stop if stop >= 0 else len(self._list)]


def listed_names(rec: Path) -> ListedNames | None:
    """The names that a pack tells; None where its ledger or ``source.lst`` are missing."""
    listed, ledger = rec.with_name(SOURCE_LIST), ledger_path(rec)
    return ListedNames(listed, ledger) if listed.is_file() and ledger.is_file() else None


def mask_types(rec: Path, keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """The mask types of some records, (n,) int32, which of the names that come with them; -1 where one has none."""
    codes, known, find = np.full(len(keys), -1, np.int32), dict[str, int](), row_lookup(keys)
    for batch in ledger_batches(ledger_path(rec), "key", "type") if len(keys) else ():
        made = batch.drop_null()
        rows = find(made["key"].to_numpy())
        wanted = np.flatnonzero(rows >= 0)
        rows, types = rows[wanted], made["type"].take(wanted).dictionary_encode()
        of_batch = [known.setdefault(name, len(known)) for name in types.dictionary.to_pylist()]
        found = np.array(of_batch, np.int32)[types.indices.to_numpy()]
        codes[rows[::-1]] = np.where(codes[rows] >= 0, codes[rows], found)[::-1]  # of rows with one key the first tells
    return codes, list(known)


def write_original_names(
    rec: Path,
    keys: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    pictures: npt.NDArray[np.bool_],
    path: Path,
) -> None:
    """Hand the names on to a pack made of this one: ``source.lst`` says what the ledger's source keys stand for.

    Nothing is written where no name is known.

    Parameters
    ----------
    rec : Path
    keys, labels : (N,) int64
    pictures : (N,) bool
        Which of the records are pictures; the others have no names.
    path : Path
    """
    names, told = listed_names(rec), 0
    if names is None:
        return
    with open(path, "wb") as file:
        for part in blocks(len(keys), AT_ONCE):
            some = keys[part][pictures[part]]
            rows = zip(some.tolist(), labels[part][pictures[part]].tolist(), names.of(some), strict=True)
            told += file.write(b"".join(b"%d\t%d\t%s\n" % row for row in rows if row[2] is not None))
    if not told:
        path.unlink()


class _Lines(NamedTuple):
    """Lines of a list: their keys, and where in the file their paths start."""

    keys: npt.NDArray[np.int64]
    starts: npt.NDArray[np.unsignedinteger]


def _nowhere(kind: np.dtype[np.unsignedinteger]) -> int:
    """What stands for no place in a list."""
    return int(np.iinfo(kind).max)


def _index_list(file: BinaryIO) -> _Lines:
    """Keys and places of paths; lines that are none, and paths that leave the folder, are left out."""
    most = 1 + sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))
    file.seek(0)
    # Of their full length at once: two arrays that grow beside each other leave holes as large as themselves.
    kind = np.uint32 if os.fstat(file.fileno()).st_size < MOST_NARROW else np.uint64
    keys, starts, count, position = np.empty(most, np.int64), np.empty(most, kind), 0, 0
    for line in file:
        found = LINE.fullmatch(line)
        if found and not LEAVES.search(found[2]):
            keys[count], starts[count] = int(found[1]), position + found.start(2)
            count += 1
        position += len(line)
    return _Lines(keys[:count], starts[:count])


def _starts_of_names(ledger: Path, lines: _Lines) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.unsignedinteger]]:
    """Keys of the records that were made from others, (n,) int64, and where the names of those start, or nowhere."""
    find, most, count = row_lookup(lines.keys), ledger_rows(ledger), 0
    keys, starts = np.empty(most, np.int64), np.empty(most, lines.starts.dtype)
    for batch in ledger_batches(ledger, "key", "source_key"):
        count += _note_made(batch.drop_null(), find, lines.starts, keys[count:], starts[count:])
    return keys[:count], starts[:count]


def _note_made(
    made: pa.RecordBatch,
    find: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]],
    listed: npt.NDArray[np.unsignedinteger],
    keys: npt.NDArray[np.int64],
    starts: npt.NDArray[np.unsignedinteger],
) -> int:
    """Write what some rows of the ledger tell to the beginning of two columns; how many there are."""
    rows = find(made["source_key"].to_numpy())
    keys[: len(rows)] = made["key"].to_numpy()
    none = _nowhere(starts.dtype)
    starts[: len(rows)] = np.where(rows >= 0, listed[rows], none) if len(listed) else none
    return len(rows)
