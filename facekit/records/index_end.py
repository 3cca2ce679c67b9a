"""Whether an index reaches the end of its ``.rec``: one that was cut is a smaller pack, and looks whole."""

from __future__ import annotations

import logging
import os
import shlex
from typing import Literal

from facekit.errors import RecordError
from facekit.records.framing import FramingError, padded, record_parts
from facekit.records.reader import RecordReader

__all__ = ["PartialIndex", "bytes_behind_index", "heed_partial_index", "partial_index"]

PartialIndex = Literal["warn", "refuse", "take"]
"""What is to be done about an index that does not reach the end of its pack."""

_log = logging.getLogger(__name__)


def partial_index(taken: bool) -> PartialIndex:
    """What a command that writes does: it refuses, unless it was told to take what the index names."""
    return "take" if taken else "refuse"


def bytes_behind_index(reader: RecordReader) -> int:
    """Bytes of the file behind the furthest record that the index names.

    Where the record of the last line ends at the end of the file, as in every pack that was written in order, that is
    known from one record, whatever the size of the pack.

    Parameters
    ----------
    reader : RecordReader

    Returns
    -------
    int
        0 where the index reaches the end. Also where the furthest record is damaged: that is found where it is read.
    """
    offsets = reader.index.offsets
    if not len(offsets):
        return reader.size
    behind = reader.size - _end(reader, int(offsets[-1]))
    return behind and reader.size - _end(reader, int(offsets.max()))


def heed_partial_index(reader: RecordReader, wanted: PartialIndex) -> None:
    """Warn of an index that does not reach the end of its pack, refuse it, or take it.

    Raises
    ------
    RecordError
        It does not, and is to be refused.
    """
    if wanted == "take" or reader.idx_path is None:
        return
    behind = bytes_behind_index(reader)
    if not behind:
        return
    rec = shlex.quote(os.fspath(reader.path))
    problem = (
        f"the index names nothing in the last {behind:,} bytes of {reader.path.name}: facekit check {rec} says what "
        f"lies there, and facekit reindex {rec} --overwrite makes the index anew"
    )
    if wanted == "refuse":
        raise RecordError(f"{problem}; --partial-index takes what it names", reader.idx_path)
    _log.warning("%s: %s", reader.idx_path, problem)


def _end(reader: RecordReader, offset: int) -> int:
    """Where a record ends, its padding included as far as the file has it; the end of the file where it is damaged."""
    try:
        for part in record_parts(reader.read_words, offset, reader.size, padding=False):
            end = part.start + padded(part.length)
    except FramingError:
        return reader.size
    return min(end, reader.size)
