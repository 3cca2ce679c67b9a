"""Decisions and a source -> a cleaned pack: payload bytes are copied, labels contiguous, header and identities written
anew."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.jobs.inputs.source import Source, SourceRecord, read_records
from facekit.records import PackWriter
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, table
from facekit.run.progress import progress

if TYPE_CHECKING:
    from facekit.jobs.clean.tables import DecisionTable

__all__ = ["LEDGER", "copy_pack", "hash_payloads", "take", "write_pack"]

LEDGER = "train.ledger.parquet"
BLOCK = 2048


def take(source: Source, rows: npt.NDArray[np.int64]) -> Source:
    """Return some of the records of a source, in any order."""
    files = tuple(source.files[place] for place in source.offsets[rows]) if source.files else ()
    return dataclasses.replace(
        source,
        keys=source.keys[rows],
        labels=source.labels[rows],
        pictures=source.pictures[rows],
        offsets=np.arange(len(rows)) if source.files else source.offsets[rows],
        files=files,
    )


def hash_payloads(source: Source) -> npt.NDArray[np.uint8]:
    """Return (N, 16) uint8, BLAKE2b of every payload."""
    hashes = np.empty((len(source), 16), np.uint8)
    with progress("hashing", len(source)) as advance:
        for at, (record, _) in enumerate(read_records(source)):
            hashes[at] = np.frombuffer(payload_hash(record.payload), np.uint8)
            if at % BLOCK == BLOCK - 1:
                advance(BLOCK)
    return hashes


def copy_pack(source: Source, folder: Path) -> None:
    """Copy the files of a pack byte for byte: nothing in it changes."""
    folder.mkdir()
    rec = Path(source.path)
    for path in (rec, rec.with_suffix(".idx"), rec.with_name("property"), rec.with_suffix(".ledger.parquet")):
        if path.exists():
            shutil.copyfile(path, folder / path.name)


def write_pack(source: Source, decisions: DecisionTable, folder: Path) -> None:
    """Write the images that decisions keep or move.

    In the layout ``insightface`` they are ordered by new label, inside one by their place in the source; in the layout
    ``flat`` by their place alone. ``header.id`` follows the key where it did in the source.

    Raises
    ------
    FacekitError
        A payload is not the one that was decided about, or the numbers do not add up.
    """
    rows = np.flatnonzero(decisions.new_label >= 0)
    if not len(rows):
        raise FacekitError("the decisions keep no image: give a lower --intra")
    if source.layout == "insightface":
        rows = rows[np.argsort(decisions.new_label[rows], kind="stable")]
    known = _known_ledger(source)
    aside = folder.with_name(folder.name + "." + LEDGER)
    with PackWriter(folder, source.layout) as writer, LedgerWriter(aside) as ledger:
        with progress("writing", len(rows)) as advance:
            for first in range(0, len(rows), BLOCK):
                part = rows[first : first + BLOCK]
                keys = _append(source, decisions, part, writer)
                ledger.append(table(_written_rows(source, decisions, part, keys, known)))
                advance(len(part))
        ledger.append(table(_dropped_rows(source, decisions)))
        first = writer.next_key
        groups = len(np.unique(decisions.new_label[rows]))
        layout = (0, *range(first, first + groups)) if source.layout == "insightface" else ()
        ledger.append(table([LedgerRow(key, None, payload_hash(b""), "layout") for key in layout]))
    if ledger.rows - len(layout) != len(source) or ledger.written - len(layout) != len(rows):
        raise FacekitError(f"the ledger has {ledger.rows} rows for {len(source)} images; please report this")
    aside.rename(folder / LEDGER)


def _append(
    source: Source, decisions: DecisionTable, part: npt.NDArray[np.int64], writer: PackWriter
) -> npt.NDArray[np.int64]:
    # Read in physical order, written in the order of the new labels.
    physical = np.argsort(source.offsets[part], kind="stable")
    read: list[SourceRecord] = [*read_records(take(source, part[physical]))]
    found = [read[at] for at in np.argsort(physical)]
    for row, (record, _) in zip(part.tolist(), found):
        if payload_hash(record.payload) != decisions.payload_hash[row].tobytes():
            raise FacekitError(
                f"{source.path}, key {record.key}: the picture is not the one that was decided about; "
                "these decisions belong to another pack (try --match hash)"
            )
    sizes = [len(framed) for _, framed in found]
    offsets = np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64)
    old = source.keys[part].astype(np.uint64)
    ids = np.array([record.header.id for record, _ in found], np.uint64)
    new = np.arange(writer.next_key, writer.next_key + len(part)).astype(np.uint64)
    block = b"".join(framed for _, framed in found)
    return writer.append_block(
        block, offsets, decisions.new_label[part], new_ids=np.where(ids == old, new, ids), relabel=True
    )


def _known_ledger(source: Source) -> dict[int, tuple[str, str | None, str | None, float | None, int]]:
    """Return what the source's own ledger says about its masked pictures: action, type, parameters, score, bare key."""
    path = Path(source.path).with_suffix(".ledger.parquet")
    if source.kind != "pack" or not path.exists():
        return {}
    import pyarrow.parquet as pq

    rows = pq.read_table(path, columns=["key", "source_key", "action", "type", "params", "score"]).to_pylist()
    bare = {row["source_key"]: row["key"] for row in rows if row["action"] == "copy"}
    return {
        row["key"]: (row["action"], row["type"], row["params"], row["score"], bare.get(row["source_key"], row["key"]))
        for row in rows
        if row["action"] == "mask"
    }


def _written_rows(
    source: Source,
    decisions: DecisionTable,
    part: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int64],
    known: dict[int, Any],
) -> Iterator[LedgerRow]:
    for row, key in zip(part.tolist(), keys.tolist()):
        old = int(source.keys[row])
        action, kind, params, score, bare = known.get(old, ("copy", None, None, None, old))
        yield LedgerRow(key, bare, decisions.payload_hash[row].tobytes(), action, kind, params, score)


def _dropped_rows(source: Source, decisions: DecisionTable) -> Iterator[LedgerRow]:
    action, reason = decisions.action, decisions.reason
    for row in np.flatnonzero(decisions.new_label < 0).tolist():
        digest = decisions.payload_hash[row].tobytes()
        yield LedgerRow(None, int(source.keys[row]), digest, str(action[row]), reason=str(reason[row]))
