"""A damaged pack -> a copy of all that can be saved, with contiguous labels and a ledger of what cannot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.ledger import AlreadyMasked, already_masked
from facekit.jobs.inputs.source import pack_input
from facekit.jobs.outputs.rewrite import Dropped, Selection, contiguous, grouped, write_selection
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.output import open_folder
from facekit.records.content import sampled_hash
from facekit.records.findings import Findings
from facekit.records.rewrite import Extents
from facekit.records.roles import RecordRoles
from facekit.records.structure import Structure, read_padded
from facekit.run.ledger import LEDGER, LedgerWriter, schema
from facekit.run.ledger_reader import ledger_batches

__all__ = ["Examined", "Repaired", "repair"]


class Examined(NamedTuple):
    """What is known of a pack in whatever state.

    Attributes
    ----------
    name : str
        As it was given.
    rec : Path
    records : Structure
    roles : RecordRoles
    good : (N,) bool
        Records that can be saved.
    changed : (N,) bool
        Records whose payload is not the one of the ledger.
    found : Findings
        What is wrong with it.
    """

    name: str
    rec: Path
    records: Structure
    roles: RecordRoles
    good: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.bool_]
    found: Findings


class Repaired(NamedTuple):
    """How many records were saved, how many rows of the ledger say what was lost, and how many were saved changed."""

    saved: int = 0
    lost: int = 0
    changed: int = 0


class DamagedPack(NamedTuple):
    """A damaged pack as something to copy from."""

    name: str
    rec: Path
    keys: npt.NDArray[np.int64]
    where: Extents
    masks: AlreadyMasked | None


def repair(pack: Examined, destination: str, overwrite: bool) -> Repaired:
    """Write a copy of the good records of a pack.

    Parameters
    ----------
    pack : Examined
    destination : str
        Folder that will appear when everything is done.
    overwrite : bool
        Replace an existing pack there.

    Raises
    ------
    FacekitError
        Nothing can be saved, or the ledger beside the pack cannot be read.
    ConfigError, DestinationExists
        The destination holds the pack itself, or exists.
    """
    if not pack.good.any():
        raise FacekitError(f"{pack.rec} has no record that can be saved")
    rows = _order(pack)
    labels, table = contiguous(pack.roles.labels[rows])
    changed = pack.changed[rows]
    source, lost = _as_source(pack), _unsaved_records(pack)
    read, needed = [pack_input(pack.rec, pack.name)], pack.rec.stat().st_size
    with open_folder(destination, "check", read, {"content": sampled_hash(pack.rec)}, overwrite, needed) as output:
        folder, scratch = output.new_folder(), output.scratch("repair")
        scratch.mkdir()
        sources, chosen = _with_padding(source, Selection(np.zeros(len(rows), np.int32), rows, labels), scratch)
        written = write_selection(sources, chosen, folder, pack.roles.layout, lost, title="repairing")
        if changed.any():
            _mark_changed(folder / LEDGER, scratch, changed)
        write_labels(folder / LABELS, table)
        write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
        output.publish()
    return Repaired(written.images, sum(len(gone.keys) for gone in lost), int(changed.sum()))


def _order(pack: Examined) -> npt.NDArray[np.int64]:
    """The rows of the good records, in the order in which they will be written."""
    rows = np.flatnonzero(pack.good)
    if pack.roles.layout != "insightface":
        return rows
    keys = pack.records.keys[rows]
    rows = rows[np.lexsort((np.where(keys >= 0, keys, 0), keys < 0))]
    together = grouped(pack.roles.labels[rows])
    return rows if together is None else rows[together]


def _as_source(pack: Examined) -> DamagedPack:
    records = pack.records
    sizes = (records.stops - records.offsets).astype(np.uint32)
    where = Extents(records.offsets, sizes, records.id_is_key)
    return DamagedPack(pack.name, pack.rec, records.keys, where, already_masked(pack.rec))


def _unsaved_records(pack: Examined) -> list[Dropped]:
    """What cannot be saved: a row of the ledger for each record, lost key and damaged stretch."""
    records, roles = pack.records, pack.roles
    empty = roles.images & (records.payload_bytes == 0)
    kinds = (
        (records.payload_bytes < 0, "header"),
        (empty, "empty_payload"),
        (roles.images & ~roles.sound & ~empty, "label_not_whole"),
        (roles.sound & ~pack.good, "undecodable"),
    )
    dropped = [Dropped(0, records.keys[rows], reason) for rows, reason in kinds if rows.any()]
    if len(records.lost):
        dropped.append(Dropped(0, records.lost, "record_lost"))
    for gap in records.gaps:
        dropped.append(Dropped(0, np.array([-1]), f"{gap.stop - gap.start} damaged bytes at offset {gap.start}"))
    return dropped


def _with_padding(source: DamagedPack, chosen: Selection, scratch: Path) -> tuple[list[DamagedPack], Selection]:
    """The last record of the file from a file of its own where its padding is missing: records are copied framed."""
    offsets, sizes, id_is_key = source.where
    last = len(offsets) - 1
    cut = chosen.rows == last
    if not sizes[last] & 3 or not cut.any():
        return [source], chosen
    framed = read_padded(source.rec, int(offsets[last]))
    rec = scratch / source.rec.name
    rec.write_bytes(framed)
    where = Extents(np.zeros(1, np.int64), np.array([len(framed)], np.uint32), id_is_key[last:])
    alone = DamagedPack(source.name, rec, source.keys[last:], where, source.masks)
    return [source, alone], Selection(cut.astype(np.int32), np.where(cut, 0, chosen.rows), chosen.labels)


def _mark_changed(path: Path, scratch: Path, changed: npt.NDArray[np.bool_]) -> None:
    """Give those of a ledger's first rows that are changed copies the reason: their new hash vouches for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    at = 0
    with LedgerWriter(scratch / LEDGER) as new:
        for batch in ledger_batches(path, *schema().names):
            part = changed[at : at + batch.num_rows]
            marked = pa.array(np.append(part, np.zeros(batch.num_rows - len(part), np.bool_)))
            rows = pa.Table.from_batches([batch])
            reason = pc.if_else(marked, "payload_changed", rows["reason"])
            new.append(rows.set_column(rows.schema.get_field_index("reason"), "reason", reason))
            at += batch.num_rows
    shutil.move(scratch / LEDGER, path)
