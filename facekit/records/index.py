"""``.idx`` <-> RecordIndex: the text, or its binary form where that belongs to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import RecordError
from facekit.output.aside import replacing
from facekit.records.distinct import blocks
from facekit.records.index_sidecar import has_sidecar, load_sidecar, save_sidecar, sidecar_path
from facekit.records.index_text import parse_text
from facekit.records.record_index import RecordIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "RecordIndex",
    "format_index",
    "has_sidecar",
    "load_sidecar",
    "read_index",
    "save_sidecar",
    "sidecar_path",
    "write_index",
]


def read_index(path: str | os.PathLike[str]) -> RecordIndex:
    """Read an ``.idx``: one ``key <tab> offset`` a line, in any order, LF or CRLF, the last of duplicate keys wins.

    A valid sidecar (see :func:`save_sidecar`) is mapped instead.

    Parameters
    ----------
    path : path
        The ``.idx``.

    Returns
    -------
    RecordIndex

    Raises
    ------
    RecordError
        The file is missing, or a line is not two whole numbers; names the line.
    """
    stored = load_sidecar(path)
    if stored is not None:
        return stored
    try:
        with open(path, "rb") as file:
            keys, offsets = parse_text(file.fileno(), path)
    except OSError as error:
        raise RecordError(f"the index cannot be read: {error.strerror}", path) from error
    return RecordIndex.from_lines(keys, offsets)


def format_index(keys: NDArray[np.int64] | list[int], offsets: NDArray[np.int64] | list[int]) -> str:
    """The lines of an ``.idx``.

    Parameters
    ----------
    keys, offsets : (n,) integer

    Returns
    -------
    str
        ``key <tab> offset <LF>`` for each.
    """
    keys, offsets = np.asarray(keys).tolist(), np.asarray(offsets).tolist()
    return "".join([f"{key}\t{offset}\n" for key, offset in zip(keys, offsets, strict=True)])


def write_index(path: str | os.PathLike[str], index: RecordIndex) -> None:
    """Write an index as ``.idx`` text, in physical order; replaces what is there.

    Parameters
    ----------
    path : path
        The ``.idx``.
    index : RecordIndex

    Raises
    ------
    RecordError
        The disk refuses.
    """
    offsets = index.offsets if index.physical is None else index.offsets[index.physical]
    try:
        with replacing(path) as file:
            for part in blocks(len(offsets)):
                file.write(format_index(index.physical_keys[part], offsets[part]).encode())
    except OSError as error:
        raise RecordError(f"the index cannot be written: {error.strerror}", path) from error
