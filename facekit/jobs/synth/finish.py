"""The output of a drawing job, assembled from its shards: pack, ledger, truth, sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.jobs.outputs.append_records import append_records
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.ledger_rows import layout_keys, layout_rows
from facekit.jobs.synth.shard import TRUTH_VERTICES
from facekit.jobs.synth.sheet import draw_sheet
from facekit.output import FolderOutput
from facekit.records import PackWriter
from facekit.run.ledger import LEDGER, LedgerWriter, schema
from facekit.run.shard_file import read_rows
from facekit.run.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SHEET", "TRUTH", "assemble_output", "assemble_pack", "truth_schema"]

TRUTH, SHEET = "train.truth.parquet", "contact.png"


def truth_schema() -> pa.Schema:
    """Columns of ``train.truth.parquet``, one row a picture.

    ``identity`` and ``image`` are what `facekit.synth.draw_person` takes; ``source_key`` is the record of which this
    one is a near duplicate; ``mesh`` has 468 x 3 numbers, x, y and z of each vertex in pixels.
    """
    import pyarrow as pa

    f32 = pa.float32()
    return pa.schema(
        [
            ("key", pa.int64()),
            ("identity", pa.int64()),
            ("label", pa.int64()),
            ("canonical_label", pa.int64()),
            ("kind", pa.string()),
            ("image", pa.int64()),
            ("source_key", pa.int64()),
            ("mask", pa.string()),
            ("yaw", f32),
            ("pitch", f32),
            ("roll", f32),
            ("light", pa.list_(f32, 3)),
            ("expression", pa.list_(f32, 7)),
            ("mesh", pa.list_(f32, TRUTH_VERTICES)),
        ]
    )


def assemble_output(shards: list[Shard], layout: str, output: FolderOutput) -> None:
    """Make the output folder, one shard after another.

    Raises
    ------
    FacekitError
        The counts do not add up: a defect of facekit, and nothing is published.
    """
    folder = output.new_folder()
    aside = {name: output.scratch(name) for name in (LEDGER, TRUTH)}
    assemble_pack([output.shard(shard.number) for shard in shards], shards[-1].stop, layout, folder, aside)


def assemble_pack(files: Sequence[Path], pictures: int, layout: str, folder: Path, aside: Mapping[str, Path]) -> None:
    """Make the pack of some finished shards, with its ledger, truth and sheet.

    Parameters
    ----------
    files : sequence of Path
        The shards, in order.
    pictures : int
        That they hold.
    layout : str
    folder : Path
        Empty.
    aside : mapping
        Where the ledger and the truth are written first, by their names.

    Raises
    ------
    FacekitError
        The counts do not add up: a defect of facekit.
    """
    import pyarrow.parquet as pq

    labels = 0
    with (
        PackWriter(folder, layout) as pack,
        LedgerWriter(aside[LEDGER]) as ledger,
        open(aside[TRUTH], "wb") as file,  # pyarrow itself opens no name that is not UTF-8
        pq.ParquetWriter(file, truth_schema(), compression="zstd", use_dictionary=["kind", "mask"]) as truth,
    ):
        first = pack.next_key
        for path in files:
            rows = read_rows(path)
            keys = append_records(pack, path, rows["offset"].to_numpy(), rows["label"].to_numpy())
            ledger.append(_with_keys(rows, keys).select(schema().names))
            truth.write_table(_truth(rows, keys, first))
        labels = int(rows["label"][-1].as_py()) + 1
        written = pack.next_key - first
        ledger.append(layout_rows(layout_keys(layout, pack.next_key, labels)))
    check_counts(("pictures", written, pictures), ("records", ledger.written, records_in(folder)))
    for name, path in aside.items():
        path.rename(folder / name)
    draw_sheet(folder, folder / SHEET)


def _with_keys(rows: pa.Table, keys: np.ndarray) -> pa.Table:
    import pyarrow as pa

    return rows.set_column(0, "key", pa.array(keys, pa.int64()))


def _truth(rows: pa.Table, keys: np.ndarray, first: int) -> pa.Table:
    import pyarrow as pa

    source = rows["source"].to_numpy()
    rows = _with_keys(rows, keys).drop_columns(["source_key"])
    rows = rows.append_column("source_key", pa.array(source + first, pa.int64(), mask=source < 0))
    return rows.select(truth_schema().names)
