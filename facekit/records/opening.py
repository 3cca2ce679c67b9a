"""A path -> an open Pack: of files that belong together, and with an index that reaches their end."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from facekit.errors import RecordError
from facekit.records.index_policy import IndexPolicy
from facekit.records.pack import Pack, PartialIndex
from facekit.records.pack_files import file_stamps, find_rec
from facekit.records.reader import RecordReader

__all__ = ["open_pack"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
"""To open a pack whose files are being replaced."""


def open_pack(path: str | os.PathLike[str], *, mapped: bool = False, partial_index: IndexPolicy = "warn") -> Pack:
    """Open a pack.

    Parameters
    ----------
    path : path
        A folder (with ``train.rec``, or with a single ``.rec`` of another name), a ``.rec`` or ``.idx`` file, or the
        two's common prefix. Without an ``.idx`` the index is rebuilt from the ``.rec``; ``Pack.save_index`` keeps it.
    mapped : bool
        See `RecordReader`.
    partial_index : {"warn", "refuse", "take"}
        What is to be done where the index does not reach the end of the ``.rec``: it was cut, and the pack looks
        smaller than it is.

    Returns
    -------
    Pack

    Raises
    ------
    RecordError
        There is no such pack, its index or record 0 cannot be read, or the index does not reach the end and that is
        to be refused.

    Notes
    -----
    Files that are replaced while they are opened are opened again: an old file and a new index would not fit.
    """
    rec = find_rec(Path(path))
    pack = _open_unchanged(rec, mapped)
    try:
        _heed_partial_index(pack, partial_index)
    except BaseException:
        pack.close()
        raise
    return pack


def _heed_partial_index(pack: Pack, policy: IndexPolicy) -> None:
    """Warn of an index that does not reach the end of its pack, refuse it, or take it."""
    if policy == "take":
        return
    try:
        pack.require_whole_index()
    except PartialIndex as error:
        if policy == "refuse":
            raise PartialIndex(f"{error.problem}; --partial-index takes what it names", error.path) from None
        logger.warning("%s", error)


def _open_unchanged(rec: Path, mapped: bool) -> Pack:
    for _ in range(_ATTEMPTS - 1):
        before = file_stamps(rec)
        try:
            pack = Pack(RecordReader(rec, mapped=mapped))
        except RecordError:
            if file_stamps(rec) == before:
                raise
            continue
        if file_stamps(rec) == before:
            return pack
        pack.close()
    return Pack(RecordReader(rec, mapped=mapped))
