"""Putting a folder of vectors together from its shards: index, failures, description, and the vectors as they are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.embeddings.store import DESCRIPTION, FAILURES, FORMAT, INDEX, VECTORS, index_schema
from facekit.errors import FacekitError
from facekit.jobs.embed.plan import EmbedPlan
from facekit.jobs.embed.shard import vectors_beside
from facekit.jobs.outputs.tables import parquet_rows
from facekit.output import FolderOutput
from facekit.run.shard_file import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["assemble_output"]

INDEX_COLUMNS = ["key", "label", "norm", "uncertainty", "masked", "source_key"]
FAILURE_COLUMNS = ["key", "label", "error"]


def assemble_output(plan: EmbedPlan, output: FolderOutput) -> None:
    """Make the output folder.

    Raises
    ------
    FacekitError
        No picture has a vector; or the rows do not add up, a defect of facekit: nothing is published.
    """
    folder = output.new_folder()
    count = _write_index(plan, output, folder)
    (folder / VECTORS).mkdir()
    dimensions = 0
    for shard in plan.shards:
        vectors = vectors_beside(output.shard(shard.number))
        shape = np.load(vectors, mmap_mode="r").shape
        if shape[0]:
            dimensions = shape[1]
            _link(vectors, folder / VECTORS / vectors.name)
    description = {"format": FORMAT, "dimensions": dimensions, "count": count} | plan.settings
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def _write_index(plan: EmbedPlan, output: FolderOutput, folder: Path) -> int:
    """Write the rows of the pictures that have a vector, and of those that have none; how many have one."""
    import pyarrow.compute as pc

    kept, lost = INDEX_COLUMNS, FAILURE_COLUMNS
    schema, count, rows, reason = index_schema(), 0, 0, None
    with (
        parquet_rows(folder / INDEX, pick(schema, kept)) as index,
        parquet_rows(folder / FAILURES, pick(schema, lost)) as failures,
    ):
        for shard in plan.shards:
            table = read_rows(output.shard(shard.number))
            failed = pc.is_valid(table["error"])
            good, bad = table.filter(pc.invert(failed)), table.filter(failed)
            reason = bad["error"][0].as_py() if reason is None and bad.num_rows else reason
            index(good.select(kept))
            failures(bad.select(lost))
            count, rows = count + good.num_rows, rows + table.num_rows
    if rows != len(plan.source):
        raise FacekitError(f"{rows} rows for {len(plan.source)} pictures; delete {output.staging} and embed again")
    if not rows:
        raise FacekitError(f"{plan.source.name} holds no pictures: name another pack")
    if not count:
        raise FacekitError(f"none of {len(plan.source)} pictures has a vector: {reason}")
    return count


def pick(schema: pa.Schema, names: list[str]) -> pa.Schema:
    """Some fields of a schema, in that order."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in names])


def _link(path: Path, target: Path) -> None:
    """A second name for a file, so that a run killed here still has its shard; a copy where there are no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
