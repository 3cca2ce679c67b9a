"""``facekit check``: every fault of a pack as a typed finding, and a copy of all that can be saved."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.ledger import LEDGER, WornMasks, worn_masks
from facekit.jobs.outputs.rewrite import Dropped, Selection, contiguous, grouped, write_selection
from facekit.jobs.outputs.staging import staged
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_train_config
from facekit.jobs.packs.check_pictures import check_pictures
from facekit.records.findings import Finding, Findings
from facekit.records.pack import pack_paths
from facekit.records.rewrite import Extents
from facekit.records.roles import RecordRoles, check_kept_labels, read_roles
from facekit.records.structure import Structure, read_padded, read_structure
from facekit.run.ledger import LedgerWriter

__all__ = ["CheckConfig", "CheckSummary", "check"]


@dataclass(frozen=True)
class CheckConfig:
    """Settings of ``facekit check``.

    Attributes
    ----------
    source : str
    deep : bool
        Decode every picture, and compare payloads with the hashes of the ledger where there is one.
    repair : str, optional
        Where to write a copy of all that can be saved.
    most : int
        Findings of one kind that are listed; all are counted.
    overwrite : bool
    """

    source: str
    deep: bool = False
    repair: str | None = None
    most: int = 1000
    overwrite: bool = False


@dataclass(frozen=True)
class CheckSummary:
    """What ``facekit check`` found.

    Attributes
    ----------
    source, layout : str
    records, images, identities : int
        Whole records; images among them that can be saved, and their labels.
    deep : bool
    counts : dict from str to int
        Findings by kind.
    findings : list of dict
        kind, problem, key and offset of each that is listed.
    repaired : str or None
    saved, lost : int
        Records of the repaired copy, and rows in its ledger of what could not be saved.
    changed : int
        Saved records whose payload is not the one of the source's ledger: the copy's ledger gives them the reason
        ``payload_changed``. Only known where deep.
    seconds : float
    """

    source: str
    layout: str
    records: int
    images: int
    identities: int
    deep: bool
    counts: dict[str, int]
    findings: list[dict[str, object]] = field(default_factory=list)
    repaired: str | None = None
    saved: int = 0
    lost: int = 0
    changed: int = 0
    seconds: float = 0.0


class Salvage(NamedTuple):
    """A damaged pack as something to copy from."""

    name: str
    rec: Path
    keys: npt.NDArray[np.int64]
    where: Extents
    masks: WornMasks | None


def check(config: CheckConfig) -> CheckSummary:
    """Check a pack.

    Raises
    ------
    RecordError
        There is no such pack, or a file cannot be read at all.
    FacekitError
        A copy was asked for, and nothing can be saved.
    """
    started = perf_counter()
    rec, idx, property_path = pack_paths(config.source)
    found = Findings(config.most)
    records = read_structure(rec, idx, found)
    roles = read_roles(records, property_path, found)
    check_kept_labels(rec, idx, records, roles, found)
    good, changed = roles.sound, np.zeros(len(records.offsets), np.bool_)
    if config.deep:
        decoded, changed = check_pictures(rec, records, roles, property_path, found)
        good = good & decoded
    done = (0, 0, 0) if config.repair is None else repair(config, rec, records, roles, good, changed)
    return CheckSummary(
        config.source,
        roles.layout,
        len(records.offsets),
        int(good.sum()),
        len(np.unique(roles.labels[good])),
        config.deep,
        dict(found.counts),
        [listed(finding) for finding in found.kept],
        config.repair,
        *done,
        perf_counter() - started,
    )


def listed(finding: Finding) -> dict[str, object]:
    """A finding as JSON has it."""
    return dict(finding._asdict())


def repair(
    config: CheckConfig,
    rec: Path,
    records: Structure,
    roles: RecordRoles,
    good: npt.NDArray[np.bool_],
    changed: npt.NDArray[np.bool_],
) -> tuple[int, int, int]:
    """Write a copy of the good records, with contiguous labels; how many were saved, lost, and saved changed."""
    assert config.repair is not None
    if not good.any():
        raise FacekitError(f"{rec} has no record that can be saved")
    rows = np.flatnonzero(good)
    if roles.layout == "insightface":
        known = records.keys[rows] >= 0
        rows = rows[np.lexsort((np.where(known, records.keys[rows], 0), ~known))]
        together = grouped(roles.labels[rows])
        rows = rows if together is None else rows[together]
    new, table = contiguous(roles.labels[rows])
    sizes = (records.stops - records.offsets).astype(np.uint32)
    where = Extents(records.offsets, sizes, records.id_is_key)
    source = Salvage(config.source, rec, records.keys, where, worn_masks(rec))
    lost = left_behind(records, roles, good)
    with (
        staged(config.repair, config.overwrite, sources=(rec,)) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch,
    ):
        sources, chosen = with_padding(source, Selection(np.zeros(len(rows), np.int32), rows, new), Path(scratch))
        written = write_selection(sources, chosen, folder, roles.layout, lost, title="repairing")
        if changed[rows].any():
            say_changed(folder / LEDGER, Path(scratch), changed[rows])
        write_labels(folder / LABELS, table)
        write_train_config(folder / TRAIN_CONFIG, written.num_classes, written.images)
    return written.images, sum(len(gone.keys) for gone in lost), int(changed[rows].sum())


def say_changed(path: Path, scratch: Path, changed: npt.NDArray[np.bool_]) -> None:
    """Give those of a ledger's first rows that are changed copies the reason: their new hash vouches for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    at = 0
    with pq.ParquetFile(path) as old, LedgerWriter(scratch / LEDGER) as new:
        for batch in old.iter_batches():
            part = changed[at : at + batch.num_rows]
            mask = pa.array(np.append(part, np.zeros(batch.num_rows - len(part), np.bool_)))
            rows = pa.Table.from_batches([batch])
            reason = pc.if_else(mask, "payload_changed", rows["reason"])
            new.append(rows.set_column(rows.schema.get_field_index("reason"), "reason", reason))
            at += batch.num_rows
    shutil.move(scratch / LEDGER, path)


def with_padding(source: Salvage, chosen: Selection, scratch: Path) -> tuple[list[Salvage], Selection]:
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
    alone = Salvage(source.name, rec, source.keys[last:], where, source.masks)
    return [source, alone], Selection(cut.astype(np.int32), np.where(cut, 0, chosen.rows), chosen.labels)


def left_behind(records: Structure, roles: RecordRoles, good: npt.NDArray[np.bool_]) -> list[Dropped]:
    """What cannot be saved: a row of the ledger for each record, lost key and damaged stretch."""
    unreadable = records.payload_bytes < 0
    empty = roles.images & (records.payload_bytes == 0)
    unlabelled = roles.images & ~roles.sound & ~empty
    undecoded = roles.sound & ~good
    kinds = (
        (unreadable, "header"),
        (empty, "empty_payload"),
        (unlabelled, "label_not_whole"),
        (undecoded, "undecodable"),
    )
    gone = [Dropped(0, records.keys[rows], reason) for rows, reason in kinds if rows.any()]
    if len(records.lost):
        gone.append(Dropped(0, records.lost, "record_lost"))
    for gap in records.gaps:
        gone.append(Dropped(0, np.array([-1]), f"{gap.stop - gap.start} damaged bytes at offset {gap.start}"))
    return gone
