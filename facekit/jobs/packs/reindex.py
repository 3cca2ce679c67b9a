"""``facekit reindex``: the index of a ``.rec``, made anew from the records themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from facekit.output import INDEX, input_of, note_replaced, open_files
from facekit.output.dry_run import NOTHING_MORE, Forecast, is_dry
from facekit.records import open_pack
from facekit.records.framing import FramingError, record_parts
from facekit.records.index import save_sidecar, sidecar_path, write_index
from facekit.records.label_sidecar import labels_path
from facekit.records.pack_files import pack_paths
from facekit.records.read_at import read_at
from facekit.records.scan import rebuild_index

__all__ = ["ReindexConfig", "ReindexSummary", "reindex"]

SHORTEST, LINE, ARRAY_ROW = 32, 32, 32
"""Bytes of the shortest record, of a line of an index at the most, and of a row of both arrays beside it."""


@dataclass(frozen=True)
class ReindexConfig:
    """Settings of ``facekit reindex``.

    Attributes
    ----------
    source : str
    sidecar : bool
        Write the binary form too, which opens in milliseconds, and the labels, which are then there at once.
    overwrite : bool
        Replace an index that is there.
    """

    source: str
    sidecar: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class ReindexSummary:
    """What ``facekit reindex`` did."""

    index: str
    sidecar: str | None
    layout: str
    records: int
    images: int
    seconds: float


def reindex(config: ReindexConfig) -> ReindexSummary:
    """Write the index of a pack anew.

    Parameters
    ----------
    config : ReindexConfig

    Returns
    -------
    ReindexSummary

    Raises
    ------
    DestinationExists
        There is an index already.
    RecordError
        There is no such pack, or it is truncated or corrupt: names the offset.
    """
    started = perf_counter()
    rec, idx, _ = pack_paths(config.source)
    targets, read = {str(idx): INDEX}, [input_of(rec, lambda: (rec,))]
    needed, forecast = _forecast(config, rec) if is_dry() else (0, NOTHING_MORE)
    with open_files(targets, "reindex", read, {}, config.overwrite, needed, True, forecast) as output:
        index = rebuild_index(rec)
        write_index(output.paths[0], index)
        sidecar_path(idx).unlink(missing_ok=True)
    sidecar = save_sidecar(idx, index) if config.sidecar else None
    with open_pack(rec) as pack:
        layout, images = pack.layout, pack.num_images
        if config.sidecar:
            pack.save_labels()
    note_replaced(rec.parent, (idx.name, sidecar_path(idx).name, labels_path(rec).name))
    return ReindexSummary(
        str(idx), None if sidecar is None else str(sidecar), layout, len(index), images, perf_counter() - started
    )


def _forecast(config: ReindexConfig, rec: Path) -> tuple[int, Forecast]:
    """What a dry run tells: so much where every record is as short as they come."""
    size = rec.stat().st_size
    with open(rec, "rb", buffering=0) as file:
        try:
            list(record_parts(lambda at: read_at(file.fileno(), 8, at), 0, size))
        except FramingError as error:
            raise error.at(rec, offset=0) from None
    most = size // SHORTEST
    sidecar = (str(sidecar_path(rec.with_suffix(".idx"))), str(labels_path(rec))) if config.sidecar else ()
    needed = most * (LINE + ARRAY_ROW * config.sidecar)
    return needed, Forecast(writes=sidecar, timed="not estimated: as long as the disk takes to read the pack once")
