"""``facekit reindex``: the index of a ``.rec``, made anew from the records themselves."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from facekit.output import INDEX, input_of, note_replaced, open_files
from facekit.records import open_pack
from facekit.records.index import save_sidecar, sidecar_path, write_index
from facekit.records.label_sidecar import labels_path
from facekit.records.pack import pack_paths
from facekit.records.scan import rebuild_index

__all__ = ["ReindexConfig", "ReindexSummary", "reindex"]


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
    with open_files(targets, "reindex", read, {}, config.overwrite, in_place=True) as output:
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
