"""Putting the tree of masked photographs together from its shards: files, ledger, list, contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import FacekitError
from facekit.jobs.outputs.counts import check_counts
from facekit.jobs.photos.plan import CONTACT, LEDGER, LIST, PhotosPlan
from facekit.jobs.photos.sheet import FaceSample, draw_sheet
from facekit.output import FolderOutput
from facekit.run.progress import progress
from facekit.run.shard_blocks import record_blocks
from facekit.run.shard_file import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["assemble_output"]


def assemble_output(plan: PhotosPlan, output: FolderOutput) -> None:
    """Make the output folder.

    Raises
    ------
    FacekitError
        A name cannot be written; or the ledger does not add up, a defect of facekit: nothing is published.
    """
    import pyarrow.parquet as pq

    folder, sample, written, masked = output.new_folder(), FaceSample(), 0, 0
    ledger: pq.ParquetWriter | None = None
    with open(folder / LEDGER, "wb") as file, progress("writing", len(plan.files)) as advance:
        for shard in plan.shards:
            path = output.shard(shard.number)
            rows = read_rows(path)
            written += write_files(folder, plan.files[shard.first : shard.stop], rows, path)
            entries = rows.drop_columns(["offset"])
            ledger = ledger or pq.ParquetWriter(file, entries.schema, compression="zstd")
            ledger.write_table(entries)
            sample.take(entries)
            masked += entries["action"].to_pylist().count("mask")
            advance(shard.stop - shard.first)
        if ledger is not None:
            ledger.close()
    check_counts(("pictures", written, len(plan.files)))
    with open(folder / LIST, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        lines.writelines(f"{key}\t0\t{name}\n" for key, name in enumerate(plan.files, 1))
    draw_sheet(plan, sample, folder, folder / CONTACT)


def write_files(folder: Path, names: Sequence[str], rows: pa.Table, shard: Path) -> int:
    """Write the files of a shard under their own names; how many."""
    offsets = np.unique(rows["offset"].to_numpy())
    if len(offsets) != len(names):
        held = f"a shard holds {len(offsets)} pictures of {len(names)}"
        raise FacekitError(f"{held}; delete it and run the command again")
    for block in record_blocks(shard, offsets):
        stops = [*block.starts[1:].tolist(), len(block.framed)]
        for name, start, stop in zip(names[block.rows], block.starts.tolist(), stops, strict=True):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(block.framed[start:stop])
    return len(names)
