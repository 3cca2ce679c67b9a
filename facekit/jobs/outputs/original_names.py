"""The names that the pictures of a pack had as files, where its ledger and the ``source.lst`` beside it tell them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facekit.jobs.outputs.tables import SOURCE_LIST
from facekit.records.key_rows import rows_of
from facekit.run.ledger import ledger_path
from facekit.run.ledger_reader import read_ledger

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["mask_types", "original_names", "write_original_names"]


BLOCK = 1 << 24
LINE = re.compile(rb"([0-9]{1,18})\t[0-9]{1,18}\t([^\0-\x1f]+)\n?")
LEAVES = re.compile(rb"^/|(^|/)\.{0,2}(/|$)")
"""A path from the root, or with a part that is empty, itself, or the folder above."""


def original_names(rec: Path, keys: npt.NDArray[np.int64]) -> pa.Array | None:
    """Look up what files the records of a pack were made from.

    Parameters
    ----------
    rec : Path
        The ``.rec``; its ledger says from which source key each record was made, ``source.lst`` which file that is.
    keys : (N,) int64

    Returns
    -------
    pyarrow.Array of binary, or None
        Path of each, relative to the folder that it lay in; null where it is not told, or leads out of that folder.
        None where ledger or list are missing.

    Raises
    ------
    FacekitError
        The ledger cannot be read.
    """
    import pyarrow as pa

    listed, ledger = rec.with_name(SOURCE_LIST), ledger_path(rec)
    if not (listed.is_file() and ledger.is_file()):
        return None
    source_keys, names = _read_list(listed)
    made = read_ledger(ledger, "key", "source_key").drop_null()
    rows = rows_of(made["key"].to_numpy(), keys)
    sources = np.where(rows >= 0, made["source_key"].to_numpy()[rows], -1) if made.num_rows else rows
    places = rows_of(source_keys, sources)
    return names.take(pa.array(places, mask=places < 0))


def mask_types(rec: Path, keys: npt.NDArray[np.int64]) -> pa.Array:
    """The mask type of each record, a string; null where it has none."""
    import pyarrow as pa

    ledger = read_ledger(ledger_path(rec), "key", "type").drop_null()
    rows = rows_of(ledger["key"].to_numpy(), keys)
    types = ledger["type"].combine_chunks() if ledger.num_rows else pa.array([""])
    return types.take(pa.array(rows, mask=rows < 0))


def write_original_names(rec: Path, keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], path: Path) -> None:
    """Hand the names on to a pack made of this one: ``source.lst`` says what the ledger's source keys stand for.

    Nothing is written where no name is known.
    """
    names = original_names(rec, keys)
    if names is None or names.null_count == len(names):
        return
    with open(path, "wb") as file:
        for key, label, name in zip(keys.tolist(), labels.tolist(), names, strict=True):
            if name.is_valid:
                file.write(b"%d\t%d\t%s\n" % (key, label, name.as_py()))


def _read_list(path: Path) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Keys and paths; lines that are none, and paths that leave the folder, are left out."""
    import pyarrow as pa

    keys, names = [np.empty(0, np.int64)], [pa.array([], pa.binary())]
    with open(path, "rb") as file:
        while lines := file.readlines(BLOCK):
            found = [line.groups() for line in map(LINE.fullmatch, lines) if line and not LEAVES.search(line[2])]
            keys.append(np.array([int(key) for key, _ in found], np.int64))
            names.append(pa.array([name for _, name in found], pa.binary()))
    return np.concatenate(keys), pa.concat_arrays(names)
