"""Putting the output of a masking job together from its shards: pack, ledger, contact sheet, mesh cache."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from facekit.faces.cache_merge import merge_mesh_caches
from facekit.jobs.inputs.ledger import AlreadyMasked
from facekit.jobs.mask.plan import MaskPlan
from facekit.jobs.mask.shard import MaskWorker, meshes_beside
from facekit.jobs.mask.sheet import SheetSample, draw_sheet
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import layout_keys, layout_rows
from facekit.jobs.outputs.original_names import write_original_names
from facekit.jobs.outputs.tables import SOURCE_LIST, TRAIN_CONFIG, write_source_list, write_train_config
from facekit.output import FolderOutput
from facekit.records import PackWriter, RecordWriter
from facekit.run.ledger import LEDGER, LedgerWriter, schema, table
from facekit.run.progress import progress
from facekit.run.shard_blocks import RecordBlock, record_blocks
from facekit.run.shard_file import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["assemble_output"]


class Pack(Protocol):
    """What takes the records of one shard after another."""

    def append(self, block: RecordBlock, written: pa.Table) -> npt.NDArray[np.int64]:
        """Take records and their rows; return the keys they got."""

    def close(self) -> None:
        """Write what comes after the pictures."""


def assemble_output(plan: MaskPlan, worker: MaskWorker, output: FolderOutput) -> None:
    """Make the output folder.

    Raises
    ------
    FacekitError
        The ledger does not add up: a defect of facekit, and nothing is published.
    """
    folder = output.new_folder()
    aside = output.scratch(LEDGER)
    pack: Pack = SamePack(plan, folder) if plan.verbatim else NewPack(plan, folder)
    sample, tally = SheetSample(), Counter[str]()
    with LedgerWriter(aside) as ledger, progress("writing", len(plan.source)) as advance:
        for shard in plan.shards:
            path = output.shard(shard.number)
            rows = read_rows(path)
            entries = append_shard(path, rows, pack, plan.masks)
            sample.take(entries, rows["offset"].to_numpy(), path)
            tally.update(entries["action"].to_pylist())
            ledger.append(entries)
            advance(shard.stop - shard.first)
        pack.close()
        ledger.append(added_rows(plan, tally))
    check_ledger(plan, ledger, tally, folder)
    aside.rename(folder / LEDGER)
    write_names(plan, folder / SOURCE_LIST)
    pictures = plan.pictures + (tally["mask"] - plan.already_masked if plan.adds else 0)
    write_train_config(folder / TRAIN_CONFIG, int(plan.source.labels[plan.source.pictures].max()) + 1, pictures)
    draw_sheet(plan.source, sample, folder / "contact.png")
    keep_meshes(plan, worker, output)


def write_names(plan: MaskPlan, path: Path) -> None:
    """Write what source keys stand for: the files, or the names that the source has for its pictures."""
    source = plan.source
    if source.files:
        write_source_list(source, path)
    else:
        write_original_names(Path(source.path), source.keys, source.labels, source.pictures, path)


def append_shard(path: Path, rows: pa.Table, pack: Pack, masks: AlreadyMasked | None) -> pa.Table:
    """Append the records of a shard, and return its ledger entries with the keys they got.

    Pictures that came with a mask on name as their source the bare picture, as the others do.
    """
    import pyarrow as pa

    written = rows["offset"].to_numpy() >= 0
    keys, found = np.full(len(written), -1, np.int64), rows.filter(pa.array(written))
    got = np.empty(len(found), np.int64)
    for block in record_blocks(path, found["offset"].to_numpy()):
        got[block.rows] = pack.append(block, found.slice(block.rows.start, len(block.starts)))
    keys[written] = got
    rows = rows.set_column(0, "key", pa.array(keys, mask=~written)).select(schema().names)
    if masks is None:
        return rows
    column = rows.schema.get_field_index("source_key")
    bare = masks.bare_of(rows["source_key"].to_numpy())
    return rows.set_column(column, "source_key", pa.array(bare))


def added_rows(plan: MaskPlan, tally: Counter[str]) -> pa.Table:
    """Rows of the records that a new pack has besides its pictures; one that stays as it is has those of its source."""
    if plan.verbatim:
        return table([])
    first = tally["copy"] + tally["mask"] + 1
    if not plan.adds:
        first += tally["refused"] + tally["error"]
    labels = plan.source.labels
    return layout_rows(layout_keys(plan.layout, first, 1 + int(np.count_nonzero(labels[1:] != labels[:-1]))))


def check_ledger(plan: MaskPlan, ledger: LedgerWriter, tally: Counter[str], folder: Path) -> None:
    """Each record of the source and of the output has its row, and each mask that was asked for has its outcome."""
    outcomes = tally["mask"] + tally["refused"] + tally["error"]
    check_counts(
        ("masks", outcomes, plan.wanted + plan.already_masked),
        ("pictures", tally["copy"] + (plan.already_masked if plan.adds else outcomes), plan.pictures),
        ("records", ledger.written, records_in(folder)),
    )


def keep_meshes(plan: MaskPlan, worker: MaskWorker, output: FolderOutput) -> None:
    """Add the meshes that were found to the cache."""
    if worker.config.mesh_cache is None:
        return
    cache = Path(worker.config.mesh_cache)
    parts = [meshes_beside(output.shard(shard.number)) for shard in plan.shards]
    known = [cache] if cache.exists() else []
    merge_mesh_caches(cache, known + [part for part in parts if part.exists()], worker.fingerprint)


class SamePack:
    """The source's records under their own keys and in their own order."""

    def __init__(self, plan: MaskPlan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._writer = RecordWriter(folder / "train.rec")

    def append(self, block: RecordBlock, written: pa.Table) -> npt.NDArray[np.int64]:
        keys = written["source_key"].to_numpy()
        self._writer.append_framed(block.framed, keys, block.starts)
        return keys

    def close(self) -> None:
        self._writer.close()
        rec = Path(self._plan.source.path)
        for beside, name in ((rec.with_name("property"), "property"), (rec.with_suffix(".meta"), "train.meta")):
            if beside.exists():
                shutil.copyfile(beside, self._folder / name)


class NewPack:
    """Records numbered anew. ``header.id`` follows the key where it did in the source, else it is left as it was."""

    def __init__(self, plan: MaskPlan, folder: Path) -> None:
        self._writer = PackWriter(folder, plan.layout)

    def append(self, block: RecordBlock, written: pa.Table) -> npt.NDArray[np.int64]:
        old, ids = written["source_key"].to_numpy(), written["id"].to_numpy()
        new = np.arange(self._writer.next_key, self._writer.next_key + len(old))
        ids = np.where(ids == old.astype(np.uint64), new.astype(np.uint64), ids)
        labels = written["label"].to_numpy()
        return self._writer.append_block(block.framed, block.starts, labels, new_ids=ids, in_place=True)

    def close(self) -> None:
        self._writer.close()
