"""All records of a finished shard -> the end of a pack, a block at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.records import PackWriter
from facekit.run.shard_blocks import record_blocks

__all__ = ["append_records"]


def append_records(
    pack: PackWriter, path: Path, offsets: npt.NDArray[np.int64], labels: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64]:
    """Append the records of a finished shard, whose ``header.id`` becomes the key.

    Parameters
    ----------
    pack : PackWriter
    path : Path
        The shard's file.
    offsets : (n,) int64
        Where its records start, ascending.
    labels : (n,) integer
        What the records say.

    Returns
    -------
    (n,) int64
        The keys they got.

    Raises
    ------
    FacekitError
        The file is not a whole shard.
    RecordError
        The disk refuses.
    """
    keys = np.empty(len(offsets), np.int64)
    for block in record_blocks(path, offsets):
        some = labels[block.rows]
        keys[block.rows] = pack.append_block(block.framed, block.starts, some, new_ids=True, in_place=True)
    return keys
