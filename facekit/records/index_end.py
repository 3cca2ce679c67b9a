"""Whether an index reaches the end of its file, by a read or two of eight bytes whatever the size of the pack."""

from __future__ import annotations

import os
from collections.abc import Callable

from facekit.errors import RecordError
from facekit.records.framing import NOT_RECORDS, FramingError, padded, record_parts
from facekit.records.record_index import RecordIndex

__all__ = ["index_problem", "require_records"]


def index_problem(index: RecordIndex, size: int, words_at: Callable[[int], bytes]) -> str | None:
    """What is wrong with the end of an index: the record that it has furthest back must end where the file ends.

    An index that was cut, is empty, or belongs to another file is noticed, and so is a file that was cut; lines that
    are missing in its middle are not, for which there is ``facekit check``.

    Parameters
    ----------
    index : RecordIndex
    size : int
        Bytes of the file.
    words_at : callable
        Gives the eight bytes at an offset (fewer where the file ends): the part headers of that record.

    Returns
    -------
    str or None
        None where it ends there.
    """
    if not len(index):
        return f"the index is empty, and the file has {size:,} bytes" if size else None
    start = int(index.offsets[index.furthest])
    try:
        *_, last = record_parts(words_at, start, size, padding=False)
    except FramingError as error:
        return f"the record that the index has furthest back, at offset {start:,}, is not whole: {error}"
    stop = min(last.start + padded(last.length), size)
    if stop == size:
        return None
    return f"the index ends {size - stop:,} bytes before the end of the file of {size:,}"


def require_records(size: int, words_at: Callable[[int], bytes], path: str | os.PathLike[str]) -> None:
    """Refuse a file that begins as no record does: none of what an index says of it counts.

    Parameters
    ----------
    size : int
        Bytes of the file.
    words_at : callable
        As of `index_problem`.
    path : path
        Of the file, for the error.

    Raises
    ------
    RecordError
    """
    if size:
        try:
            next(record_parts(words_at, 0, size, padding=False))
        except FramingError as error:
            if NOT_RECORDS in str(error):
                raise RecordError(str(error), path, None, 0) from None
