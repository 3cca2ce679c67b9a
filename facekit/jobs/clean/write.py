"""Decisions and a source -> what cleaning leaves: tables, report, and a pack whose payloads are copied, labels
contiguous, header and identities written anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS, Action, Identities
from facekit.clean.pairs import Pairs
from facekit.errors import FacekitError
from facekit.jobs.clean.copy_shard import Block, BlockTask, Share, another_pack, read_block, share_blocks, shared_blocks
from facekit.jobs.clean.decision_table import DecisionTable
from facekit.jobs.clean.report import PAIRS, SOURCE_PATH, write_pairs, write_report
from facekit.jobs.clean.tables import write_tables
from facekit.jobs.inputs.ledger import already_masked
from facekit.jobs.inputs.source import Source
from facekit.jobs.inputs.stored_pack import fetch_file
from facekit.jobs.outputs.ledger_rows import (
    copied_rows,
    hash_block,
    hashing_threads,
    layout_keys,
    layout_rows,
    left_out_rows,
)
from facekit.jobs.outputs.tables import SOURCE_LIST, write_source_list
from facekit.records import PackWriter
from facekit.records.distinct import ascends, blocks, distinct
from facekit.records.rewrite import copy_records, extents_of
from facekit.run.ledger import LEDGER, LedgerWriter, ledger_path
from facekit.run.memory import release_freed
from facekit.run.progress import progress
from facekit.run.shards import Shard

__all__ = ["AboutIdentities", "Share", "copy_pack", "write_output", "write_pack"]

BLOCK = 2048


class AboutIdentities(NamedTuple):
    """What cleaning found of identities, beside what the table says of faces."""

    identities: Identities
    pairs: Pairs  # of old labels


def write_output(
    folder: Path,
    source: Source,
    table: DecisionTable,
    *,
    pack: bool,
    found: AboutIdentities | None,
    report: bool,
    share: Share | None = None,
) -> None:
    """Write pack, tables and report into an empty folder.

    Parameters
    ----------
    folder : Path
    source : Source
    table : DecisionTable
    pack : bool
        Whether a pack is written, or the decisions alone.
    found : AboutIdentities or None
        Adds clusters and similar pairs to the tables.
    report : bool
    share : Share, optional
        Who else may read the pictures.

    Raises
    ------
    FacekitError
        A payload is not the one that was decided about, or the numbers do not add up.
    PartFinished
        The share of the part that was asked for is done.
    """
    _check_counts(table)
    if pack and source.kind == "pack" and np.array_equal(table.new_label, table.old_label):
        if share is not None:
            share_blocks(share, _no_task, [])  # files are copied whole: a part has nothing to do
        copy_pack(source, folder)
    elif pack:
        write_pack(source, table, folder, share)
    release_freed()  # after each step: what the next one takes would come on top of it
    write_tables(folder, table, None if found is None else found.identities)
    place = source.name if source.stored is not None else os.path.realpath(source.path)
    (folder / SOURCE_PATH).write_bytes(os.fsencode(place) + b"\n")
    if source.files:
        write_source_list(source, folder / SOURCE_LIST)
    if found is not None:
        write_pairs(folder / PAIRS, found.pairs)
        if report:
            release_freed()
            write_report(folder / "report", source, table, found.pairs)


def _check_counts(table: DecisionTable) -> None:
    """Assert that every image has one outcome and that the outcomes add up."""
    stays = (table.action_code == Action.KEEP) | (table.action_code == Action.MOVE)
    once = ascends(table.keys, strictly=True) or len(distinct(table.keys)) == len(table)
    if not np.array_equal(stays, table.new_label >= 0) or not once:
        raise FacekitError("the decisions do not add up; please report this")


def copy_pack(source: Source, folder: Path) -> None:
    """Copy the files of a pack byte for byte: nothing in it changes."""
    rec = Path(source.path)
    if source.stored is not None:
        fetch_file(source.stored, folder / rec.name)
    for path in (rec, rec.with_suffix(".idx"), rec.with_name("property"), ledger_path(rec)):
        if path.exists():
            shutil.copyfile(path, folder / path.name)


def write_pack(source: Source, table: DecisionTable, folder: Path, share: Share | None = None) -> None:
    """Write the images that decisions keep or move.

    In the layout ``insightface`` they are ordered by new label, inside one by their place in the source; in the layout
    ``flat`` by their place alone. ``header.id`` follows the key where it did in the source.

    Raises
    ------
    FacekitError
        A payload is not the one that was decided about, or the numbers do not add up.
    """
    rows = _rows_in_order(table.new_label, source.layout)
    if not len(rows):
        raise FacekitError("the decisions keep no image: give a lower --intra")
    masks = already_masked(Path(source.path)) if source.kind == "pack" else None
    release_freed()
    aside = folder.with_name(folder.name + "." + LEDGER)
    with PackWriter(folder, source.layout) as writer, LedgerWriter(aside) as ledger:
        with progress("writing", len(rows)) as advance:
            for part, keys in _written(source, table, rows, writer, share):
                ledger.append(copied_rows(keys, table.keys[part], table.payload_hash[part].tobytes(), masks))
                advance(len(part))
        for span in blocks(len(table)):
            out = span.start + np.flatnonzero(table.new_label[span] < 0)
            why = (table.action_code[out], ACTIONS), (table.reason_code[out], REASONS)
            ledger.append(left_out_rows(table.keys[out], table.payload_hash[out].tobytes(), *why))
        layout = layout_keys(source.layout, writer.next_key, int((distinct(table.new_label) >= 0).sum()))
        for span in blocks(len(layout)):
            ledger.append(layout_rows(layout[span]))
    if ledger.rows - len(layout) != len(source) or ledger.written - len(layout) != len(rows):
        raise FacekitError(f"the ledger has {ledger.rows} rows for {len(source)} images; please report this")
    aside.rename(folder / LEDGER)


def _rows_in_order(new_label: npt.NDArray[np.int64], layout: str) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """The rows that are written, in that order; four bytes each where that is enough."""
    kind = np.int32 if len(new_label) < 1 << 31 else np.int64
    rows, count = np.empty(sum(np.count_nonzero(new_label[part] >= 0) for part in blocks(len(new_label))), kind), 0
    for part in blocks(len(new_label)):
        found = np.flatnonzero(new_label[part] >= 0)
        rows[count : count + len(found)] = part.start + found
        count += len(found)
    if layout != "insightface":
        return rows
    labels = np.empty(len(rows), np.int32)
    for part in blocks(len(rows)):
        labels[part] = new_label[rows[part]]
    if ascends(labels):
        return rows
    order = np.argsort(labels, kind="stable")
    del labels
    return rows[order]


def _no_task(shard: Shard, path: Path) -> BlockTask:
    raise AssertionError(f"{shard} of none, {path}")


def _written(
    source: Source, table: DecisionTable, rows: npt.NDArray[np.integer], writer: PackWriter, share: Share | None
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Write records, and yield which rows were written and the keys they got."""
    shards = [Shard(first // BLOCK, first, min(first + BLOCK, len(rows))) for first in range(0, len(rows), BLOCK)]

    def task_of(shard: Shard, path: Path) -> BlockTask:
        part = rows[shard.first : shard.stop].astype(np.int64)
        return BlockTask(shard, path, source.select_rows(part), table.payload_hash[part])

    shared = share is not None and share_blocks(share, task_of, shards)
    if not shared and source.kind == "pack" and source.stored is None:
        yield from _copied(source, table, rows, writer)
        return
    for shard in shards:
        part = rows[shard.first : shard.stop].astype(np.int64)
        if share is not None and shared:
            for some, block in shared_blocks(share.output.shard(shard.number)):
                yield part[some], _append(source, table, part[some], block, writer)
        else:
            block = read_block(source.select_rows(part), table.payload_hash[part])
            yield part, _append(source, table, part, block, writer)


def _copied(
    source: Source, table: DecisionTable, rows: npt.NDArray[np.integer], writer: PackWriter
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Copy records from a pack on the disk, by blocks of bytes."""
    rec = Path(source.path)
    where = extents_of(rec, source.offsets, source.keys)
    release_freed()
    with ThreadPoolExecutor(hashing_threads()) as pool:
        for span in blocks(len(rows)):  # the labels of all would be a column more
            some = rows[span].astype(np.int64)
            for done in copy_records(rec, where, some, table.new_label[some], writer):
                part = some[done.rows]
                _check_hashes(source, table, part, hash_block(done.block, done.starts, pool))
                yield part, done.keys


def _check_hashes(source: Source, table: DecisionTable, rows: npt.NDArray[np.int64], found: bytes) -> None:
    other = (np.frombuffer(found, np.uint8).reshape(-1, 16) != table.payload_hash[rows]).any(axis=1)
    if other.any():
        raise another_pack(source, int(source.keys[rows[int(other.argmax())]]))


def _append(
    source: Source, table: DecisionTable, part: npt.NDArray[np.int64], block: Block, writer: PackWriter
) -> npt.NDArray[np.int64]:
    offsets = np.cumsum(block.sizes) - block.sizes
    old = source.keys[part].astype(np.uint64)
    new = np.arange(writer.next_key, writer.next_key + len(part)).astype(np.uint64)
    new_ids = np.where(block.ids == old, new, block.ids)
    labels = table.new_label[part]
    return writer.append_block(block.framed, offsets, labels, new_ids=new_ids, relabel=True, in_place=True)
