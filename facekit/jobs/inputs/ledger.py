"""What the ledger beside a pack says: read here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.records.key_rows import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LEDGER", "WornMasks", "worn_masks"]

LEDGER = "train.ledger.parquet"


class WornMasks(NamedTuple):
    """What the source's own ledger says about its masked pictures.

    Attributes
    ----------
    keys : (M,) int64, ascending
    bare : (M,) int64
        Key in the source of the picture that each was made from; its own where that is not there.
    rows : pyarrow.Table
        type, params and score of each.
    """

    keys: npt.NDArray[np.int64]
    bare: npt.NDArray[np.int64]
    rows: pa.Table


def worn_masks(rec: Path) -> WornMasks | None:
    """Read the ledger beside a pack, if there is one that speaks of masks.

    Raises
    ------
    FacekitError
        It cannot be read.
    """
    path = rec.with_suffix(".ledger.parquet")
    if not path.exists():
        return None
    import pyarrow as pa

    try:
        with open(path, "rb") as file:  # pyarrow itself opens no name that is not UTF-8
            return _worn_masks(file)
    except (pa.ArrowException, OSError) as error:
        raise FacekitError(f"{path} cannot be read, move it away to go on without it: {error}") from error


def _worn_masks(file: IO[bytes]) -> WornMasks | None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    copies = pq.read_table(file, columns=["key", "source_key"], filters=[("action", "==", "copy")])
    masks = pq.read_table(
        file, columns=["key", "source_key", "type", "params", "score"], filters=[("action", "==", "mask")]
    )
    masks = masks.filter(pc.is_valid(masks["key"])).sort_by("key")
    if not masks.num_rows:
        return None
    keys, made_from = masks["key"].to_numpy(), masks["source_key"].to_numpy()
    copies = copies.filter(pc.and_(pc.is_valid(copies["key"]), pc.is_valid(copies["source_key"]))).sort_by("source_key")
    bare = _looked_up(copies["source_key"].to_numpy(), copies["key"].to_numpy(), made_from, keys)
    return WornMasks(keys, bare, masks.select(["type", "params", "score"]).combine_chunks())


def _looked_up(
    known: npt.NDArray[np.int64],
    values: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    otherwise: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    rows = rows_of(known, asked, ascending=True)
    found = otherwise.copy()
    found[rows >= 0] = values[rows[rows >= 0]]
    return found
