"""Putting a folder of vectors together from its shards: index, failures, description, and the vectors as they are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.embeddings.store import DESCRIPTION, FAILURES, FORMAT, INDEX, VECTORS
from facekit.errors import FacekitError
from facekit.jobs.embed.plan import EmbedPlan
from facekit.jobs.embed.shard import vectors_beside
from facekit.jobs.outputs.tables import write_parquet
from facekit.output import FolderOutput
from facekit.run.shard_file import read_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["assemble_output"]


def assemble_output(plan: EmbedPlan, output: FolderOutput) -> None:
    """Make the output folder.

    Raises
    ------
    FacekitError
        No picture has a vector; or the rows do not add up, a defect of facekit: nothing is published.
    """
    folder = output.new_folder()
    index, failures = _read_index(plan, output)
    (folder / VECTORS).mkdir()
    dimensions = 0
    for shard in plan.shards:
        vectors = vectors_beside(output.shard(shard.number))
        shape = np.load(vectors, mmap_mode="r").shape
        if shape[0]:
            dimensions = shape[1]
            _link(vectors, folder / VECTORS / vectors.name)
    write_parquet(folder / INDEX, index)
    write_parquet(folder / FAILURES, failures)
    description = {"format": FORMAT, "dimensions": dimensions, "count": index.num_rows} | plan.settings
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def _read_index(plan: EmbedPlan, output: FolderOutput) -> tuple[pa.Table, pa.Table]:
    """The rows of the pictures that have a vector, and of those that have none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.concat_tables([read_rows(output.shard(shard.number)) for shard in plan.shards])
    if rows.num_rows != len(plan.source):
        raise FacekitError(
            f"{rows.num_rows} rows for {len(plan.source)} pictures; delete {output.staging} and embed again"
        )
    failed = pc.is_valid(rows["error"])
    index, failures = rows.filter(pc.invert(failed)), rows.filter(failed)
    if not index.num_rows:
        raise FacekitError(f"none of {len(plan.source)} pictures has a vector: {failures['error'][0].as_py()}")
    return index.drop(["error"]), failures.select(["key", "label", "error"])


def _link(path: Path, target: Path) -> None:
    """A second name for a file, so that a run killed here still has its shard; a copy where there are no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
